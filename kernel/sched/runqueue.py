"""The run queue of one processor: which ready thread runs next. Pure bookkeeping, no processor.

Threads with deadlines come first, the earliest deadline before the others (deadline.py); then real-time threads
(SCHED_FIFO, SCHED_RR), by priority, until they have had their share of the time (`pauses_realtime`). All others share
the processor in rounds: a thread has a slice a round, whose length follows its nice value by steps of 5/4, and waits in
`expired` once it is used up; when no thread is left in `active`, the lists change places. A woken thread goes to the
head, with a new slice if a round has begun since it got the last one, else with the rest of that: so threads that wait
for input run before threads that compute, and none gets two slices in a round of its queue by sleeping. The threads of
a control group share the slice of one (bandwidth.py).

So rounds end: a thread gets a slice only by `begin_slice` and `begin_in`, one a round, and everything else that moves
slices (fork, exit) divides existing ones. The exception is a thread with a lent real-time priority: it goes before all
rounds, and has a new slice whenever it has used one. If no thread is ready, a round ends too.

Processors use rounds to stay in step: one that has finished its round takes a thread that is due before its own
elsewhere (balance.py). So each thread gets its slice a round, wherever it waits.

Rejected: a tree by virtual run time. It orders a handful of threads no better, and a list costs no rebalancing. Also
rejected: paying a thread back for its sleep. Two threads that wake each other in turn would not let others run.

Invariants: a thread is on at most one list (`turn.queue_index` says which), of the processor that its field `processor`
names, and may run there; linking allocates nothing, so waking never fails. A thread's `round` never goes back.
Source: sched(7); for the rounds T. Li, D. Baumberger, S. Hahn, "Efficient and Scalable Multiprocessor Fair Scheduling
Using Distributed Weighted Round-Robin", 2009.
"""

from typing import Final

from kernel.lang import final, inline, noinline
from kernel.sched.bandwidth import BASE_SLICE_NS, load_of
from kernel.sched.thread import DEADLINE_URGENCY, NICE_LOWEST, SCHED_DEADLINE, SCHED_IDLE, SCHED_RR, Thread
from kernel.sched.thread_list import RealtimeLists, ThreadList

_IDLE_SLICE_NS: Final = 20_000  # SCHED_IDLE: a three-hundredth of nice 0
_RR_SLICE_NS: Final = 100_000_000
LONGEST_TURN_NS: Final = 100_000_000  # that a thread may ask for
SHORTEST_TURN_NS: Final = 100_000
_DEBT_LIMIT_NS: Final = LONGEST_TURN_NS
_MOST_ROUNDS: Final = 8192  # of the shortest slice, more pay any debt
_MOST_PASSED_OVER: Final = 512  # threads that skip a round, before one runs in spite of that: nothing else is served

# nice -20 … 19
SLICES_NS: Final[list[int]] = [
    BASE_SLICE_NS * 5 ** max(0, -nice) * 4 ** max(0, nice) // (4 ** max(0, -nice) * 5 ** max(0, nice))
    for nice in range(-20, 20)
]


def slice_of(thread: Thread) -> int:
    """How long a thread may run in a round, in nanoseconds."""
    if thread.wishes.policy == SCHED_RR:
        return _RR_SLICE_NS
    share = thread.share
    if share is not None:
        return share.slice_for(own_slice(thread))
    return own_slice(thread)


def begin_slice(thread: Thread, round_number: int) -> int:
    """A thread gets a slice of a round: its length in nanoseconds."""
    share = thread.share
    if share is not None:
        used_ns = thread.turn.length_ns - max(thread.turn.slice_ns, 0)
        share.count_slice(thread.charges.load, used_ns, thread.turn.length_ns, round_number)
    thread.turn.round = max(thread.turn.round, round_number)
    thread.turn.length_ns = slice_of(thread)
    return thread.turn.length_ns


def renew_slice(thread: Thread, round_number: int) -> None:
    """A round begins for a thread. One that overran its slice by more than a new one gets none, and skips the round."""
    thread.turn.slice_ns = max(thread.turn.slice_ns, -_DEBT_LIMIT_NS) + begin_slice(thread, round_number)


@inline
def catch_up(thread: Thread, round_number: int) -> None:
    """A thread of the fair classes wakes in a round: it has a slice of that, if it has not had one yet."""
    if thread.turn.round < round_number:
        _catch_up(thread, round_number)


@noinline
def _catch_up(thread: Thread, round_number: int) -> None:
    """The slices of rounds that it slept through pay its debt."""
    passed = min(round_number - thread.turn.round, _MOST_ROUNDS)
    length = begin_slice(thread, round_number)
    thread.turn.slice_ns = min(length, max(thread.turn.slice_ns, -_DEBT_LIMIT_NS) + passed * length)


def sits_out(thread: Thread) -> bool:
    """Whether a thread without a slice gets none in its next round either."""
    return max(thread.turn.slice_ns, -_DEBT_LIMIT_NS) + thread.turn.length_ns <= 0


def begin_in(thread: Thread, due: int, round_number: int) -> None:
    """Give a thread its slice in the round in which it is due, on a queue that is in another; if it is due before
    that, at once.
    """
    if thread.turn.slice_ns <= 0:
        debt = min(-thread.turn.slice_ns, _DEBT_LIMIT_NS)
        length = begin_slice(thread, round_number) if due <= round_number else slice_of(thread)
        thread.turn.length_ns = length
        thread.turn.slice_ns = length - debt % length
    thread.turn.slice_ns -= max(0, due - round_number) * thread.turn.length_ns


# A thread may ask for turns of a length of its own (sched_setattr(2)), which does not change its share. Shorter ones
# divide its slice: it goes to the back of `active` after each, and when it wakes, it runs before threads with longer
# turns. For a longer one it overruns its slice, and then skips the rounds that pay for that.


@inline
def has_had_turn(thread: Thread) -> bool:
    """Whether a running thread lets its equals run now."""
    return thread.turn.slice_ns <= 0 if thread.precedence.wanted_ns == 0 else _has_had_wanted(thread)


@noinline
def _has_had_wanted(thread: Thread) -> bool:
    if not thread.has_fair_policy():
        return thread.turn.slice_ns <= 0
    wanted_ns = thread.precedence.wanted_ns
    if thread.accounts.runtime_ns - thread.precedence.turn_ns >= wanted_ns:
        return True
    return thread.turn.slice_ns <= 0 and (wanted_ns <= thread.turn.length_ns or thread.turn.slice_ns <= -_DEBT_LIMIT_NS)


def turn_of(thread: Thread) -> int:
    """How long a thread of the fair classes runs at a time, whatever its share is, in nanoseconds."""
    wanted_ns = thread.precedence.wanted_ns
    return BASE_SLICE_NS if wanted_ns == 0 else wanted_ns


@inline
def _goes_first(woken: Thread, running: Thread) -> bool:
    """Whether a woken thread goes before a running one, both of the fair classes."""
    if woken.precedence.wanted_ns != running.precedence.wanted_ns and woken.turn.slice_ns > 0:
        return turn_of(woken) < turn_of(running)
    # Threads that wake each other in turn use their slices alike: a little more must not cost one its turn.
    lead_ns = woken.turn.length_ns >> 1 if woken.turn.slice_ns > 0 else 0
    return woken.turn.slice_ns + lead_ns > running.turn.slice_ns


def own_slice(thread: Thread) -> int:
    """The same, whatever group it is in."""
    if thread.wishes.policy == SCHED_IDLE:
        return _IDLE_SLICE_NS
    return SLICES_NS[thread.wishes.nice - NICE_LOWEST]


@noinline
def begin_to_count(thread: Thread) -> None:
    """A thread with a share of a group's time becomes ready."""
    share = thread.share
    if share is not None and thread.charges.load == 0:
        thread.charges.load = load_of(own_slice(thread))
        share.add_load(thread.charges.load)


@noinline
def count_no_more(thread: Thread) -> None:
    """A thread with a share of a group's time sleeps, or has ended."""
    share = thread.share
    if share is not None and thread.charges.load > 0:
        share.take_load(thread.charges.load)
        thread.charges.load = 0


def divide_slice(parent: Thread, child: Thread) -> None:
    """A child starts with half of the rest of its parent's slice. A budget is not divided (deadline.py)."""
    if parent.wishes.policy != SCHED_DEADLINE:
        child.turn.slice_ns = max(parent.turn.slice_ns, 0) // 2
        parent.turn.slice_ns -= child.turn.slice_ns
    child.turn.round = parent.turn.round


@noinline
def leave_slice(thread: Thread, heir: Thread) -> None:
    """A thread ends: another of the fair classes that does not wait for a processor gets the rest of its slice."""
    if heir.turn.queue_index == 0 and not heir.is_realtime() and not thread.is_realtime():
        if thread.turn.slice_ns > 0 and heir.turn.slice_ns < heir.turn.length_ns:
            heir.turn.slice_ns = min(heir.turn.length_ns, heir.turn.slice_ns + thread.turn.slice_ns)
            thread.turn.slice_ns = 0


_FIRST: Final = 2
_SECOND: Final = 3


@final
class RunQueue:
    """The ready threads of a processor."""

    def __init__(self) -> None:
        self.realtime: RealtimeLists = RealtimeLists()
        self.active: ThreadList = ThreadList(_FIRST)
        self.expired: ThreadList = ThreadList(_SECOND)
        self.pauses_realtime: bool = False  # real-time threads have had their share: others go first, if there are any
        self.round: int = 0

    def has_fair(self) -> bool:
        """Whether any thread waits that is not a real-time thread."""
        return self.active.head is not None or self.expired.head is not None

    def ready_count(self) -> int:
        """How many threads wait for the processor."""
        return self.realtime.count + self.active.count + self.expired.count

    def has_ready(self) -> bool:
        """Whether any thread waits for the processor."""
        return self.realtime.count != 0 or self.active.head is not None or self.expired.head is not None

    def movable_count(self) -> int:
        """How many of them may run elsewhere."""
        return self.ready_count() - self.realtime.bound - self.active.bound - self.expired.bound

    def first_for(self, processor: int) -> Thread | None:
        """The next of the threads waiting here that another processor may run."""
        thread = self.realtime.first_for(processor)
        if thread is None:
            thread = self.active.first_for(processor)
        return self.expired.first_for(processor) if thread is None else thread

    @inline
    def add_woken(self, thread: Thread) -> None:
        """Queue a thread that wakes."""
        if thread.is_realtime():
            self.realtime.push_last(thread)
            return
        catch_up(thread, self.round)
        if thread.turn.slice_ns > 0:
            self.active.push_head(thread)
        else:
            self.expired.push_tail(thread)

    def add_yielded(self, thread: Thread) -> None:
        """A thread gives up the processor, or its turn ended: it goes to the back."""
        if thread.is_realtime():
            if thread.turn.slice_ns <= 0 and thread.wishes.policy != SCHED_DEADLINE:
                thread.turn.length_ns = slice_of(thread)
                thread.turn.slice_ns = thread.turn.length_ns
            self.realtime.push_last(thread)
        elif thread.turn.slice_ns > 0:
            self.active.push_tail(thread)
        else:
            self.expired.push_tail(thread)

    def add_preempted(self, thread: Thread) -> None:
        """A thread lost the processor before its slice ended: it is next among its equals."""
        if thread.is_realtime():
            self.realtime.push_first(thread)
        elif thread.turn.slice_ns > 0:
            self.active.push_head(thread)
        else:
            self.expired.push_tail(thread)

    def remove(self, thread: Thread) -> None:
        """Remove a thread that waits here, to change its priority or to move it."""
        if thread.turn.queue_index == self.active.index:
            self.active.remove(thread)
        elif thread.turn.queue_index == self.expired.index:
            self.expired.remove(thread)
        elif thread.turn.queue_index != 0:
            self.realtime.remove(thread)

    def take_off(self, thread: Thread) -> None:
        """The same, for one that comes back at once: if its turn has come in this round, it keeps that."""
        if thread.turn.queue_index == self.active.index and thread.turn.slice_ns <= 0:
            renew_slice(thread, self.round)
        self.remove(thread)

    def take(self) -> Thread | None:
        """The thread that the processor runs next, taken off the queue; None if none is ready for it."""
        first = self.realtime
        if first.count != 0 and (not self.pauses_realtime or first.has_deadlines() or not self.has_fair()):
            return first.take()
        passed_over = 0
        while True:
            thread = self.active.first()
            if thread is None:
                if self.expired.head is None:
                    return None
                self._next_round()
                continue
            self.active.remove(thread)
            if thread.turn.slice_ns <= 0:
                renew_slice(thread, self.round)
                if thread.turn.slice_ns <= 0 and passed_over < _MOST_PASSED_OVER:
                    passed_over += 1
                    self.expired.push_tail(thread)
                    continue
            return thread

    def _next_round(self) -> None:
        done = self.active
        self.active = self.expired
        self.expired = done
        self.round += 1

    def outranks(self, woken: Thread, running: Thread) -> bool:
        """Whether a woken thread should have the processor at once."""
        if woken.is_realtime():
            return woken.goes_before(running) if running.is_realtime() else not pauses(self, woken)
        if running.is_realtime():
            return pauses(self, running)
        if running.wishes.policy == SCHED_IDLE:
            return woken.wishes.policy != SCHED_IDLE
        return _goes_first(woken, running)


def due_on(queue: RunQueue, thread: Thread) -> int:
    """The round in which a thread that waits on a queue has its next slice."""
    due = queue.round + (1 if thread.turn.queue_index == queue.expired.index else 0)
    if thread.turn.slice_ns <= 0:
        due += min(-thread.turn.slice_ns, _DEBT_LIMIT_NS) // thread.turn.length_ns
    return due


def pauses(queue: RunQueue, thread: Thread) -> bool:
    """Whether threads of the fair classes go before one that is not, if there are any."""
    return queue.pauses_realtime and thread.urgency != DEADLINE_URGENCY
