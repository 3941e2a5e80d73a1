"""Links of bpf(2): programs that are attached somewhere for as long as a descriptor of the link is open, or a name
leads to it. What each kind is attached to, others know.

Context: nothing sleeps, but for what ends with a link's last user; may raise MemoryError.
Source: bpf(2); Linux's include/uapi/linux/bpf.h (BPF_LINK_CREATE and its kin).
"""

from typing import Final

from kernel.bpf.attached import Attachment
from kernel.bpf.numbers import Numbers
from kernel.bpf.program import Program, keep_program, release_program
from kernel.lang import final

# Kinds.
OF_RAW_POINT: Final = 2
OF_GROUP: Final = 3
OF_EVENT: Final = 7


class Link(Attachment):
    """A link, which keeps its program. Base class of all kinds."""

    def __init__(self, program: Program, kind: int) -> None:
        super().__init__(program)
        self.kind: int = kind
        self.identifier: int = 0
        self.users: int = 0  # descriptors and names

    def is_link(self) -> bool:
        return True

    def enter(self) -> None:
        """It has its program already."""

    def leave(self) -> None:
        """It is attached no more, and keeps its program."""

    def cut(self) -> None:
        """Detach it, if it is attached. Its last user is gone."""

    def lines(self) -> bytes:
        """What fdinfo says of what it is attached to. Raises MemoryError."""
        return b""


@final
class _Links:
    """Those that have users, by number."""

    def __init__(self) -> None:
        by_number: dict[int, Link] = {}
        self.by_number: dict[int, Link] = by_number
        self.numbers: Numbers = Numbers()


LINKS: Final = _Links()


def enter_link(link: Link) -> None:
    """Give a new link its number, and keep its program. It has no user yet. Raises MemoryError."""
    keep_program(link.program)
    try:
        link.identifier = LINKS.numbers.take()
    except MemoryError:
        release_program(link.program)
        raise
    try:
        LINKS.by_number[link.identifier] = link
    except MemoryError:
        LINKS.numbers.give_back(link.identifier)
        release_program(link.program)
        raise


def forget_link(link: Link) -> None:
    """It is gone."""
    LINKS.by_number.pop(link.identifier, link)
    LINKS.numbers.give_back(link.identifier)
    release_program(link.program)


def release_link(link: Link) -> None:
    """One user fewer; after the last one it is gone."""
    link.users -= 1
    if link.users == 0:
        link.cut()
        forget_link(link)
