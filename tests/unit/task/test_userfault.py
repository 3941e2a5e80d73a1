"""userfaultfd on a booted machine: a parent serves the faults that system calls make in its child's memory."""

import struct

import pytest

from kernel.mm.space import AddressSpace
from kernel.task.userfault import Fault, FaultContext, UserFaultFile
from tests.unit.booted import booted
from tools.simulated.machine import Machine
from tools.simulated.program import Program

PAGE = 4096
READ_WRITE, PRIVATE_ANONYMOUS = 3, 0x22
USER_MODE_ONLY, NONBLOCK = 1, 0o4000
API, REGISTER, WAKE = 0xC018AA3F, 0xC020AA00, 0x8010AA02
COPY, ZEROPAGE, PROTECT = 0xC028AA03, 0xC020AA04, 0xC018AA06
MISSING, WP = 1, 2
SIGBUS = 1 << 7


def ready(program: Program, flags: int, features: int = 0) -> int:
    descriptor = program.userfaultfd(flags)
    program.ioctl(descriptor, API, bytearray(struct.pack("<QQQ", 0xAA, features, 0)))
    return descriptor


def memory(program: Program, pages: int = 4) -> int:
    return program.mmap(0, pages * PAGE, READ_WRITE, PRIVATE_ANONYMOUS, -1, 0)


def register(program: Program, descriptor: int, place: int, pages: int, modes: int) -> int:
    arguments = bytearray(struct.pack("<QQQQ", place, pages * PAGE, modes, 0))
    program.ioctl(descriptor, REGISTER, arguments)
    commands: int = struct.unpack_from("<Q", arguments, 24)[0]
    return commands


@booted
def test_faults_of_system_calls_are_served(machine: Machine) -> None:
    host = machine.host
    pair = bytearray(8)
    host.pipe2(pair, 0)
    reader, writer = struct.unpack("<ii", pair)

    def child(program: Program) -> int:
        place = memory(program)
        assert ready(program, 0) == descriptor
        assert register(program, descriptor, place, 4, MISSING) == 0x13C
        assert program.write(writer, place + PAGE, 4) == 4
        return 9

    descriptor = host.dup(0)
    host.close(descriptor)
    pid = host.fork(child)
    process = host.pidfd_open(pid, 0)
    faults = -1
    while faults < 0:
        try:
            faults = host.pidfd_getfd(process, descriptor, 0)
        except OSError:
            host.sched_yield()
    message = bytearray(32)
    while True:
        try:
            assert host.read(faults, message, 32) == 32
            break
        except OSError as error:
            assert "EINVAL" in str(error)  # it has not said UFFDIO_API yet
            host.sched_yield()
    event, flags, address = struct.unpack_from("<B7xQQ", message)
    assert (event, flags) == (0x12, 0)
    own = memory(host, 1)
    host.store(own, b"text" + bytes(PAGE - 4))
    filled = bytearray(struct.pack("<QQQQq", address, own, PAGE, 0, 0))
    host.ioctl(faults, COPY, filled)
    assert struct.unpack_from("<q", filled, 32)[0] == PAGE
    status = bytearray(4)
    host.wait4(pid, status, 0, None)
    assert status[1] == 9
    got = bytearray(4)
    assert host.read(reader, got, 4) == 4 and got == b"text"
    with pytest.raises(OSError, match="ESRCH"):
        host.ioctl(faults, ZEROPAGE, bytearray(struct.pack("<QQQq", address, PAGE, 0, 0)))


@booted
def test_the_kernel_does_not_wait_where_only_programs_do(machine: Machine) -> None:
    host = machine.host
    pair = bytearray(8)
    host.pipe2(pair, 0)
    _reader, writer = struct.unpack("<ii", pair)
    for flags, features in ((USER_MODE_ONLY, 0), (0, SIGBUS)):
        faults = ready(host, flags | NONBLOCK, features)
        place = memory(host)
        register(host, faults, place, 4, MISSING)
        with pytest.raises(OSError, match="EFAULT"):
            host.write(writer, place, 1)
        with pytest.raises(OSError, match="EAGAIN"):
            host.read(faults, bytearray(32), 32)
        host.ioctl(faults, ZEROPAGE, bytearray(struct.pack("<QQQq", place, PAGE, 0, 0)))
        assert host.write(writer, place, 1) == 1
        with pytest.raises(OSError, match="EEXIST"):
            host.ioctl(faults, ZEROPAGE, bytearray(struct.pack("<QQQq", place, PAGE, 0, 0)))
        host.close(faults)
        assert host.write(writer, place + PAGE, 1) == 1  # nobody serves it any more


@booted
def test_what_was_not_agreed_on_is_refused(machine: Machine) -> None:
    host = machine.host
    faults = host.userfaultfd(NONBLOCK)
    place = memory(host)
    with pytest.raises(OSError, match="EINVAL"):
        register(host, faults, place, 1, MISSING)
    for version, features in ((0xAB, 0), (0xAA, 1 << 17), (0xAA, 1 << 40)):
        with pytest.raises(OSError, match="EINVAL"):
            host.ioctl(faults, API, bytearray(struct.pack("<QQQ", version, features, 0)))
    host.ioctl(faults, API, bytearray(struct.pack("<QQQ", 0xAA, 0, 0)))
    with pytest.raises(OSError, match="EINVAL"):
        host.ioctl(faults, API, bytearray(struct.pack("<QQQ", 0xAA, 0, 0)))
    for modes in (0, 4, 8):
        with pytest.raises(OSError, match="EINVAL"):
            register(host, faults, place, 1, modes)
    assert register(host, faults, place, 1, MISSING | WP) == 0x17C
    with pytest.raises(OSError, match="ENOENT"):
        host.ioctl(faults, PROTECT, bytearray(struct.pack("<QQQ", place + PAGE, PAGE, 1)))
    host.ioctl(faults, WAKE, bytearray(struct.pack("<QQ", place, PAGE)))
    host.close(faults)


@booted
def test_those_are_woken_who_wait_for_the_page_and_nobody_else(machine: Machine) -> None:
    context = FaultContext(AddressSpace(), user_mode_only=False)
    one, other, far = (context.place_of(page) for page in (PAGE, 2 * PAGE, 1 << 40))
    assert context.place_of(PAGE) is one
    context.wake(PAGE, PAGE)
    assert (one.is_woken, other.is_woken, far.is_woken) == (True, False, False)
    again = context.place_of(PAGE)  # who comes now waits anew
    assert again is not one and not again.is_woken
    context.wake(0, 1 << 39)
    assert (again.is_woken, other.is_woken, far.is_woken) == (True, True, False)
    context.close()
    assert far.is_woken and context.places == {}


@booted
def test_memory_that_has_ended_counts_for_the_file(machine: Machine) -> None:
    space = AddressSpace()
    file = UserFaultFile(FaultContext(space, user_mode_only=False), 0)
    before = file.held_bytes()
    space.release()
    assert file.held_bytes() > before


@booted
def test_what_was_read_before_memory_ran_out_is_not_lost(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    host = machine.host
    faults = ready(host, NONBLOCK)
    file = host.task.files.get(faults)
    assert isinstance(file, UserFaultFile)
    file.context.pending = {1: Fault(PAGE, 0, 0), 2: Fault(2 * PAGE, 0, 0)}
    take = FaultContext.take

    def take_one(context: FaultContext) -> Fault | None:
        if context.taken:
            raise MemoryError
        return take(context)

    monkeypatch.setattr(FaultContext, "take", take_one)
    assert host.read(faults, bytearray(64), 64) == 32
    with pytest.raises(OSError, match="ENOMEM"):
        host.read(faults, bytearray(64), 64)
    host.close(faults)
