"""How far a write at the end of a file may go (RLIMIT_FSIZE). Where it begins is known only once nobody else writes, so
the system call gives the bound along with the buffer.

Context: never sleeps.
"""

from typing import Final

from kernel.lang import EFBIG, Errno, final
from kernel.lib.user import Buffer


class BoundSignal:
    """What the running thread gets for an attempt to write past its bound. The base class: nothing."""

    def send(self) -> None:
        """Send it."""


@final
class _Signals:
    def __init__(self) -> None:
        self.past_bound: BoundSignal = BoundSignal()


SIGNALS: Final = _Signals()


def check_bound(buffer: Buffer, end: int) -> None:
    """What is in the buffer will be written from the `end` of a file on: cut it off at the bound. Raises EFBIG."""
    if end >= buffer.bound:
        SIGNALS.past_bound.send()
        raise Errno(EFBIG)
    buffer.remaining = min(buffer.remaining, buffer.bound - end)
