"""Links of bpf(2): programs attached to a group for as long as a descriptor of the link is open.

A link keeps its program. When its group is removed, the link is attached to nothing, and stays so.

Context: nothing sleeps; may raise MemoryError.
Source: bpf(2); Linux's include/uapi/linux/bpf.h (BPF_LINK_CREATE and its kin).
"""

from typing import Final

from kernel.bpf.attached import Attachment
from kernel.bpf.numbers import Numbers
from kernel.bpf.program import Program, keep_program, release_program
from kernel.cgroup.group import ControlGroup
from kernel.cgroup.programs import attach_link, detach_link
from kernel.lang import EINVAL, ENOLINK, EPERM, Errno, final


@final
class GroupLink(Attachment):
    """A link to a group, for one purpose."""

    def __init__(self, program: Program, purpose: int) -> None:
        super().__init__(program)
        self.purpose: int = purpose
        self.group: ControlGroup | None = None  # while it is attached
        self.identifier: int = 0
        self.users: int = 0  # descriptors

    def is_link(self) -> bool:
        return True

    def enter(self) -> None:
        """It has its program already."""

    def leave(self) -> None:
        self.group = None


@final
class _Links:
    """Those that descriptors refer to, by number."""

    def __init__(self) -> None:
        by_number: dict[int, GroupLink] = {}
        self.by_number: dict[int, GroupLink] = by_number
        self.numbers: Numbers = Numbers()


LINKS: Final = _Links()


def make_link(group: ControlGroup, purpose: int, program: Program) -> GroupLink:
    """A new link, attached, with one user. Raises what `attach_link` does."""
    link = GroupLink(program, purpose)
    keep_program(program)
    try:
        link.identifier = LINKS.numbers.take()
    except MemoryError:
        release_program(program)
        raise
    try:
        LINKS.by_number[link.identifier] = link
        attach_link(group, purpose, link)
    except (Errno, MemoryError):
        LINKS.by_number.pop(link.identifier, link)
        LINKS.numbers.give_back(link.identifier)
        release_program(program)
        raise
    link.group = group
    link.users = 1
    return link


def cut_link(link: GroupLink) -> None:
    """Detach it, if it is attached."""
    group = link.group
    if group is not None:
        detach_link(group, link.purpose, link)


def release_link(link: GroupLink) -> None:
    """One user fewer; after the last one it is gone."""
    link.users -= 1
    if link.users == 0:
        cut_link(link)
        LINKS.by_number.pop(link.identifier, link)
        LINKS.numbers.give_back(link.identifier)
        release_program(link.program)


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
