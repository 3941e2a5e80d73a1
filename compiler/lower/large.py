"""Functions that are too long for LLVM's optimisations.

Some of its passes take time that grows with the square of a function's length: jump threading, combining of
instructions. So a function longer than `MOST_OPTIMISED`, `@inline` callees included, is compiled without optimisation,
which takes time in proportion to its length. Its callees are optimised as usual.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from compiler.lower.module import Module

MOST_OPTIMISED = 8_000  # lines of IR
LOOKED_INTO = 500  # lines; shorter functions are not searched for calls, because the kernel has thousands of them
INLINED = " alwaysinline"
PLAIN = " noinline optnone"

_CALLED = re.compile(r'\b(?:call|invoke) [^\n(]*@"([^"\n]+)"\(')
_GROUP = re.compile(r"\) #(\d+)")


class Lengths:
    """Lengths of functions in lines of IR, with the `@inline` functions that they call."""

    def __init__(self, modules: Iterable[Module]) -> None:
        self.inlined: dict[str, str] = {}  # the functions that are inlined wherever they are called
        self.known: dict[str, int] = {}
        for module in modules:
            groups = {str(number) for text, number in module.attributes.items() if INLINED in text}
            for symbol, text in module.definitions.items():
                if text.startswith("define LINKAGE") and group_of(text) in groups:
                    self.inlined[symbol] = text

    def of(self, text: str) -> int:
        """The length of a function."""
        return text.count("\n") + sum(self.of_inlined(name) for name in _CALLED.findall(text) if name in self.inlined)

    def of_inlined(self, symbol: str) -> int:
        """The length of a function that is inlined. None of them calls itself (KP702)."""
        if symbol not in self.known:
            self.known[symbol] = self.of(self.inlined[symbol])
        return self.known[symbol]


def group_of(text: str) -> str:
    """The number of a function's group of attributes."""
    found = _GROUP.search(text, 0, text.index("\n"))
    return found[1] if found is not None else ""


def leave_long_ones(modules: list[Module]) -> list[str]:
    """Mark the functions that LLVM does not optimise; returns their symbols."""
    lengths = Lengths(modules)
    found = []
    for module in modules:
        for symbol, text in module.definitions.items():
            if not text.startswith("define ") or text.count("\n") < LOOKED_INTO or symbol in lengths.inlined:
                continue
            if lengths.of(text) > MOST_OPTIMISED:
                group = module.attribute_group(module.base_attributes() + PLAIN)
                head, line, rest = text.partition("\n")
                module.definitions[symbol] = _GROUP.sub(f") {group}", head, count=1) + line + rest
                found.append(symbol)
    return found
