"""The controller "io": what a group moves to and from each disk, and how fast it may (io.stat, io.max).

A rate is kept by a time: that from which on the next request may begin. Each request moves it on by what it costs, so
those of a group and of the groups below follow one another, and what was not used is lost.

Context: never sleeps, but for what says so.
"""

from typing import Final

from kernel.lang import final, inline
from kernel.lib.linked import Linked, LinkedList
from kernel.lib.pace import pace
from kernel.lib.saturation import sum_of
from kernel.sched.thread import DiskPayer
from kernel.time.clock import NS_PER_SECOND

READING: Final = 0
WRITING: Final = 1
DISCARDING: Final = 2
_KINDS: Final = 3

NO_RATE: Final = 1 << 62
_LONGEST_NS: Final = 1 << 60
_MOST_BYTES: Final = 1 << 32
_START_COST: Final = 3000  # instructions, for `pace`


@final
class DiskShare:
    """What one group has of one disk."""

    def __init__(self, number: int) -> None:
        self.number: int = number  # dev_t of the whole disk
        self.bytes: list[int] = [0] * _KINDS
        self.requests: list[int] = [0] * _KINDS
        self.byte_rates: list[int] = [NO_RATE, NO_RATE]  # a second: of reading, of writing
        self.request_rates: list[int] = [NO_RATE, NO_RATE]
        self.free_ns: list[int] = [0, 0]  # when the next one may begin

    def is_limited(self) -> bool:
        """Whether any rate is set."""
        for kind in (READING, WRITING):
            if self.byte_rates[kind] != NO_RATE or self.request_rates[kind] != NO_RATE:
                return True
        return False

    def pay(self, kind: int, size_bytes: int, requests: int, now_ns: int) -> int:
        """Let something of a kind (READING or WRITING) cost what it does; returns when it may begin."""
        begin_ns = max(now_ns, self.free_ns[kind])
        cost_ns = 0
        rate = self.byte_rates[kind]
        if rate != NO_RATE:
            cost_ns = min(size_bytes, _MOST_BYTES) * NS_PER_SECOND // rate
        rate = self.request_rates[kind]
        if rate != NO_RATE:
            cost_ns = max(cost_ns, requests * NS_PER_SECOND // rate)
        self.free_ns[kind] = sum_of(begin_ns, min(cost_ns, _LONGEST_NS))
        return begin_ns


class Waiting(Linked["Waiting"]):
    """A request that waits for its time (kernel/block/throttle.py). Base class."""

    @inline
    def this(self) -> "Waiting":
        return self

    def go(self) -> None:
        """Begin now."""


@final
class HeldRequests(Linked["HeldRequests"]):
    """The requests of a group that wait, the first one longest."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: LinkedList[Waiting] = LinkedList()
        self.count: int = 0

    @inline
    def this(self) -> "HeldRequests":
        return self

    def add(self, waiting: Waiting) -> None:
        """A request waits, after those that wait already."""
        if self.count == 0:
            DISK_CONTROLS.holding.link_first(self)
        self.requests.link_last(waiting)
        self.count += 1

    def remove(self, waiting: Waiting) -> None:
        """It waits no more."""
        self.requests.unlink(waiting)
        self.count -= 1
        if self.count == 0:
            DISK_CONTROLS.holding.unlink(self)

    def let_go(self) -> None:
        """What waits begins now, in the order in which it came. What comes meanwhile waits for its time, or members
        that go on adding requests would keep the caller for ever. May sleep.
        """
        left = self.count
        waiting = self.requests.first()
        while waiting is not None and left > 0:
            self.remove(waiting)
            waiting.go()
            pace(_START_COST)
            left -= 1
            waiting = self.requests.first()


@final
class DiskControl(DiskPayer):
    """What a group moves, by disk."""

    def __init__(self, parent: "DiskControl | None") -> None:
        self.parent: DiskControl | None = parent
        self.shares: dict[int, DiskShare] = {}
        self.held: HeldRequests = HeldRequests()

    def share(self, number: int) -> DiskShare:
        """What it has of a disk. Raises MemoryError."""
        found = self.shares.get(number)
        if found is None:
            found = DiskShare(number)
            self.shares[number] = found
        return found

    def count(self, number: int, kind: int, size_bytes: int) -> None:
        """A request begins, here and above. Raises MemoryError, having counted in some of them."""
        walker: DiskControl | None = self
        while walker is not None:
            share = walker.share(number)
            share.bytes[kind] += size_bytes
            share.requests[kind] += 1
            walker = walker.parent

    def pay(self, number: int, kind: int, size_bytes: int, requests: int, now_ns: int) -> int:
        """Let something cost what it does, here and above; returns when it may begin."""
        begin_ns = now_ns
        walker: DiskControl | None = self
        while walker is not None:
            share = walker.shares.get(number)
            if share is not None and share.is_limited():
                begin_ns = max(begin_ns, share.pay(kind, size_bytes, requests, now_ns))
            walker = walker.parent
        return begin_ns

    def free_ns(self, number: int, kind: int) -> int:
        """When the next of a kind may begin."""
        latest_ns = 0
        walker: DiskControl | None = self
        while walker is not None:
            share = walker.shares.get(number)
            if share is not None:
                latest_ns = max(latest_ns, share.free_ns[kind])
            walker = walker.parent
        return latest_ns

    def set_rates(self, number: int, byte_rates: list[int], request_rates: list[int]) -> None:
        """io.max: what is read and written a second. What waits begins now, and so does what waits for groups below.
        Raises MemoryError.
        """
        share = self.share(number)
        share.byte_rates = byte_rates
        share.request_rates = request_rates
        share.free_ns = [0, 0]
        DISK_CONTROLS.are_limited = True

    def end(self) -> None:
        """The group has the controller no more. May sleep."""
        self.shares.clear()
        self.held.let_go()


@final
class DiskControls:
    """Whether there are any, and which groups have requests that wait."""

    def __init__(self) -> None:
        self.exist: bool = False
        self.are_limited: bool = False  # a rate was set
        self.holding: LinkedList[HeldRequests] = LinkedList()


DISK_CONTROLS: Final = DiskControls()
