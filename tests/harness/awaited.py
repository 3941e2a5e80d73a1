"""Wait for the kernel: `krait test` builds it while unit tests run."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from tools.lock import BUILDING, exclusively


@functools.cache
def wait_for_the_build(built: Path) -> None:
    """Wait until nobody builds the kernel of the tests. Ends pytest if there is no file `built` then: it failed."""
    with exclusively(BUILDING):
        pass
    if not built.exists():
        pytest.exit("the kernel was not built")
