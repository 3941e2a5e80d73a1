"""Keep two builds in one place from doing the same work at the same time."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from tools.paths import BUILD

BUILDING = "build-of-tests"  # the lock that `krait test` holds while it builds the kernel, for which tests wait
BUILT = BUILD / "built-for-tests"  # what it leaves when there is one


@contextmanager
def exclusively(name: str) -> Iterator[int]:
    """Hold the checkout's lock of this name, which may have folders; wait for whoever has it. Gives its descriptor: a
    child that inherits that holds it, too.
    """
    path = BUILD / f"{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock.fileno()
