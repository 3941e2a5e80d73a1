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


@final
class Attached:
    """The programs of a group, the oldest first, and how they were attached."""

    def __init__(self) -> None:
        programs: list[Program] = []
        self.programs: list[Program] = programs
        self.flags: int = 0

    def add(self, program: Program, flags: int, replaced: Program | None) -> None:
        """Attach. Raises EPERM for flags other than the present ones, E2BIG, EINVAL for an attached one, ENOENT if
        the one to replace is not, MemoryError.
        """
        kept = flags & (ALLOW_OVERRIDE | ALLOW_MULTI)
        if len(self.programs) > 0 and self.flags != kept:
            raise Errno(EPERM)
        if len(self.programs) >= MOST_PROGRAMS:
            raise Errno(E2BIG)
        place = self._place(program, kept, replaced)
        keep_program(program)
        if place >= 0:
            old = self.programs[place]
            self.programs[place] = program
            release_program(old)
        else:
            try:
                self.programs.append(program)
            except MemoryError:
                release_program(program)
                raise
        self.flags = kept

    def _place(self, program: Program, flags: int, replaced: Program | None) -> int:
        """The index of the program that makes room; -1 for none."""
        if flags & ALLOW_MULTI == 0:
            return 0 if len(self.programs) > 0 else -1
        for other in self.programs:
            if other is program and program is not replaced:
                raise Errno(EINVAL)
        if replaced is None:
            return -1
        if replaced not in self.programs:
            raise Errno(ENOENT)
        return self.programs.index(replaced)

    def remove(self, program: Program | None) -> None:
        """Detach. Raises EINVAL if none is named although there may be several, ENOENT."""
        if self.flags & ALLOW_MULTI != 0:
            if program is None:
                raise Errno(EINVAL)
            if program not in self.programs:
                raise Errno(ENOENT)
            place = self.programs.index(program)
        else:
            if len(self.programs) == 0:
                raise Errno(ENOENT)
            place = 0
        release_program(self.programs.pop(place))
        if len(self.programs) == 0:
            self.flags = 0

    def clear(self) -> None:
        """The group was removed."""
        while len(self.programs) > 0:
            release_program(self.programs.pop())
