"""POSIX message queues (mq_overview(7)), on a booted machine."""

from __future__ import annotations

import os
import signal
import struct

from tests.unit.booted import booted
from tests.unit.errors import error_of
from tools.simulated.machine import Machine
from tools.simulated.program import Program

NEW = os.O_RDWR | os.O_CREAT
SECOND = struct.pack("<QQ", 1, 0)
PAST = struct.pack("<QQ", 1, 0)
IN, OUT = 1, 4


def attributes(count: int, size: int, flags: int = 0) -> bytes:
    return struct.pack("<4q", flags, count, size, 0) + bytes(32)


def make(program: Program, name: str = "queue", count: int = 2, size: int = 16, flags: int = NEW) -> int:
    return program.mq_open(name, flags, 0o600, attributes(count, size))


def send(program: Program, queue: int, text: bytes, priority: int = 0, deadline: bytes | None = None) -> int:
    return program.mq_timedsend(queue, text, len(text), priority, deadline)


def receive(program: Program, queue: int, deadline: bytes | None = None) -> tuple[bytes, int]:
    text, priority = bytearray(16), bytearray(4)
    count = program.mq_timedreceive(queue, text, len(text), priority, deadline)
    return bytes(text[:count]), int.from_bytes(priority, "little")


def shown(program: Program, queue: int) -> tuple[int, ...]:
    """Flags, most messages, most bytes, messages."""
    raw = bytearray(64)
    program.mq_getsetattr(queue, None, raw)
    return struct.unpack_from("<4q", raw)


def events(program: Program, descriptor: int) -> int:
    record = bytearray(struct.pack("<ihh", descriptor, IN | OUT, 0))
    program.poll(record, 1, 0)
    found: int = struct.unpack_from("<h", record, 6)[0]
    return found


@booted
def test_attributes_have_bounds(machine: Machine) -> None:
    host = machine.host
    assert shown(host, make(host)) == (0, 2, 16, 0)
    for count, size in ((0, 16), (2, 0), (-1, 16), (65537, 16), (2, (16 << 20) + 1)):
        assert error_of(make, host, "other", count, size) == "EINVAL"
    assert shown(host, host.mq_open("usual", NEW, 0o600, None)) == (0, 10, 8192, 0)

    def plain(program: Program) -> None:
        program.setresuid(1000, 1000, 1000)
        assert error_of(make, program, "third", 11, 16) == "EINVAL"  # msg_max
        assert error_of(make, program, "third", 2, 8193) == "EINVAL"  # msgsize_max
        make(program, "third", 10, 8192)

    assert machine.run(plain) == 0


@booted
def test_names(machine: Machine) -> None:
    host = machine.host
    assert error_of(make, host, "a/b") == "EACCES"
    assert error_of(make, host, "..") == "EACCES"
    assert error_of(make, host, "") == "ENOENT"
    assert error_of(make, host, "n" * 256) == "ENAMETOOLONG"
    assert error_of(make, host, "queue", 2, 16, os.O_RDWR) == "ENOENT"
    first = make(host)
    assert error_of(make, host, "queue", 2, 16, NEW | os.O_EXCL) == "EEXIST"
    send(host, first, b"text")
    second = make(host, "queue", 5, 8)  # there is one: its attributes stay
    assert shown(host, second) == (0, 2, 16, 1)
    host.mq_unlink("queue")
    assert error_of(host.mq_unlink, "queue") == "ENOENT"
    assert receive(host, second) == (b"text", 0)  # without a name it lives on
    assert error_of(make, host, "queue", 2, 16, os.O_RDWR) == "ENOENT"


@booted
def test_the_way_of_opening_counts(machine: Machine) -> None:
    host = machine.host
    make(host)
    reader, writer = (host.mq_open("queue", flags, 0, None) for flags in (os.O_RDONLY, os.O_WRONLY))
    assert error_of(send, host, reader, b"x") == "EBADF"
    assert error_of(receive, host, writer) == "EBADF"
    assert error_of(send, host, writer, b"x", 32768) == "EINVAL"  # the priorities end there
    assert error_of(send, host, writer, bytes(17)) == "EMSGSIZE"
    assert error_of(lambda: host.mq_timedreceive(reader, bytearray(15), 15, None, None)) == "EMSGSIZE"
    pipe = bytearray(8)
    host.pipe2(pipe, 0)
    assert error_of(send, host, struct.unpack_from("<i", pipe, 4)[0], b"x") == "EBADF"

    def stranger(program: Program) -> None:
        program.setresgid(1000, 1000, 1000)
        program.setresuid(1000, 1000, 1000)
        assert error_of(program.mq_open, "queue", os.O_RDONLY, 0, None) == "EACCES"
        assert error_of(program.mq_unlink, "queue") == "EPERM"  # the directory is sticky

    assert machine.run(stranger) == 0


@booted
def test_a_queue_without_waiting(machine: Machine) -> None:
    host = machine.host
    queue = make(host, flags=NEW | os.O_NONBLOCK)
    assert error_of(receive, host, queue) == "EAGAIN"
    assert events(host, queue) == OUT
    send(host, queue, b"1")
    assert events(host, queue) == IN | OUT
    send(host, queue, b"2")
    assert events(host, queue) == IN
    assert error_of(send, host, queue, b"3") == "EAGAIN"
    before = bytearray(64)
    host.mq_getsetattr(queue, attributes(9, 9), before)  # only the flag changes
    assert struct.unpack_from("<q", before)[0] == os.O_NONBLOCK
    assert shown(host, queue) == (0, 2, 16, 2)
    assert error_of(host.mq_getsetattr, queue, attributes(9, 9, os.O_APPEND), None) == "EINVAL"


@booted
def test_deadlines_are_of_the_wall_clock(machine: Machine) -> None:
    host = machine.host
    queue = make(host)
    assert error_of(receive, host, queue, PAST) == "ETIMEDOUT"
    send(host, queue, b"1", 0, PAST)  # nobody waits: the time does not matter
    send(host, queue, b"2", 0, PAST)
    assert error_of(send, host, queue, b"3", 0, PAST) == "ETIMEDOUT"
    assert shown(host, queue)[3] == 2
    assert receive(host, queue, PAST) == (b"1", 0)
    assert error_of(send, host, queue, b"3", 0, struct.pack("<qq", 0, -1)) == "EINVAL"


@booted
def test_a_sender_waits_for_room_and_keeps_its_priority(machine: Machine) -> None:
    host = machine.host
    queue = make(host)
    send(host, queue, b"low", 1)
    send(host, queue, b"high", 3)
    child = host.fork(lambda program: send(program, queue, b"middle", 2))
    host.nanosleep(SECOND, None)
    assert [receive(host, queue) for _ in range(3)] == [(b"high", 3), (b"middle", 2), (b"low", 1)]
    assert machine.wait(child) == 0


@booted
def test_a_signal_ends_a_wait(machine: Machine) -> None:
    host = machine.host
    queue = make(host)
    errors: list[str] = []

    def receiver(program: Program) -> None:
        program.handle(signal.SIGUSR1, lambda program, signo: None)
        errors.append(error_of(receive, program, queue))

    child = host.fork(receiver)
    host.nanosleep(SECOND, None)
    host.kill(child, signal.SIGUSR1)
    assert machine.wait(child) == 0 and errors == ["EINTR"]
    send(host, queue, b"stays")
    assert shown(host, queue)[3] == 1


def by_signal(signo: int) -> bytes:
    """struct sigevent: SIGEV_SIGNAL with a value."""
    return struct.pack("<qii", 0x1234, signo, 0) + bytes(48)


@booted
def test_one_notification_for_one_message_in_an_empty_queue(machine: Machine) -> None:
    host = machine.host
    queue = make(host)
    came: list[int] = []
    host.handle(signal.SIGUSR1, lambda program, signo: came.append(signo))
    send(host, queue, b"before")
    host.mq_notify(queue, by_signal(signal.SIGUSR1))
    assert error_of(host.mq_notify, queue, by_signal(signal.SIGUSR1)) == "EBUSY"
    send(host, queue, b"second")
    assert came == []  # it was not empty
    receive(host, queue)
    receive(host, queue)
    send(host, queue, b"first")
    assert came == [signal.SIGUSR1]
    receive(host, queue)
    send(host, queue, b"again")
    assert came == [signal.SIGUSR1]  # a registration is for once
    host.mq_notify(queue, by_signal(signal.SIGUSR2))
    host.mq_notify(queue, None)
    receive(host, queue)
    send(host, queue, b"nobody asks")


@booted
def test_nobody_is_notified_if_somebody_waits(machine: Machine) -> None:
    host = machine.host
    queue = make(host)
    came: list[int] = []
    host.handle(signal.SIGUSR1, lambda program, signo: came.append(signo))
    child = host.fork(lambda program: len(receive(program, queue)[0]) - 4)
    host.nanosleep(SECOND, None)
    host.mq_notify(queue, by_signal(signal.SIGUSR1))
    send(host, queue, b"text")
    assert machine.wait(child) == 0 and came == []
    send(host, queue, b"text")
    assert came == [signal.SIGUSR1]


@booted
def test_its_file_shows_who_is_notified(machine: Machine) -> None:
    host = machine.host
    queue = make(host)
    send(host, queue, b"12345")
    host.mq_notify(queue, by_signal(10))
    text = bytearray(100)
    count = host.read(queue, text, 100)
    assert text[:count].split() == [b"QSIZE:5", b"NOTIFY:0", b"SIGNO:10", b"NOTIFY_PID:%d" % host.getpid()]
    host.close(host.dup(queue))  # closing any of its descriptors withdraws it
    assert b"NOTIFY_PID:0 " in text[: host.pread64(queue, text, 100, 0)]
