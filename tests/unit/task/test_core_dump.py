"""Core files that processes of a booted machine leave."""

import os
import signal
import struct
from collections.abc import Callable

import pytest

from kernel.fs.anonymous import AnonymousInode, InternalMount
from kernel.fs.descriptors import FileTable
from kernel.fs.file import File
from kernel.fs.secret_memory import SecretPages
from kernel.ipc.pipe import make_pipe
from kernel.lang import EIO, span_of
from kernel.lib.pace import PACE_BYTES
from kernel.lib.pid import FIRST
from kernel.lib.user import Buffer
from kernel.mm.area import MAP_ANONYMOUS, MAP_NORESERVE, MAP_PRIVATE, MAP_SHARED, PROT_READ, PROT_WRITE, Area
from kernel.mm.dumping import dumped_frame, next_dumped
from kernel.mm.fault import Access
from kernel.mm.frames import NO_FRAME, put_frame
from kernel.mm.objects import FixedPages, SharedMemory
from kernel.mm.space import (
    DUMP_ANONYMOUS,
    DUMP_ELF_HEADERS,
    DUMP_KINDS,
    DUMP_SHARED_ANONYMOUS,
    DUMPED_BY_DEFAULT,
    AddressSpace,
)
from kernel.sched.scheduler import work_is_done
from kernel.task import core_handler, helper
from kernel.task.core_notes import Pieces
from kernel.task.core_segments import dumped_size
from kernel.task.core_settings import PIPE_LIMIT, set_pattern
from kernel.task.core_state import CoreDump
from kernel.task.core_writer import CoreWriter
from kernel.task.limits import UNLIMITED
from kernel.task.seccomp import add_filter
from kernel.task.seccomp_filter import KILL_PROCESS
from kernel.task.task import current
from tests.unit.booted import booted
from tests.unit.task.test_seccomp_filter import assemble
from tools.simulated.machine import Machine
from tools.simulated.program import Program

PAGE = 4096
NO_LIMIT = struct.pack("<QQ", 2**64 - 1, 2**64 - 1)
RLIMIT_CORE = 4


def dump(program: Program, signo: int = signal.SIGABRT) -> None:
    program.call("setrlimit", RLIMIT_CORE, NO_LIMIT)
    program.kill(program.getpid(), signo)


def contents(program: Program, name: str) -> bytes:
    descriptor = program.call("open", name, 0, 0)
    data = b""
    buffer = bytearray(1 << 16)
    while count := program.read(descriptor, buffer, len(buffer)):
        data += bytes(buffer[:count])
    program.close(descriptor)
    return data


@booted
def test_a_core_file_and_its_status(machine: Machine) -> None:
    status = machine.run(dump)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGABRT and os.WCOREDUMP(status)
    core = contents(machine.host, "core")
    assert core[:7] == b"\x7fELF\x02\x01\x01"
    kind, machine_kind = struct.unpack_from("<HH", core, 16)
    assert (kind, machine_kind) == (4, 62)
    count = struct.unpack_from("<H", core, 56)[0]
    first = struct.unpack_from("<IIQQQQQQ", core, 64)
    assert first[0] == 4 and first[2] == 64 + 56 * count
    name_size, data_size, note = struct.unpack_from("<III", core, first[2])
    assert (name_size, data_size, note) == (5, 336, 1)
    last = struct.unpack_from("<IIQQQQQQ", core, 64 + 56 * (count - 1))
    assert len(core) == last[2] + last[5]


@booted
def test_a_limit_of_nothing_leaves_none(machine: Machine) -> None:
    def child(program: Program) -> None:
        program.kill(program.getpid(), signal.SIGABRT)

    assert machine.run(child) == signal.SIGABRT
    with pytest.raises(OSError, match="ENOENT"):
        machine.host.call("open", "core", 0, 0)


@booted
def test_a_program_reads_it(machine: Machine) -> None:
    seen: list[bytes] = []

    def handler(program: Program) -> None:
        total = b""
        buffer = bytearray(1 << 16)
        while count := program.read(0, buffer, len(buffer)):
            total += bytes(buffer[:count])
        seen.append(b" ".join(program.arguments()))
        seen.append(total[:4])

    machine.install("/bin/handler", handler)
    set_pattern(b"|/bin/handler %s")
    PIPE_LIMIT.store([1])
    status = machine.run(dump)
    assert os.WCOREDUMP(status)
    assert seen == [b"/bin/handler 6", b"\x7fELF"]


def area(flags: int, source: SharedMemory | FixedPages | None, prot: int = PROT_READ | PROT_WRITE) -> Area:
    return Area(PAGE, 3 * PAGE, prot, prot, flags, source, 0)


def test_which_areas_are_dumped() -> None:
    anonymous = area(MAP_PRIVATE, None)
    assert dumped_size(anonymous, DUMPED_BY_DEFAULT) == 0
    anonymous.has_own_pages = True
    assert dumped_size(anonymous, DUMPED_BY_DEFAULT) == 2 * PAGE
    assert dumped_size(anonymous, DUMP_SHARED_ANONYMOUS) == 0
    anonymous.dont_dump = True
    assert dumped_size(anonymous, DUMPED_BY_DEFAULT) == 0
    shared = area(MAP_SHARED, SharedMemory(2 * PAGE))
    assert dumped_size(shared, DUMPED_BY_DEFAULT) == 2 * PAGE
    assert dumped_size(shared, DUMP_ANONYMOUS | DUMP_ELF_HEADERS) == 0
    vdso = area(MAP_PRIVATE, FixedPages(b"[vdso]"))
    vdso.dont_dump = True
    assert dumped_size(vdso, 0) == 2 * PAGE


@booted
def test_secret_memory_is_not_dumped(machine: Machine) -> None:
    space = machine.host.task.space
    system = InternalMount(b"secrets", 0)
    source = SecretPages(AnonymousInode(system.file_system, system.file_system.new_ino(), 0))
    source.page_limit = 2
    start = space.map(0, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, source, 0)
    space.fault(start, Access.WRITE)
    mapped = space.area_at(start)
    assert mapped is not None
    assert dumped_size(mapped, DUMP_KINDS) == 0
    mapped.dont_dump = False  # MADV_DODUMP
    assert dumped_size(mapped, DUMPED_BY_DEFAULT) == 0  # it counts as a file
    assert dumped_size(mapped, DUMP_KINDS) == 2 * PAGE
    assert dumped_frame(space, mapped, start) == NO_FRAME


def next_pages(space: AddressSpace, mapped: Area) -> list[int]:
    """The pages with contents, by their places in the area, as a dump finds them."""
    found: list[int] = []
    address = mapped.start
    turns = 0
    while address < mapped.end:
        place = next_dumped(space, mapped, address, mapped.end)
        if place == address:
            if (frame := dumped_frame(space, mapped, address)) != NO_FRAME:
                put_frame(frame)
                found.append((address - mapped.start) // PAGE)
            place += PAGE
        address = place
        turns += 1
        assert turns < 100, "each page is looked at"
    return found


@booted
@pytest.mark.parametrize("flags", [MAP_PRIVATE, MAP_SHARED])
def test_a_sparse_mapping_stays_so(machine: Machine, flags: int) -> None:
    space = machine.host.task.space
    pages = 1 << 28
    source = SharedMemory(pages * PAGE)
    start = space.map(0, pages * PAGE, PROT_READ | PROT_WRITE, flags | MAP_NORESERVE, source, 0)
    mapped = space.area_at(start)
    assert mapped is not None
    for page in (0, 1, 1 << 20, pages - 1):
        space.fault(start + page * PAGE, Access.READ)
    space.fault(start + (1 << 21) * PAGE, Access.WRITE)
    kept = source.frames.count
    assert next_pages(space, mapped) == [0, 1, 1 << 20, 1 << 21, pages - 1]
    assert source.frames.count == kept


class Storage(File):
    """What a core file is written to."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.position = 0
        self.seekable = True
        self.inode = AnonymousInode(SYSTEM.file_system, 1, 0)

    def write(self, source: Buffer) -> int:
        count = source.remaining
        piece = bytearray(count)
        source.take(span_of(piece))
        self.data.extend(piece)
        self.position += count
        return count


SYSTEM = InternalMount(b"storage", 0)


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, 300_000])
def test_long_pieces_are_written_whole(size: int) -> None:
    storage = Storage()
    writer = CoreWriter(storage, UNLIMITED, UNLIMITED, CoreDump(FIRST, 0))
    wanted = b"head" + bytes(index * 7 & 0xFF for index in range(size)) + b"end"
    for piece in (wanted[:4], wanted[4:-3], wanted[-3:]):
        writer.put(piece)
        while writer.is_flush_due():
            writer.flush()
    while writer.is_dirty():
        writer.flush()
    assert bytes(storage.data) == wanted


def test_pieces_are_short_and_in_order() -> None:
    pieces = Pieces()
    wanted = b""
    for index in range(3000):
        part = bytes([index & 0xFF]) * (index % 97)
        pieces.add(part)
        wanted += part
    pieces.end()
    assert b"".join(pieces.all) == wanted and pieces.size == len(wanted)
    assert max(len(piece) for piece in pieces.all) <= PACE_BYTES < len(wanted)


# The program that reads one -------------------------------------------------------------------------------------------


@booted
def test_a_helper_that_cannot_be_made_holds_no_pipe(machine: Machine) -> None:
    ends = make_pipe(machine.host.task.credentials, 0)

    def nothing_left() -> FileTable:
        raise MemoryError

    setattr(core_handler, "FileTable", nothing_left)  # noqa: B010  # for this machine alone
    with pytest.raises(MemoryError):
        core_handler.start_helper([b"/bin/handler"], ends.reader)
    assert ends.reader.users == 0


@booted
def test_a_bug_in_a_helper_ends_the_wait_for_it(machine: Machine) -> None:
    def fails(*_arguments: object) -> None:
        raise AssertionError

    setattr(helper, "execute", fails)  # noqa: B010  # for this machine alone
    start = helper.HelperStart([b"/"], [])
    with pytest.raises(AssertionError):
        start.begin(machine.host.task)
    assert start.is_done and start.error == EIO


# Threads that end -----------------------------------------------------------------------------------------------------

CLONE_THREAD = 0x10F00  # with all that goes with it
PTRACE_CONT = 7
PTRACE_SEIZE = 0x4206
PTRACE_O_TRACEEXIT = 0x40
WALL = 0x4000_0000
STOPPED_AT_THE_END = 6 << 16 | signal.SIGTRAP << 8 | 0x7F


def start_thread(program: Program, main: Callable[[Program], int | None]) -> int:
    stack = program.call("mmap", 0, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    program.frame.r15 = program.code.add_main(main)
    try:
        return program.call("clone", CLONE_THREAD, stack + 16 * PAGE, 0, 0, 0)
    finally:
        program.frame.r15 = 0


@booted
def test_a_thread_that_a_tracer_holds_at_its_end_delays_no_dump(machine: Machine) -> None:
    host = machine.host

    def pipe() -> tuple[int, int]:
        ends = bytearray(8)
        host.call("pipe2", ends, 0)
        reader, writer = struct.unpack("<II", ends)
        return reader, writer

    is_ready, may_end, may_dump = pipe(), pipe(), pipe()

    def ends(program: Program) -> None:
        program.read(may_end[0], bytearray(1), 1)
        program.call("exit", 5)

    def child(program: Program) -> None:
        tid = start_thread(program, ends)
        program.write(is_ready[1], struct.pack("<I", tid), 4)
        program.read(may_dump[0], bytearray(1), 1)
        dump(program)

    pid = host.fork(child)
    number = bytearray(4)
    assert host.read(is_ready[0], number, 4) == 4
    tid = int.from_bytes(number, "little")
    host.call("ptrace", PTRACE_SEIZE, tid, 0, PTRACE_O_TRACEEXIT)
    host.write(may_end[1], b"x", 1)
    status = bytearray(4)
    assert host.call("wait4", tid, status, WALL, 0) == tid
    assert int.from_bytes(status, "little") == STOPPED_AT_THE_END
    host.write(may_dump[1], b"x", 1)
    for _ in range(100):
        host.nanosleep(struct.pack("<QQ", 0, 1_000_000), None)
    assert host.call("wait4", tid, status, WALL | os.WNOHANG, 0) == 0  # its tracer holds it still
    host.kill(pid, signal.SIGKILL)  # too late: it changes nothing
    host.call("ptrace", PTRACE_CONT, tid, 0, 0)
    for each in (tid, pid):
        assert host.call("wait4", each, status, WALL, 0) == each
        assert int.from_bytes(status, "little") == signal.SIGABRT | 0x80
    assert contents(host, "core")[:4] == b"\x7fELF"


@booted
def test_a_call_that_leaves_a_core_file_does_not_return(machine: Machine) -> None:
    """Other threads run on the processor while the file is written, and find nothing left to do."""
    went_on: list[int] = []
    finish = CoreDump.finish

    def finish_after_others(dump: CoreDump) -> None:
        finish(dump)
        work_is_done()

    def child(program: Program) -> None:
        program.call("setrlimit", RLIMIT_CORE, NO_LIMIT)
        add_filter(current(), assemble((0x06, 0, 0, KILL_PROCESS)), 0)
        setattr(CoreDump, "finish", finish_after_others)  # noqa: B010  # for this machine alone
        went_on.append(program.call("getuid"))

    status = machine.run(child)
    assert os.WTERMSIG(status) == signal.SIGSYS and os.WCOREDUMP(status)
    assert not went_on
