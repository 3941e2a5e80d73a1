"""A request: what a submission says, copied once, and how far it has come.

A request belongs to the task that submitted it, and to its ring. It is performed by that task alone: in the call that
submits it, or on the task's way to user mode when something that it waited for has happened (perform.py).

Context: `note_due` is fit for interrupts, and so are the wakes and timers that call it.
"""

from typing import TYPE_CHECKING, Final, TypeAlias

from kernel.fs.file import File
from kernel.lang import Span, UserAddr, final, u8
from kernel.lib.credentials import Credentials
from kernel.lib.linked import Linked, LinkedList, Links
from kernel.lib.pace import spend
from kernel.lib.user import UserVector
from kernel.sched import LastingWaiter
from kernel.task.task import Task
from kernel.task.words import load_i32, load_i64
from kernel.time import Timer
from kernel.time.heap import Queued
from kernel.uring.buffers import Chosen
from kernel.uring.parts import RequestEnd, RequestProgress, SubmissionEntry
from kernel.uring.resources import Generation

if TYPE_CHECKING:
    from kernel.uring.operation import Operation
    from kernel.uring.ring import Ring

REQUEST_BYTES: Final = 700  # what a request that waits takes, about
_SKIP_COST: Final = 10  # instructions
VECTOR_BYTES: Final = 16  # of each range of a vector that a request keeps
OP_TIMEOUT: Final = 11
OP_LINK_TIMEOUT: Final = 15
OP_WAITID: Final = 50
NO_OUTCOME: Final = 1 << 40  # no result is as large
GOES_ON: Final = (1 << 40) + 2  # … when it has more to do at once, and others should come first
WAITS: Final = (1 << 40) + 1  # what performing a request returns when its end is left to a timer, or to others


@final
class RequestWaiter(LastingWaiter):
    """A request's places on the queues of its file."""

    def __init__(self, request: "Request") -> None:
        super().__init__()
        self.request: Request | None = request  # until it is done

    def notified(self) -> None:
        request = self.request
        if request is not None:
            request.note_due()


@final
class RequestTimer(Timer):
    """The time of a request."""

    def __init__(self, request: "Request") -> None:
        super().__init__()
        self.request: Request | None = request  # until it is done
        self.interval_ns: int = 0  # of one that goes off several times
        self.is_up: bool = False

    def expire(self, now_ns: int) -> int:
        request = self.request
        self.is_up = True
        if request is not None:
            request.note_due()
        return 0


@final
class Counted(Queued):
    """A timeout that ends with a number of completions: it is due at that number."""

    def __init__(self, request: "Request") -> None:
        super().__init__()
        self.request: Request | None = request  # until it is done


class OtherWait:
    """A place where a request waits other than the queues of its file. Base class."""

    def leave(self) -> None:
        """The request waits there no longer. Raises nothing."""


@final
class Extra:
    """What only few requests need, in addition to the words of their submission."""

    def __init__(self) -> None:
        self.vector: UserVector | None = None  # memory that was described when it was submitted
        self.header: Header | None = None
        self.selection: KeptSelection | None = None
        self.name: bytes = b""
        self.time_ns: int = 0  # of timers, and how they use it
        self.is_absolute: bool = False
        self.clock: int = 0
        self.repeats: int = 0  # how many more times a timer goes off; -1: without end
        self.counted: Counted | None = None  # of a timeout that a number of completions ends
        self.personality: Credentials | None = None  # with which it is performed, instead of its task's
        self.wait: OtherWait | None = None
        self.source: File | None = None  # a second file, which is waited for too
        self.generation: Generation | None = None  # to which it belongs if it uses a registered file or buffer
        self.chosen: Chosen | None = None  # the provided buffer that it has taken and not yet filled


class Header:
    """A header of a message. Base class: what the operations of sockets keep of it."""


class KeptSelection:
    """Provided buffers from which a part was sent. Base class: see kernel/syscalls/uring_selecting.py."""


@final
class Request(Linked["Request"]):
    """One request. It stands on its ring's list while it waits."""

    same_links: Links["Request"]  # among those of its ring that wait and have the same user_data

    entry: SubmissionEntry
    progress: RequestProgress
    end: RequestEnd

    def __init__(self, ring: "Ring", task: Task, entry: Span[u8]) -> None:
        """From the 64 bytes of a submission, which nobody else changes. Raises MemoryError."""
        super().__init__()
        self.ring: Ring = ring
        self.task: Task = task
        self.operation: Operation | None = None
        self.entry.opcode = entry.load_u32(0) & 0xFF
        self.entry.flags = entry.load_u32(0) >> 8 & 0xFF
        self.entry.priority = entry.load_u16(2)
        self.entry.descriptor = load_i32(entry, 4)
        self.entry.offset = load_i64(entry, 8)
        self.entry.address = load_i64(entry, 16)
        self.entry.length = entry.load_u32(24)
        self.entry.modifiers = entry.load_u32(28)
        self.entry.user_data = load_i64(entry, 32)
        self.entry.buffer_index = entry.load_u16(40)
        self.entry.personality = entry.load_u16(42)
        self.entry.other = load_i32(entry, 44)
        self.entry.address3 = load_i64(entry, 48)
        self.entry.last = load_i64(entry, 56)
        self.extra: Extra | None = None
        self.file: File | None = None
        self.linked: Request | None = None  # what begins when it is done
        self.chain_length: int = 1  # of its whole chain, if it is the first
        self.sequence: int = 0  # how many requests began before its chain, if it is drained
        self.waiter: RequestWaiter | None = None
        self.timer: RequestTimer | None = None
        self.limit: Request | None = None  # the LINK_TIMEOUT that limits it
        self.limited: Request | None = None  # of a LINK_TIMEOUT that runs
        self.end.outcome = NO_OUTCOME
        self.end.notice = NO_OUTCOME
        self.kept_bytes: int = 0  # of its vector, beside REQUEST_BYTES; counted by its ring
        self.events: int = 0  # POLL* bits that it waits for
        self.hears_wakes_only: bool = False  # that its file is still ready is no news
        self.never_waits: bool = False  # EAGAIN is its end
        self.is_short: bool = False  # it has succeeded, and yet breaks its chain
        self.keeps_chain: bool = False  # whatever its result is, its chain goes on
        self.progress.is_new = True
        self.number: int = 0  # 0 unless it stands on one of the ring's lists, in which numbers go up
        self.is_due: bool = False
        self.next_due: Request | None = None

    def this(self) -> "Request":
        return self

    def place(self) -> "Place":
        """Where it stands in its list, for `Requests.first_after` once there was a safe point."""
        return self.number, self.after(), _number_of(self.after())

    def place_from_end(self) -> "Place":
        """The same for `Requests.last_before`."""
        return self.number, self.before(), _number_of(self.before())

    def memory(self) -> UserAddr:
        """`addr`."""
        return UserAddr(self.entry.address)

    def memory3(self) -> UserAddr:
        """`addr3`."""
        return UserAddr(self.entry.address3)

    def memory2(self) -> UserAddr:
        """`addr2`, which lies where `off` does."""
        return UserAddr(self.entry.offset)

    def more(self) -> Extra:
        """What it needs in addition. Raises MemoryError."""
        extra = self.extra
        if extra is None:
            extra = Extra()
            self.extra = extra
        return extra

    def is_limit(self) -> bool:
        """Whether it is a LINK_TIMEOUT."""
        return self.entry.opcode == OP_LINK_TIMEOUT

    def is_settled(self) -> bool:
        """Whether its end is decided. A call, because it is asked anew after a sleep."""
        return self.end.outcome != NO_OUTCOME

    def settle(self, outcome: int) -> None:
        """Decide its end, if that has not been decided: it comes when it is the task's turn."""
        if self.end.outcome == NO_OUTCOME:
            self.end.outcome = outcome
            self.note_due()

    def leave_other_place(self) -> None:
        """It waits no longer but on the queues of its file: its end is decided, and a wake is for others. Raises
        nothing.
        """
        extra = self.extra
        wait = None if extra is None else extra.wait
        if wait is not None:
            wait.leave()

    def note_due(self) -> None:
        """Something that it is waiting for has happened: its task will look at it soon."""
        if not self.is_due:
            self.is_due = True
            self.ring.add_due(self)


Place: TypeAlias = "tuple[int, Request | None, int]"
"""Where a walk through requests is: the number of one, its neighbour on the way, and that one's number."""


def _number_of(request: Request | None) -> int:
    return 0 if request is None else request.number


@final
class DueList:
    """Requests that are to be looked at, in their order. Linked by hand: one way is enough, and the base is for another
    list.
    """

    def __init__(self) -> None:
        self.first: Request | None = None
        self.last: Request | None = None

    def put(self, request: Request) -> None:
        last = self.last
        request.next_due = None
        if last is None:
            self.first = request
        else:
            last.next_due = request
        self.last = request

    def take(self) -> Request | None:
        """The first, which is off the list and no longer due."""
        request = self.first
        if request is not None:
            following = request.next_due
            self.first = following
            if following is None:
                self.last = None
            request.next_due = None
            request.is_due = False
        return request


@final
class Requests(LinkedList[Request]):
    """Requests of a ring that wait. Their numbers go up."""

    def first_after(self, place: Place) -> Request | None:
        """After a safe point on a way through the list: the first request after a place. It is the one that followed
        then, unless that has left.
        """
        number, neighbour, its_number = place
        if neighbour is None or neighbour.number == its_number:
            return neighbour
        return self.after_number(number)

    def last_before(self, place: Place) -> Request | None:
        """The same on a way from the end to the beginning: the last request before a place."""
        number, neighbour, its_number = place
        if neighbour is None or neighbour.number == its_number:
            return neighbour
        request = self.last()
        while request is not None and request.number >= number:
            request = request.before()
            spend(_SKIP_COST)
        return request

    def after_number(self, number: int) -> Request | None:
        """The first request after the one with that number, or after where that was."""
        request = self.first()
        while request is not None and request.number <= number:
            request = request.after()
            spend(_SKIP_COST)
        return request
