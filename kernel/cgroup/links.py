"""Links of bpf(2) to control groups.

When a link's group is removed, the link is attached to nothing, and stays so.

Context: nothing sleeps; may raise MemoryError.
Source: bpf(2); Linux's include/uapi/linux/bpf.h (BPF_LINK_CREATE and its kin).
"""

from kernel.bpf.link import OF_GROUP, Link, enter_link, forget_link
from kernel.bpf.program import Program, keep_program, release_program
from kernel.cgroup.group import ControlGroup
from kernel.cgroup.programs import attach_link, detach_link
from kernel.lang import EINVAL, ENOLINK, EPERM, Errno, final


@final
class GroupLink(Link):
    """A link to a group, for one purpose."""

    def __init__(self, program: Program, purpose: int) -> None:
        super().__init__(program, OF_GROUP)
        self.purpose: int = purpose
        self.group: ControlGroup | None = None  # while it is attached

    def leave(self) -> None:
        self.group = None

    def cut(self) -> None:
        group = self.group
        if group is not None:
            detach_link(group, self.purpose, self)

    def lines(self) -> bytes:
        group = self.group
        number = 0 if group is None else group.number
        return f"cgroup_id:\t{number}\nattach_type:\t{self.purpose}\n".encode()


def make_link(group: ControlGroup, purpose: int, program: Program) -> GroupLink:
    """A new link, attached, with one user. Raises what `attach_link` does."""
    link = GroupLink(program, purpose)
    enter_link(link)
    try:
        attach_link(group, purpose, link)
    except (Errno, MemoryError):
        forget_link(link)
        raise
    link.group = group
    link.users = 1
    return link


def update_link(link: GroupLink, program: Program, expected: Program | None) -> None:
    """Put another program in the place of a link's, which must be `expected`, if any is. Raises ENOLINK, EPERM, EINVAL,
    MemoryError.
    """
    if link.group is None:
        raise Errno(ENOLINK)
    old = link.program
    if expected is not None and old is not expected:
        raise Errno(EPERM)
    if old.kind != program.kind:
        raise Errno(EINVAL)
    keep_program(program)
    link.program = program
    release_program(old)
