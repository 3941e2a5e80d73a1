"""Probes of programs: places of files where a breakpoint stands in the memory of processes that map them executable.

A probe belongs to a file and an offset. Whoever wants it has a point there (`ProbePoint`), with a number as tracepoints
have; those of tracefs have names and stay, those of single events end with them. A point is in use for a task, or for
all. The breakpoint is one byte in a private copy of the page: it is put into every address space that maps the place
while a point is in use for it, at once or when it is mapped, and goes when the last use of the probe ends. Forked
children have it by copy.

Context: system calls; sleeps. Others may map and unmap meanwhile: what is mapped later is met by `install_in`.
Source: perf_event_open(2); Documentation/trace/uprobetracer.rst.
"""

from typing import Final

from arch.programs import BREAKPOINT_CODE, Displaced, analyse
from kernel.lang import EINVAL, ENOMEM, Errno, final, span_of
from kernel.lib.pace import pace
from kernel.mm.area import PROT_EXEC, PROT_WRITE, Area
from kernel.mm.foreign import read_foreign, write_foreign
from kernel.mm.frames import PAGE_SHIFT
from kernel.mm.objects import AREA_WALK, MemoryObject, TrackedObject
from kernel.mm.space import AddressSpace, each_area
from kernel.perf.held_spaces import LATE, HeldSpaces
from kernel.perf.probe_commands import ProbeCommand
from kernel.perf.probe_file import ProbedFile, read_instruction
from kernel.sched.processor import RUNNING
from kernel.sched.scheduler import announce_work
from kernel.task.task import Task

PROBE_BYTES: Final = 900  # about what one takes, with its point
_LOOK_COST: Final = 60  # instructions, for `pace`
_WRITE_COST: Final = 3000
_OFFSET_BITS: Final = 40
_MOST_ROUNDS: Final = 16
_FIRST_NUMBER: Final = 1 << 16  # above those of points with names, which records hold in 16 bits


@final
class ProbePoint:
    """What somebody wants of a probe: to know when the place is reached, or when the function there returns."""

    def __init__(self, probe: "Probe", number: int, is_return: bool) -> None:
        self.probe: Probe = probe
        self.number: int = number
        self.is_return: bool = is_return
        self.users: list[Task | None] = []  # for whom it is in use; None: for all
        self.hits: int = 0
        self.arguments: bytes | None = None  # while it is reported and has a name
        self.command: ProbeCommand | None = None  # that made it, of one with a name

    def is_wanted_in(self, space: AddressSpace, task: Task | None) -> bool:
        """Whether it is in use for an address space, which is a task's."""
        for user in self.users:
            if user is None or user.memory is space:
                return True
        observation = None if task is None else task.observation
        return observation is not None and observation.looks_at(self.number)


@final
class Probe:
    """A place of a file."""

    def __init__(self, number: int, file: ProbedFile, offset: int, code: bytes, counter: int) -> None:
        """Raises ENOTSUPP for an instruction that cannot be displaced, MemoryError."""
        self.number: int = number
        self.file: ProbedFile = file
        self.source: TrackedObject = file.source
        self.offset: int = offset
        self.code: bytes = code
        self.counter: int = counter
        self.what: Displaced = analyse(code)
        self.points: list[ProbePoint] = []
        self.uses: int = 0  # of all its points
        self.may_stand: bool = False  # there may be breakpoints of it
        self.writers: int = 0  # threads that put breakpoints there

    def is_wanted_in(self, space: AddressSpace, task: Task | None) -> bool:
        """Whether a point of it is in use for an address space."""
        for point in self.points:
            if point.is_wanted_in(space, task):
                return True
        return False

    def address_in(self, area: Area) -> int:
        """Where it lies in an area that can have it; -1 if it does not."""
        if area.source is not self.source or area.shared or area.is_huge or area.maximum_prot & PROT_EXEC == 0:
            return -1
        page = (self.offset >> PAGE_SHIFT) - area.first_page
        if not 0 <= page < area.end - area.start >> PAGE_SHIFT:
            return -1
        return area.start + (page << PAGE_SHIFT) + (self.offset & (1 << PAGE_SHIFT) - 1)

    def put(self, space: AddressSpace, address: int, is_in: bool) -> bool:
        """Have the breakpoint there, or the instruction again. What is not mapped any more stays as it is. Returns
        whether others may have copied what was there before: look for them. Raises MemoryError.
        """
        self.writers += 1
        try:
            has_changed = self._write(space, address, is_in)
            for _ in range(_MOST_ROUNDS):
                wanted = self.uses > 0 and (is_in or self.is_wanted_in(space, None))
                if wanted == is_in or not has_changed:
                    break
                is_in = wanted  # somebody has changed his mind while this slept
                self._write(space, address, is_in)
            return has_changed
        finally:
            self.writers -= 1

    def _write(self, space: AddressSpace, address: int, is_in: bool) -> bool:
        area = space.area_at(address)
        if area is None or self.address_in(area) != address or (is_in and area.prot & PROT_WRITE != 0):
            return False
        if self.code[0] == BREAKPOINT_CODE or space.layout.is_being_copied:
            return False
        byte = bytearray(1)
        if is_in:
            self.may_stand = True
        try:
            read_foreign(space, address, span_of(byte), by_force=True)
            if is_in and byte[0] == BREAKPOINT_CODE:
                space.layout.has_breakpoints = True
            if byte[0] != (self.code[0] if is_in else BREAKPOINT_CODE):
                return False
            byte[0] = BREAKPOINT_CODE if is_in else self.code[0]
            write_foreign(space, address, span_of(byte), by_force=True)
            if is_in:
                space.layout.has_breakpoints = True
        except Errno as error:
            return error.code == ENOMEM  # else unmapped meanwhile: whoever executes it fails, too
        return True

    def put_everywhere(self, is_in: bool) -> None:
        """The same in all address spaces that map it: those where it is wanted. Breakpoints are looked for until there
        are none: a program may be copied before its own goes. Raises MemoryError.
        """
        for _ in range(1 if is_in else _MOST_ROUNDS):
            has_changed = self._put_in_all(is_in)
            if not is_in and not has_changed and self.uses == 0 and self.writers == 0:
                self.may_stand = False
            if not has_changed or (self.uses > 0) != is_in:
                break

    def _put_in_all(self, is_in: bool) -> bool:
        has_changed = False
        held = HeldSpaces()
        LATE.append(held)
        try:
            self._find_places(held, is_in)
            for index in range(len(held.spaces)):
                if (self.uses > 0) == is_in:  # nobody has changed his mind
                    if self.put(held.spaces[index], held.places[index], is_in):
                        has_changed = True
                    pace(_WRITE_COST)
            return has_changed
        finally:
            held.let_go()
            if len(held.spaces) == 0:
                LATE.remove(held)
            else:
                RUNNING.is_observed = True  # so that a thread looks after them: `release_late`
                announce_work()

    def _find_places(self, held: HeldSpaces, is_in: bool) -> None:
        AREA_WALK.begin(self.source)
        try:
            area = AREA_WALK.next()
            while area is not None:
                space = area.space
                address = self.address_in(area)
                if space is not None and space.users > 0 and address >= 0 and not space.layout.is_being_copied:
                    if not is_in or self.is_wanted_in(space, None):
                        held.places.append(address)
                        held.spaces.append(space)
                        space.acquire()
                pace(_LOOK_COST)
                area = AREA_WALK.next()
        finally:
            AREA_WALK.finish()


@final
class Probes:
    """All of them, by place and by file."""

    def __init__(self) -> None:
        self.were_used: bool = False  # breakpoints may be found that are the kernel's
        self.count: int = 0
        self.by_place: dict[int, list[Probe]] = {}
        self.by_file: dict[int, list[Probe]] = {}
        self.last: int = 0

    def find(self, source: MemoryObject, offset: int) -> Probe | None:
        """The probe of a place."""
        near = self.by_place.get(_key(source.inode_number(), offset))
        if near is not None:
            for probe in near:
                if probe.source is source and probe.offset == offset:
                    return probe
        return None

    def of_area(self, area: Area) -> list[Probe]:
        """Those that may lie in an area. Raises MemoryError."""
        source = area.source
        if source is None or self.count == 0:
            return []
        found = self.by_file.get(source.inode_number())
        return [] if found is None else [probe for probe in found if probe.address_in(area) >= 0]

    def number(self) -> int:
        """A number that no other probe or point ever has."""
        self.last += 1
        return _FIRST_NUMBER + self.last

    def point_at(self, file: ProbedFile, offset: int, counter: int, is_return: bool) -> ProbePoint:
        """A new point; `drop` ends it. The file, which is in use, is the probe's from now on. Sleeps. Raises EINVAL if
        others count elsewhere, EIO, ENOTSUPP, MemoryError, with the file released.
        """
        probe = self.find(file.source, offset)
        if probe is None:
            try:
                code = read_instruction(file.source, offset, file.size)
                probe = self.find(file.source, offset)  # again: this slept
                if probe is None:
                    probe = Probe(self.number(), file, offset, code, counter)
                    self._enter(probe)
                    file.acquire()
            except (Errno, MemoryError):
                file.release()
                raise
        try:
            if len(probe.points) == 0:
                probe.counter = counter
            if probe.counter != counter:
                raise Errno(EINVAL)
            point = ProbePoint(probe, self.number(), is_return)
            probe.points.append(point)
        except (Errno, MemoryError):
            self._forget_if_idle(probe)
            file.release()
            raise
        file.release()
        return point

    def _enter(self, probe: Probe) -> None:
        """Raises MemoryError."""
        file = probe.file.number
        key = _key(file, probe.offset)
        near = self.by_place.get(key)
        if near is None:
            near = []
            self.by_place[key] = near
        others = self.by_file.get(file)
        if others is None:
            others = []
            self.by_file[file] = others
        near.append(probe)
        try:
            others.append(probe)
        except MemoryError:
            near.pop()
            raise
        self.count += 1
        self.were_used = True

    def _forget_if_idle(self, probe: Probe) -> None:
        if len(probe.points) > 0 or probe.may_stand:
            return  # whoever meets a breakpoint that is left finds out so that nobody wants it
        file = probe.file.number
        _take_out(self.by_place, _key(file, probe.offset), probe)
        _take_out(self.by_file, file, probe)
        self.count -= 1
        probe.file.release()

    def drop(self, point: ProbePoint) -> None:
        """Nobody uses a point, and nobody will."""
        probe = point.probe
        if point in probe.points:
            probe.points.remove(point)
            self._forget_if_idle(probe)


def _key(file: int, offset: int) -> int:
    return (file & 0xF_FFFF) << _OFFSET_BITS | offset & (1 << _OFFSET_BITS) - 1


def _take_out(table: dict[int, list[Probe]], key: int, probe: Probe) -> None:
    found = table.get(key)
    if found is None:
        return
    found.remove(probe)
    if len(found) == 0:
        table.pop(key)


PROBES: Final = Probes()


@final
class ProbeUse:
    """An event uses a point, for a task or for all."""

    def __init__(self, point: ProbePoint, task: Task | None, is_own: bool) -> None:
        """Sleeps. Raises MemoryError. `is_own`: the point ends with it."""
        self.point: ProbePoint = point
        self.task: Task | None = task
        self.is_own: bool = is_own
        point.users.append(task)
        point.probe.uses += 1

    def begin(self) -> None:
        """Put breakpoints where there are none yet. Raises MemoryError: then release it."""
        self.point.probe.put_everywhere(is_in=True)

    def release(self) -> None:
        """It ends. Sleeps. The point is busy until that is done."""
        probe = self.point.probe
        probe.uses -= 1
        if probe.uses == 0:
            try:
                probe.put_everywhere(is_in=False)
            except MemoryError:
                pass  # breakpoints that nobody wants go when a thread meets them
        self.point.users.remove(self.task)
        self.task = None
        if self.is_own:
            PROBES.drop(self.point)


def install_in(task: Task, start: int, end: int) -> None:
    """A range of the running task's memory was mapped, or all of it is new: put breakpoints there that are wanted.
    Sleeps. Raises MemoryError.
    """
    space = task.memory
    if PROBES.count == 0 or space is None:
        return
    for area in each_area(space, start):
        if area.start >= end:
            return
        for probe in PROBES.of_area(area):
            address = probe.address_in(area)
            if address >= 0 and probe.uses > 0 and probe.is_wanted_in(space, task):
                probe.put(space, address, is_in=True)
            pace(_LOOK_COST)
