"""The blocks of a function whose text was rewritten, for the checks."""

from __future__ import annotations

import re

from compiler.escape.lifetimes import is_invoke
from compiler.escape.releases import NEVER
from compiler.escape.text import Body

_LABEL = re.compile(r"^([\w.]+):")
_TARGET = re.compile(r"label %([\w.]+)")


class Graph:
    """Lines of each block, and which blocks may follow it."""

    def __init__(self, body: Body) -> None:
        self.lines = body.lines
        self.blocks: dict[str, list[int]] = {"entry": []}
        name = "entry"
        for number in range(2, len(self.lines) - 1):
            line = self.lines[number]
            if (label := _LABEL.match(line)) is not None:
                name = label[1]
                self.blocks[name] = []
            elif line.startswith("  ") and line[2] != " ":
                self.blocks[name].append(number)

    def after(self, name: str) -> list[str]:
        """The blocks that may follow one."""
        numbers = self.blocks[name]
        last = self.lines[numbers[-1]]
        targets = _TARGET.findall(last) if last.startswith(("  br ", "  switch ")) or is_invoke(last) else []
        if len(targets) == 2 and len(numbers) > 1 and self.lines[numbers[-2]].endswith(NEVER):
            return targets[1:]  # a place is never null
        return targets
