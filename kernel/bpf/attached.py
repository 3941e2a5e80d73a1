"""The programs attached to a control group, for one purpose.

Context: any; adding may raise MemoryError.
Source: bpf(2); Linux's Documentation/bpf/prog_cgroup_sysctl.rst and its kin.
"""

from typing import Final

from kernel.bpf.program import Program, keep_program, release_program
from kernel.lang import E2BIG, EINVAL, ENOENT, EPERM, Errno, final

ALLOW_OVERRIDE: Final = 1
ALLOW_MULTI: Final = 2
REPLACE: Final = 4
MOST_PROGRAMS: Final = 64


class Attachment:
    """A program in its place. This one is attached by itself, and kept by that; base class of those by a link."""

    def __init__(self, program: Program) -> None:
        self.program: Program = program

    def is_link(self) -> bool:
        return False

    def enter(self) -> None:
        """It is about to be attached. Raises MemoryError."""
        keep_program(self.program)

    def leave(self) -> None:
        """It was detached, or its group removed."""
        release_program(self.program)


@final
class Attached:
    """The programs of a group, the oldest first, and how they were attached. Links always permit others beside them
    (ALLOW_MULTI).
    """

    def __init__(self) -> None:
        entries: list[Attachment] = []
        self.entries: list[Attachment] = entries
        self.flags: int = 0

    def programs(self) -> list[Program]:
        """Raises MemoryError."""
        found: list[Program] = []
        for entry in self.entries:
            found.append(entry.program)
        return found

    def add(self, program: Program, flags: int, replaced: Program | None) -> None:
        """Attach. Raises EPERM for flags other than the present ones, E2BIG, EINVAL for an attached one, ENOENT if
        the one to replace is not, MemoryError.
        """
        kept = flags & (ALLOW_OVERRIDE | ALLOW_MULTI)
        self._check_room(kept)
        self._put(Attachment(program), self._place(program, kept, replaced))
        self.flags = kept

    def add_link(self, link: Attachment) -> None:
        """The same for a link, which is not attached yet."""
        self._check_room(ALLOW_MULTI)
        self._put(link, -1)
        self.flags = ALLOW_MULTI

    def _check_room(self, flags: int) -> None:
        if len(self.entries) > 0 and self.flags != flags:
            raise Errno(EPERM)
        if len(self.entries) >= MOST_PROGRAMS:
            raise Errno(E2BIG)

    def _put(self, entry: Attachment, place: int) -> None:
        """Put it in the place of another, or at the end."""
        entry.enter()
        if place >= 0:
            old = self.entries[place]
            self.entries[place] = entry
            old.leave()
            return
        try:
            self.entries.append(entry)
        except MemoryError:
            entry.leave()
            raise

    def _place(self, program: Program, flags: int, replaced: Program | None) -> int:
        """The index of the program that makes room; -1 for none."""
        if flags & ALLOW_MULTI == 0:
            return 0 if len(self.entries) > 0 else -1
        if program is not replaced and self._find(program) >= 0:
            raise Errno(EINVAL)
        if replaced is None:
            return -1
        place = self._find(replaced)
        if place < 0:
            raise Errno(ENOENT)
        return place

    def _find(self, program: Program) -> int:
        """Where a program is attached by itself; -1 for nowhere."""
        for index in range(len(self.entries)):
            entry = self.entries[index]
            if entry.program is program and not entry.is_link():
                return index
        return -1

    def remove(self, program: Program | None) -> None:
        """Detach. Raises EINVAL if none is named although there may be several, ENOENT."""
        if self.flags & ALLOW_MULTI != 0:
            if program is None:
                raise Errno(EINVAL)
            place = self._find(program)
            if place < 0:
                raise Errno(ENOENT)
        else:
            if len(self.entries) == 0:
                raise Errno(ENOENT)
            place = 0
        self._take_out(place)

    def remove_link(self, link: Attachment) -> None:
        """Detach a link, which is attached."""
        self._take_out(self.entries.index(link))

    def _take_out(self, place: int) -> None:
        entry = self.entries.pop(place)
        if len(self.entries) == 0:
            self.flags = 0
        entry.leave()

    def clear(self) -> None:
        """The group was removed."""
        while len(self.entries) > 0:
            self.entries.pop().leave()
