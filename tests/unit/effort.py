"""How much a call does: a measure for tests of what must not grow with the number of things that exist."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType


def lines_of(call: Callable[[], object]) -> int:
    """The number of Python lines that a call runs."""
    count = 0

    def trace(frame: FrameType, event: str, argument: object) -> object:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)  # type: ignore[arg-type]
    try:
        call()
    finally:
        sys.settrace(before)
    return count
