"""Which requests an IORING_OP_ASYNC_CANCEL, or a synchronous one, means, and how it ends them.

Source: io_uring_enter(2), io_uring_cancelation(7).
"""

from typing import Final

from kernel.fs.file import File
from kernel.lang import EALREADY, ECANCELED, EINTR, final, noraise
from kernel.lib.linked import NEXT
from kernel.lib.pace import pace
from kernel.uring.operation import CANCEL_FROM_LIST, CANCEL_IN_WORKER, CANCEL_PLAIN
from kernel.uring.request import OP_LINK_TIMEOUT, OP_TIMEOUT, Request
from kernel.uring.ring import Ring

CANCEL_ALL: Final = 1 << 0
CANCEL_FD: Final = 1 << 1
CANCEL_ANY: Final = 1 << 2
CANCEL_FD_FIXED: Final = 1 << 3
CANCEL_USERDATA: Final = 1 << 4
CANCEL_OP: Final = 1 << 5
CANCEL_FLAGS: Final = 0x3F

_COST: Final = 80  # instructions to look at one request, for `pace`


def cancelling_of(request: Request) -> int:
    """CANCEL_PLAIN and its kin."""
    operation = request.operation
    return CANCEL_PLAIN if operation is None else operation.cancelling


@noraise
def cancel_one(request: Request) -> int:
    """Cancel a request whose end is not decided; the result of a cancel that means this one alone."""
    cancelling = cancelling_of(request)
    if cancelling == CANCEL_IN_WORKER:
        request.settle(-EINTR)
        return -EALREADY
    request.settle(-ECANCELED)
    request.leave_other_place()
    return 1 if cancelling == CANCEL_FROM_LIST else 0


@final
class Wanted:
    """Which requests are meant."""

    def __init__(self, flags: int, user_data: int, opcode: int, file: File | None) -> None:
        self.flags: int = flags
        self.user_data: int = user_data
        self.opcode: int = opcode  # matters with CANCEL_OP
        self.file: File | None = file  # matters with CANCEL_FD
        self.result: int = 0  # of a cancel that means one request, once that was found

    def matches(self, request: Request) -> bool:
        """Whether a request that waits is meant."""
        if request.is_settled() or request.entry.opcode == OP_LINK_TIMEOUT:
            return False
        flags = self.flags
        if flags & CANCEL_ANY != 0:
            return True
        if cancelling_of(request) == CANCEL_FROM_LIST:  # there Linux looks at nothing else
            return flags & (CANCEL_FD | CANCEL_FD_FIXED) == 0 and request.entry.user_data == self.user_data
        if flags & CANCEL_FD != 0 and (request.entry.opcode == OP_TIMEOUT or request.file is not self.file):
            return False
        if flags & CANCEL_OP != 0 and request.entry.opcode != self.opcode:
            return False
        by_data = flags & CANCEL_USERDATA != 0 or flags & (CANCEL_FD | CANCEL_OP) == 0
        return not by_data or request.entry.user_data == self.user_data

    def cancel(self, request: Request) -> int:
        """Cancel one that is meant; by how much it adds to the number of all."""
        self.result = cancel_one(request)
        if self.result < 0:
            return 1 if self.flags & (CANCEL_ALL | CANCEL_ANY) == 0 else 0  # Linux counts what it has ended itself
        return 1

    def by_data_alone(self) -> bool:
        return self.flags & (CANCEL_ANY | CANCEL_FD | CANCEL_OP) == 0


def cancel(ring: Ring, wanted: Wanted) -> int:
    """Cancel what is meant, the first only unless all are; how many were, as Linux counts. Those of a list come after
    the others, the latest first. Sleeps.
    """
    takes_all = wanted.flags & (CANCEL_ALL | CANCEL_ANY) != 0
    if wanted.by_data_alone():
        return _cancel_by_data(ring, wanted, takes_all=takes_all)
    found = 0
    last = ring.numbered
    listed = False
    request = ring.requests.first()
    while request is not None and request.number <= last:
        place = request.place()
        if cancelling_of(request) == CANCEL_FROM_LIST:
            listed = True
        elif wanted.matches(request):
            found += wanted.cancel(request)
            if not takes_all:
                return found
        pace(_COST)
        request = ring.requests.first_after(place)
    return found + _cancel_listed(ring, wanted, takes_all=takes_all) if listed else found


def _cancel_listed(ring: Ring, wanted: Wanted, *, takes_all: bool) -> int:
    found = 0
    request = ring.requests.last()
    while request is not None:
        place = request.place_from_end()
        if cancelling_of(request) == CANCEL_FROM_LIST and wanted.matches(request):
            found += wanted.cancel(request)
            if not takes_all:
                break
        pace(_COST)
        request = ring.requests.last_before(place)
    return found


def _cancel_by_data(ring: Ring, wanted: Wanted, *, takes_all: bool) -> int:
    found = 0
    request = ring.latest_of(wanted.user_data)
    while request is not None:
        following = request.same_links[NEXT]
        if wanted.matches(request):
            found += wanted.cancel(request)
            if not takes_all:
                break
        request = _after_safe_point(ring, wanted.user_data, following)
    return found


def find(ring: Ring, user_data: int, first_opcode: int, second_opcode: int) -> Request | None:
    """A request that waits, of one of two opcodes. Sleeps."""
    request = ring.latest_of(user_data)
    while request is not None:
        if not request.is_settled() and (request.entry.opcode == first_opcode or request.entry.opcode == second_opcode):
            return request
        request = _after_safe_point(ring, user_data, request.same_links[NEXT])
    return None


def _after_safe_point(ring: Ring, user_data: int, following: Request | None) -> Request | None:
    """Take one, and return the request to look at after it: the first once more if the following one has ended, or has
    another name.
    """
    pace(_COST)
    if following is not None and not (following.number != 0 and following.entry.user_data == user_data):
        return ring.latest_of(user_data)
    return following
