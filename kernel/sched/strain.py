"""The scheduler's reports about threads, for the pressure of the machine and of groups (pressure.py).

Called only where it matters: while `MACHINE.is_noted`.

Context: never sleeps, allocates nothing.
"""

from kernel.lang import inline, noinline
from kernel.sched.pressure import (
    ABSENT,
    AT_DISK,
    IS_IN_GROUP,
    LACKS_MEMORY,
    MACHINE,
    READY,
    RUNNING_ON,
    WAITS_FOR_DISK,
    WOKEN,
    Pressure,
)
from kernel.sched.processor import PROCESSORS, RUNNING
from kernel.sched.thread import Thread, ThreadState
from kernel.time.clock import monotonic_ns


def _judge_machine(now_ns: int) -> None:
    active = 0
    for processor in PROCESSORS:
        active += processor.queue.ready_count() + (0 if processor.idle else 1)
    MACHINE.judge_by(active, now_ns)


def _somebody_waits() -> bool:
    """Whether a thread on any queue is ready but not running."""
    for processor in PROCESSORS:
        if processor.queue.has_ready():
            return True
    return False


def _stand(thread: Thread, standing: int, now_ns: int) -> None:
    """Change a thread's standing in its group, and in those above."""
    old = thread.charges.standing
    if old == standing:
        return
    lacks_memory = thread.charges.strain & LACKS_MEMORY != 0
    pressure = thread.pressure
    while pressure is not None:
        pressure.change(old, standing, lacks_memory, now_ns)
        pressure = pressure.above
    thread.charges.standing = standing


@noinline
def note_wake(thread: Thread, now_ns: int) -> None:
    """A thread has become ready, and is on the run queue."""
    strain = thread.charges.strain
    if MACHINE.is_on:
        MACHINE.begin_waiting(now_ns)
    if strain & ~IS_IN_GROUP != 0 or MACHINE.is_strained:
        MACHINE.bring_up(now_ns)
        if strain & WAITS_FOR_DISK != 0:
            MACHINE.counts[AT_DISK] -= 1
        if strain & LACKS_MEMORY != 0:
            MACHINE.lacking_active += 1
        _judge_machine(now_ns)
    pressure = thread.pressure
    if pressure is None:
        thread.charges.strain = strain & ~WAITS_FOR_DISK
    elif strain == IS_IN_GROUP and thread.charges.standing == ABSENT:
        WOKEN.note(pressure, now_ns)
        thread.charges.standing = READY
    else:
        thread.charges.strain = strain & ~WAITS_FOR_DISK
        WOKEN.count()
        _stand(thread, READY, now_ns)


@inline
def note_sleep(thread: Thread, now_ns: int) -> None:
    """The running thread leaves its processor, and is not ready: count that for the machine. What the processor does
    then is reported by `note_switch` or `note_idling`, and they change the thread's standing in its group.
    """
    if thread.charges.strain & ~IS_IN_GROUP != 0:
        _lack_asleep(thread.charges.strain, now_ns)


@noinline
def _lack_asleep(strain: int, now_ns: int) -> None:
    MACHINE.bring_up(now_ns)
    MACHINE.is_strained = True
    if strain & WAITS_FOR_DISK != 0:
        MACHINE.counts[AT_DISK] += 1
    if strain & LACKS_MEMORY != 0:
        MACHINE.lacking_active -= 1


@noinline
def note_switch(previous: Thread, following: Thread, now_ns: int) -> None:
    """A processor switches to a thread, which may be the same."""
    pressure = following.pressure
    if pressure is not None or previous.pressure is not None:
        if pressure is previous.pressure and _are_plain(previous, following):
            _replace(previous, following, now_ns)
        else:
            _switch(previous, following, now_ns)
    if MACHINE.is_on:
        if _somebody_waits():
            MACHINE.begin_waiting(now_ns)
        elif MACHINE.waiting_since_ns != 0:
            MACHINE.end_waiting(now_ns)
    if MACHINE.is_strained:
        _judge_machine(now_ns)
    else:
        MACHINE.is_noted = MACHINE.is_on


@inline
def _are_plain(previous: Thread, following: Thread) -> bool:
    """Whether neither lacks anything, one counts as running and the other as ready."""
    return (
        (previous.charges.strain | following.charges.strain) == IS_IN_GROUP
        and previous.charges.standing == RUNNING_ON
        and following.charges.standing == READY
    )


@inline
def _replace(previous: Thread, following: Thread, now_ns: int) -> None:
    """A thread runs instead of another in the same group: as many as before do there and above. If the other is ready,
    so are as many, and a recently woken one need not count yet, whichever it is.
    """
    following.charges.standing = RUNNING_ON
    if previous.state == ThreadState.READY:
        previous.charges.standing = READY
        return
    previous.charges.standing = ABSENT
    pressure = following.pressure
    since_ns = WOKEN.since_ns
    if since_ns != 0 and WOKEN.pressure is pressure and since_ns <= now_ns:
        WOKEN.since_ns = 0
        while pressure is not None:
            pressure.hand_over(since_ns, now_ns)
            pressure = pressure.above
        return
    WOKEN.count()
    while pressure is not None:
        pressure.relieve(now_ns)
        pressure = pressure.above


@noinline
def _switch(previous: Thread, following: Thread, now_ns: int) -> None:
    """Count each separately."""
    WOKEN.count()
    if previous is not following and previous.pressure is not None:
        _stand(previous, _standing_of(previous), now_ns)
    if following.pressure is not None:
        _stand(following, RUNNING_ON, now_ns)


@noinline
def note_idling(previous: Thread, now_ns: int) -> None:
    """A processor has nothing to do; a thread has left it."""
    if previous.pressure is not None:
        WOKEN.count()
        _stand(previous, _standing_of(previous), now_ns)
    if MACHINE.is_strained:
        _judge_machine(now_ns)


def join_pressure(thread: Thread, pressure: Pressure | None) -> None:
    """Count a thread for a group; None: for the machine alone."""
    if thread.pressure is pressure:
        return
    WOKEN.count()
    now_ns = monotonic_ns()
    lacks_memory = thread.charges.strain & LACKS_MEMORY != 0
    standing = thread.charges.standing
    if thread.pressure is None:
        standing = _standing_of(thread)
    else:
        _stand(thread, ABSENT, now_ns)
        _count_lacking(thread, -1 if lacks_memory else 0, now_ns)
    if pressure is not None:
        keep_pressure()
    thread.pressure = pressure
    thread.charges.standing = ABSENT
    thread.charges.strain &= ~IS_IN_GROUP
    if pressure is not None:
        thread.charges.strain |= IS_IN_GROUP
        _count_lacking(thread, 1 if lacks_memory else 0, now_ns)
        _stand(thread, standing, now_ns)


def keep_pressure() -> None:
    """From now on, track what threads do: someone wants to know. Before, only waits for disks and memory count."""
    if not MACHINE.is_on:
        now_ns = monotonic_ns()
        MACHINE.is_on = True
        MACHINE.is_noted = True
        if _somebody_waits():
            MACHINE.begin_waiting(now_ns)


def _standing_of(thread: Thread) -> int:
    if thread.state == ThreadState.READY:
        return READY
    if thread.state == ThreadState.RUNNING:
        return RUNNING_ON
    return AT_DISK if thread.charges.strain & WAITS_FOR_DISK != 0 else ABSENT


def _count_lacking(thread: Thread, count: int, now_ns: int) -> None:
    pressure = thread.pressure
    while pressure is not None and count != 0:
        pressure.lacking += count
        pressure.judge(now_ns)
        pressure = pressure.above


# ---- Memory ---------------------------------------------------------------------------------------------------------


def begin_to_lack_memory() -> bool:
    """From now on, the running thread looks for memory. Returns whether `end_lack_of_memory` ends that: not
    if it did so already.
    """
    thread = RUNNING.current
    if thread.charges.strain & LACKS_MEMORY != 0:
        return False
    thread.charges.strain |= LACKS_MEMORY
    _turn(thread, 1)
    return True


def end_lack_of_memory(has_begun: bool) -> None:
    """It goes on with its own work."""
    thread = RUNNING.current
    if has_begun and thread.charges.strain & LACKS_MEMORY != 0:
        thread.charges.strain &= ~LACKS_MEMORY
        _turn(thread, -1)


def _turn(thread: Thread, count: int) -> None:
    now_ns = monotonic_ns()
    MACHINE.bring_up(now_ns)
    MACHINE.lacking += count
    MACHINE.lacking_active += count
    _judge_machine(now_ns)
    WOKEN.count()
    pressure = thread.pressure
    while pressure is not None:
        pressure.change_lacking(count, now_ns)
        pressure = pressure.above
