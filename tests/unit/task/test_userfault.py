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
MOVE, POISON = 0xC028AA05, 0xC020AA08
MISSING, WP = 1, 2
EVENT_FORK, EVENT_REMAP, EVENT_REMOVE, EVENT_UNMAP = 1 << 1, 1 << 2, 1 << 3, 1 << 6
SIGBUS = 1 << 7
DONTNEED = 4


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


def taken_from(host: Program, pid: int, descriptor: int) -> int:
    """A descriptor of a child's, as soon as there is one."""
    process = host.pidfd_open(pid, 0)
    taken = -1
    while taken < 0:
        try:
            taken = host.pidfd_getfd(process, descriptor, 0)
        except OSError:
            host.sched_yield()
    host.close(process)
    return taken


def read_message(host: Program, faults: int) -> bytes:
    """The next message, once there is one."""
    message = bytearray(32)
    while True:
        try:
            assert host.read(faults, message, 32) == 32
            return bytes(message)
        except OSError as error:
            assert "EINVAL" in str(error)  # it has not said UFFDIO_API yet
            host.sched_yield()


def zero(host: Program, faults: int, address: int) -> None:
    """Fill a page as soon as no change is under way."""
    while True:
        try:
            host.ioctl(faults, ZEROPAGE, bytearray(struct.pack("<QQQq", address, PAGE, 0, 0)))
            return
        except OSError as error:
            assert "EAGAIN" in str(error)
            host.sched_yield()


def exit_status(host: Program, pid: int) -> int:
    status = bytearray(4)
    host.wait4(pid, status, 0, None)
    return status[1]


@booted
def test_changes_wait_until_they_are_read(machine: Machine) -> None:
    host = machine.host
    places = bytearray(8)
    host.pipe2(places, 0)
    reader, writer = struct.unpack("<ii", places)
    descriptor = host.dup(0)
    host.close(descriptor)

    def child(program: Program) -> int:
        place = memory(program, 8)
        faults = ready(program, 0, EVENT_REMAP | EVENT_REMOVE | EVENT_UNMAP)
        register(program, faults, place, 8, MISSING)
        program.write(writer, struct.pack("<Q", place), 8)
        program.munmap(place, PAGE)
        program.write(writer, b"unmapped", 8)
        program.madvise(place + PAGE, 2 * PAGE, DONTNEED)
        target = memory(program, 1)
        program.mremap(place + 2 * PAGE, PAGE, PAGE, 3, target)
        program.write(writer, struct.pack("<Q", target), 8)
        return 9

    pid = host.fork(child)
    faults = taken_from(host, pid, descriptor)
    text = bytearray(8)
    host.read(reader, text, 8)
    place = struct.unpack("<Q", text)[0]
    host.fcntl(reader, 4, NONBLOCK)
    poller = bytearray(struct.pack("<ihh", faults, 1, 0))
    host.fcntl(faults, 4, NONBLOCK)
    while host.poll(poller, 1, 0) == 0:
        host.sched_yield()
    with pytest.raises(OSError, match="EAGAIN"):
        host.read(reader, text, 8)
    with pytest.raises(OSError, match="EAGAIN"):
        host.ioctl(faults, ZEROPAGE, bytearray(struct.pack("<QQQq", place + PAGE, PAGE, 0, 0)))
    with pytest.raises(OSError, match="EAGAIN"):
        host.ioctl(faults, PROTECT, bytearray(24))
    host.fcntl(faults, 4, 0)
    assert struct.unpack_from("<B7xQQ", read_message(host, faults)) == (0x16, place, place + PAGE)
    host.fcntl(reader, 4, 0)
    host.read(reader, text, 8)
    assert text == b"unmapped"
    assert struct.unpack_from("<B7xQQ", read_message(host, faults)) == (0x15, place + PAGE, place + 3 * PAGE)
    remapped = struct.unpack("<B7xQQQ", read_message(host, faults))
    assert struct.unpack_from("<B7xQQ", read_message(host, faults)) == (0x16, place + 2 * PAGE, place + 3 * PAGE)
    host.read(reader, text, 8)
    assert remapped == (0x14, place + 2 * PAGE, struct.unpack("<Q", text)[0], PAGE)
    assert exit_status(host, pid) == 9


@booted
def test_a_fork_brings_a_file_that_serves_the_child(machine: Machine) -> None:
    host = machine.host
    pair = bytearray(8)
    host.pipe2(pair, 0)
    reader, writer = struct.unpack("<ii", pair)
    descriptor = host.dup(0)
    host.close(descriptor)

    def child(program: Program) -> int:
        place = memory(program, 2)
        register(program, ready(program, 0, EVENT_FORK), place, 2, MISSING)

        def grandchild(inner: Program) -> int:
            return inner.write(writer, place + PAGE, 4)

        return exit_status(program, program.fork(grandchild))

    pid = host.fork(child)
    faults = taken_from(host, pid, descriptor)
    event, of_child = struct.unpack_from("<B7xI", read_message(host, faults))
    assert event == 0x13
    event, flags, address = struct.unpack_from("<B7xQQ", read_message(host, of_child))
    assert (event, flags) == (0x12, 0)
    zero(host, of_child, address)
    assert exit_status(host, pid) == 4
    assert host.read(reader, bytearray(4), 4) == 4
    with pytest.raises(OSError, match="ESRCH"):
        host.ioctl(of_child, ZEROPAGE, bytearray(struct.pack("<QQQq", address, PAGE, 0, 0)))
    host.close(of_child)


@booted
def test_only_a_kill_ends_the_wait_for_a_reader(machine: Machine) -> None:
    host = machine.host
    descriptor = host.dup(0)
    host.close(descriptor)

    def child(program: Program) -> int:
        place = memory(program, 4)
        faults = ready(program, 0, EVENT_UNMAP)
        register(program, faults, place, 4, MISSING)

        def other(inner: Program) -> int:
            return 5

        pid = program.fork(other)  # nobody hears of that
        assert exit_status(program, pid) == 5
        program.munmap(place, PAGE)
        return 9

    pid = host.fork(child)
    faults = taken_from(host, pid, descriptor)
    host.fcntl(faults, 4, NONBLOCK)
    poller = bytearray(struct.pack("<ihh", faults, 1, 0))
    while host.poll(poller, 1, 0) == 0 or poller[6] != 1:
        host.sched_yield()
    host.kill(pid, 9)
    status = bytearray(4)
    host.wait4(pid, status, 0, None)
    assert status[0] == 9
    assert host.poll(poller, 1, 0) == 0
    host.close(faults)


@booted
def test_pages_are_moved_and_poisoned(machine: Machine) -> None:
    host = machine.host
    faults = ready(host, NONBLOCK)
    target, source = memory(host, 128), memory(host, 128)
    register(host, faults, target, 128, MISSING)
    for page in range(100):
        host.store(source + page * PAGE, b"page")
    moved = bytearray(struct.pack("<QQQQq", target, source, 100 * PAGE, 0, 77))
    host.ioctl(faults, MOVE, moved)
    assert struct.unpack_from("<q", moved, 32)[0] == 100 * PAGE
    assert host.load(target + 99 * PAGE, 4) == b"page" and host.load(source, 4) == bytes(4)
    with pytest.raises(OSError, match="ENOENT"):
        host.ioctl(faults, MOVE, bytearray(struct.pack("<QQQQq", target + 100 * PAGE, source + PAGE, PAGE, 0, 77)))
    with pytest.raises(OSError, match="EINVAL"):
        host.ioctl(faults, MOVE, bytearray(struct.pack("<QQQQq", target + 100 * PAGE, source + PAGE, PAGE, 4, 77)))
    host.ioctl(faults, MOVE, bytearray(struct.pack("<QQQQq", target + 100 * PAGE, source + PAGE, PAGE, 3, 77)))
    host.ioctl(faults, POISON, bytearray(struct.pack("<QQQq", target + 101 * PAGE, 2 * PAGE, 0, 77)))
    with pytest.raises(OSError, match="EEXIST"):
        host.ioctl(faults, POISON, bytearray(struct.pack("<QQQq", target + 101 * PAGE, PAGE, 1, 77)))
    pair = bytearray(8)
    host.pipe2(pair, 0)
    _reader, writer = struct.unpack("<ii", pair)
    with pytest.raises(OSError, match="EFAULT"):
        host.write(writer, target + 101 * PAGE, 1)
    host.close(faults)


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
