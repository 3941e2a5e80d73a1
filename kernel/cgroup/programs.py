"""Which programs of bpf(2) judge what the members of a group do with devices.

A group's own programs count. Those of a group above count as well if there may be several there (BPF_F_ALLOW_MULTI), or
if no group below it has any. All that count must permit.

Invariants: `DEVICE_PROGRAMS.count` is how many are attached to all groups, so that a machine without any pays a
comparison.

Context: nothing sleeps; may raise MemoryError. A walk up the tree has at most DEEPEST_LEVEL steps.
Source: bpf(2).
"""

from typing import Final

from kernel.bpf.attached import ALLOW_MULTI, ALLOW_OVERRIDE, Attached
from kernel.bpf.program import Program
from kernel.cgroup.group import ControlGroup
from kernel.lang import ENODEV, ENOENT, EPERM, Errno, final


@final
class DevicePrograms:
    """All that are attached."""

    def __init__(self) -> None:
        self.count: int = 0


DEVICE_PROGRAMS: Final = DevicePrograms()


def attach(group: ControlGroup, program: Program, flags: int, replaced: Program | None) -> None:
    """Let a program judge a group. Raises EPERM if a group above does not permit it, ENODEV, and what `Attached.add`
    does.
    """
    if group.is_removed:
        raise Errno(ENODEV)
    if not _above_permits(group):
        raise Errno(EPERM)
    attached = group.device_programs
    if attached is None:
        attached = Attached()
        group.device_programs = attached
    before = len(attached.programs)
    attached.add(program, flags, replaced)
    DEVICE_PROGRAMS.count += len(attached.programs) - before


def _above_permits(group: ControlGroup) -> bool:
    """Whether the nearest group above with programs may have some below it."""
    above = group.parent
    while above is not None:
        attached = above.device_programs
        if attached is not None and len(attached.programs) > 0:
            return attached.flags & (ALLOW_OVERRIDE | ALLOW_MULTI) != 0
        above = above.parent
    return True


def detach(group: ControlGroup, program: Program | None) -> None:
    """The opposite. Raises ENOENT, EINVAL, ENODEV."""
    if group.is_removed:
        raise Errno(ENODEV)
    attached = group.device_programs
    if attached is None:
        raise Errno(ENOENT)
    attached.remove(program)
    DEVICE_PROGRAMS.count -= 1


def own_programs(group: ControlGroup) -> list[Program]:
    """Those that are attached to the group itself. Raises MemoryError."""
    attached = group.device_programs
    if attached is None:
        none: list[Program] = []
        return none
    return list(attached.programs)


def own_flags(group: ControlGroup) -> int:
    attached = group.device_programs
    return 0 if attached is None else attached.flags


def effective_programs(group: ControlGroup) -> list[Program]:
    """Those that count for the group, its own first. Raises MemoryError."""
    found: list[Program] = []
    walker: ControlGroup | None = group
    while walker is not None:
        attached = walker.device_programs
        if attached is not None and (len(found) == 0 or attached.flags & ALLOW_MULTI != 0):
            found.extend(attached.programs)
        walker = walker.parent
    return found


def end_programs(group: ControlGroup) -> None:
    """The group was removed."""
    attached = group.device_programs
    if attached is not None:
        group.device_programs = None
        DEVICE_PROGRAMS.count -= len(attached.programs)
        attached.clear()
