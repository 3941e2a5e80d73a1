"""How much memory the end of a unix socket frees: with the contents of its queue, and of the queues of sockets whose
descriptors are there, and so on.

Context: sleeps, and allocates nothing.
"""

from typing import Final

from kernel.lang import noraise, recursion
from kernel.lib.pace import pace
from kernel.net.sockets.socket import SOCKET_BYTES
from kernel.net.unix.parcel import Parcel
from kernel.net.unix.rights import CollectableSocket
from kernel.sched import WaitQueue

_STEP_COST: Final = 150  # instructions
_FILE_COST: Final = 300


class Counting:
    """A count that is under way: one at a time, because it links sockets."""

    def __init__(self) -> None:
        self.is_under_way: bool = False
        self.others: WaitQueue = WaitQueue()
        self.found: CollectableSocket | None = None  # those whose contents are still to be added
        self.total: int = 0

    def find(self, socket: CollectableSocket, count: int) -> None:
        """It belongs to what the count is about: its contents are added once, whatever leads to it."""
        if socket.counted != count:
            socket.counted = count
            socket.next_counted = self.found
            self.found = socket


_COUNTING: Final = Counting()


@recursion(2)  # the other files of a queue have no queues
@noraise
def bytes_held_by(first: CollectableSocket, count: int) -> int:
    """The bytes, without what the count of memory with this number has met already."""
    if first.counted == count:
        return 0
    while _COUNTING.is_under_way:
        _COUNTING.others.wait()
    _COUNTING.is_under_way = True
    _COUNTING.total = 0
    _COUNTING.find(first, count)
    while (socket := _COUNTING.found) is not None:
        _COUNTING.found = socket.next_counted
        socket.next_counted = None
        _add(socket, count)
    total = _COUNTING.total
    _COUNTING.is_under_way = False
    _COUNTING.others.wake_all()
    return total


def _add(socket: CollectableSocket, count: int) -> None:
    """Add a socket with what lies in its queue, and in the connections that wait there. Others take from the front of
    the queue at the safe points, and put things at its end: what is in it all the time is met once at least.
    """
    _COUNTING.total += SOCKET_BYTES + socket.queued_bytes
    place = len(socket.queue)
    while place > 0:
        place -= 1
        pace(_STEP_COST)
        if place < len(socket.queue):
            _add_files(socket.queue[place], count)
    place = len(socket.waiting)
    while place > 0:
        place -= 1
        pace(_STEP_COST)
        if place < len(socket.waiting):
            _COUNTING.find(socket.waiting[place], count)


def _add_files(parcel: Parcel, count: int) -> None:
    """Those of one parcel, of which there are at most 253."""
    files = parcel.files
    if files is None:
        return
    for file in files:
        if isinstance(file, CollectableSocket):
            _COUNTING.find(file, count)
        else:
            _COUNTING.total += file.held_bytes()
    pace(_FILE_COST * len(files))
