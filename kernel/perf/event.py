"""An event: something that is counted, in a task or on a processor, and of which samples may be taken.

States are Linux's. An event counts (`is_active`) while it is enabled, the leader of its group too, and its context is
on a processor, the one that the event is bound to if any. What changes one of these says so by `settle`, which starts
and stops clocks and adds up times.

An event with `inherit` has children: events like it in the tasks that its task creates, which write to its ring and
whose counts belong to it: what a child counts is added to its parent at once, and stays when its task ends. A child
knows its place among them, so that it is gone in one step.

Context: all but opening is fit for interrupts: nothing sleeps or allocates, except where a method says so.
"""

from typing import TYPE_CHECKING, Final

from arch import interrupt_processor
from arch.programs import Watch
from kernel.lang import final, struct
from kernel.lib.saturation import sum_of
from kernel.perf.attributes import (
    FREQUENCY,
    TYPE_BREAKPOINT,
    TYPE_SOFTWARE,
    TYPE_TRACEPOINT,
    Attributes,
)
from kernel.perf.context import CLOCK_BYTES, EVENT_BYTES, EventContext
from kernel.perf.notices import NOTICES, Notice
from kernel.perf.period import LEAST_CLOCK_PERIOD_NS, NS_PER_SECOND, Period
from kernel.perf.probes import PROBE_BYTES, ProbePoint, ProbeUse
from kernel.perf.ring import Ring
from kernel.sched import WaitQueue
from kernel.sched.processor import RUNNING, this_processor
from kernel.task.async_io import QueueWaiter
from kernel.time.clock import monotonic_ns
from kernel.time.timers import FOREVER_NS, Timer

if TYPE_CHECKING:
    from kernel.bpf.program import Program
    from kernel.perf.filter import Filter
    from kernel.task.pid_namespace import PidNamespace

# What software events count (perf_event_open(2), PERF_COUNT_SW_*)
CPU_CLOCK: Final = 0
TASK_CLOCK: Final = 1
PAGE_FAULTS: Final = 2
CONTEXT_SWITCHES: Final = 3
CPU_MIGRATIONS: Final = 4
PAGE_FAULTS_MINOR: Final = 5
PAGE_FAULTS_MAJOR: Final = 6
BPF_OUTPUT: Final = 10
SOFTWARE_KINDS: Final = 12  # those above count something; faults of alignment and emulation do not happen here

# Tracepoints of system calls: the number of one, twice, from FIRST_CALL on; the entry is the odd one.
FIRST_CALL: Final = 1024
RAW_ENTER: Final = 2
RAW_EXIT: Final = 1
BEHIND_CALLS: Final = FIRST_CALL + 1024

EXITED: Final = -3
OFF: Final = -1
ON: Final = 0

ANY_PROCESSOR: Final = -1
_WATCH_COST: Final = 200  # instructions


class SampleTaker:
    """Takes a sample of an event whose clock says that it is time. Base class: kernel/perf/overflow.py."""

    def clock_rang(self, event: "Event", now_ns: int) -> int:
        """When the clock should ring next; FOREVER_NS: not any more."""
        return FOREVER_NS


@final
class Taker:
    """Where it is entered."""

    def __init__(self) -> None:
        self.taker: SampleTaker = SampleTaker()


TAKER: Final = Taker()


@final
class EventClock(Timer):
    """Rings when an event that counts time is to give a sample. It is armed as long as the event lives, for ever away
    while the event rests: so setting it allocates nothing.
    """

    def __init__(self, event: "Event") -> None:
        """Raises MemoryError."""
        super().__init__()
        self.event: Event | None = event
        self.is_due: bool = False  # it rang on another processor than its task's
        self.left_ns: int = 0  # when the event lost the processor; 0: a whole period
        self.start(FOREVER_NS)

    def rest(self, now_ns: int) -> None:
        """Ring no more, and remember how long it would have been."""
        self.left_ns = self.remaining_ns(now_ns) if self.deadline_ns != FOREVER_NS else 0
        self.move(FOREVER_NS)

    def expire(self, now_ns: int) -> int:
        event = self.event
        return FOREVER_NS if event is None else TAKER.taker.clock_rang(event, now_ns)


@final
class SampleWatch(Notice):
    """Where those stand that want a signal for samples (O_ASYNC), whether these are in a ring or not."""

    def __init__(self) -> None:
        super().__init__()
        self.queue: WaitQueue = WaitQueue()

    def tell(self, instructions: int) -> int:
        left = instructions - _WATCH_COST
        waiter = self.queue.first()
        while waiter is not None:
            if isinstance(waiter, QueueWaiter):
                left -= waiter.cost()
            waiter = waiter.after()
        NOTICES.remove(self)
        self.queue.wake_all()
        return left


@final
class Numbers:
    """The next event's number."""

    def __init__(self) -> None:
        self.last: int = 0

    def next(self) -> int:
        """One that no other event has had."""
        self.last += 1
        return self.last


NUMBERS: Final = Numbers()


@final
class Choice:
    """What a sample depends on: a filter for the records of a tracepoint, a program of bpf(2)."""

    def __init__(self) -> None:
        self.filter: Filter | None = None
        self.program: Program | None = None
        self.cookie: int = 0  # that was given with the program


@struct
class Counts:
    """What an event itself has counted, and the times in which it did."""

    count: int
    enabled_ns: int
    running_ns: int


@struct
class InheritedCounts:
    """What the children of an event have counted for it."""

    living: int  # by those that live
    ended: int  # … and by those that have ended
    enabled_ns: int  # of both
    running_ns: int


@struct
class Throttle:
    """How often an event gave a sample of late, and the last one of which its task is still to hear."""

    tick: int  # in which it gave `samples`
    samples: int
    is_applied: bool  # it gave too many: there are no more in this tick
    trap_is_due: bool  # the task gets a signal
    trap_address: int


@final
class Target:
    """What an event looks at in programs."""

    def __init__(self, point: ProbePoint | None) -> None:
        self.watch: Watch | None = None  # of a breakpoint
        self.point: ProbePoint | None = point  # of a probe (probes.py)
        self.use: ProbeUse | None = None  # … of an event that a program opened


@final
class Event:
    """One event. Cycles (group, children, clock) are undone by `part`."""

    own: Counts
    inherited: InheritedCounts
    throttle: Throttle

    def __init__(
        self, attributes: Attributes, flags: int, processor: int, pids: "PidNamespace", parent: "Event | None"
    ) -> None:
        """`flags` are the attributes', which may have changed since. Raises MemoryError."""
        self.attributes: Attributes = attributes
        self.flags: int = flags
        self.processor: int = processor
        self.pids: PidNamespace = pids  # whose numbers records show
        self.parent: Event | None = parent
        self.number: int = NUMBERS.next()
        self.state: int = OFF
        self.is_active: bool = False
        self.context: EventContext | None = None
        self.leader: Event | None = None  # None: itself
        self.siblings: list[Event] = []
        self.children: list[Event] = []
        self.place: int = 0  # among its parent's children
        self.choice: Choice = Choice()  # of one that a program opened, for its children too
        # Counts
        self.stamp_ns: int = monotonic_ns()  # up to when the times are right
        self.is_wanted_in: bool = False  # enabled while its context is on a processor: up to then
        # Samples
        self.ring: Ring | None = None
        self.waiters: WaitQueue = WaitQueue()
        self.lost: int = 0
        self.limit: int = 0  # that many more samples, then it is disabled; 0: no such limit
        self.is_closed: bool = False  # nobody has it open any more
        self.mappings: int = 0  # areas that map a ring through its descriptor
        self.samples: SampleWatch | None = None  # once somebody may want signals
        self.place_in_ring: int = 0  # among those that write there
        self.period: Period = _period_of(attributes)
        self.target: Target = Target(None if parent is None else parent.target.point)
        if attributes.type == TYPE_BREAKPOINT:
            self.target.watch = Watch(attributes.place, attributes.place_kind, attributes.place_length)
        self.clock: EventClock | None = None
        if self.counts_time() and attributes.is_sampling():
            self.clock = EventClock(self)

    # ---- What it is ------------------------------------------------------------------------------------------------

    def counts_time(self) -> bool:
        """Whether it is a clock."""
        attributes = self.attributes
        return attributes.type == TYPE_SOFTWARE and attributes.config in (CPU_CLOCK, TASK_CLOCK)

    def counts(self, kind: int) -> bool:
        """Whether it counts something of software, now."""
        return self.is_active and self.attributes.type == TYPE_SOFTWARE and self.attributes.config == kind

    def traces(self, point: int) -> bool:
        """Whether it looks at a tracepoint, now."""
        return self.is_active and self.attributes.type == TYPE_TRACEPOINT and self.attributes.config == point

    def is_of_calls(self) -> bool:
        """Whether it looks at a tracepoint of system calls."""
        point = self.attributes.config
        if self.attributes.type != TYPE_TRACEPOINT:
            return False
        return point == RAW_ENTER or point == RAW_EXIT or FIRST_CALL <= point < BEHIND_CALLS

    @property
    def watch(self) -> Watch | None:
        """The place of a breakpoint."""
        return self.target.watch

    @property
    def point_number(self) -> int:
        """That of the probe that it looks at; 0 for none."""
        point = self.target.point
        return 0 if point is None else point.number

    def has(self, flags: int) -> bool:
        """Whether any of these flags is set."""
        return self.flags & flags != 0

    def primary(self) -> "Event":
        """The event that the program opened: this one, or the one that it was inherited from."""
        parent = self.parent
        return self if parent is None else parent

    def head(self) -> "Event":
        """The leader of its group."""
        leader = self.leader
        return self if leader is None else leader

    def held_bytes(self) -> int:
        """About how much memory it takes, but for its descriptor."""
        chosen = self.choice.filter
        size = EVENT_BYTES if self.clock is None else EVENT_BYTES + CLOCK_BYTES
        if self.target.use is not None:
            size += PROBE_BYTES
        return size if chosen is None else size + chosen.held_bytes

    # ---- Counting ---------------------------------------------------------------------------------------------------

    def is_wanted(self) -> bool:
        """Whether it and the leader of its group are enabled."""
        return self.state >= ON and self.head().state >= ON

    def update(self, now_ns: int) -> None:
        """Add up times."""
        passed_ns = now_ns - self.stamp_ns
        self.stamp_ns = now_ns
        if passed_ns <= 0 or not self.is_wanted_in:
            return
        self.own.enabled_ns += passed_ns
        parent = self.parent
        if parent is not None:
            parent.inherited.enabled_ns += passed_ns
        if self.is_active:
            self.own.running_ns += passed_ns
            if parent is not None:
                parent.inherited.running_ns += passed_ns
            if self.counts_time():
                self.add(passed_ns)

    def add(self, count: int) -> None:
        """It happened that many times."""
        self.own.count += count
        parent = self.parent
        if parent is not None:
            parent.inherited.living += count

    def reset_own(self) -> None:
        """Count from 0 on, its children not."""
        parent = self.parent
        if parent is not None:
            parent.inherited.living -= self.own.count
        self.own.count = 0

    def settle(self, now_ns: int) -> None:
        """Whether it counts may have changed."""
        self.update(now_ns)
        context = self.context
        self.is_wanted_in = context is not None and context.is_in and self.is_wanted()
        is_active = False
        if context is not None and self.is_wanted_in:
            is_active = self.processor == ANY_PROCESSOR or self.processor == context.processor
        if is_active == self.is_active:
            return
        self.is_active = is_active
        if is_active:
            self._start(now_ns)
        else:
            self._stop(now_ns)
        self.show()

    def settle_group(self, now_ns: int) -> None:
        """It was enabled or disabled, and those that it leads follow."""
        self.settle(now_ns)
        for sibling in self.siblings:
            sibling.settle(now_ns)

    def _start(self, now_ns: int) -> None:
        _turn_watch(self, is_on=True)
        clock = self.clock
        if clock is None:
            self.period.start()
            return
        clock.move(sum_of(now_ns, clock.left_ns if clock.left_ns > 0 else self.clock_period_ns()))

    def _stop(self, now_ns: int) -> None:
        _turn_watch(self, is_on=False)
        clock = self.clock
        if clock is not None:
            clock.is_due = False
            clock.rest(now_ns)

    def clock_period_ns(self) -> int:
        """From one sample of a clock to the next."""
        return max(self.period.length, LEAST_CLOCK_PERIOD_NS)

    def set_period(self, length: int) -> None:
        """From now on there is a sample every `length` events."""
        self.period.length = length
        self.period.left = 0
        clock = self.clock
        if clock is not None:
            clock.left_ns = 0
        if self.is_active:
            if clock is not None:
                clock.is_due = False
            self._start(monotonic_ns())

    def set_frequency(self, frequency: int) -> None:
        """… or so often a second."""
        if self.counts_time():
            self.set_period(NS_PER_SECOND // frequency)
        else:
            self.period.frequency = frequency

    def show(self) -> None:
        """Let the program see the counts in the page that it maps."""
        ring = self.ring
        if ring is not None:
            ring.show(self.total(), self.total_enabled_ns(), self.total_running_ns())

    # ---- Its children ------------------------------------------------------------------------------------------------

    def total_enabled_ns(self) -> int:
        """How long it was enabled, and its children; as far as each is up to date."""
        return self.own.enabled_ns + self.inherited.enabled_ns

    def total_running_ns(self) -> int:
        return self.own.running_ns + self.inherited.running_ns

    def total(self) -> int:
        """The count, children included."""
        return self.own.count + self.inherited.living + self.inherited.ended

    def add_child(self, child: "Event") -> None:
        """One more. Raises MemoryError."""
        child.place = len(self.children)
        self.children.append(child)

    def lose_child(self, child: "Event") -> None:
        """A child ends: what it counted stays. The last one takes its place."""
        self.inherited.living -= child.own.count
        self.inherited.ended += child.own.count
        last = self.children.pop()
        if last is not child:
            last.place = child.place
            self.children[child.place] = last

    # ---- Its end -----------------------------------------------------------------------------------------------------

    def leave_group(self) -> None:
        """The group goes on without it; that of a leader falls into single events."""
        leader = self.leader
        if leader is not None:
            leader.siblings.remove(self)
            self.leader = None
        now_ns = monotonic_ns()
        for sibling in self.siblings:
            sibling.leader = None
        for sibling in self.siblings:
            sibling.settle(now_ns)
        self.siblings.clear()

    def leave_context(self, state: int) -> None:
        """It counts no more."""
        self.update(monotonic_ns())
        self.state = state
        self.settle(monotonic_ns())
        context = self.context
        if context is not None:
            context.remove(self)

    def part(self) -> None:
        """Undo cycles."""
        clock = self.clock
        self.clock = None
        if clock is not None:
            clock.cancel()
            clock.event = None
        samples = self.samples
        if samples is not None:
            NOTICES.remove(samples)
        self.parent = None


def _period_of(attributes: Attributes) -> Period:
    """A clock's frequency is a period from the start; other things are counted until they follow it."""
    if attributes.flags & FREQUENCY == 0:
        return Period(attributes.sample_period, 0)
    frequency = max(attributes.sample_period, 1)
    if attributes.type == TYPE_SOFTWARE and attributes.config in (CPU_CLOCK, TASK_CLOCK):
        return Period(NS_PER_SECOND // frequency, 0)
    return Period(1, frequency)


def _turn_watch(event: Event, is_on: bool) -> None:
    """Of a breakpoint: let the processor look, or no more. A task that just gets it takes its registers along."""
    watch = event.watch
    context = event.context
    task = None if context is None else context.task
    if watch is None or context is None or task is None:
        return
    watch.is_on = is_on
    is_elsewhere = context.is_in and context.processor != this_processor().number
    task.registers.renew_watches(is_current=RUNNING.current is task, is_elsewhere=is_elsewhere)
    if is_elsewhere:
        interrupt_processor(context.processor)
