"""Keep two builds in one place from doing the same work at the same time."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from tools.paths import BUILD


@contextmanager
def exclusively(name: str) -> Iterator[None]:
    """Hold the checkout's lock of this name, which may have folders; wait for whoever has it."""
    path = BUILD / f"{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
