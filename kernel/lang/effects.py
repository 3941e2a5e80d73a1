"""Decorators that tell the compiler something about a function. Under CPython they change nothing.

`@irq`, `@nosleep`, `@noalloc`, `@noraise`, `@nopanic` and `@unlocked` are promises that the compiler proves over the
whole program; `@sleeps` marks a primitive that sleeps. `@on_stack`, `@recursion` and `@interrupted_by` are for the
worst case of the kernel's stacks, and `@with_room`. `@export` and `@extern` name C symbols. See docs/language.md,
"Effects".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

F = TypeVar("F", bound=Callable[..., object])

UNLOCKED: list[Callable[..., object]] = []  # functions that need no kernel lock, for simulated processors


def irq(function: F) -> F:
    """Runs in interrupt context: neither sleeps nor allocates, nor does anything that it calls."""
    return function


def nosleep(function: F) -> F:
    """Never sleeps."""
    return function


def noalloc(function: F) -> F:
    """Never allocates."""
    return function


def noraise(function: F) -> F:
    """Never raises."""
    return function


def nopanic(function: F) -> F:
    """Never stops with a trap: no check is left in it, or in what it calls, that could fail."""
    return function


def unlocked(function: F) -> F:
    """Never needs the kernel lock: touches nothing that it guards, nor does anything that it calls."""
    UNLOCKED.append(function)
    return function


def finds_own(function: F) -> F:
    """Returns the running thread: what is stored through it is the thread's own."""
    return function


def sleeps(function: F) -> F:
    """Sleeps: callers must not be `@nosleep`."""
    return function


def inline(function: F) -> F:
    """Always inlined."""
    return function


def noinline(function: F) -> F:
    """Never inlined."""
    return function


def wrapping(function: F) -> F:
    """Arithmetic of this function wraps instead of trapping. Each use needs a reason: CPython is exact."""
    return function


def on_stack(size_bytes: int) -> Callable[[F], F]:
    """An entry point that assembly calls on an empty stack of this size: the build fails if that may not suffice."""
    return lambda function: function


def recursion(limit: int) -> Callable[[F], F]:
    """At most `limit` calls of this function are under way at once on one stack; the function or its callers ensure
    that. A circle of calls without such a function is counted once.
    """
    return lambda function: function


def with_room(size_bytes: int) -> Callable[[F], F]:
    """Called only right after `make_room` (kernel/sched/room.py), which provides that many bytes of stack: callers do
    not count them, and the build fails if they may not suffice.
    """
    return lambda function: function


def interrupted_by(symbol: str) -> Callable[[F], F]:
    """While this assembly function runs, the processor may enter an exported one on the same stack."""
    return lambda function: function


def gives_up(access: str) -> Callable[[F], F]:
    """An assembly function that "reads" a little of the running program's memory, "writes" a word, or "copies out" a
    little more. If it faults in a system call without the kernel lock, it does not return: the call is made again, with
    the lock.
    """
    return lambda function: function


def last_resort(function: F) -> F:
    """Runs only after a fatal error: its use of the stack is not counted."""
    return function


def export(symbol: str) -> Callable[[F], F]:
    """An entry point with a C symbol: called from assembly, hardware or the run-time. Must not raise."""
    return lambda function: function


def extern(symbol: str) -> Callable[[F], F]:
    """A function that assembly defines under a C symbol. The Python body is its simulation under CPython."""
    return lambda function: function
