"""Bundles: provided buffers that one request of io_uring takes together (IORING_RECVSEND_BUNDLE).

Source: io_uring_enter(2), io_uring_prep_recv(3), io_uring_prep_send(3).
"""

from typing import Final

from kernel.fs.constants import MAX_RW_COUNT
from kernel.lang import UserAddr, final
from kernel.lib import user
from kernel.lib.user import UserVector
from kernel.syscalls.uring_buffers import name_buffer, put_back, select, select_further, use
from kernel.uring import layout
from kernel.uring.buffers import Chosen
from kernel.uring.request import KeptSelection, Request

_MOST_BUFFERS: Final = 256


@final
class Selection(KeptSelection):
    """Buffers that a request has taken, one after the other."""

    def __init__(self, first: Chosen) -> None:
        self.chosen: list[Chosen] = [first]
        self.is_last: bool = False  # they were all that their ring had

    def add(self, request: Request, further: Chosen) -> None:
        """One more. Raises MemoryError, and it is given back."""
        try:
            self.chosen.append(further)
        except MemoryError:
            put_back(request, further)
            raise

    def room(self) -> int:
        """How many bytes they hold. Each has at most 32 bits."""
        total = 0
        for chosen in self.chosen:
            total += chosen.length  # fits: there are few
        return total

    def vector(self) -> UserVector:
        """Their memory. Raises EFAULT, MemoryError."""
        addresses: list[UserAddr] = []
        lengths: list[int] = []
        for chosen in self.chosen:
            user.check(chosen.address, chosen.length)
            addresses.append(UserAddr(chosen.address))
            lengths.append(min(chosen.length, MAX_RW_COUNT))
        return UserVector(addresses, lengths)

    def use(self, request: Request, done: int) -> None:
        """`done` bytes were moved: the completion names the first buffer, and those after the last one are given
        back. Raises MemoryError.
        """
        count = 1
        rest = done - self.chosen[0].length
        while rest > 0 and count < len(self.chosen):
            rest -= self.chosen[count].length
            count += 1
        self.give_back(request, count)
        if count == 1:
            use(request, self.chosen[0], done)
        else:
            name_buffer(request, self.chosen[0])

    def give_back(self, request: Request, start: int) -> None:
        """Those from one of them on were not used. Raises MemoryError."""
        while len(self.chosen) > start:
            put_back(request, self.chosen.pop())


def select_bundle(request: Request, most: int, *, expands: bool) -> Selection:
    """Take the buffers for up to `most` bytes (0: as many as there are), a single one unless it `expands`. Raises
    ENOBUFS, EFAULT, MemoryError.
    """
    selection = Selection(select(request, most))
    first = selection.chosen[0]
    group = first.group
    if not group.is_ring():
        return selection
    rest = (layout.WORD if most == 0 else most) - first.length
    count = 1
    if expands and first.buffer.length > 0:
        size = first.buffer.length
        wanted = first.length + rest  # fits: lengths have 32 bits
        count = max(1, min(_MOST_BUFFERS, wanted // size))  # fits: not by 0; rounded down, as on Linux
    done = False
    try:
        while rest > 0 and len(selection.chosen) < count:
            further = select_further(request, group, rest)
            if further is None:
                break
            selection.add(request, further)
            rest -= further.length
        selection.is_last = rest > 0 and group.is_empty()
        done = True
    finally:
        if not done:
            selection.give_back(request, 0)
    return selection
