"""Instances of one generic function whose text came out the same share one body; the others are names for it.

References of all classes look alike to the machine, so `dict[int, Task]` and `dict[int, Tty]` are mostly the same code.
Two instances are the same if their text is, but for names of instances that are the same themselves, the numbers of
debug information, those that keep traps apart, and the names of type descriptors that say the same. All that differ in
such names only are taken for the same at first; then those are parted that call others at the same place, until nothing
changes (E. F. Moore, 1956).

A traceback shows the name of the one that stays. Its lines are those of all of them, for they have one source.
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping

from compiler.lower.module import Module

START = "define LINKAGE "
_SYMBOL = re.compile(r'@"([^"]+)"')
_OF_ONE = re.compile(r",? !dbg !\d+|^ *#dbg_[^\n]*\n|(?<=%eax # )\d+", re.MULTILINE)


def share_bodies(module: Module, external: Container[str], apart: Container[str], alike: Mapping[str, str]) -> int:
    """Leave one of the instances of a module that are the same; returns how many went.

    `external` are the symbols that other modules use: these stay as aliases. Those in `apart` keep their own body. To
    `alike` see `classes`.
    """
    candidates = {
        symbol: text
        for symbol, text in module.definitions.items()
        if "[" in symbol and text.startswith(START) and symbol not in apart
    }
    kept: dict[str, str] = {}
    for members in classes(candidates, alike):
        first = next((symbol for symbol in members if symbol in external), members[0])
        kept.update((symbol, first) for symbol in members if symbol != first)
    if kept:
        replace(module, kept, external)
    return len(kept)


def classes(texts: dict[str, str], alike: Mapping[str, str]) -> list[list[str]]:
    """Functions that are the same, in the order of their definitions. Symbols that have the same value in `alike` are
    taken for the same.
    """

    def common(found: re.Match[str]) -> str:
        name = found[1]
        return "@" if name in texts else alike.get(name, name)

    shapes: dict[str, tuple[str, str]] = {}
    called: dict[str, list[str]] = {}
    for symbol, text in texts.items():
        called[symbol] = [name for name in _SYMBOL.findall(text) if name in texts]
        shape = _SYMBOL.sub(common, _OF_ONE.sub("", text))
        shapes[symbol] = (symbol.partition("[")[0], shape)
    numbers: dict[object, int] = {}
    class_of = {symbol: numbers.setdefault(shape, len(numbers)) for symbol, shape in shapes.items()}
    count = 0
    while len(numbers) > count:
        count = len(numbers)
        numbers = {}
        class_of = {
            symbol: numbers.setdefault(
                (class_of[symbol], *(-1 if name == symbol else class_of[name] for name in names)), len(numbers)
            )
            for symbol, names in called.items()
        }
    found: dict[int, list[str]] = {}
    for symbol, number in class_of.items():
        found.setdefault(number, []).append(symbol)
    return list(found.values())


def replace(module: Module, kept: dict[str, str], external: Container[str]) -> None:
    """Have all name those that are kept, by the symbols of the others."""
    for symbol, first in kept.items():
        del module.definitions[symbol]
        module.declarations.pop(symbol, None)
        if symbol in external:  # the type of an alias says only that it is a function
            module.define(symbol, f'@"{symbol}" = dso_local hidden alias void (), ptr @"{first}"')
    for symbol, text in module.definitions.items():
        if text.startswith("define "):
            module.definitions[symbol] = _SYMBOL.sub(lambda found: f'@"{kept.get(found[1], found[1])}"', text)
