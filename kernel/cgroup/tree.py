"""Making and removing control groups, and which of them are populated (cgroups(7)).

Context: nothing sleeps, but for what says so. Errors are those of mkdir(2), rmdir(2) and write(2) in the file system.
"""

from typing import Final

from kernel.bpf.storage import GROUP_OWNERS
from kernel.cgroup.disks import DISK_CONTROLS, DiskControl
from kernel.cgroup.freezing import update_frozen
from kernel.cgroup.group import (
    ALL_CONTROLLERS,
    CPU,
    CPUSET,
    DEEPEST_LEVEL,
    DISKS,
    GROUP_PAGES,
    MEMORY,
    MOST_CHILDREN,
    NUMBER_STEP,
    PIDS,
    THREADED_CONTROLLERS,
    TOP_NUMBER,
    ControlGroup,
)
from kernel.cgroup.members import MEMBERSHIPS
from kernel.cgroup.memory import MEMORY_CONTROLS
from kernel.cgroup.numbers import NumberControl
from kernel.cgroup.processors import ProcessorSet
from kernel.cgroup.programs import end_programs
from kernel.lang import EAGAIN, EBUSY, EEXIST, EINVAL, ENODEV, EOPNOTSUPP, Errno, final
from kernel.sched.bandwidth import TimeShare
from kernel.sched.thread import Thread

_NEWLINE: Final = 10


@final
class _Numbering:
    """The numbers of groups that were created."""

    def __init__(self) -> None:
        self.last: int = TOP_NUMBER


_NUMBERING: Final = _Numbering()


def require_alive(group: ControlGroup) -> None:
    """Raise ENODEV for a group that was removed."""
    if group.is_removed:
        raise Errno(ENODEV)


# Making and removing --------------------------------------------------------------------------------------------------


def make_group(parent: ControlGroup, name: bytes) -> ControlGroup:
    """A new group without members. Raises EINVAL (a newline in the name), EAGAIN (too many, or too deep), EEXIST,
    ENODEV, ENOMEM, MemoryError.
    """
    require_alive(parent)
    if _NEWLINE in name:
        raise Errno(EINVAL)
    _check_limits(parent)
    if name in parent.children:
        raise Errno(EEXIST)
    group = ControlGroup(parent, name, _NUMBERING.last + NUMBER_STEP)
    group.freezes = parent.freezes
    group.is_frozen = parent.freezes
    memory = parent.nearest_memory()
    if memory is not None:
        MEMORY_CONTROLS.make_room(memory, GROUP_PAGES)
    try:
        give_controllers(group, parent.delegated)
        parent.children[name] = group
    except (Errno, MemoryError):
        take_controllers(group, ALL_CONTROLLERS)
        raise
    _NUMBERING.last = group.number
    group.counted_memory = memory
    if memory is not None:
        memory.keep(GROUP_PAGES)
    if group.is_frozen:
        parent.frozen_children += 1
    above: ControlGroup | None = parent
    while above is not None:
        above.descendants += 1
        above = above.parent
    return group


def _check_limits(parent: ControlGroup) -> None:
    if parent.level >= DEEPEST_LEVEL or len(parent.children) >= MOST_CHILDREN:
        raise Errno(EAGAIN)
    depth = 1
    above: ControlGroup | None = parent
    while above is not None:
        if above.descendants >= above.most_descendants or depth > above.deepest:
            raise Errno(EAGAIN)
        depth += 1
        above = above.parent


def remove_group(group: ControlGroup) -> None:
    """rmdir(2). Raises EBUSY for one with processes or children, ENODEV."""
    require_alive(group)
    parent = group.parent
    if parent is None or group.is_populated() or len(group.children) > 0:
        raise Errno(EBUSY)
    group.is_removed = True
    end_programs(group)
    GROUP_OWNERS.end(group.number)
    parent.user_ns += group.user_ns
    parent.system_ns += group.system_ns
    parent.children.pop(group.name)
    counted = group.counted_memory
    if counted is not None:
        group.counted_memory = None
        counted.keep(-GROUP_PAGES)
    if group.is_threaded:
        parent.threaded_children -= 1
    if group.is_frozen:
        parent.frozen_children -= 1
    update_frozen(parent)
    take_controllers(group, ALL_CONTROLLERS)
    above: ControlGroup | None = parent
    while above is not None:
        above.descendants -= 1
        above = above.parent
    group.tell(b"cgroup.events")


# Controllers ----------------------------------------------------------------------------------------------------------


def give_controllers(group: ControlGroup, wanted: int) -> None:
    """Give a group controllers of its own; its members count for them. Raises ENOMEM, MemoryError; then it may have
    some of them, which the caller takes away.
    """
    parent = group.parent
    if parent is None:
        return
    if group.is_threaded:
        wanted &= THREADED_CONTROLLERS
    if wanted & MEMORY != 0 and group.memory is None:
        group.memory = MEMORY_CONTROLS.make(parent.nearest_memory(), group)
    if wanted & PIDS != 0 and group.numbers is None:
        group.numbers = NumberControl(parent.nearest_numbers())
    if wanted & CPU != 0 and group.share is None:
        group.share = TimeShare(parent.nearest_share())
    if wanted & CPUSET != 0 and group.processors is None:
        group.processors = ProcessorSet(parent.nearest_processors())
    if wanted & DISKS != 0 and group.disks is None:
        group.disks = DiskControl(parent.nearest_disks())
        DISK_CONTROLS.exist = True


def take_controllers(group: ControlGroup, unwanted: int) -> None:
    """Take controllers of its own away from a group without members, or whose members do not count for them."""
    memory = group.memory
    if unwanted & MEMORY != 0 and memory is not None:
        group.memory = None
        MEMORY_CONTROLS.end(memory)
    if unwanted & PIDS != 0:
        group.numbers = None
    share = group.share
    if unwanted & CPU != 0 and share is not None:
        group.share = None
        share.end()
    if unwanted & CPUSET != 0:
        group.processors = None
    disks = group.disks
    if unwanted & DISKS != 0 and disks is not None:
        group.disks = None
        disks.end()


def check_delegation(group: ControlGroup, enabled: int, disabled: int) -> None:
    """Whether controllers may be delegated to a group's children, and taken from them. Raises ENODEV; those that the
    group does not have: ENOENT (raised by the caller); EBUSY, EOPNOTSUPP.
    """
    require_alive(group)
    if disabled != 0:
        for child in group.children.values():
            if child.delegated & disabled != 0:
                raise Errno(EBUSY)
    if enabled == 0 or group.parent is None:
        return
    if not group.domain().is_valid_domain():
        raise Errno(EOPNOTSUPP)
    if enabled & ~THREADED_CONTROLLERS != 0:
        if group.is_thread_root() or group.is_threaded:
            raise Errno(EOPNOTSUPP)
    elif group.can_be_thread_root() or group.is_threaded:
        return
    if group.has_members():
        raise Errno(EBUSY)


# Kinds ----------------------------------------------------------------------------------------------------------------


def make_threaded(group: ControlGroup) -> None:
    """cgroup.type: from now on it holds threads of the processes of the domain above. Raises EOPNOTSUPP, ENODEV."""
    require_alive(group)
    parent = group.parent
    if group.is_threaded or parent is None:
        return
    domain = parent.domain()
    if group.is_populated() or group.delegated & ~THREADED_CONTROLLERS != 0:
        raise Errno(EOPNOTSUPP)
    if (domain.parent is not None and not domain.is_valid_domain()) or not domain.can_be_thread_root():
        raise Errno(EOPNOTSUPP)
    group.is_threaded = True
    parent.threaded_children += 1
    take_controllers(group, ALL_CONTROLLERS & ~THREADED_CONTROLLERS)


def kind_text(group: ControlGroup) -> bytes:
    """What cgroup.type shows."""
    if group.is_threaded:
        return b"threaded\n"
    if not group.is_valid_domain():
        return b"domain invalid\n"
    return b"domain threaded\n" if group.is_thread_root() else b"domain\n"


# Members --------------------------------------------------------------------------------------------------------------


def enter_member(group: ControlGroup, thread: Thread) -> int:
    """List a thread in a group, which it is in from now on. Returns its number there, with which it leaves; 0 in the
    top group. Raises MemoryError.
    """
    if group.parent is None:
        return 0
    was_populated = group.is_populated()
    number = MEMBERSHIPS.last + 1
    group.members.put(number, thread)
    MEMBERSHIPS.last = number
    group.member_count += 1
    if not was_populated:
        _populated(group, 1)
    return number


def leave_member(group: ControlGroup, number: int) -> None:
    """A thread is in a group no longer, or has left it before."""
    if not group.members.has(number):
        return
    group.members.remove(number)
    group.member_count -= 1
    if not group.is_populated():
        _populated(group, -1)


def _populated(group: ControlGroup, change: int) -> None:
    """A group has its first thread, or has lost its last one: which may make those above populated, or empty."""
    while True:
        group.tell(b"cgroup.events")
        parent = group.parent
        if parent is None:
            return
        was_populated = parent.is_populated()
        if group.is_threaded:
            parent.populated_threads += change
        else:
            parent.populated_domains += change
        if parent.is_populated() == was_populated:
            return
        group = parent


def check_target(group: ControlGroup) -> None:
    """Whether processes may be moved or born into a group. Raises EOPNOTSUPP, EBUSY (it has controllers for children),
    ENODEV.
    """
    require_alive(group)
    domain = group.domain()
    if not domain.is_valid_domain():
        raise Errno(EOPNOTSUPP)
    if group.can_be_thread_root() or group.is_threaded:
        return
    if group.delegated != 0:
        raise Errno(EBUSY)
