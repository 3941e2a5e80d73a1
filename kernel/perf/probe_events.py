"""Probes of programs that have names: tracefs's `uprobe_events`, `uprobe_profile` and events/GROUP/EVENT.

They stay until somebody removes them, which is refused while an event uses them or they are enabled. Enabling one puts
its breakpoints in place and counts; there is no trace buffer to see what was met.

Deviation from Linux: an event has one place.

Context: system calls. Sleeps.
"""

from typing import Final

from kernel.fs.path import FsContext
from kernel.lang import EBUSY, EEXIST, EINVAL, ENODEV, ENOENT, ENOSPC, Errno, final
from kernel.lib.pace import pace
from kernel.perf.lifecycle import observe, prepare
from kernel.perf.probe_commands import ProbeCommand, parse
from kernel.perf.probe_file import check_place, find_source
from kernel.perf.probe_record import point_of
from kernel.perf.probes import PROBES, ProbePoint, ProbeUse
from kernel.perf.tracepoints import DYNAMIC, Tracepoint

_MOST: Final = 4096
_FIRST_NUMBER: Final = 2048  # above those of system calls
_LAST_NUMBER: Final = 0xFFFF
_LINE_COST: Final = 1500
_ARGUMENT_COST: Final = 200
_LOOK_COST: Final = 60  # instructions, for `pace`


@final
class NamedProbe:
    """One of them."""

    def __init__(self, command: ProbeCommand, point: ProbePoint, shown: Tracepoint) -> None:
        self.command: ProbeCommand = command
        self.point: ProbePoint = point
        self.shown: Tracepoint = shown
        self.error: int = 0  # what whoever uses it gets: there can be no breakpoint
        self.use: ProbeUse | None = None  # while it is enabled

    def line(self) -> bytes:
        """As `uprobe_events` shows it. Raises MemoryError."""
        command = self.command
        kind = b"r:" if command.is_return else b"p:"
        text = bytearray(kind + command.group + b"/" + command.event + b" " + command.path)
        text.extend(f":0x{command.offset:016x}".encode())
        if command.counter != 0:
            text.extend(f"(0x{command.counter:x})".encode())
        for fetch in command.arguments:
            text.extend(b" " + fetch.name + b"=" + fetch.text)
        text.append(ord("\n"))
        return bytes(text)

    def is_busy(self) -> bool:
        """Whether it is in use."""
        return len(self.point.users) > 0

    def check(self) -> None:
        """Raise what says why it cannot be used: EINVAL, EIO, ENOTSUPP."""
        if self.error != 0:
            raise Errno(self.error)

    def turn(self, is_on: bool) -> None:
        """Enable it, or no more. Raises EINVAL, EIO, ENOTSUPP, MemoryError."""
        use = self.use
        if is_on:
            self.check()
        if is_on and use is None:
            prepare()
            use = ProbeUse(self.point, None, is_own=False)
            self.use = use
            observe(1)  # so that what is mapped later is looked at
            try:
                use.begin()
            except MemoryError:
                if self.use is use:
                    self._end_use(use)
                raise
        elif not is_on and use is not None:
            self._end_use(use)

    def _end_use(self, use: ProbeUse) -> None:
        self.use = None
        observe(-1)
        use.release()


@final
class NamedProbes:
    """All of them, in the order in which they came."""

    def __init__(self) -> None:
        self.all: list[NamedProbe] = []
        self.oldest: dict[bytes, NamedProbe] = {}  # of each group
        self.last_number: int = _FIRST_NUMBER

    def find(self, group: bytes, event: bytes) -> NamedProbe | None:
        for probe in self.all:
            if probe.command.event == event and probe.command.group == group:
                return probe
        return None

    def numbered(self, number: int) -> NamedProbe | None:
        """That of a number."""
        for probe in self.all:
            if probe.point.number == number:
                return probe
        return None

    def free_number(self) -> int:
        """A number for one more. Numbers are used again as late as possible. Raises ENODEV."""
        number = self.last_number
        for _ in range(_LAST_NUMBER - _FIRST_NUMBER + 1):
            number = _FIRST_NUMBER if number == _LAST_NUMBER else number + 1
            if number not in DYNAMIC:
                self.last_number = number
                return number
        raise Errno(ENODEV)

    def _enter(self, probe: NamedProbe) -> None:
        """Raises MemoryError."""
        group = probe.command.group
        self.all.append(probe)
        try:
            if group not in self.oldest:
                self.oldest[group] = probe
        except MemoryError:
            self.all.pop()
            raise

    def _take_out(self, probe: NamedProbe) -> None:
        group = probe.command.group
        self.all.remove(probe)
        if self.oldest[group] is not probe:
            return
        for other in self.all:
            if other.command.group == group:
                self.oldest[group] = other
                return
        self.oldest.pop(group)

    def command(self, context: FsContext, line: bytes) -> None:
        """Do what a line says. Raises EINVAL, E2BIG, EEXIST, EBUSY, ENOENT, ENOSPC, what leads to no file, EIO,
        ENOTSUPP, MemoryError.
        """
        command = parse(line)
        present = self.find(command.group, command.event)
        if command.deletes:
            if present is None:
                raise Errno(ENOENT)
            self.remove(present)
            return
        file = find_source(context, command.path)
        present = self.find(command.group, command.event)  # that slept
        if present is not None or len(self.all) >= _MOST or command.group == b"syscalls":
            file.release()
            raise Errno(EEXIST if present is not None else ENOSPC if len(self.all) >= _MOST else EINVAL)
        try:
            check_place(command.offset, command.offset, command.counter)
            file.acquire()  # for another try
        except Errno:
            file.release()
            raise
        error = 0
        try:
            if command.offset > file.size:
                file.release()
                raise Errno(EINVAL)
            point = PROBES.point_at(file, command.offset, command.counter, command.is_return)
            file.release()
        except Errno as failure:
            # As on Linux, whoever uses it hears of that: it stands at a place of its own, which no program has.
            error = int(failure.code)
            point = PROBES.point_at(file, -1 - PROBES.number(), command.counter, command.is_return)
        except MemoryError:
            file.release()
            raise
        try:
            if self.find(command.group, command.event) is not None:
                raise Errno(EEXIST)
            point.number = self.free_number()
            point.command = command
            shown = point_of(point.number, command)
            DYNAMIC[point.number] = shown
            fresh = NamedProbe(command, point, shown)
            fresh.error = error
            self._enter(fresh)
        except (Errno, MemoryError):
            if point.command is not None:
                DYNAMIC.pop(point.number, None)
            PROBES.drop(point)
            raise

    def remove(self, probe: NamedProbe) -> None:
        """Raises EBUSY."""
        if probe.is_busy():
            raise Errno(EBUSY)
        self._take_out(probe)
        DYNAMIC.pop(probe.point.number, None)
        PROBES.drop(probe.point)

    def clear(self) -> None:
        """Remove all. Raises EBUSY if one is in use, with none removed."""
        for probe in self.all:
            if probe.is_busy():
                raise Errno(EBUSY)
        while len(self.all) > 0:
            self.remove(self.all[len(self.all) - 1])
            pace(_LOOK_COST * len(self.all))


NAMED: Final = NamedProbes()


def probe_lines() -> bytes:
    """The file `uprobe_events`. Raises MemoryError."""
    text = bytearray()
    index = 0
    while index < len(NAMED.all):
        probe = NAMED.all[index]
        text.extend(probe.line())
        pace(_LINE_COST + _ARGUMENT_COST * len(probe.command.arguments))
        index += 1
    return bytes(text)


def probe_profile() -> bytes:
    """The file `uprobe_profile`. Raises MemoryError."""
    text = bytearray()
    index = 0
    while index < len(NAMED.all):
        probe = NAMED.all[index]
        name = probe.command.event
        text.extend(b"  " + probe.command.path + b" " + name + b" " * max(0, 44 - len(name)))
        text.extend(f" {probe.point.hits:15d}\n".encode())
        pace(_LINE_COST)
        index += 1
    return bytes(text)
