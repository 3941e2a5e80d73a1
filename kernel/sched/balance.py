"""Which processor runs which thread. Each has its own queue; this moves threads between them.

- *Waking.* A thread goes where it ran last if that processor is idle, else to another idle one. If there is none, it
  takes the place of a thread that it outranks: where it ran last, or here. Otherwise it waits where it ran last,
  because its data are in the caches there. A real-time thread, or one with a deadline, takes the place of the least
  urgent thread that it outranks, on any processor.
- *Leaving soon.* Two threads that wake each other in turn run no faster on two processors, and each wake-up would
  interrupt a halted one. So a thread that usually sleeps soon after it woke another keeps that one here, until the
  next tick at most.
- *Starting.* A child waits after its parent until a processor pulls it, at once if one is idle.
- *Pulling.* A processor with nothing to do takes a thread from the longest queue. One that has finished its round takes
  one that waits elsewhere and is due in an earlier round than all that wait here; without one, it begins the next.
  Before a processor runs a thread, it takes a more urgent one that waits elsewhere.
- *Asking.* A thread is only queued or pulled. A processor that should check is interrupted.

The queue of another processor is accessed through `queue_of`, when a thread is put there (`wake_somewhere`,
`start_somewhere`, `move_away`) and in `_first_elsewhere`, `_due_elsewhere`, `_pull_realtime` and `_pull`. All else that
is read of it (counts, the round, what runs) is a guess that may be stale.

Invariants: a READY thread is on the queue of PROCESSORS[thread.processor], and may run there. No thread waits for
longer than a tick while a processor that may run it is idle. The caller holds the kernel lock.
Context: never sleeps, allocates nothing; called from interrupts too.
"""

from typing import Final

from kernel.lang import final, noinline
from kernel.lib.panic import PANIC
from kernel.sched.processor import PROCESSORS, RUNNING, Processor, interrupt, running_on
from kernel.sched.runqueue import RunQueue, begin_in, catch_up, due_on, sits_out
from kernel.sched.thread import DEADLINE_URGENCY, LONG_NS, SCHED_IDLE, Thread, ThreadState
from kernel.sched.thread_list import REALTIME_WAITING, ThreadList

TICK_NS: Final = 4_000_000  # while a processor runs threads
SOON_NS: Final = 50_000  # about as long as waking a halted processor and running a thread there takes


_MOST_BEHIND: Final = 3  # rounds, and those of a tick; threads bound to a processor may hold it up
_MOST_LOOKED_AT: Final = 32  # threads of a list examined to find the one that is due first
_MOST_OFFERED: Final = 8  # real-time threads of a queue at a time
_NEVER: Final = 1 << 62  # a round


@final
class Rounds:
    """The highest round that a processor has begun."""

    def __init__(self) -> None:
        self.highest: int = 0


ROUNDS: Final = Rounds()


def queue_of(thread: Thread) -> RunQueue:
    """The queue that a thread waits on."""
    return PROCESSORS[thread.processor].queue


def ready_everywhere() -> int:
    """How many threads wait for a processor."""
    count = 0
    for processor in PROCESSORS:
        count += processor.queue.ready_count()
    return count


# Placing --------------------------------------------------------------------------------------------------------------


@noinline
def wake_somewhere(this: Processor, thread: Thread, now_ns: int) -> None:
    """Queue a woken thread where it should run, and notify that processor."""
    if not thread.is_realtime():
        catch_up(thread, PROCESSORS[thread.processor].queue.round)
    if _leaves_soon(this, thread):
        _put(thread, this)
        this.queue.add_woken(thread)
    else:
        chosen = _place_for(this, thread)
        _put(thread, chosen)
        chosen.queue.add_woken(thread)
        _tell(this, chosen, thread)
    if not PANIC.in_interrupt:
        RUNNING.current.overlap.woke_at_ns = now_ns


@noinline
def start_somewhere(this: Processor, thread: Thread) -> None:
    """Queue a new thread: it stays with its parent, but a processor that is idle, or runs something less urgent than a
    real-time thread, is asked to take it.
    """
    leaves_soon = _leaves_soon(this, thread)
    RUNNING.current.overlap.woke_at_ns = thread.accounts.started_ns
    chosen = this if thread.may_run_on(this.number) else _place_for(this, thread)
    _put(thread, chosen)
    chosen.queue.add_yielded(thread)
    if chosen is not this:
        _tell(this, chosen, thread)
    elif not leaves_soon:
        other = _idle_processor(this, thread)
        if other is None and thread.is_realtime():
            other = _least_urgent(this, thread, this)
        if other is not None and other is not this:
            interrupt(other)


@noinline
def move_away(this: Processor, thread: Thread) -> None:
    """Queue a thread that was ready or running where it may no longer run."""
    chosen = _place_for(this, thread)
    _put(thread, chosen)
    chosen.queue.add_preempted(thread)
    _tell(this, chosen, thread)


@noinline
def announce_again(this: Processor, thread: Thread) -> None:
    """A ready thread has another priority: a processor may have to preempt its thread, and then pulls this one."""
    chosen = _place_for(this, thread)
    home = PROCESSORS[thread.processor]
    _tell(this, chosen if chosen.idle or thread.is_realtime() else home, thread)


def _put(thread: Thread, processor: Processor) -> None:
    if thread.processor != processor.number:
        thread.processor = processor.number
        thread.accounts.migrations += 1


def _leaves_soon(this: Processor, thread: Thread) -> bool:
    """Whether the running thread will soon make room for the new one, so that no processor need be asked."""
    current = RUNNING.current
    return (
        current.overlap.usual_ns < SOON_NS
        and current.wishes.policy != SCHED_IDLE  # it has to yield at once
        and not PANIC.in_interrupt
        and not this.idle
        and current.state == ThreadState.RUNNING
        and not this.queue.has_ready()
        and not thread.is_realtime()
        and not current.is_realtime()
        and thread.may_run_on(this.number)
    )


def _place_for(this: Processor, thread: Thread) -> Processor:
    """The processor on whose queue a thread should be."""
    idle = _idle_processor(this, thread)
    if idle is not None:
        return idle
    home = PROCESSORS[thread.processor]
    if thread.is_realtime():
        weakest = _least_urgent(home, thread, None)
        if weakest is not None:
            return weakest
    elif _outranked(home, thread):
        return home
    elif _outranked(this, thread):
        return this
    else:
        for processor in PROCESSORS:
            if running_on(processor).wishes.policy == SCHED_IDLE and _outranked(processor, thread):
                return processor
    if thread.may_run_on(home.number):
        return home
    return _shortest(this, thread)


def _idle_processor(this: Processor, thread: Thread) -> Processor | None:
    """An idle processor that may run the thread: this one, which is awake, or the one where it ran last, if
    possible.
    """
    if this.idle and not this.queue.has_ready() and thread.may_run_on(this.number):
        return this
    home = PROCESSORS[thread.processor]
    if home.idle and not home.need_resched and thread.may_run_on(home.number):
        return home
    for processor in PROCESSORS:
        if processor.idle and not processor.need_resched and thread.may_run_on(processor.number):
            return processor
    return None


def _outranked(processor: Processor, thread: Thread) -> bool:
    """Whether the thread should replace the one that runs there."""
    return thread.may_run_on(processor.number) and processor.queue.outranks(thread, running_on(processor))


def _least_urgent(home: Processor, thread: Thread, excluded: Processor | None) -> Processor | None:
    """Of the processors whose threads a real-time thread outranks, one with the least urgent, its own if possible. One
    that was already asked is about to check by itself.
    """
    found: Processor | None = None
    if home is not excluded and not home.need_resched and _outranked(home, thread):
        found = home
    for processor in PROCESSORS:
        if processor is excluded or processor.need_resched:
            continue
        if found is not None and not running_on(found).goes_before(running_on(processor)):
            continue
        if _outranked(processor, thread):
            found = processor
    return found


def _shortest(this: Processor, thread: Thread) -> Processor:
    """Of the queues on which a thread may wait, the shortest."""
    found = this
    least = -1
    for processor in PROCESSORS:
        count = processor.queue.ready_count()
        if (least < 0 or count < least) and thread.may_run_on(processor.number):
            found = processor
            least = count
    return found


def _tell(this: Processor, chosen: Processor, thread: Thread) -> None:
    """Notify a processor that it may have to run a waiting thread at once."""
    if chosen is this:
        if not this.idle and this.queue.outranks(thread, RUNNING.current):
            RUNNING.request_reschedule()
    elif not chosen.need_resched and (chosen.idle or chosen.queue.outranks(thread, chosen.current)):
        interrupt(chosen)


# Taking ---------------------------------------------------------------------------------------------------------------


@noinline
def take_of_all(processor: Processor, previous: Thread) -> Thread | None:
    """The thread that a processor runs next, taken off its queue: it may have come from another one. None if
    there is none. `previous` is the thread it has run.
    """
    queue = processor.queue
    if REALTIME_WAITING.count != queue.realtime.count:
        _pull_realtime(processor, previous)
    if queue.realtime.count == 0:
        first = queue.active.first()
        if first is None or (first.turn.slice_ns <= 0 and sits_out(first)):
            if previous.state != ThreadState.RUNNING or previous.turn.slice_ns <= 0:
                _end_round(processor)
    thread = queue.take()
    ROUNDS.highest = max(ROUNDS.highest, queue.round)
    return thread


def idle_round(queue: RunQueue) -> None:
    """No thread is ready for a processor, so none has to wait for another's round to end. Rounds of several processors
    are compared, so this one just keeps up, unless the whole machine is idle.
    """
    if not RUNNING.several:
        queue.round += 1
        return
    if _all_idle():
        ROUNDS.highest += 1
    queue.round = ROUNDS.highest


def _all_idle() -> bool:
    for processor in PROCESSORS:
        if not processor.idle:
            return False
    return True


def _pull_realtime(processor: Processor, previous: Thread) -> None:
    """Real-time threads wait elsewhere: take the most urgent one, if it goes before all that this processor has."""
    queue = processor.queue
    goes_on = previous.state == ThreadState.RUNNING and not previous.is_realtime()  # a real-time thread is queued
    pauses = queue.pauses_realtime and (goes_on or queue.has_fair())
    first = queue.realtime.first()
    found: Thread | None = None
    for other in PROCESSORS:
        if other is not processor and other.queue.realtime.count != 0:
            thread = other.queue.realtime.first_for(processor.number)
            if thread is None or (pauses and thread.urgency != DEADLINE_URGENCY):
                continue
            if first is None or thread.goes_before(first):
                found = thread
                first = thread
    if found is not None:
        _pull(processor, found)


def _end_round(processor: Processor) -> None:
    """End the round: no thread here has anything left of it."""
    queue = processor.queue
    own = _earliest(queue, processor.number, _NEVER)
    thread = _first_elsewhere(processor) if own is None else _due_elsewhere(processor, due_on(queue, own))
    if thread is not None:
        _pull(processor, thread)
    elif own is not None:
        most_behind = _MOST_BEHIND + TICK_NS // own.turn.length_ns
        queue.round += max(0, ROUNDS.highest - most_behind - due_on(queue, own))


def _first_elsewhere(processor: Processor) -> Thread | None:
    """Of the threads that this processor may run, one from the longest queue."""
    found: Thread | None = None
    most = 0
    for other in PROCESSORS:
        count = other.queue.movable_count()
        if count > most and other is not processor:
            thread = other.queue.first_for(processor.number)
            if thread is not None:
                found = thread
                most = count
    return found


def _due_elsewhere(processor: Processor, before: int) -> Thread | None:
    """Of the threads that this processor may run, the one that is due first, if that is before all that wait here."""
    found: Thread | None = None
    for other in PROCESSORS:
        if other is not processor:
            thread = _earliest(other.queue, processor.number, before)
            if thread is not None:
                found = thread
                before = due_on(other.queue, thread)
    return found


def _earliest(queue: RunQueue, number: int, before: int) -> Thread | None:
    """Of the threads on a queue that a processor may run, the one that is due first, if that is before a round."""
    found = _earliest_of(queue, queue.active, queue.round, number, before)
    if found is not None:
        before = due_on(queue, found)
    later = _earliest_of(queue, queue.expired, queue.round + 1, number, before)
    return found if later is None else later


def _earliest_of(queue: RunQueue, threads: ThreadList, least: int, number: int, before: int) -> Thread | None:
    """The same for one list, among the first few; none is due before `least`."""
    found: Thread | None = None
    if least >= before:
        return None
    thread = threads.first() if PROCESSORS[number].queue is queue else threads.first_for(number)
    left = _MOST_LOOKED_AT
    while thread is not None and left > 0 and least < before:
        if thread.may_run_on(number):
            due = due_on(queue, thread)
            if due < before:
                found = thread
                before = due
        thread = thread.after()
        left -= 1
    return found


def _pull(processor: Processor, thread: Thread) -> None:
    """Move a thread that waits elsewhere here, where it is due in the same round as before."""
    other = PROCESSORS[thread.processor].queue
    queue = processor.queue
    if not thread.is_realtime():
        due = due_on(other, thread)
        if not queue.has_fair():
            queue.round = due
        begin_in(thread, due, queue.round)
    other.remove(thread)
    _put(thread, processor)
    queue.add_preempted(thread)


# Helping the others ---------------------------------------------------------------------------------------------------


@noinline
def look_after_others(this: Processor, previous: Thread, now_ns: int) -> None:
    """A processor has chosen what it runs next: share the rest."""
    if previous.state != ThreadState.READY and previous.state != ThreadState.RUNNING:
        _note_departure(previous, now_ns)
    if this.queue.has_ready():
        share_work(this)
    if REALTIME_WAITING.count != 0:
        share_realtime(this)


def _note_departure(thread: Thread, now_ns: int) -> None:
    """The thread that ran sleeps: learn how soon after waking another."""
    if thread.overlap.woke_at_ns != 0:
        passed_ns = min(now_ns - thread.overlap.woke_at_ns, LONG_NS)
        thread.overlap.usual_ns = (thread.overlap.usual_ns * 3 + passed_ns) // 4
        thread.overlap.woke_at_ns = 0


def share_realtime(this: Processor) -> None:
    """Real-time threads wait: let one of each queue replace one that it outranks, on processors other than
    this one, which has just chosen. If the first may not run there, a later one may.
    """
    for processor in PROCESSORS:
        lists = processor.queue.realtime
        thread = lists.first()
        left = _MOST_OFFERED
        while thread is not None and left > 0:
            chosen = _least_urgent(processor, thread, this)
            if chosen is not None:
                interrupt(chosen)
                break
            thread = None if thread.allowed == -1 else lists.free_after(thread)
            left -= 1


@noinline
def share_work(this: Processor) -> None:
    """Let idle processors have threads that wait here."""
    left = this.queue.movable_count()
    if left == 0:
        return
    for processor in PROCESSORS:
        if processor is not this and processor.idle and not processor.need_resched:
            if this.queue.first_for(processor.number) is not None:
                interrupt(processor)
                left -= 1
                if left == 0:
                    return


@noinline
def share_at_tick(this: Processor) -> None:
    """A thread has run until the tick."""
    RUNNING.current.overlap.usual_ns = LONG_NS
    if this.queue.has_ready():
        share_work(this)
