"""When a control group has more memory than it may: what it can do without goes, and if that is not enough, processes
in it are killed, never others (memory.max, memory.high, memory.oom.group).

The thread whose charge went beyond a limit sees to it on its way to user mode (`relieve_group`), where it may sleep and
holds nothing.

Context: thread context; sleeps.
"""

from typing import Final

from kernel.cache.group_reclaim import LAST_MAPPED, drop_clean, make_room, shrink_to
from kernel.cgroup.group import ControlGroup, GroupWalk
from kernel.cgroup.memory import HIGH, MEMORY_CONTROLS, OOM, OOM_GROUP_KILL, OOM_KILL, SLACK, MemoryControl
from kernel.lang import Errno, noinline, noraise
from kernel.lib import log
from kernel.lib.pace import pace
from kernel.sched import sleep_until, yield_now
from kernel.sched.strain import begin_to_lack_memory, end_lack_of_memory
from kernel.task.control_groups import processes_in
from kernel.task.exit import end_process
from kernel.task.group_holdings import count_again
from kernel.task.memory_shortage import GROUP_RELIEF, badness, is_on_its_way
from kernel.task.process import Process
from kernel.task.send import break_off_dump
from kernel.task.signals import SIGKILL
from kernel.task.task import Task
from kernel.time.clock import monotonic_ns

_NEVER: Final = -1000
_WAIT_NS: Final = 10_000_000
_ROUNDS: Final = 200  # of waiting for whoever was killed
_HIGH_WAIT_NS: Final = 20_000_000  # that a thread is held up at memory.high, each time it went on beyond it
_LOOK_COST: Final = 3000  # instructions for a process
_BRIEF_ROUNDS: Final = 20
_ROOM: Final = 32  # pages


@noinline
@noraise
def relieve_group(task: Task) -> None:
    """A charge of the running thread went beyond a limit."""
    task.lacks_charge = False
    task.charge_failed = False
    if task.process.ending.is_exiting:
        return
    has_begun = begin_to_lack_memory()
    try:
        control = MEMORY_CONTROLS.living(task.charged)
        if control is not None:
            control.tell_events()
            _bring_below(task, control)
            _hold_up(control)
    except (Errno, MemoryError):
        return  # a signal came, or there is no memory at all: others see to that
    finally:
        end_lack_of_memory(has_begun)


def _bring_below(task: Task, control: MemoryControl) -> None:
    """See to it that this and those above are below their limits."""
    control.drain()
    above: MemoryControl | None = control
    while above is not None:
        if above.usage > above.limit:
            bring_below(task, above)
            if task.process.ending.is_exiting:
                return
        above = above.parent


def bring_below(task: Task | None, control: MemoryControl, spared: int = LAST_MAPPED) -> None:
    """Let one control come below its limit: it gives back what it can do without, or processes are killed until it
    is. `task`: the running thread, which does not wait if it is to die itself. `spared`: how many of the pages that
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
            sleep_until(monotonic_ns() + _WAIT_NS, interruptible=False)  # whoever was killed ends meanwhile
        except MemoryError:
            yield_now()
        control.drain()


def _count_again(control: MemoryControl) -> None:
    """What is held for descriptors of the group may have become less since its processes ran."""
    holder = control.holder
    if not isinstance(holder, ControlGroup):
        return
    walk = GroupWalk(holder)
    while True:
        group = walk.next()
        if group is None:
            return
        for process in processes_in(group) if not group.is_threaded else []:
            task = process.any_thread()
            if task is not None:
                count_again(task)
            pace(_LOOK_COST)


@noinline
@noraise
def relieve_briefly(task: Task) -> bool:
    """The running thread was refused a charge within a call, where it may hold what others wait for: so no file is
    written back, and whoever was killed is not waited for long. Whether it may try again; if not, the call fails, and
    `relieve_group` sees to it then.
    """
    task.charge_failed = False
    control = MEMORY_CONTROLS.living(task.charged)
    rounds = 0
    has_begun = begin_to_lack_memory()
    try:
        while control is not None:
            exceeded = control.highest_exceeded(1, SLACK)
            if exceeded is None:
                return True
            MEMORY_CONTROLS.drain_below(exceeded)
            if drop_clean(exceeded, _ROOM) > 0:
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
    """Beyond memory.high: what can go goes, and the thread is held up."""
    too_high = control.too_high()
    if too_high is None:
        return
    too_high.happened(HIGH, MEMORY_CONTROLS.events_are_local)
    if not shrink_to(too_high, too_high.high):
        sleep_until(monotonic_ns() + _HIGH_WAIT_NS, interruptible=False)


def kill_in(control: MemoryControl) -> bool:
    """Kill the process that holds most of what a control counts, or all of its group where that asks for it. False if
    there is none to kill; one that ends already counts, as its memory is on its way.
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
        for process in processes_in(group):
            pace(_LOOK_COST)
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
    if victim is not None and (victim.ending.is_exiting or victim.ending.is_zombie):
        return True  # somebody else killed it while this thread rested
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
        for process in processes_in(group):
            if not process.ending.is_exiting and process.shortage.adjustment > _NEVER:
                _kill(process)
            pace(_LOOK_COST)


def _group_to_kill(victim: Process, domain: ControlGroup) -> ControlGroup | None:
    """The highest group from the victim's to `domain` that is to end as a whole."""
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
