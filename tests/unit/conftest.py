"""Unit tests run one thread: a long loop in them lets nobody else run.

The kernel's clock stands at 0 for each test until the test, or a fixture of its own, starts it: what a test sees does
not depend on the tests before it.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kernel.lib.pace import PACE, Rest
from kernel.time.base import BASE

CLOCK = list(vars(BASE))
"""The fields of the clock's base, which are 0 before it is started."""


@pytest.fixture(autouse=True)
def nobody_else_runs() -> Iterator[None]:
    """A safe point does nothing: the scheduler, of which only parts are simulated, is left out."""
    before = PACE.rest
    PACE.rest = Rest()
    yield
    PACE.rest = before


@pytest.fixture(autouse=True)
def clock_stands() -> Iterator[None]:
    """Whatever the test does to the clock ends with it."""
    before = [getattr(BASE, name) for name in CLOCK]
    for name in CLOCK:
        setattr(BASE, name, 0)
    yield
    for name, value in zip(CLOCK, before, strict=True):
        setattr(BASE, name, value)
