"""A control group over its memory limit: dispensable memory is reclaimed, and if that is not enough, processes
in it are killed, never others (memory.max, memory.high, memory.oom.group).

The thread whose charge exceeded a limit handles it on its way to user mode (`relieve_group`), where it may sleep and
holds nothing.

Context: thread context; sleeps.
"""

from typing import Final

from kernel.cache.group_reclaim import LAST_MAPPED, drop_clean, make_room, shrink_to, swap_out
from kernel.cgroup.group import ControlGroup, GroupWalk
from kernel.cgroup.memory import HIGH, MEMORY_CONTROLS, OOM, OOM_GROUP_KILL, OOM_KILL, SLACK, MemoryControl
from kernel.lang import Errno, noinline, noraise
from kernel.lib import log
from kernel.lib.pace import pace
from kernel.sched import sleep_until, yield_now
from kernel.sched.strain import begin_to_lack_memory, end_lack_of_memory
from kernel.task.exit import end_process
from kernel.task.group_holdings import count_again
from kernel.task.group_walks import ProcessWalk
from kernel.task.memory_shortage import GROUP_RELIEF, badness, is_on_its_way, measure_files
from kernel.task.process import Process
from kernel.task.send import break_off_dump
from kernel.task.signals import SIGKILL
from kernel.task.task import Task
from kernel.time.clock import monotonic_ns

_NEVER: Final = -1000
_WAIT_NS: Final = 10_000_000
_ROUNDS: Final = 200  # of waiting for a killed process
_HIGH_WAIT_NS: Final = 20_000_000  # a thread's delay at memory.high, each time it exceeded it
_LOOK_COST: Final = 3000  # instructions for a process
_BRIEF_ROUNDS: Final = 20
_BRIEF_SWAPS: Final = 512
_ROOM: Final = 32  # pages


@noinline
@noraise
def relieve_group(task: Task) -> None:
    """A charge of the running thread exceeded a limit."""
    task.charges.is_over_limit = False
    task.charges.has_failed = False
    if task.process.ending.is_exiting:
        return
    has_begun = begin_to_lack_memory()
    try:
        control = MEMORY_CONTROLS.living(task.charges.memory)
        if control is not None:
            control.tell_events()
            _bring_below(task, control)
            _hold_up(control)
    except (Errno, MemoryError):
        return  # a signal came, or there is no memory at all: other code handles that
    finally:
        end_lack_of_memory(has_begun)


def _bring_below(task: Task, control: MemoryControl) -> None:
    """Bring this control and those above it below their limits."""
    control.drain()
    above: MemoryControl | None = control
    while above is not None:
        if above.usage > above.limit:
            bring_below(task, above)
            if task.process.ending.is_exiting:
                return
        above = above.parent


def bring_below(task: Task | None, control: MemoryControl, spared: int = LAST_MAPPED) -> None:
    """Bring one control below its limit: it gives back dispensable memory, or processes are killed until it
    is. `task`: the running thread, which does not wait if it must die itself. `spared`: how many of the pages that
    programs map stay.
    """
    rounds = 0
    if control.usage > control.limit:
        _count_again(control)
    while control.usage > control.limit and rounds < _ROUNDS and control.holder is not None:
        if make_room(control, min(_ROOM, control.limit), spared=spared) or control.usage <= control.limit:
            return
        rounds += 1
        if not kill_in(control):
            rounds = _ROUNDS  # nothing helps: go on slowly
        if task is not None and (task.process.ending.is_exiting or task.has_pending_kill()):
            return
        try:
            sleep_until(monotonic_ns() + _WAIT_NS, interruptible=False)  # a killed process ends in the meantime
        except MemoryError:
            yield_now()
        control.drain()


def _count_again(control: MemoryControl) -> None:
    """The memory held for descriptors of the group may have shrunk since its processes ran."""
    holder = control.holder
    if not isinstance(holder, ControlGroup):
        return
    walk = GroupWalk(holder)
    while True:
        group = walk.next()
        if group is None:
            return
        processes = None if group.is_threaded else ProcessWalk(group)
        while processes is not None and (process := processes.next()) is not None:
            task = process.any_thread()
            if task is not None:
                count_again(task)
            pace(_LOOK_COST)


@noinline
@noraise
def relieve_briefly(task: Task) -> bool:
    """The running thread was refused a charge within a call, where it may hold what others wait for: so no file is
    written back (but pages are swapped out, which needs nothing that a call holds), and the wait for a killed process
    is short. Returns whether to try again; if not, the call fails, and `relieve_group` handles the shortage afterwards.
    """
    task.charges.has_failed = False
    control = MEMORY_CONTROLS.living(task.charges.memory)
    rounds = 0
    swaps = 0
    has_begun = begin_to_lack_memory()
    try:
        while control is not None:
            exceeded = control.highest_exceeded(1, SLACK)
            if exceeded is None:
                return True
            MEMORY_CONTROLS.drain_below(exceeded)
            if drop_clean(exceeded, _ROOM) > 0:
                continue
            if swaps < _BRIEF_SWAPS and not task.process.ending.is_exiting and swap_out(exceeded, _ROOM):
                swaps += 1
                continue
            rounds += 1
            if rounds > _BRIEF_ROUNDS or not kill_in(exceeded) or task.process.ending.is_exiting:
                return False
            sleep_until(monotonic_ns() + _WAIT_NS, interruptible=False)
    except (Errno, MemoryError):
        return False
    finally:
        end_lack_of_memory(has_begun)
    return True


def _hold_up(control: MemoryControl) -> None:
    """Past memory.high: reclaim what is possible, and delay the thread."""
    too_high = control.too_high()
    if too_high is None:
        return
    too_high.happened(HIGH, MEMORY_CONTROLS.events_are_local)
    if not shrink_to(too_high, too_high.high):
        sleep_until(monotonic_ns() + _HIGH_WAIT_NS, interruptible=False)


def kill_in(control: MemoryControl) -> bool:
    """Kill the process that holds most of what a control counts, or all of its group if that asks for it. False if
    there is none to kill; one that is already ending counts, because its memory will come back.
    """
    holder = control.holder
    if not isinstance(holder, ControlGroup):
        return False
    victim: Process | None = None
    worst = -1
    walk = GroupWalk(holder)
    while True:
        group = walk.next()
        if group is None:
            break
        processes = ProcessWalk(group)
        while (process := processes.next()) is not None:
            pace(_LOOK_COST)
            measure_files(process)
            if process.ending.is_zombie:
                continue
            if process.ending.is_exiting and process.dump is None:
                if is_on_its_way(process):
                    return True
                continue  # it may wait for something that the running thread holds
            score = badness(process, control.limit)
            if score > worst:
                worst = score
                victim = process
    if victim is not None and (victim.ending.is_zombie or (victim.ending.is_exiting and victim.dump is None)):
        return True  # another thread killed it while this one rested
    control.happened(OOM, MEMORY_CONTROLS.events_are_local)
    if victim is None:
        return False
    whole = _group_to_kill(victim, holder)
    if whole is None:
        _kill(victim)
        return True
    memory = whole.memory
    if memory is not None:
        memory.happened(OOM_GROUP_KILL, MEMORY_CONTROLS.events_are_local)
    walk = GroupWalk(whole)
    while True:
        group = walk.next()
        if group is None:
            return True
        processes = ProcessWalk(group)
        while (process := processes.next()) is not None:
            if not process.ending.is_exiting and process.shortage.adjustment > _NEVER:
                _kill(process)
            pace(_LOOK_COST)


def _group_to_kill(victim: Process, domain: ControlGroup) -> ControlGroup | None:
    """The highest group, from the victim's to `domain`, that must end as a whole."""
    task = victim.any_thread()
    if task is None:
        return None
    found: ControlGroup | None = None
    group: ControlGroup | None = task.cgroup
    while group is not None:
        memory = group.memory
        if memory is not None and memory.kills_all:
            found = group
        if group is domain:
            break
        group = group.parent
    return found


def _kill(victim: Process) -> None:
    task = victim.any_thread()
    control = None if task is None else task.cgroup.nearest_memory()
    if control is not None:
        control.happened(OOM_KILL, MEMORY_CONTROLS.events_are_local)
    try:
        log.error(f"Memory of a control group ran out: killed process {int(victim.pid)}")
    except MemoryError:
        pass  # no room for the message
    victim.shortage.awaited_ns = monotonic_ns()
    if victim.dump is not None:
        break_off_dump(victim)
    else:
        end_process(victim, SIGKILL)


GROUP_RELIEF.relieve = relieve_group
GROUP_RELIEF.relieve_briefly = relieve_briefly
