"""Core files that processes of a booted machine leave."""

import os
import signal
import struct

import pytest

from kernel.mm.area import MAP_PRIVATE, MAP_SHARED, PROT_READ, PROT_WRITE, Area
from kernel.mm.objects import FixedPages, SharedMemory
from kernel.mm.space import DUMP_ANONYMOUS, DUMP_ELF_HEADERS, DUMP_SHARED_ANONYMOUS, DUMPED_BY_DEFAULT
from kernel.task.core_segments import dumped_size
from kernel.task.core_settings import PIPE_LIMIT, set_pattern
from tests.unit.booted import booted
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
