"""Emission in two processes, each of which lowers the functions of about half of the packages.

When discovery is over, the text of a module follows from what is known by then, and from nothing that the emission of
another module does. So a forked child may lower some of them: what comes out is the same as in one process. The two
tell each other which of their functions are small, since modules get copies of these. Whatever goes wrong, errors in
the program included, leaves nothing behind, and the caller does it all in one process.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

from compiler.apart import meanwhile
from compiler.lower.module import Module, ModuleState
from compiler.lower.world import Instance, World
from compiler.tree import Diagnostic

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

Swap = Callable[[set[str]], set[str]]  # tells the other process some symbols, and returns what it tells


class Emitter(Protocol):
    """What `Lowering` does here."""

    world: World
    modules: dict[str, Module]
    errors: list[Diagnostic]
    written: dict[str, int]

    def module(self, name: str) -> Module: ...

    def emit_these(self, instances: list[Instance]) -> None: ...

    def small_functions(self, instances: list[Instance]) -> dict[str, Instance]: ...

    def repeat_small_functions(self, modules: Iterable[Module], small: dict[str, Instance]) -> None: ...


@dataclass
class Half:
    """What a process made: modules, and what it entered in the world."""

    modules: dict[str, ModuleState]
    external: set[str]
    tested: set[tuple[int, int]]
    call_sets: dict[str, list[str]]


def emit_in_two(lowering: Emitter, instances: list[Instance]) -> bool:
    """Lower these functions, and copies of the small ones; whether that succeeded."""
    import multiprocessing  # it takes a while

    theirs = other_half(lowering.written)
    ours, others = multiprocessing.Pipe()
    with contextlib.closing(ours), meanwhile(partial(child, lowering, instances, theirs, others)) as result:
        others.close()
        half: Half | None = None
        if result is not None:
            for instance in instances:
                lowering.module(instance.package)  # the order of modules is that in which one process begins them
            with contextlib.suppress(EOFError, OSError):  # it has failed
                own = [i for i in instances if i.package not in theirs]
                emit_half(lowering, own, instances, partial(swap, ours, listens_first=True))
                half = result()
    if half is None or lowering.errors:
        lowering.modules.clear()
        lowering.errors.clear()
        return False
    for name, state in half.modules.items():
        lowering.modules[name].restore(state)
    world = lowering.world
    world.external |= half.external
    world.tested |= half.tested
    for key, symbols in half.call_sets.items():
        world.call_sets.setdefault(key, symbols)
    return True


def other_half(written: dict[str, int]) -> set[str]:
    """The packages of the child, which has a little less to do than its parent, since its text must be handed over."""
    theirs: set[str] = set()
    our_size = their_size = 0
    for name, size in sorted(written.items(), key=lambda item: (-item[1], item[0])):
        if their_size + size <= our_size:
            theirs.add(name)
            their_size += size
        else:
            our_size += size
    return theirs


def child(lowering: Emitter, instances: list[Instance], packages: set[str], parent: Connection) -> Half:
    """The child's part. Raises an exception if there are errors."""
    gc.freeze()  # to look at what there is already would copy it
    own = [i for i in instances if i.package in packages]
    emit_half(lowering, own, instances, partial(swap, parent, listens_first=False))
    if lowering.errors:
        raise lowering.errors[0]
    world = lowering.world
    modules = {name: module.state() for name, module in lowering.modules.items()}
    return Half(modules, world.external, world.tested, world.call_sets)


def emit_half(lowering: Emitter, own: list[Instance], instances: list[Instance], exchange: Swap) -> None:
    """Lower functions, and copies of all small ones into their modules. Raises EOFError, OSError."""
    lowering.emit_these(own)
    if lowering.errors:
        raise EOFError
    small = set(lowering.small_functions(own))
    small |= exchange(small)
    modules = [lowering.module(name) for name in dict.fromkeys(i.package for i in own)]
    lowering.repeat_small_functions(modules, {i.symbol: i for i in instances if i.symbol in small})


def swap(other: Connection, symbols: set[str], *, listens_first: bool) -> set[str]:
    """Tell the other process symbols, and return what it tells. Both must not wait to be heard at once."""
    told: set[str] = other.recv() if listens_first else set()
    other.send(symbols)
    return told if listens_first else other.recv()
