"""Probes of programs: breakpoints in what maps a file, on a booted machine."""

import errno
import struct

import pytest

from kernel.lang import span_of
from kernel.mm.foreign import read_foreign
from kernel.mm.space import AddressSpace
from kernel.perf.probe_events import NAMED, probe_lines
from kernel.perf.probes import PROBES, Probe
from kernel.sched.processor import RUNNING
from kernel.task.task import current
from tests.unit.booted import booted
from tests.unit.perf.test_events import opened
from tools.simulated.machine import Machine
from tools.simulated.program import Program

UPROBE = 7
PAGE = 4096
PUSH = 0x55


def attributes(program: Program, name: bytes, offset: int, config: int = 0) -> bytes:
    at = program.call("mmap", 0, PAGE, 3, 0x22, -1, 0)
    program.store(at, name + b"\0")
    data = bytearray(136)
    data[:48] = struct.pack("<IIQQQQQ", UPROBE, 136, config, 0, 0, 0, 0)
    data[56:72] = struct.pack("<QQ", at, offset)
    return bytes(data)


def code_file(program: Program) -> int:
    file = program.open("/code", 0o102, 0o755)
    program.write(file, bytes([PUSH]) * 2 * PAGE, 2 * PAGE)
    return file


def code_of(program: Program, data: bytes) -> int:
    try:
        program.close(opened(program, data))
    except OSError as error:
        return error.errno or 0
    return 0


@booted
def test_a_breakpoint_stands_while_an_event_is_open(machine: Machine) -> None:
    host = machine.host
    file = code_file(host)
    code = host.call("mmap", 0, 2 * PAGE, 5, 2, file, 0)
    event = opened(host, attributes(host, b"/code", PAGE + 8))
    assert host.load(code + PAGE + 7, 3) == bytes([PUSH, 0xCC, PUSH])
    second = opened(host, attributes(host, b"/code", PAGE + 8, config=1))
    later = host.call("mmap", 0, PAGE, 5, 2, file, PAGE)
    assert host.load(later + 8, 1) == b"\xcc"
    data = host.call("mmap", 0, PAGE, 3, 2, file, PAGE)
    assert host.load(data + 8, 1) == bytes([PUSH])  # it could be written
    host.close(event)
    assert host.load(later + 8, 1) == b"\xcc"
    host.close(second)
    assert host.load(later + 8, 1) == bytes([PUSH])
    assert host.load(code + PAGE + 8, 1) == bytes([PUSH])
    assert PROBES.count == 0 and PROBES.by_place == {} and PROBES.by_file == {}


@booted
def test_places_that_cannot_be_watched_are_refused(machine: Machine) -> None:
    host = machine.host
    code_file(host)
    assert code_of(host, attributes(host, b"/code", 3 * PAGE)) == errno.EINVAL
    assert code_of(host, attributes(host, b"/nowhere", 0)) == errno.ENOENT
    assert code_of(host, attributes(host, b"", 0)) == errno.EINVAL
    assert code_of(host, attributes(host, b"/", 0)) == errno.EINVAL
    assert code_of(host, attributes(host, b"/code", 0, config=3 << 32)) == errno.EINVAL
    assert PROBES.count == 0


@booted
def test_probes_with_names_stay(machine: Machine) -> None:
    host = machine.host
    file = code_file(host)
    code = host.call("mmap", 0, PAGE, 5, 2, file, 0)
    context = current().fs
    NAMED.command(context, b"p:mine/hits /code:0x10 %di")
    assert probe_lines() == b"p:mine/hits /code:0x0000000000000010 arg1=%di\n"
    probe = NAMED.find(b"mine", b"hits")
    assert probe is not None and list(NAMED.oldest) == [b"mine"]
    assert host.load(code + 16, 1) == bytes([PUSH])
    probe.turn(is_on=True)
    assert host.load(code + 16, 1) == b"\xcc"
    assert probe.is_busy() and RUNNING.is_observed
    later = host.call("mmap", 0, PAGE, 5, 2, file, 0)
    assert host.load(later + 16, 1) == b"\xcc"
    probe.turn(is_on=False)
    assert not RUNNING.is_observed and host.load(later + 16, 1) == bytes([PUSH])
    assert host.load(code + 16, 1) == bytes([PUSH])
    NAMED.clear()
    assert probe_lines() == b"" and PROBES.count == 0 and NAMED.oldest == {}


@booted
def test_records_name_points_in_16_bits(machine: Machine) -> None:
    host = machine.host
    code_file(host)
    host.close(opened(host, attributes(host, b"/code", 0)))
    assert PROBES.number() > 0xFFFF  # of probes without names
    context = current().fs
    NAMED.last_number = 0xFFFE
    numbers = []
    for name in (b"first", b"second", b"third"):
        NAMED.command(context, b"p:mine/" + name + b" /code:0x10")
        probe = NAMED.find(b"mine", name)
        assert probe is not None
        numbers.append(probe.point.number)
        if name == b"first":
            NAMED.last_number = 0xFFFE
    assert numbers == [0xFFFF, 2048, 2049]
    NAMED.clear()


@booted
def test_only_spaces_with_probes_look_at_breakpoints(machine: Machine) -> None:
    host = machine.host
    file = code_file(host)
    event = opened(host, attributes(host, b"/code", 8))
    space = current().space
    assert not space.layout.has_breakpoints
    host.call("mmap", 0, PAGE, 5, 2, file, 0)
    assert space.layout.has_breakpoints
    child = space.fork()
    assert child.layout.has_breakpoints and not child.layout.is_being_copied
    child.release()
    host.close(event)
    assert PROBES.count == 0


@booted
def test_a_copy_made_while_a_probe_goes_loses_its_breakpoint(machine: Machine) -> None:
    host = machine.host
    file = code_file(host)
    code = host.call("mmap", 0, PAGE, 5, 2, file, 0)
    event = opened(host, attributes(host, b"/code", 8))
    space = current().space
    children: list[AddressSpace] = []
    put = Probe.put

    def put_late(probe: Probe, where: AddressSpace, address: int, is_in: bool) -> bool:
        if not children:
            children.append(space.fork())  # after the walk, before the breakpoint goes
        return put(probe, where, address, is_in)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Probe, "put", put_late)
        host.close(event)
    byte = bytearray(1)
    read_foreign(children[0], code + 8, span_of(byte), by_force=True)
    assert bytes(byte) == bytes([PUSH]) and PROBES.count == 0
    children[0].release()


@booted
def test_a_breakpoint_that_is_left_keeps_its_probe(machine: Machine) -> None:
    host = machine.host
    file = code_file(host)
    host.call("mmap", 0, PAGE, 5, 2, file, 0)
    event = opened(host, attributes(host, b"/code", 8))
    def fail(probe: Probe, is_in: bool) -> bool:
        raise MemoryError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Probe, "put_everywhere", fail)
        host.close(event)
    assert PROBES.count == 1
    host.close(opened(host, attributes(host, b"/code", 8)))
    assert PROBES.count == 0
