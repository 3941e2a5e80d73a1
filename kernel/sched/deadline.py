"""Threads with deadlines (SCHED_DEADLINE): each asks for an amount of time in every period, before a deadline.

They run before all other threads, the earliest deadline first, on any processor (runqueue.py, balance.py). A thread
has a server, which limits it to what it asked for ("constant bandwidth server"): a budget, which is `Thread.slice_ns`,
to be used up by a deadline. A thread without budget waits until its next period begins; then the budget is filled up,
and the deadline is a period later. One that wakes keeps budget and deadline unless they would give it more than its
part of the time until the deadline; else it gets new ones. So no thread is late because of another, as long as the
parts of all add up to no more than the machine has: that is checked when a thread asks (realtime.py: `Bandwidth`).

The part of a thread that sleeps counts until the time at which its budget would have been used at its rate ("0-lag"):
others that reclaim unused time (SCHED_FLAG_RECLAIM) get none of it before. The part of one that ends, or gets another
policy, can be given to others from that time on. Budgets are charged by the tick, and what is overdrawn is owed.

Invariants: a server's timer is armed as long as the server counts, so setting it needs no memory. A thread is READY
and on no queue while it waits for a period (`is_throttled`).
Context: never sleeps; called from interrupts too. Only `admit` allocates.
Source: sched(7), sched_setattr(2); Linux's document scheduler/sched-deadline; L. Abeni, G. Buttazzo, "Integrating
Multimedia Applications in Hard Real-Time Systems", 1998; G. Lipari, S. Baruah, "Greedy reclamation of unused bandwidth
in constant-bandwidth servers", 2000.
"""

from typing import Final

from kernel.lang import final
from kernel.sched.balance import wake_somewhere
from kernel.sched.processor import RUNNING, this_processor
from kernel.sched.realtime import BANDWIDTH, RATIO_SHIFT, ratio
from kernel.sched.thread import SCHED_DEADLINE, Thread, ThreadState
from kernel.time.timers import FOREVER_NS, Timer

FLAG_RECLAIM: Final = 2  # SCHED_FLAG_RECLAIM
FLAG_OVERRUN: Final = 4  # SCHED_FLAG_DL_OVERRUN

_MOST_NS: Final = 1 << 42  # longer times count as this: no period is longer
_MOST_DEBT_NS: Final = 1 << 30
_FAR_NS: Final = 1 << 61  # no deadline is further away
_EXACT_NS: Final = 1 << RATIO_SHIFT


@final
class DeadlineServer(Timer):
    """What a thread asked for, and what it has of that. Its timer waits for the next period or the 0-lag time."""

    def __init__(self, runtime_ns: int, relative_ns: int, period_ns: int, flags: int) -> None:
        super().__init__()
        self.thread: Thread | None = None  # None: it ended, or has another policy
        self.runtime_ns: int = runtime_ns
        self.relative_ns: int = relative_ns  # from the beginning of a period to its deadline
        self.period_ns: int = period_ns
        self.flags: int = flags
        self.bandwidth: int = ratio(runtime_ns, period_ns)
        self.absolute_ns: int = 0  # the present deadline
        self.is_throttled: bool = False
        self.has_yielded: bool = False  # the rest of the budget is given away
        self.is_active: bool = False  # its part of the time counts among those in use
        self.has_overrun: bool = False  # the program wants to know, and does not yet

    def expire(self, now_ns: int) -> int:
        thread = self.thread
        if thread is not None and self.is_throttled:
            self.is_throttled = False
            _fill_up(thread, self, now_ns)
            _queue(thread, now_ns)
            return FOREVER_NS
        self.deactivate()
        if thread is None:
            BANDWIDTH.admitted -= self.bandwidth
            return 0
        return FOREVER_NS

    def next_period_ns(self) -> int:
        """When the period after the present deadline's begins."""
        return self.absolute_ns - self.relative_ns + self.period_ns

    def activate(self) -> None:
        """The thread is ready."""
        if not self.is_active:
            self.is_active = True
            BANDWIDTH.active += self.bandwidth

    def deactivate(self) -> None:
        """Others may have its part of the time."""
        if self.is_active:
            self.is_active = False
            BANDWIDTH.active -= self.bandwidth

    def change(self, runtime_ns: int, relative_ns: int, period_ns: int, flags: int) -> None:
        """The thread asks for something else: that holds from the next period on."""
        fresh = ratio(runtime_ns, period_ns)
        BANDWIDTH.admitted += fresh - self.bandwidth
        if self.is_active:
            BANDWIDTH.active += fresh - self.bandwidth
        self.bandwidth = fresh
        self.runtime_ns = runtime_ns
        self.relative_ns = relative_ns
        self.period_ns = period_ns
        self.flags = flags
        self.has_overrun = self.has_overrun and flags & FLAG_OVERRUN != 0

    def start_anew(self, now_ns: int) -> int:
        """A period begins now; returns its budget."""
        self.absolute_ns = now_ns + self.relative_ns
        self.has_yielded = False
        return self.runtime_ns

    def zero_lag_ns(self, budget_ns: int) -> int:
        """When a thread that used its budget at its rate would have used this rest."""
        left_ns = max(-self.runtime_ns, min(budget_ns, self.runtime_ns))
        return self.absolute_ns - (self.period_ns * ((left_ns << RATIO_SHIFT) // self.runtime_ns) >> RATIO_SHIFT)

    def part_ns(self, now_ns: int) -> int:
        """Its part of the time until the deadline."""
        left_ns = min(self.absolute_ns - now_ns, _MOST_NS)
        if self.runtime_ns <= _EXACT_NS:
            return left_ns * self.runtime_ns // self.relative_ns
        return left_ns * ratio(self.runtime_ns, self.relative_ns) >> RATIO_SHIFT

    def note_overrun(self, budget_ns: int) -> None:
        """The thread stops with this rest of its budget: if none is left, the program may want to know."""
        if budget_ns <= 0 and self.flags & FLAG_OVERRUN != 0:
            self.has_overrun = True

    def forget(self) -> None:
        """It no longer counts."""
        if self.is_armed():
            self.deactivate()
            BANDWIDTH.admitted -= self.bandwidth
            self.cancel()


def is_throttled(thread: Thread) -> bool:
    """Whether a ready thread is on no queue because it waits for its next period."""
    server = thread.server
    return server is not None and server.is_throttled


def own_deadline_ns(thread: Thread) -> int:
    """The deadline of a thread's own; 0 if it has none."""
    server = thread.server
    return 0 if server is None or server.thread is None else server.absolute_ns


def take_overrun(thread: Thread) -> bool:
    """Whether the program wants to know of an overrun that it does not know of yet; it does now."""
    server = thread.server
    if server is None or not server.has_overrun:
        return False
    server.has_overrun = False
    return True


# Having deadlines -----------------------------------------------------------------------------------------------------


def admit(thread: Thread, runtime_ns: int, relative_ns: int, period_ns: int, flags: int) -> DeadlineServer:
    """Create or change a thread's server, for `begin`. Raises EBUSY if too little time is left, MemoryError."""
    server = thread.server
    fresh = ratio(runtime_ns, period_ns)
    if thread.wishes.policy == SCHED_DEADLINE and server is not None:
        BANDWIDTH.check(server.bandwidth, fresh)
        server.change(runtime_ns, relative_ns, period_ns, flags)
        return server
    BANDWIDTH.check(0, fresh)
    made = DeadlineServer(runtime_ns, relative_ns, period_ns, flags)
    made.suspend()
    if server is not None:
        server.forget()  # the part that it had has not been given away yet
    BANDWIDTH.admitted += fresh
    return made


def begin(thread: Thread, server: DeadlineServer, now_ns: int) -> None:
    """A thread that is on no queue has deadlines from now on."""
    server.thread = thread
    thread.server = server
    thread.wishes.policy = SCHED_DEADLINE
    thread.wishes.realtime_priority = 0
    thread.turn.slice_ns = server.start_anew(now_ns)
    if thread.state == ThreadState.READY or thread.state == ThreadState.RUNNING:
        server.activate()
    thread.order_by(server.absolute_ns)


def end(thread: Thread, now_ns: int) -> None:
    """A thread that is on no queue has no deadlines any more. Its part of the time is kept until the 0-lag time."""
    server = thread.server
    if server is None or server.thread is None:
        return
    server.is_throttled = False
    server.thread = None
    zero_lag_ns = server.zero_lag_ns(thread.turn.slice_ns)
    if server.is_active and zero_lag_ns > now_ns:
        server.move(zero_lag_ns)
    else:
        server.forget()
    thread.turn.slice_ns = 0
    thread.order_by(0)


# Budgets --------------------------------------------------------------------------------------------------------------


def charge(thread: Thread, elapsed_ns: int) -> None:
    """A thread with deadlines has run for that long. Unused time of others may have been part of it."""
    server = thread.server
    if server is None:
        return
    elapsed_ns = min(elapsed_ns, _MOST_DEBT_NS)
    if server.flags & FLAG_RECLAIM != 0:
        used = max(server.bandwidth, BANDWIDTH.in_use())
        limit = max(BANDWIDTH.limit(), 1)
        elapsed_ns = elapsed_ns * min(used, limit) // limit
    thread.turn.slice_ns = max(thread.turn.slice_ns - elapsed_ns, -_MOST_DEBT_NS)


def throttle(thread: Thread, now_ns: int) -> bool:
    """A thread has no budget left, or gives the rest away: whether it has to wait for its next period. It does not if
    that has begun, or if others with deadlines wait for a lock that it has.
    """
    server = thread.server
    if server is None or server.thread is None:
        return False
    server.note_overrun(thread.turn.slice_ns)
    due_ns = server.next_period_ns()
    if due_ns <= now_ns or thread.precedence.lent_deadline_ns != 0:
        _fill_up(thread, server, now_ns)
        return False
    server.is_throttled = True
    server.move(due_ns)
    return True


def give_away(thread: Thread, now_ns: int) -> bool:
    """The same for a thread that has budget, which it does not want in this period."""
    server = thread.server
    if server is not None:
        server.has_yielded = True
    return throttle(thread, now_ns)


def release(thread: Thread, now_ns: int) -> None:
    """Others with deadlines wait for a lock that a thread has, which waits for its next period: that begins now. The
    caller queues the thread.
    """
    server = thread.server
    if server is not None and server.is_throttled:
        server.is_throttled = False
        server.move(FOREVER_NS)
        _fill_up(thread, server, now_ns)


def stop(thread: Thread, now_ns: int) -> None:
    """A thread with deadlines gives up the processor: it sleeps, or could go on if it has budget left."""
    if thread.state == ThreadState.RUNNING:
        if thread.turn.slice_ns <= 0 and throttle(thread, now_ns):
            thread.accounts.involuntary_switches += 1
            thread.state = ThreadState.READY
    elif thread.state != ThreadState.READY:
        fall_asleep(thread, now_ns)


def fall_asleep(thread: Thread, now_ns: int) -> None:
    """A thread with deadlines sleeps."""
    server = thread.server
    if server is None or server.thread is None:
        return  # it has ended
    server.note_overrun(thread.turn.slice_ns)
    zero_lag_ns = server.zero_lag_ns(thread.turn.slice_ns)
    if zero_lag_ns > now_ns:
        server.move(zero_lag_ns)
    else:
        server.deactivate()


def wake_up(thread: Thread, now_ns: int) -> bool:
    """A thread with deadlines wakes: whether it may run before its next period."""
    server = thread.server
    if server is None:
        return True
    server.move(FOREVER_NS)
    server.activate()
    if thread.turn.slice_ns <= 0 and server.next_period_ns() <= now_ns:
        _fill_up(thread, server, server.next_period_ns())
    due_ns = server.next_period_ns()
    is_shorter = server.relative_ns != server.period_ns
    is_past = server.absolute_ns < now_ns
    if thread.precedence.lent_deadline_ns != 0:
        if thread.turn.slice_ns <= 0:
            _fill_up(thread, server, now_ns)
    elif now_ns < due_ns and (thread.turn.slice_ns <= 0 or (is_shorter and is_past)):
        thread.turn.slice_ns = min(thread.turn.slice_ns, 0)
        server.is_throttled = True
        server.move(due_ns)
        return False
    elif is_shorter and not is_past:
        thread.turn.slice_ns = min(thread.turn.slice_ns, server.part_ns(now_ns))
    elif is_past or thread.turn.slice_ns > server.part_ns(now_ns):
        thread.turn.slice_ns = server.start_anew(now_ns)
    thread.order_by(server.absolute_ns)
    return True


def _fill_up(thread: Thread, server: DeadlineServer, now_ns: int) -> None:
    """A period begins: more budget, to be used by a later deadline. Debts cost further periods."""
    if server.has_yielded:
        thread.turn.slice_ns = min(thread.turn.slice_ns, 0)
        server.has_yielded = False
    if thread.turn.slice_ns <= 0:
        periods = -thread.turn.slice_ns // server.runtime_ns + 1
        thread.turn.slice_ns += periods * server.runtime_ns
        server.absolute_ns = min(server.absolute_ns + periods * server.period_ns, now_ns + _FAR_NS)
    if server.absolute_ns < now_ns:  # it is far behind
        thread.turn.slice_ns = server.start_anew(now_ns)
    thread.order_by(server.absolute_ns)


def _queue(thread: Thread, now_ns: int) -> None:
    """A thread that waited for its period is ready to run."""
    processor = this_processor()
    if RUNNING.several:
        wake_somewhere(processor, thread, now_ns)
        return
    processor.queue.add_woken(thread)
    if processor.queue.outranks(thread, RUNNING.current):
        RUNNING.request_reschedule()
