"""How much a call does, by its Python lines: for tests of what must not grow with the number of things that exist, or
must take safe points then.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType

from kernel.lib.pace import PACE, PACE_BUDGET, Rest

FEW = 40_000
"""A line takes a few instructions: a stretch without a safe point has no more lines than this."""


class _Counter(Rest):
    """Counts lines up to a safe point."""

    def __init__(self) -> None:
        self.lines = 0
        self.longest = 0
        self.rests = 0

    def take(self) -> None:
        self.longest = max(self.longest, self.lines)
        self.lines = 0
        self.rests += 1

    def trace(self, frame: FrameType, event: str, argument: object) -> object:
        self.lines += event == "line"
        return self.trace


def longest_stretch(call: Callable[[], object]) -> int:
    """The most Python lines that a call runs without a safe point."""
    counter = _Counter()
    before, rest = sys.gettrace(), PACE.rest
    PACE.rest = counter
    PACE.left = PACE_BUDGET
    sys.settrace(counter.trace)  # type: ignore[arg-type]
    try:
        call()
    finally:
        sys.settrace(before)
        PACE.rest = rest
        PACE.left = PACE_BUDGET
    counter.take()
    return counter.longest


def lines_of(call: Callable[[], object]) -> int:
    """The number of Python lines that a call runs, which takes no safe point."""
    return longest_stretch(call)
