"""What very many sockets are to get: the network thread hands it out, a share at a time.

A sender serves as many receivers as it has time for. For the rest it leaves a `Handout` with their `Crowd`, which keeps
the order: while others wait there, later ones wait behind them, from their first receiver on.

Invariants: `count` and `size_bytes` of a crowd are of the handouts that wait, the one that is being served included.
Context: nothing sleeps, and `put` needs no memory. `serve` runs in the network thread, between safe points: receivers
come and go from one call to the next, so it keeps its place by a number, not by an index into what changes.

Rejected: leaving out receivers for which there is no time. They lose what they have room for, and cannot know why.
"""

from typing import Final

from kernel.lang import final, inline
from kernel.lib.linked import Queue, Queued
from kernel.lib.pace import PACE
from kernel.net.link.thread import Work, schedule_work

_SHARE: Final = 150_000  # instructions to spend on receivers in a turn of the thread
_MOST_WAITING: Final = 256  # handouts of a crowd
_MOST_BYTES: Final = 2 << 20  # … and what they hold; but one has room always


class Handout(Queued["Handout"]):
    """Something that is handed out, and how far it has come. Base class."""

    def __init__(self, size_bytes: int) -> None:
        super().__init__()
        self.size_bytes: int = size_bytes  # that it holds

    @inline
    def this(self) -> "Handout":
        return self

    def serve(self) -> bool:
        """Serve the next receiver, and `spend` what that costs. False: there is none left. After MemoryError, with
        which that receiver goes without, it goes on with the next one.
        """
        return False


@final
class Crowd(Work):
    """Receivers that may be very many, and what they are still to get."""

    def __init__(self) -> None:
        super().__init__()
        self.handouts: Queue[Handout] = Queue()
        self.count: int = 0
        self.size_bytes: int = 0

    @inline
    def is_busy(self) -> bool:
        """Whether something waits, so that what comes now has to wait as well."""
        return self.count != 0

    def has_room(self, size_bytes: int) -> bool:
        """Whether a handout of that size may wait."""
        return self.count == 0 or (self.count < _MOST_WAITING and self.size_bytes + size_bytes <= _MOST_BYTES)

    def put(self, handout: Handout) -> None:
        """Have the thread hand it out, after what waits already."""
        self.handouts.append(handout)
        self.count += 1
        self.size_bytes += handout.size_bytes
        schedule_work(self)

    def run(self, now_ns: int) -> None:
        floor = PACE.left - _SHARE
        handout = self.handouts.first()
        while handout is not None:
            if PACE.left < floor:
                schedule_work(self)
                return
            if not _serve(handout):
                self.handouts.take()
                self.count -= 1
                self.size_bytes -= handout.size_bytes
                handout = self.handouts.first()


def _serve(handout: Handout) -> bool:
    try:
        return handout.serve()
    except MemoryError:
        return True
