"""Another thread acts at a safe point of what a test does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kernel.lib.pace import PACE, PACE_BUDGET, Rest


class _Other(Rest):
    """Acts once, at a safe point. Every turn of a long loop ends at one until then."""

    def __init__(self, act: Callable[[], object], number: int) -> None:
        self.act = act
        self.left = number

    def take(self) -> None:
        self.left -= 1
        if self.left == 0:
            self.act()
        elif self.left > 0:
            PACE.left = 0


@contextmanager
def meanwhile(act: Callable[[], object], number: int = 1) -> Iterator[None]:
    """Long loops take safe points until the one of that number, at which another thread does this."""
    before = PACE.rest
    other = _Other(act, number)
    PACE.rest = other
    PACE.left = 0
    try:
        yield
    finally:
        PACE.rest = before
        PACE.left = PACE_BUDGET
    assert other.left <= 0, "too few safe points"
