"""A thread: what the scheduler switches between. Tasks of programs and kernel threads derive from it.

Invariants: a thread is on a run queue exactly when it is READY, and does not wait for its next period (deadline.py);
RUNNING threads are a processor's `current`. `_ALL` has all threads that have a stack; `_awake` links those whose stacks
the reclaimer must scan in its next pass, because they ran since the last one (and some that have ended meanwhile).
"""

from enum import IntEnum
from typing import TYPE_CHECKING, Final

from kernel.lang import atomic, final, inline, panic, struct
from kernel.lib.credentials import Credentials
from kernel.lib.linked import FIRST, NEXT, Linkage, Linked, Links
from kernel.sched.bandwidth import BASE_SLICE_NS, TimeShare
from kernel.sched.parts import Accounts, Charges, ThreadTurn, Wishes
from kernel.sched.pressure import Pressure
from kernel.sched.stacks import KernelStack

if TYPE_CHECKING:
    from kernel.sched.deadline import DeadlineServer
    from kernel.sched.obligation import Obligation
    from kernel.sched.wait import SleepTimer, SleepWaiter

NICE_LOWEST: Final = -20
NICE_HIGHEST: Final = 19

LONG_NS: Final = 200_000  # longer times count as this (`Overlap`)

SCHED_OTHER: Final = 0
SCHED_FIFO: Final = 1
SCHED_RR: Final = 2
SCHED_BATCH: Final = 3
SCHED_IDLE: Final = 5
SCHED_DEADLINE: Final = 6

DEADLINE_URGENCY: Final = 100
"""Of threads with deadlines: above all real-time priorities."""


class ThreadState(IntEnum):
    """What a thread does; /proc/PID/stat shows R, S, D, T, t, Z and X."""

    READY = 0  # on a run queue
    RUNNING = 1
    SLEEPING = 2  # until woken or interrupted by a signal
    WAITING = 3  # until woken
    STOPPED = 4  # by a job control signal
    DEAD = 5
    TRACED = 6  # stopped for its tracer


@struct
class SwitchContext:
    """The state that `switch_stacks` needs of a thread that is not running."""

    stack_pointer: int
    links: int  # to objects that the reclaimer holds for the stack; AWAKE if it does not
    kernel_ticks: int  # that it spent in the kernel since its time was last divided; complete while it is not running


AWAKE: Final = -1


@final
class SharedTime:
    """The processor time of all threads of a process, ended ones included: ticks ask for it, however many there are."""

    def __init__(self) -> None:
        self.run_ns: int = 0  # when they were last charged
        self.user_ns: int = 0  # the part of it that is known to have been in user mode


@struct
class Precedence:
    """What lets a thread go before others, besides its own real-time priority. The first two follow from the rest."""

    priority: int  # what it was lent; DEADLINE_URGENCY if it has deadlines itself
    deadline_ns: int  # the earlier of its own and the lent one; 0: there is none
    lent_priority: int  # the urgency of the threads that wait for a lock of this one (task/futex_pi.py)
    lent_deadline_ns: int  # the earliest deadline of those; 0: none has one
    wanted_ns: int  # how long it asked to run at a time (sched_setattr(2)); 0: until its slice is over
    turn_ns: int  # … its `runtime_ns` when it last gave the processor up after that


@struct
class Overlap:
    """How long a thread goes on when it has woken another (balance.py)."""

    woke_at_ns: int  # when it last woke another since it slept; 0: it has not, or on a single processor
    usual_ns: int  # how long after that it usually sleeps


class DiskPayer:
    """Accounts for threads' requests to disks. Base class: kernel/cgroup/disks.py."""


@atomic("name", "allowed", "processor", "stack")
class Thread(Linked["Thread"]):
    """One flow of control in the kernel. It is linked on a run queue while it is READY."""

    all_links: Links["Thread"]

    accounts: Accounts
    wishes: Wishes
    turn: ThreadTurn
    charges: Charges

    def __init__(self, name: bytes) -> None:
        super().__init__()
        self.name: bytes = name
        self.state: ThreadState = ThreadState.WAITING
        self.context: SwitchContext = SwitchContext()
        self.context.links = AWAKE
        self.stack: KernelStack | None = None
        self.space_root: int = 0  # physical address of the page table; 0: any will do
        self.interrupted: bool = False  # a signal is pending: interruptible sleeps end
        self.woken: bool = False  # the present sleep was ended by its wait queue
        self.waiter: SleepWaiter | None = None  # created with the thread, and used for all sleeps
        self.timer: SleepTimer | None = None  # created at the first timed sleep
        self.waits_for: Thread | None = None  # the owner of the Mutex that it wants
        self.owed: Obligation | None = None  # its obligations to others (obligation.py)
        self.is_lost: bool = False  # a bug ended it: what it still holds is lost
        # Scheduling
        self.precedence: Precedence = Precedence()
        self.server: DeadlineServer | None = None  # created when it first asks for deadlines
        self.allowed: int = -1  # a bit for each processor that may run it
        self.processor: int = 0  # the processor that runs it, on whose queue it is, or that ran it last
        self.turn.length_ns = BASE_SLICE_NS
        self.overlap: Overlap = Overlap(usual_ns=LONG_NS)
        # Control groups
        self.share: TimeShare | None = None  # the source of its time; None: it competes with all
        self.pressure: Pressure | None = None  # of its group; None: of the machine alone
        self.disks: DiskPayer | None = None  # counts its requests (cgroup/disks.py); None: none does
        self.shared_time: SharedTime | None = None  # of its process, while it counts there
        self.parting_waited_ns: int = 0  # how long it has waited without success while ending (mutex.py: `Patience`)
        self.awake_next: Thread | None = None

    @inline
    def this(self) -> "Thread":
        return self

    def acts_for(self) -> Credentials | None:
        """The credentials for its work with files. None: the kernel's own work."""
        return None

    def may_run_on(self, processor: int) -> bool:
        """Whether a processor may take it (sched_setaffinity(2))."""
        return self.allowed == -1 or self.allowed >> processor & 1 != 0

    def run(self) -> None:
        """The thread's life; when it returns the thread ends. Called on its own stack."""

    @property
    def stack_top(self) -> int:
        """The upper end of the kernel stack of a thread that was started and lives."""
        stack = self.stack
        if stack is None:
            panic("a thread without a stack")
        return stack.top

    def has_begun(self) -> bool:
        """Whether it has run, or waits to run for the first time. A task can be found before: its maker may sleep until
        it starts the child (fork.py), whose stack still holds what an earlier thread left there.
        """
        return self.context.stack_pointer != 0

    def is_interrupted(self) -> bool:
        """`interrupted`, read again: for code that checks after a sleep, where type checkers do not expect a
        field to change.
        """
        return self.interrupted

    def is_dying(self) -> bool:
        """Whether it must end when it returns from its current work, so that a long call may stop early."""
        return False

    def is_doomed(self) -> bool:
        """Whether it is dying, or a pending signal will end it when it is back in its program. It lives if the action
        of that signal is changed in time, so its calls must be left in order.
        """
        return self.is_dying()

    def is_parting(self) -> bool:
        """Whether it is already ending, and releases what it had: no signal ends its waits then."""
        return False

    def ticked(self) -> None:
        """The timer interrupt found the thread running. In interrupt context."""

    def heap_grew(self, pages: int) -> None:
        """The kernel's heap took pages for the thread's work. Allocates nothing."""

    def leave_processor(self) -> None:
        """Another thread gets the processor: save this one's state from the processor."""

    def enter_processor(self) -> None:
        """This thread gets the processor."""

    def has_realtime_policy(self) -> bool:
        """Whether its own policy is SCHED_FIFO or SCHED_RR."""
        return self.wishes.policy == SCHED_FIFO or self.wishes.policy == SCHED_RR

    def is_realtime(self) -> bool:
        """Whether it now goes before all threads of the fair classes: one with deadlines does."""
        return self.wishes.policy == SCHED_FIFO or self.wishes.policy == SCHED_RR or self.precedence.priority > 0

    @property
    def urgency(self) -> int:
        """The effective real-time priority, lent or its own; 0 in the fair classes."""
        return max(self.wishes.realtime_priority, self.precedence.priority)

    def goes_before(self, other: "Thread") -> bool:
        """Whether it is more urgent than another thread; of two with deadlines, whether its own is earlier."""
        urgency = self.urgency
        if urgency != other.urgency:
            return urgency > other.urgency
        return urgency == DEADLINE_URGENCY and self.precedence.deadline_ns < other.precedence.deadline_ns

    def has_fair_policy(self) -> bool:
        """Whether its own policy lets it share the processor with others in rounds."""
        return self.wishes.policy != SCHED_DEADLINE and not self.has_realtime_policy()

    def order_by(self, own_ns: int) -> None:
        """Its own deadline has changed; 0: it has none. Not while it is on a queue."""
        lent_ns = self.precedence.lent_deadline_ns
        self.precedence.priority = self.precedence.lent_priority if own_ns == 0 else DEADLINE_URGENCY
        self.precedence.deadline_ns = lent_ns if lent_ns != 0 and (own_ns == 0 or lent_ns < own_ns) else own_ns


@inline
def count_time(thread: Thread, elapsed_ns: int) -> None:
    """A thread has run for that long."""
    thread.accounts.runtime_ns += elapsed_ns
    shared = thread.shared_time
    if shared is not None:
        shared.run_ns += elapsed_ns


@final
class ThreadWalk:
    """A walk over the list of all threads that pauses in between. A second walk that begins meanwhile shares the list
    with it: each goes on with what the other has left.
    """

    def __init__(self) -> None:
        self.next: Thread | None = None


WALK: Final = ThreadWalk()


@final
class _All(Linkage[Thread]):
    """The list of all threads."""

    ends: Links[Thread]

    @inline
    def links(self, entry: Thread) -> Links[Thread]:
        return entry.all_links


_ALL: Final = _All()
_count: int = 0
_awake: Thread | None = None


def enter_list(thread: Thread) -> None:
    """Count a thread among all threads: it has a stack now."""
    global _count
    _ALL.prepend(_ALL.ends, thread)
    _count += 1
    add_awake(thread)


def leave_list(thread: Thread) -> None:
    """Its stack is gone: take it out of the list."""
    global _count
    if WALK.next is thread:
        WALK.next = thread.all_links[NEXT]
    _ALL.remove(_ALL.ends, thread)
    _count -= 1


def first_thread() -> Thread | None:
    """The first of the list of all threads (`all_links`)."""
    return _ALL.ends[FIRST]


def thread_count() -> int:
    """How many threads have a stack."""
    return _count


def add_awake(thread: Thread) -> None:
    """The thread's stack may change from now on."""
    global _awake
    thread.context.links = AWAKE
    thread.awake_next = _awake
    _awake = thread


def take_awake() -> Thread | None:
    """Take a thread whose stack the reclaimer must scan; None if there are no more."""
    global _awake
    thread = _awake
    if thread is not None:
        _awake = thread.awake_next
        thread.awake_next = None
    return thread
