"""Which programs of bpf(2) judge what the members of a group do with devices, their sockets and the packets of those.

For each purpose, a group's own programs count. Those of a group above count as well if there may be several there
(BPF_F_ALLOW_MULTI), or if no group below it has any. All that count must permit.

Invariants: `DEVICE_PROGRAMS.count`, `PACKET_PROGRAMS.count`, `SOCKET_PROGRAMS.count` and `ADDRESS_PROGRAMS.count` are
how many are attached to all groups, so that a machine without any pays a comparison.

Context: nothing sleeps; may raise MemoryError. A walk up the tree has at most DEEPEST_LEVEL steps.
Source: bpf(2).
"""

from typing import Final

from kernel.bpf.attached import ALLOW_MULTI, ALLOW_OVERRIDE, Attached, Attachment
from kernel.bpf.program import Program
from kernel.bpf.subject import ADDRESS_PLACES, DEVICES, PACKETS_IN, PACKETS_OUT
from kernel.cgroup.group import ControlGroup
from kernel.lang import ENODEV, ENOENT, EPERM, Errno
from kernel.lib.socket_group import PACKET_PROGRAMS, ProgramCount

DEVICE_PROGRAMS: Final = ProgramCount()
SOCKET_PROGRAMS: Final = ProgramCount()
ADDRESS_PROGRAMS: Final = ProgramCount()


def _counter(purpose: int) -> ProgramCount:
    if purpose == PACKETS_IN or purpose == PACKETS_OUT:
        return PACKET_PROGRAMS
    if purpose in ADDRESS_PLACES:
        return ADDRESS_PROGRAMS
    return DEVICE_PROGRAMS if purpose == DEVICES else SOCKET_PROGRAMS


def _attached(group: ControlGroup, purpose: int) -> Attached | None:
    programs = group.programs
    return None if programs is None else programs.get(purpose)


def attach(group: ControlGroup, purpose: int, program: Program, flags: int, replaced: Program | None) -> None:
    """Let a program judge a group. Raises EPERM if a group above does not permit it, ENODEV, and what `Attached.add`
    does.
    """
    attached = _attached_to(group, purpose)
    before = len(attached.entries)
    attached.add(program, flags, replaced)
    _counter(purpose).count += len(attached.entries) - before


def attach_link(group: ControlGroup, purpose: int, link: Attachment) -> None:
    """The same for a link."""
    _attached_to(group, purpose).add_link(link)
    _counter(purpose).count += 1


def detach_link(group: ControlGroup, purpose: int, link: Attachment) -> None:
    """Detach a link from the group that it is attached to."""
    attached = _attached(group, purpose)
    assert attached is not None
    attached.remove_link(link)
    _counter(purpose).count -= 1


def _attached_to(group: ControlGroup, purpose: int) -> Attached:
    """What is attached, for one more. Raises ENODEV, EPERM, MemoryError."""
    if group.is_removed:
        raise Errno(ENODEV)
    if not _above_permits(group, purpose):
        raise Errno(EPERM)
    programs = group.programs
    if programs is None:
        programs = {}
        group.programs = programs
    attached = programs.get(purpose)
    if attached is None:
        attached = Attached()
        programs[purpose] = attached
    return attached


def _above_permits(group: ControlGroup, purpose: int) -> bool:
    """Whether the nearest group above with programs may have some below it."""
    above = group.parent
    while above is not None:
        attached = _attached(above, purpose)
        if attached is not None and len(attached.entries) > 0:
            return attached.flags & (ALLOW_OVERRIDE | ALLOW_MULTI) != 0
        above = above.parent
    return True


def detach(group: ControlGroup, purpose: int, program: Program | None) -> None:
    """The opposite. Raises ENOENT, EINVAL, ENODEV."""
    if group.is_removed:
        raise Errno(ENODEV)
    attached = _attached(group, purpose)
    if attached is None:
        raise Errno(ENOENT)
    attached.remove(program)
    _counter(purpose).count -= 1


def own_programs(group: ControlGroup, purpose: int) -> list[Program]:
    """Those that are attached to the group itself. Raises MemoryError."""
    attached = _attached(group, purpose)
    if attached is None:
        none: list[Program] = []
        return none
    return attached.programs()


def own_flags(group: ControlGroup, purpose: int) -> int:
    attached = _attached(group, purpose)
    return 0 if attached is None else attached.flags


def effective_programs(group: ControlGroup, purpose: int) -> list[Program]:
    """Those that count for the group, its own first. Raises MemoryError."""
    found: list[Program] = []
    walker: ControlGroup | None = group
    while walker is not None:
        attached = _attached(walker, purpose)
        if attached is not None and (len(found) == 0 or attached.flags & ALLOW_MULTI != 0):
            found.extend(attached.programs())
        walker = walker.parent
    return found


def end_programs(group: ControlGroup) -> None:
    """The group was removed."""
    programs = group.programs
    if programs is None:
        return
    group.programs = None
    for purpose, attached in programs.items():
        _counter(purpose).count -= len(attached.entries)
        attached.clear()
