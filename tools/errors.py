"""What the front end says when something cannot be done: one sentence, and a status as docker has it."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS})  # a place that takes no more
USAGE = 2  # the command line is wrong
CANNOT_RUN = 125  # it is right, but the machine or the image is not


class KraitError(Exception):
    """One sentence for the user, and the exit status."""

    def __init__(self, text: str, status: int = CANNOT_RUN) -> None:
        super().__init__(text)
        self.status = status


class UsageError(KraitError):
    """The command line is wrong."""

    def __init__(self, text: str) -> None:
        super().__init__(text, USAGE)


@contextlib.contextmanager
def storing(place: Path) -> Iterator[None]:
    """What cannot be written to a place becomes a sentence that names the place. Raises KraitError."""
    try:
        yield
    except OSError as error:
        raise KraitError(f"krait: {place}: {(error.strerror or str(error)).lower()}") from error
