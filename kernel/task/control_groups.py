"""Threads in control groups: created there, moved, frozen, killed, counted (cgroups(7)).

The top group needs none of this, and its threads pay nothing. Everywhere else a thread is listed from its creation to
its end, and counted for the controller "pids" until no one can wait for it any more.

Context: functions that sleep say so.
"""

from typing import Final

from kernel.cgroup.freezing import rest, update_frozen
from kernel.cgroup.group import TOP, ControlGroup, GroupWalk
from kernel.cgroup.members import MemberWalk
from kernel.cgroup.memory import MEMORY_CONTROLS, THREAD_PAGES, MemoryControl
from kernel.cgroup.tree import enter_member, leave_member, require_alive
from kernel.lang import EAGAIN, EINVAL, ERESTARTNOINTR, Errno, final, noinline, noraise
from kernel.lib.order import Order, Walk
from kernel.lib.pace import is_dying, pace, spend
from kernel.lib.pid import FIRST, Pid
from kernel.sched.bandwidth import share_with
from kernel.sched.processor import announce_work_of, processor_mask
from kernel.sched.runqueue import begin_to_count
from kernel.sched.scheduler import allow_processors, divide_time, interrupt_sleep, schedule
from kernel.sched.strain import join_pressure
from kernel.sched.thread import ThreadState
from kernel.sched.wait import WaitQueue
from kernel.task.pids import next_thread
from kernel.task.process import Process
from kernel.task.send import send_from_kernel, update_interrupted
from kernel.task.siginfo import anonymous
from kernel.task.signals import SIGKILL
from kernel.task.task import Task

_MOVE_COST: Final = 2000  # instructions, for `pace`
_FREEZE_COST: Final = 1500
_KILL_COST: Final = 2500
_GROUP_COST: Final = 500
_MEET_COST: Final = 300
_ROUNDS: Final = 64  # of looking for threads that came in the meantime
_RETRY_NS: Final = 20_000_000  # where memory is short

_PLACING: Final = WaitQueue()  # nobody wakes it

# Birth and end --------------------------------------------------------------------------------------------------------


@noinline
def enter_at_birth(child: Task, group: ControlGroup, kills: int) -> None:
    """Enter a new thread in a group. `kills`: the group's count when the creation began. Raises EAGAIN (there may be no
    more threads), ENODEV, ERESTARTNOINTR (the group was killed in the meantime), MemoryError (also if memory.max
    leaves no room for its stack); then it is in no group.
    """
    require_alive(group)
    if group.kills != kills:
        raise Errno(ERESTARTNOINTR)
    numbers = group.nearest_numbers()
    if numbers is not None:
        refusing = numbers.refusing()
        if refusing is not None:
            refusing.refuse()
            _tell_refused(group)
            raise Errno(EAGAIN)
    memory = group.nearest_memory()
    if memory is not None:
        MEMORY_CONTROLS.make_room(memory, THREAD_PAGES)
    child.membership.number = enter_member(group, child)
    child.cgroup = group
    if numbers is not None:
        numbers.add(1)
        child.numbers = numbers
    place(child)
    if group.freezes:
        update_interrupted(child)
        update_frozen(group)


def _tell_refused(group: ControlGroup) -> None:
    """Event files of limits from a group upwards may show another count."""
    above: ControlGroup | None = group
    while above is not None:
        if above.numbers is not None:
            above.tell(b"pids.events")
            above.tell(b"pids.events.local")
        above = above.parent


def place(task: Task) -> None:
    """Controllers act on a thread through its own fields: update them."""
    memory = task.cgroup.nearest_memory()
    task.charges.memory = 0 if memory is None else memory.number
    count_stack(task, memory)
    share = task.cgroup.nearest_share()
    if share is not task.share:
        share_with(task, share)
        if share is not None and (task.state == ThreadState.READY or task.state == ThreadState.RUNNING):
            begin_to_count(task)
    task.disks = task.cgroup.nearest_disks()
    join_pressure(task, None if task.cgroup is TOP else task.cgroup.pressure)
    place_processors(task)


def place_processors(task: Task) -> None:
    """Set the processors of a thread: those that it asked for, as far as its group has them, or all of these."""
    present = processor_mask()
    processors = task.cgroup.nearest_processors()
    effective = present if processors is None else processors.effective(present)
    wanted = task.membership.chosen_processors & effective
    if wanted == 0:
        wanted = effective
    mask = -1 if wanted == present else wanted
    if mask != task.allowed:
        allow_processors(task, mask)


def choose_processors(task: Task, mask: int) -> None:
    """sched_setaffinity(2). Raises EINVAL if the group of the thread has none of them."""
    processors = task.cgroup.nearest_processors()
    present = processor_mask()
    if processors is not None and mask & processors.effective(present) == 0:
        raise Errno(EINVAL)
    task.membership.chosen_processors = mask
    place_processors(task)


def count_stack(task: Task, memory: MemoryControl | None) -> None:
    """Count a thread's kernel stack for a control from now on."""
    old = task.counted_memory
    if old is memory:
        return
    task.counted_memory = memory
    if memory is not None:
        memory.threads += 1
        memory.add(THREAD_PAGES)
    if old is not None:
        old.threads -= 1
        old.take_from_living(THREAD_PAGES)
        MEMORY_CONTROLS.free_if_done(old)


def place_members(group: ControlGroup) -> None:
    """Controllers of a group were added or removed: its threads count for others. Sleeps if there are many. Raises
    MemoryError.
    """
    walk = MemberWalk(group)
    while (thread := walk.next()) is not None:  # one that has ended meanwhile is not met, and counts nowhere
        if isinstance(thread, Task):
            recount(thread)
            place(thread)
        pace(_MOVE_COST)


def place_all(group: ControlGroup) -> None:
    """The same for all groups below one, too, after a change that is not taken back: where memory is short, wait for
    some. Sleeps. Raises MemoryError only in a thread that is being killed.
    """
    while True:
        try:
            _place_below(group)
            return
        except MemoryError:
            if is_dying():
                raise
        _PLACING.pause(_RETRY_NS)


def _place_below(group: ControlGroup) -> None:
    """Raises MemoryError, with some threads not placed."""
    walk = GroupWalk(group)
    while True:
        each = walk.next()
        if each is None:
            return
        place_members(each)
        pace(_MOVE_COST)


@noinline
@noraise
def leave_at_end(task: Task) -> None:
    """The thread ends: from now on it is in its group only in name."""
    group = task.cgroup
    if task.membership.is_resting:
        task.membership.is_resting = False
        group.resting -= 1
    note_time(task)
    leave_member(group, task.membership.number)
    if group.freezes:
        update_frozen(group)


def note_time(task: Task) -> None:
    """A thread leaves its group: the time that it has run stays there."""
    divide_time(task)
    group = task.cgroup
    group.user_ns += task.accounts.user_ns - task.membership.earlier_user_ns
    group.system_ns += task.accounts.system_ns - task.membership.earlier_system_ns
    task.membership.earlier_user_ns = task.accounts.user_ns
    task.membership.earlier_system_ns = task.accounts.system_ns


@noinline
@noraise
def uncount(task: Task) -> None:
    """No one can wait for a thread any more, or it was never started."""
    numbers = task.numbers
    if numbers is not None:
        task.numbers = None
        numbers.add(-1)
    count_stack(task, None)


# Moving ---------------------------------------------------------------------------------------------------------------


def move(task: Task, group: ControlGroup) -> None:
    """Move a living thread to another group. Raises MemoryError, and then it is where it was."""
    old = task.cgroup
    if old is group or task.is_exiting:
        return
    number = enter_member(group, task)
    was_resting = task.membership.is_resting
    if was_resting:
        task.membership.is_resting = False
        old.resting -= 1
    note_time(task)
    leave_member(old, task.membership.number)
    task.membership.number = number
    task.cgroup = group
    recount(task)
    place(task)
    if old.freezes:
        update_frozen(old)
    if group.freezes:
        _freeze(task)
        update_frozen(group)
    elif old.freezes:
        task.membership.is_resting = was_resting
        _thaw(task)
    memory = task.counted_memory
    if memory is not None and memory.exceeded(0) is not None:
        task.charges.is_over_limit = True
        announce_work_of(task)
    if is_being_killed(group):
        _kill(task)


def recount(task: Task) -> None:
    """Have a thread counted by the controller of its group."""
    old = task.numbers
    numbers = task.cgroup.nearest_numbers()
    if numbers is old:
        return
    if old is not None:
        old.add(-1)
    if numbers is not None:
        numbers.add(1)
    task.numbers = numbers


@final
class _Moved:
    """A thread that was moved, and from where."""

    def __init__(self, task: Task, source: ControlGroup) -> None:
        self.task: Task = task
        self.source: ControlGroup = source


def move_process(process: Process, group: ControlGroup) -> None:
    """Move all threads of a process to a group. Sleeps if there are many. Raises ENODEV, MemoryError; then those
    that were moved are moved back.
    """
    moved: Order[_Moved] = Order()
    count = 0
    try:
        for _ in range(_ROUNDS):
            before = count
            task = next_thread(process, FIRST)
            while task is not None:
                number = Pid(int(task.tid) + 1)  # execve may give it another one meanwhile
                if task.cgroup is not group and not task.is_exiting:
                    require_alive(group)
                    moved.put(count, _Moved(task, task.cgroup))
                    count += 1
                    move(task, group)
                    spend(_MOVE_COST)
                pace(_MEET_COST)
                task = next_thread(process, number)
            if count == before:
                return
    except (Errno, MemoryError):
        walk = Walk(moved)
        while (each := walk.next()) is not None:
            if each.task.cgroup is group:  # else others have moved it on meanwhile
                _put_back(each.task, each.source)
            pace(_MOVE_COST)
        raise


def _put_back(task: Task, source: ControlGroup) -> None:
    try:
        if not source.is_removed:
            move(task, source)
    except MemoryError:
        return  # nothing can be done: the process stays in two groups


# Freezing -------------------------------------------------------------------------------------------------------------


def is_at_rest(task: Task) -> bool:
    """Whether a thread is not running anyway, and will check before it goes on."""
    return task.state == ThreadState.STOPPED or task.state == ThreadState.TRACED or task.calls.waits_for_vfork


def note_rest(task: Task) -> None:
    """The running thread is about to stop, or to wait for a vfork child: in a freezing group that counts as rest."""
    if task.cgroup.freezes and not task.membership.is_resting:
        task.membership.is_resting = True
        rest(task.cgroup)


@noinline
@noraise
def freeze_running(task: Task) -> None:
    """The running thread rests until its group is thawed, or until there is something else to do. Sleeps."""
    note_rest(task)
    task.state = ThreadState.SLEEPING
    schedule()
    update_interrupted(task)


def _freeze(task: Task) -> None:
    """Let a thread come to rest."""
    if is_at_rest(task) and not task.membership.is_resting:
        task.membership.is_resting = True
        task.cgroup.resting += 1
    update_interrupted(task)
    interrupt_sleep(task)


def _thaw(task: Task) -> None:
    """Let a thread go on."""
    was_resting = task.membership.is_resting
    task.membership.is_resting = False
    update_interrupted(task)
    if was_resting:
        interrupt_sleep(task)


def set_freezing(group: ControlGroup, is_told: bool) -> None:
    """cgroup.freeze. Sleeps if there are many. Raises MemoryError."""
    group.is_told_to_freeze = is_told
    walk = GroupWalk(group)
    while True:
        each = walk.next()
        if each is None:
            break
        pace(_GROUP_COST)
        parent = each.parent
        freezes = each.is_told_to_freeze or (parent is not None and parent.freezes)
        if not each.is_removed:
            _set_members_freezing(each, freezes)
    update_frozen(group)


def _set_members_freezing(group: ControlGroup, freezes: bool) -> None:
    """Set one of the groups. Threads created or moved in meanwhile check for themselves. A group that is already
    set is set again: the last time, memory may have run out on the way.
    """
    walk = MemberWalk(group)
    group.freezes = freezes
    while (thread := walk.next()) is not None:
        if isinstance(thread, Task) and thread.cgroup is group and not thread.is_exiting:
            if group.freezes != freezes:
                return  # another thread wrote in the meantime
            if freezes:
                _freeze(thread)
            else:
                was_resting = thread.membership.is_resting
                if was_resting:
                    group.resting -= 1
                _thaw(thread)
        pace(_FREEZE_COST)
    update_frozen(group)


# Killing --------------------------------------------------------------------------------------------------------------


def is_being_killed(group: ControlGroup) -> bool:
    """Whether a group or one above it is being killed right now: newcomers are killed."""
    walker: ControlGroup | None = group
    while walker is not None:
        if walker.kills_under_way > 0:
            return True
        walker = walker.parent
    return False


def kill_group(group: ControlGroup) -> None:
    """cgroup.kill: kill every process in a group and below. Sleeps if there are many. Raises MemoryError."""
    group.kills_under_way += 1
    try:
        for _ in range(_ROUNDS):
            if not _kill_round(group):
                return
    finally:
        group.kills_under_way -= 1


def _kill_round(group: ControlGroup) -> bool:
    """Kill all members of the groups; returns whether there were any. Others may move to an emptied group meanwhile."""
    found = False
    walk = GroupWalk(group)
    while True:
        each = walk.next()
        if each is None:
            return found
        pace(_GROUP_COST)
        each.kills += 1
        found = kill_members(each) or found


def kill_newcomer(task: Task) -> None:
    """A process outside a group created a process in it: kill it with the others."""
    if is_being_killed(task.cgroup):
        _kill(task)


def kill_members(group: ControlGroup) -> bool:
    """Kill every member of one group; returns whether there were any. Sleeps if there are many. Raises MemoryError."""
    for turn in range(_ROUNDS):
        killed = 0
        walk = MemberWalk(group)
        while (thread := walk.next()) is not None:
            if isinstance(thread, Task) and _kill(thread):
                killed += 1
                spend(_KILL_COST)
            pace(_MEET_COST)
        if killed == 0:
            return turn > 0
    return True


def _kill(task: Task) -> bool:
    """Kill a thread's process; returns whether that had an effect."""
    process = task.process
    if process.ending.is_exiting or task.is_exiting or task.has_pending_kill():
        return False
    send_from_kernel(process, anonymous(SIGKILL))  # as with kill(2): the first process of a namespace may drop it
    return task.has_pending_kill()
