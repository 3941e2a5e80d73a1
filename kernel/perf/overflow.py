"""Samples: when an event gives one, and how records get into rings.

A thousand events may want a sample of one switch, each with a piece of the program's stack. The processor cannot stand
still for so long, so what one observation may cost is bounded, with the programs of bpf(2) that judge samples: samples
beyond that are lost, as if the ring were full.
Threads that wait for them, or want a signal, hear of it a little later (kernel/perf/notices.py).

Context: any, between two threads and in interrupts too: nothing sleeps, and only programs of bpf(2) allocate.
"""

from typing import Final

from arch import interrupt_processor
from kernel.lang import Span, final, span_of, u8
from kernel.lib.pace import spend
from kernel.lib.saturation import sum_of
from kernel.perf.attributes import (
    EXCLUDE_IDLE,
    EXCLUDE_KERNEL,
    EXCLUDE_USER,
    FORMAT_GROUP,
    FREQUENCY,
    SAMPLE_PERIOD,
    SAMPLE_READ,
    SIGNAL_TRAP,
    TYPE_TRACEPOINT,
    WATERMARK,
)
from kernel.perf.context import EventContext
from kernel.perf.event import OFF, TAKER, Event, SampleTaker
from kernel.perf.filter import Filter
from kernel.perf.limits import TICK_NS, samples_per_tick
from kernel.perf.notices import NOTICES
from kernel.perf.programs import PROGRAMS
from kernel.perf.ring import Ring
from kernel.perf.sample import (
    LOSS,
    LOST,
    PLACE,
    RECORD,
    THROTTLE,
    UNTHROTTLE,
    Place,
    Record,
    event_time_ns,
    running_thread,
)
from kernel.sched.processor import this_processor
from kernel.sched.scheduler import announce_work
from kernel.task.task import Task
from kernel.time.clock import monotonic_ns
from kernel.time.timers import FOREVER_NS

NO_RAW: Final = b""
_OBSERVATION_COST: Final = 150_000  # instructions, at most about that many for what is observed at once
_BUDGET_NS: Final = 2_000_000  # clocks that ring while others are served share their budget: no safe point is between
_MOST_RINGS: Final = 1000  # of all clocks of a context, in a tick
_SAMPLE_COST: Final = 1500
_CALLER_COST: Final = 150
_MEMBER_COST: Final = 100  # … of a group whose counts are read
_RECORD_COST: Final = 600  # … other than a sample
_NOTICE_COST: Final = 400


@final
class Interruption:
    """Where the processor was when the present interrupt came."""

    def __init__(self) -> None:
        self.in_kernel: bool = False
        self.address: int = 0
        self.frame_pointer: int = 0


INTERRUPTION: Final = Interruption()


@final
class Budget:
    """What the present observation may still cost, in instructions."""

    def __init__(self) -> None:
        self.left: int = _OBSERVATION_COST
        self.clock_ns: int = 0  # when clocks rang last: those that ring at once share a budget

    def begin(self) -> None:
        """Another observation."""
        self.left = _OBSERVATION_COST

    def take(self, instructions: int) -> None:
        """So much was spent, and the next safe point comes the sooner."""
        self.left -= instructions
        spend(instructions)


BUDGET: Final = Budget()


def passes(event: Event, chosen: Filter | None, record: Span[u8]) -> bool:
    """Whether an event looks at a tracepoint's record. One that there is no time for is lost."""
    if chosen is None:
        return True
    if BUDGET.left <= 0:
        lose(event)
        return False
    BUDGET.take(chosen.cost)
    return chosen.matches(record)


# Into the ring --------------------------------------------------------------------------------------------------------


def emit(event: Event, record: Record) -> bool:
    """Put a record, complete but for its end, where an event writes. False if there is no place for it."""
    ring = event.primary().ring
    if ring is None:
        return False
    data = record.end()
    if ring.is_paused:
        if ring.size > 0:
            lose(event)
        return False
    loss = _loss_record(ring, event) if ring.lost > 0 else span_of(LOSS.data)[0:0]
    if not ring.has_room(len(data) + len(loss)):
        lose(event)
        return False
    if len(loss) > 0:
        ring.lost = 0
        ring.write(loss)
    ring.write(data)
    if ring.publish():
        wake(ring)
    return True


def lose(event: Event) -> None:
    """A record that the event should have got."""
    primary = event.primary()
    primary.lost += 1
    ring = primary.ring
    if ring is not None:
        ring.lost += 1


def _loss_record(ring: Ring, event: Event) -> Span[u8]:
    LOSS.begin(LOST, 0)
    LOSS.put(event.primary().number)
    LOSS.put(ring.lost)
    LOSS.put_identity(event, running_thread())
    return LOSS.end()


def wake(ring: Ring) -> None:
    """There is something to read."""
    BUDGET.take(_NOTICE_COST)
    ring.announce()


# Samples --------------------------------------------------------------------------------------------------------------


def is_excluded(event: Event, place: Place) -> bool:
    """Whether an event does not care for what happens there."""
    return event.has(EXCLUDE_USER if place.is_user else EXCLUDE_KERNEL)


def happened(event: Event, count: int, place: Place, address: int, raw: Span[u8]) -> None:
    """What an event counts that is not a clock has happened that many times."""
    event.add(count)
    attributes = event.attributes
    if not attributes.is_sampling():
        return
    is_steady = not attributes.has(FREQUENCY)
    if attributes.samples(SAMPLE_PERIOD) and is_steady:
        _take(event, place, address, count, raw, is_repeated=False)
        return
    period = event.period
    if count == 1 and period.length == 1 and is_steady:
        _take(event, place, address, period.last, raw, is_repeated=False)
        return
    due = period.add(count)
    for number in range(min(due, samples_per_tick())):
        if not _take(event, place, address, period.last, raw, is_repeated=number > 0):
            return


def _take(event: Event, place: Place, address: int, period: int, raw: Span[u8], is_repeated: bool) -> bool:
    """A sample is due. False if the event is to give no more now."""
    now_ns = monotonic_ns()
    if event.throttle.is_applied and now_ns // TICK_NS == event.throttle.tick:
        return False
    goes_on = _account(event, now_ns, may_throttle=is_repeated)
    if event.attributes.has(FREQUENCY):
        event.period.follow_frequency(now_ns, TICK_NS)
    return _give(event, place, address, period, raw) and goes_on


def _account(event: Event, now_ns: int, may_throttle: bool) -> bool:
    """Count the samples of a tick. False: that were too many, and the event rests until the next one."""
    tick = now_ns // TICK_NS
    if tick != event.throttle.tick:
        event.throttle.tick = tick
        event.throttle.samples = 0
        if event.throttle.is_applied:
            event.throttle.is_applied = False
            _report_throttle(event, UNTHROTTLE)
    event.throttle.samples += 1
    if may_throttle and event.throttle.samples >= samples_per_tick():
        event.throttle.is_applied = True
        _report_throttle(event, THROTTLE)
        return False
    return True


def _report_throttle(event: Event, kind: int) -> None:
    if BUDGET.left <= 0:
        lose(event)
        return
    BUDGET.take(_RECORD_COST)
    RECORD.begin(kind, 0)
    RECORD.put(event_time_ns(event))
    RECORD.put(event.primary().number)
    RECORD.put(event.number)
    RECORD.put_identity(event, running_thread())
    emit(event, RECORD)


def _give(event: Event, place: Place, address: int, period: int, raw: Span[u8]) -> bool:
    """Write a sample, and wake who waits for one. False if it was the last."""
    if _has_program(event) and not _may_give(event, place, address, period):
        return True
    goes_on = True
    if event.has(SIGNAL_TRAP):
        _note_trap(event, address)
    if event.limit != 0:
        event.limit -= 1
        if event.limit == 0:
            goes_on = False
            disable(event)
    write_sample(event, place, address, period, raw)
    samples = event.primary().samples
    if samples is not None and not samples.queue.is_empty():
        NOTICES.add(samples)
    return goes_on


def write_sample(event: Event, place: Place, address: int, period: int, raw: Span[u8]) -> bool:
    """Put a sample where an event writes, and wake who waits for one. False if there is no place or no time for it."""
    ring = event.primary().ring
    if ring is None:
        return False
    if BUDGET.left <= 0:
        lose(event)
        return False
    RECORD.put_sample(event, place, address, period, raw)
    BUDGET.take(_SAMPLE_COST + RECORD.size + RECORD.callers * _CALLER_COST + _members_read(event) * _MEMBER_COST)
    if not emit(event, RECORD):
        return False
    attributes = event.attributes
    if not attributes.has(WATERMARK) and attributes.wakeup > 0 and ring.counts_sample(attributes.wakeup):
        wake(ring)
    return True


def _has_program(event: Event) -> bool:
    """Whether a program of bpf(2) judges its samples. One at a tracepoint judges the record instead."""
    return event.attributes.type != TYPE_TRACEPOINT and event.primary().choice.program is not None


def _may_give(event: Event, place: Place, address: int, period: int) -> bool:
    """What such a program says of a sample. One that there is no time to judge is lost."""
    if BUDGET.left <= 0:
        lose(event)
        return False
    may, cost = PROGRAMS.run_for(event, place, address, period)
    BUDGET.left -= cost
    return may


def _note_trap(event: Event, address: int) -> None:
    """The event's task shall get a signal before it goes on in its program."""
    context = event.context
    if context is not None:
        event.throttle.trap_is_due = True
        event.throttle.trap_address = address
        context.traps_are_due = True
        announce_work()


def _members_read(event: Event) -> int:
    """Of how many others a sample has the counts."""
    attributes = event.attributes
    if not attributes.samples(SAMPLE_READ) or attributes.read_format & FORMAT_GROUP == 0:
        return 0
    return len(event.head().siblings)


def disable(event: Event) -> None:
    """The event, and what it leads, counts no more."""
    if event.state > OFF:
        event.update(monotonic_ns())
        event.state = OFF
    context = event.context
    if context is not None:
        event.settle_group(monotonic_ns())


# Clocks ---------------------------------------------------------------------------------------------------------------


@final
class ClockTaker(SampleTaker):
    """Takes samples of events that count time."""

    def clock_rang(self, event: Event, now_ns: int) -> int:
        context = event.context
        if context is None or not event.is_active:
            return FOREVER_NS
        if context.processor != this_processor().number:
            clock = event.clock
            if clock is not None:
                clock.is_due = True  # that processor shall look where it is, and set the clock anew
            interrupt_processor(context.processor)
            return FOREVER_NS
        if not 0 <= now_ns - BUDGET.clock_ns < _BUDGET_NS:
            BUDGET.clock_ns = now_ns
            BUDGET.begin()
        return _take_clock(context, event, now_ns)


def take_due(context: EventContext | None) -> None:
    """An interrupt was served: take samples of clocks that rang elsewhere."""
    if context is None:
        return
    for event in context.events:
        clock = event.clock
        if clock is not None and clock.is_due:
            clock.is_due = False
            if event.is_active:
                clock.move(_take_clock(context, event, monotonic_ns()))


def _take_clock(context: EventContext, event: Event, now_ns: int) -> int:
    """A sample of where this processor is. Returns when the next is due, FOREVER_NS for none. Clocks of one context
    that ring too often together rest until the next tick, or nothing but them would run.
    """
    tick = now_ns // TICK_NS
    if context.rings_in(tick) > _MOST_RINGS:
        if not event.throttle.is_applied:
            event.throttle.tick = tick
            event.throttle.is_applied = True
            _report_throttle(event, THROTTLE)
        return (tick + 1) * TICK_NS
    thread = running_thread()
    task = thread if isinstance(thread, Task) else None
    if INTERRUPTION.in_kernel or task is None:
        PLACE.be_kernel(thread, INTERRUPTION.address, INTERRUPTION.frame_pointer, is_caller=False)
    else:
        PLACE.be_user(task)
    if is_excluded(event, PLACE) or (thread is None and event.has(EXCLUDE_IDLE)):
        return sum_of(now_ns, event.clock_period_ns())
    event.update(now_ns)
    goes_on = _account(event, now_ns, may_throttle=True)
    if not _give(event, PLACE, 0, event.period.last, span_of(NO_RAW)):
        return FOREVER_NS
    if BUDGET.left <= 0 and _has_program(event):
        return monotonic_ns() + TICK_NS  # the run may have taken longer than a period, or nothing but it would run
    return sum_of(now_ns, event.clock_period_ns()) if goes_on else (event.throttle.tick + 1) * TICK_NS


TAKER.taker = ClockTaker()
