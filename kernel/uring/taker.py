"""Rings whose submissions a thread of the kernel takes (IORING_SETUP_SQPOLL), and what they share with it: `Taker`,
which Linux calls sq_data. The thread's life is in serving.py.

The thread is one of its maker's process. Rings that attach to another one (IORING_SETUP_ATTACH_WQ) share its thread. A
ring belongs to a taker from its setup until its file is closed; a taker whose last ring has gone ends its thread, and
a thread that ends first (with its process, or because that executes a new program) leaves a taker without one.

Invariants: the rings on the list are open, so their memory is there. The list is walked by rotation, because rings come
and go at the safe points of a walk: a walk of `count` steps then meets each one that stays.

Context: `call` never sleeps.
"""

from typing import TYPE_CHECKING, Final

from kernel.fs.file import File
from kernel.lang import final, noraise
from kernel.lib.credentials import Credentials
from kernel.lib.linked import Linked, LinkedList
from kernel.lib.pace import pace
from kernel.lib.pid import Pid
from kernel.sched import WaitQueue
from kernel.task.task import Task
from kernel.uring import layout

if TYPE_CHECKING:
    from kernel.uring.ring import Ring

ANY_PROCESSOR: Final = -1
_COST: Final = 80  # instructions to look at one ring, for `pace`


@final
class ServedRing(Linked["ServedRing"]):
    """One ring, as its taker knows it."""

    def __init__(self, ring: "Ring", file: File, credentials: Credentials, idle_ns: int) -> None:
        super().__init__()
        self.ring: Ring = ring
        self.file: File = file  # held only while submissions are taken
        self.credentials: Credentials = credentials  # with which they are taken
        self.idle_ns: int = idle_ns  # how long the thread looks by itself after the last one
        self.taker: Taker | None = None

    def this(self) -> "ServedRing":
        return self


@final
class ServedRings(LinkedList[ServedRing]):
    """The rings of a taker; the next to be looked at is the first."""


@final
class Taker:
    """A thread and its rings."""

    def __init__(self, process: Pid) -> None:
        self.process: Pid = process  # whose rings may attach
        self.thread: Task | None = None  # until it ends
        self.rings: ServedRings = ServedRings()
        self.count: int = 0  # of rings
        self.is_called: bool = False  # something has changed since the thread looked last
        self.waiters: WaitQueue = WaitQueue()  # where the thread sleeps
        self.room: WaitQueue = WaitQueue()  # where programs wait until it has taken submissions
        self.processor: int = ANY_PROCESSOR  # that it may run on; then that it runs on
        self.idle_ns: int = 0  # the longest patience of a ring
        self.until_ns: int = 0  # so long it looks by itself
        self.nap_ns: int = 0  # how long it rests meanwhile
        self.working_ns: int = 0  # that it has spent on submissions

    def join(self, served: ServedRing) -> None:
        """One more ring."""
        served.taker = self
        self.rings.link_last(served)
        self.count += 1

    @noraise
    def leave(self, served: ServedRing) -> None:
        """A ring is closed."""
        served.taker = None
        self.rings.unlink(served)
        self.count -= 1
        self.call()

    def next_ring(self) -> ServedRing | None:
        """The next one on the walk."""
        served = self.rings.first()
        if served is not None:
            self.rings.unlink(served)
            self.rings.link_last(served)
        return served

    @noraise
    def call(self) -> None:
        """Let the thread look again, and by itself for a while."""
        self.is_called = True
        self.waiters.wake_all()

    @noraise
    def end(self) -> None:
        """The thread ends. May sleep, as programs may share many rings with it."""
        self.thread = None
        self.tell_asleep()
        self.room.wake_all()

    @noraise
    def tell_asleep(self) -> None:
        """Whoever submits from now on must call the thread."""
        for _ in range(self.count):
            served = self.next_ring()
            if served is not None:
                served.ring.set_flag(layout.SQ_NEED_WAKEUP)
            pace(_COST)

    @noraise
    def tell_awake(self) -> None:
        """The thread looks by itself."""
        for _ in range(self.count):
            served = self.next_ring()
            if served is not None:
                served.ring.clear_flag(layout.SQ_NEED_WAKEUP)
            pace(_COST)

    def has_submissions(self) -> bool:
        """Whether there is something to take. A disabled ring's is not, until that is enabled. Sleeps."""
        for _ in range(self.count):
            served = self.next_ring()
            if served is not None and not served.ring.is_disabled and served.ring.offered() != 0:
                return True
            pace(_COST)
        return False


def worker_of(ring: "Ring", task: Task) -> Task | None:
    """The task whose workers a ring's limits concern: the thread that takes its submissions, if it should have one and
    that lives; else the caller.
    """
    if ring.setup & layout.SETUP_SQPOLL == 0:
        return task
    served = ring.served
    taker = None if served is None else served.taker
    return None if taker is None else taker.thread
