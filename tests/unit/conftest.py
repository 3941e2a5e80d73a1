"""Unit tests run one thread: a long loop in them lets nobody else run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kernel.lib.pace import PACE, Rest


@pytest.fixture(autouse=True)
def nobody_else_runs() -> Iterator[None]:
    """A safe point does nothing: the scheduler, of which only parts are simulated, is left out."""
    before = PACE.rest
    PACE.rest = Rest()
    yield
    PACE.rest = before
