"""Operations of io_uring beyond the first ones: what each completes with, and what it leaves behind."""

from __future__ import annotations

import errno
import os
import struct

import pytest

from kernel.fs.file import OPEN_FILES
from kernel.lib.user import KernelBuffer
from kernel.syscalls.sendfile import Cursor
from kernel.task import futex
from kernel.uring import layout
from tests.unit.booted import booted
from tests.unit.uring.test_uring import (
    ASYNC_CANCEL,
    LINK_TIMEOUT,
    MSG_RING,
    NOP,
    PROVIDE_BUFFERS,
    READ,
    RECV,
    RECVMSG,
    SEND,
    Rings,
    memory,
    pipe,
)
from tools.simulated.machine import Machine
from tools.simulated.program import Program

SPLICE = 30
TEE = 33
URING_CMD = 46
SEND_ZC = 47
SENDMSG_ZC = 48
READ_MULTISHOT = 49
WAITID = 50
FUTEX_WAIT = 51
FUTEX_WAKE = 52
FUTEX_WAITV = 53
FIXED_FD_INSTALL = 54
REGISTER_FILES = 2
CLOEXEC = 1
WAKE_PRIVATE = 129
F_GETFD = 1
MORE = layout.CQE_MORE
NOTICE = layout.CQE_NOTIFICATION
COPIED = -(1 << 31)
REPORT_USAGE = 1 << 3
FIXED_BUFFER = 1 << 2
SIOCSIFFLAGS = 0x8914


def buffer_flags(number: int) -> int:
    return layout.CQE_BUFFER | number << layout.CQE_BUFFER_SHIFT


def provide(program: Program, ring: Rings, size: int, count: int) -> int:
    """Buffers with the numbers from 10 on, in group 3."""
    room = memory(program)
    ring.fill(PROVIDE_BUFFERS, count, room, size, 10, data=1, group=3)
    assert ring.go() == 1
    assert ring.take() == [(1, 0, 0)]
    return room


@booted
def test_a_registered_file_gets_a_descriptor(machine: Machine) -> None:
    host = machine.host
    ring = Rings(host, 4)
    reader, writer = pipe(host)
    assert host.io_uring_register(ring.fd, REGISTER_FILES, struct.pack("<ii", writer, -1), 2) == 0
    found: list[int] = []
    for slot, modifiers, flags in (
        (0, 0, layout.FIXED_FILE), (0, 1, layout.FIXED_FILE), (0, 2, layout.FIXED_FILE), (1, 0, layout.FIXED_FILE),
        (writer, 0, 0),
    ):  # fmt: skip
        ring.fill(FIXED_FD_INSTALL, slot, data=1, flags=flags, modifiers=modifiers)
        ring.go()
        found += [result for _, result, _ in ring.take()]
    assert found[2:] == [-errno.EINVAL, -errno.EBADF, -errno.EBADF]
    assert [host.fcntl(fd, F_GETFD, 0) for fd in found[:2]] == [CLOEXEC, 0]
    assert host.write(found[1], b"abc", 3) == 3
    into = bytearray(8)
    assert host.read(reader, into, 8) == 3


@booted
def test_a_multishot_read_goes_on_until_its_end(machine: Machine) -> None:
    host = machine.host
    ring = Rings(host, 8)
    room = provide(host, ring, 8, 4)
    reader, writer = pipe(host)
    host.write(writer, b"ab", 2)
    ring.fill(READ_MULTISHOT, reader, data=2, flags=layout.BUFFER_SELECT, group=3)
    assert ring.go() == 1
    assert ring.take() == [(2, 2, MORE | buffer_flags(10))]
    host.write(writer, b"0123456789", 10)
    assert ring.take() == [(2, 8, MORE | buffer_flags(11)), (2, 2, MORE | buffer_flags(12))]
    host.close(writer)
    assert ring.take() == [(2, 0, 0)]
    assert host.load(room, 18) == b"ab" + bytes(6) + b"0123456789"
    regular = host.open("/tmp/regular", os.O_RDWR | os.O_CREAT, 0o600)
    for fd, length, flags in ((regular, 0, layout.BUFFER_SELECT), (reader, 1, layout.BUFFER_SELECT), (reader, 0, 0)):
        ring.fill(READ_MULTISHOT, fd, length=length, data=3, flags=flags, group=3)
        ring.go()
    assert ring.take() == [(3, -errno.EBADFD, 0), (3, -errno.EINVAL, 0), (3, -errno.EINVAL, 0)]


@booted
def test_a_multishot_read_without_buffers_ends(machine: Machine) -> None:
    host = machine.host
    ring = Rings(host, 8)
    provide(host, ring, 8, 1)
    reader, writer = pipe(host)
    host.write(writer, b"ab", 2)
    ring.fill(READ_MULTISHOT, reader, data=2, flags=layout.BUFFER_SELECT | layout.IO_LINK, group=3)
    ring.fill(NOP, data=3)
    assert ring.go() == 2
    assert ring.take() == [(2, 2, MORE | buffer_flags(10))]  # it waits without one
    host.write(writer, b"cd", 2)
    assert ring.take() == [(2, -errno.ENOBUFS, 0), (3, -errno.ECANCELED, 0)]


def udp(program: Program, port: int) -> tuple[int, int, bytes]:
    """A sender, and a receiver with its address."""
    address = struct.pack("<H", 2) + struct.pack(">HI8x", port, 0x7F00_0001)
    receiver = program.socket(2, 2, 0)
    program.ioctl(receiver, SIOCSIFFLAGS, struct.pack("<16sH22x", b"lo", 1))
    program.bind(receiver, address, 16)
    return program.socket(2, 2, 0), receiver, address


@booted
def test_a_send_without_a_copy_completes_and_gives_notice(machine: Machine) -> None:
    host = machine.host
    ring = Rings(host, 8)
    sender, receiver, address = udp(host, 4001)
    room = memory(host, b"hello" + address)
    send = {"address": room, "length": 5, "offset": room + 5, "index": 16, "data": 1}
    ring.fill(SEND_ZC, sender, **send)
    assert ring.go(2) == 1
    assert ring.take() == [(1, 5, MORE), (1, 0, NOTICE)]
    ring.fill(SEND_ZC, sender, **send, priority=REPORT_USAGE, flags=layout.IO_LINK)
    ring.fill(RECV, receiver, room + 100, 50, data=2)
    assert ring.go(3) == 2
    assert ring.take() == [(1, 5, MORE), (1, COPIED, NOTICE), (2, 5, 0)]
    pair = bytearray(8)
    host.socketpair(1, 1, 0, pair)
    ring.fill(SEND_ZC, struct.unpack("<ii", pair)[0], room, 5, data=3)
    ring.go(2)
    assert ring.take() == [(3, -errno.EOPNOTSUPP, MORE), (3, 0, NOTICE)]
    ring.fill(SEND_ZC, sender, room, 5, data=4, flags=layout.CQE_SKIP_SUCCESS)
    ring.go(1)
    ring.fill(SEND_ZC, sender, room, 5, data=5, priority=1 << 7)
    ring.go(1)
    assert ring.take() == [(4, -errno.EINVAL, 0), (5, -errno.EINVAL, MORE), (5, 0, NOTICE)]
    ring.fill(NOP, data=6, flags=layout.IO_LINK, modifiers=1, length=0xFFFF_FFFF)
    ring.fill(SEND_ZC, sender, **send)
    ring.go(3)
    assert ring.take()[1:] == [(1, -errno.ECANCELED, 0), (1, 0, NOTICE)]


@booted
def test_a_send_from_a_registered_buffer_stays_in_it(machine: Machine) -> None:
    host = machine.host
    ring = Rings(host, 8)
    sender, receiver, address = udp(host, 4002)
    room = memory(host, b"hello" + address)
    send = {"offset": room + 5, "index": 16, "data": 1, "priority": FIXED_BUFFER}
    ring.fill(SEND_ZC, sender, room, 5, **send)
    ring.go(2)
    assert ring.take() == [(1, -errno.EFAULT, MORE), (1, 0, NOTICE)]  # there is none
    host.io_uring_register(ring.fd, 0, struct.pack("<QQ", room, 64), 1)
    for address_, length in ((room, 5), (room + 60, 5)):
        ring.fill(SEND_ZC, sender, address_, length, **send)
        ring.go(2)
    assert ring.take() == [(1, 5, MORE), (1, 0, NOTICE), (1, -errno.EFAULT, MORE), (1, 0, NOTICE)]
    into = bytearray(8)
    assert host.read(receiver, into, 8) == 5
    header = struct.pack("<QIIQQQQII", room + 5, 16, 0, room + 200, 1, 0, 0, 0, 0)
    host.store(room + 100, header)
    host.store(room + 200, struct.pack("<QQ", room, 3))
    ring.fill(SENDMSG_ZC, sender, room + 100, 1, data=2)
    ring.go(2)
    ring.fill(SENDMSG_ZC, sender, room + 100, 1, data=2, priority=FIXED_BUFFER)
    ring.go(2)
    assert ring.take() == [(2, 3, MORE), (2, 0, NOTICE), (2, -errno.EINVAL, MORE), (2, 0, NOTICE)]


ANY = 0xFFFF_FFFF
PRIVATE_32 = 2 | 128
CANCEL_ALL = 1


def fill_futex(ring: Rings, opcode: int, address: int, value: int, data: int, mask: int = ANY, flags: int = 0) -> None:
    """A request on one futex, whose mask lies in `addr3`."""
    ring.fill(opcode, PRIVATE_32, address, offset=value, data=data, flags=flags)
    ring.program.store(ring.sqes + 64 * ((ring.tail - 1) % ring.entries) + 48, struct.pack("<Q", mask))


@booted
def test_a_futex_ends_a_request_that_waits_for_it(machine: Machine) -> None:
    host = machine.host
    ring = Rings(host, 8)
    word = memory(host, struct.pack("<I", 7))
    fill_futex(ring, FUTEX_WAIT, word, 8, 1)
    ring.go()
    assert ring.take() == [(1, -errno.EAGAIN, 0)]
    fill_futex(ring, FUTEX_WAIT, word, 7, 2, mask=2)
    fill_futex(ring, FUTEX_WAIT, word, 7, 3)
    fill_futex(ring, FUTEX_WAKE, word, 1, 4, mask=1)
    assert ring.go() == 3
    assert ring.take() == [(4, 1, 0), (3, 0, 0)]
    assert host.futex(word, 1 | 128, 5, 0, 0, 0) == 1
    assert ring.take() == [(2, 0, 0)]
    for address, value, mask in ((word, 7, 0), (word, 1 << 32, ANY), (word, 7, 1 << 32), (word + 1, 7, ANY)):
        fill_futex(ring, FUTEX_WAIT, address, value, 5, mask=mask)
        ring.go()
    assert ring.take() == [(5, -errno.EINVAL, 0)] * 4
    assert all(not bucket for bucket in futex._buckets)


@booted
def test_one_of_several_futexes_ends_a_request(machine: Machine) -> None:
    host = machine.host
    ring = Rings(host, 8)
    word = memory(host, struct.pack("<III", 1, 2, 3))
    wanted = b"".join(struct.pack("<QQII", value, word + 4 * value - 4, PRIVATE_32, 0) for value in (1, 2, 3))
    host.store(word + 100, wanted)
    ring.fill(FUTEX_WAITV, 0, word + 100, 3, data=1)
    assert ring.go() == 1
    fill_futex(ring, FUTEX_WAKE, word + 4, 1, 2, flags=layout.CQE_SKIP_SUCCESS)
    fill_futex(ring, FUTEX_WAKE, word + 8, 1, 3)  # also of the same request
    ring.go()
    assert ring.take() == [(3, 1, 0), (1, 2, 0)]
    host.store(word + 8, struct.pack("<I", 4))
    ring.fill(FUTEX_WAITV, 0, word + 100, 3, data=4)
    ring.fill(FUTEX_WAITV, 0, word + 100, 0, data=5)
    ring.go()
    ring.fill(FUTEX_WAITV, 0, word + 100, 129, data=6)
    ring.go()
    assert ring.take() == [(4, -errno.EAGAIN, 0), (5, -errno.EINVAL, 0), (6, -errno.EINVAL, 0)]
    assert all(not bucket for bucket in futex._buckets)


@booted
def test_a_wait_for_a_futex_is_cancelled(machine: Machine) -> None:
    host = machine.host
    ring = Rings(host, 16)
    word = memory(host, struct.pack("<Iqq", 0, 0, 1_000_000))
    fill_futex(ring, FUTEX_WAIT, word, 0, 1)
    ring.fill(ASYNC_CANCEL, address=1, data=2)
    ring.go()
    assert ring.take() == [(2, 1, 0), (1, -errno.ECANCELED, 0)]
    for _ in range(3):
        fill_futex(ring, FUTEX_WAIT, word, 0, 1)
    ring.fill(ASYNC_CANCEL, address=1, data=2, modifiers=CANCEL_ALL)
    ring.go()
    assert sorted(ring.take()) == [(1, -errno.ECANCELED, 0)] * 3 + [(2, 3, 0)]
    fill_futex(ring, FUTEX_WAIT, word, 0, 3, flags=layout.IO_LINK)
    ring.fill(LINK_TIMEOUT, address=word + 4, length=1, data=4)
    ring.go(2)
    assert sorted(ring.take()) == [(3, -errno.ECANCELED, 0), (4, -errno.ETIME, 0)]
    fill_futex(ring, FUTEX_WAIT, word, 0, 5)
    fill_futex(ring, FUTEX_WAKE, word, 1, 6)
    ring.fill(ASYNC_CANCEL, address=5, data=7)  # too late
    ring.go()
    assert sorted(ring.take()) == [(5, 0, 0), (6, 1, 0), (7, -errno.ENOENT, 0)]
    fill_futex(ring, FUTEX_WAIT, word, 0, 8)
    ring.go()
    host.munmap(ring.rings, ring.size)
    host.munmap(ring.sqes, 64 * ring.entries)
    host.close(ring.fd)
    host.getpid()
    assert all(not bucket for bucket in futex._buckets)


@booted
def test_a_cancelled_wait_takes_no_wake_from_others(machine: Machine) -> None:
    host = machine.host
    word = memory(host, struct.pack("<I", 0))
    ring = Rings(host, 8, layout.SETUP_SINGLE_ISSUER | layout.SETUP_DEFER_TASKRUN)
    fill_futex(ring, FUTEX_WAIT, word, 0, 1)
    ring.fill(ASYNC_CANCEL, address=1, data=2)
    ring.go()  # the task looks at what is due only when it asks for completions
    assert host.futex(word, WAKE_PRIVATE, 1, 0, 0, 0) == 0
    ring.go(2)
    assert ring.take() == [(2, 1, 0), (1, -errno.ECANCELED, 0)]
    fill_futex(ring, FUTEX_WAIT, word, 0, 3)
    ring.go()
    host.munmap(ring.rings, ring.size)
    host.munmap(ring.sqes, 64 * ring.entries)
    host.close(ring.fd)
    assert all(not bucket for bucket in futex._buckets)


P_ALL, P_PID = 0, 1
WNOHANG, WEXITED, WNOWAIT = 1, 4, 0x0100_0000


@booted
def test_a_child_ends_a_request_that_waits_for_it(machine: Machine) -> None:
    host = machine.host
    ring = Rings(host, 8)
    reader, writer = pipe(host)
    place = memory(host)

    def child(program: Program) -> int:
        program.read(reader, bytearray(1), 1)
        return 7

    def waited() -> tuple[int, int, int]:
        signo, _, code, _, pid, _, status = struct.unpack("<7i", host.load(place, 28))
        return signo, code, status if pid == child_pid else -1

    child_pid = host.fork(child)
    ring.fill(WAITID, child_pid, 0, P_PID, place, data=1, index=WEXITED | WNOHANG)
    ring.fill(WAITID, child_pid + 50, 0, P_PID, place, data=2, index=WEXITED)
    ring.fill(WAITID, child_pid, 0, P_PID, place, data=3, index=0)
    ring.fill(WAITID, child_pid, 0, P_PID, place, data=4, index=WEXITED | WNOWAIT)
    ring.fill(WAITID, 0, 0, P_ALL, 0, data=5, index=WEXITED)
    ring.fill(ASYNC_CANCEL, address=5, data=6)
    assert ring.go() == 6
    assert ring.take() == [
        (1, 0, 0), (2, -errno.ECHILD, 0), (3, -errno.EINVAL, 0), (6, 1, 0), (5, -errno.ECANCELED, 0),
    ]  # fmt: skip
    host.write(writer, b"x", 1)
    assert ring.go(1) == 0
    assert ring.take() == [(4, 0, 0)]
    assert waited() == (17, 1, 7)
    host.store(place, bytes(28))
    ring.fill(WAITID, 0, 0, P_ALL, place, data=7, index=WEXITED)
    ring.fill(WAITID, 0, 0, P_ALL, place + 40, data=8, index=WEXITED)
    ring.go()
    assert ring.take() == [(7, 0, 0), (8, -errno.ECHILD, 0)]
    assert waited() == (17, 1, 7)
    assert host.task.process.family.waiters.first() is None


SIOCINQ, SIOCOUTQ, GETSOCKOPT, SETSOCKOPT = 0, 1, 2, 3
SOL_SOCKET, SO_KEEPALIVE, SO_TYPE = 1, 9, 3


@booted
def test_a_socket_takes_commands(machine: Machine) -> None:
    host = machine.host
    ring = Rings(host, 8)
    sender, receiver, address = udp(host, 4003)
    place = memory(host, b"hello" + address + struct.pack("<I", 1))
    host.sendto(sender, place, 5, 0, place + 5, 16)

    def command(fd: int, kind: int, name: int = 0, value: int = 0, length: int = 0, level: int = SOL_SOCKET) -> int:
        ring.fill(URING_CMD, fd, level | name << 32, offset=kind, data=1, index=length & 0xFFFF_FFFF)
        at = ring.sqes + 64 * ((ring.tail - 1) % ring.entries) + 48
        host.store(at, struct.pack("<Q", value))
        ring.go()
        ((_, result, flags),) = ring.take()
        assert flags == 0
        return result

    assert command(receiver, SIOCINQ) == 5
    assert command(sender, SIOCOUTQ) == 0
    assert command(sender, SETSOCKOPT, SO_KEEPALIVE, place + 21, 4) == 0
    assert command(sender, GETSOCKOPT, SO_KEEPALIVE, place + 100, 4) == 4
    assert host.load(place + 100, 4) == struct.pack("<I", 1)
    assert command(sender, GETSOCKOPT, SO_TYPE, place + 100, 2) == 2
    assert command(sender, GETSOCKOPT, SO_TYPE, place + 100, 4, level=6) == -errno.EOPNOTSUPP
    assert command(sender, SETSOCKOPT, SO_KEEPALIVE, place + 21, -1) == -errno.EINVAL
    assert command(sender, 9) == -errno.EOPNOTSUPP
    assert command(sender, 1 << 32) == -errno.EINVAL
    host.mount("none", "/dev", "devtmpfs", 0, 0)
    null = host.open("/dev/null", os.O_RDONLY, 0)
    zero = host.open("/dev/zero", os.O_RDONLY, 0)
    reader, _ = pipe(host)
    assert [command(fd, 5) for fd in (null, zero, reader)] == [0, -errno.EOPNOTSUPP, -errno.EOPNOTSUPP]
    pair = bytearray(8)
    host.socketpair(1, 1, 0, pair)
    assert command(struct.unpack("<ii", pair)[0], SIOCINQ) == -errno.EOPNOTSUPP


NO_OFFSET = (1 << 64) - 1
NONBLOCK = 2


def fill_splice(
    ring: Rings, source: int, target: int, length: int, data: int, *, opcode: int = SPLICE, at: int = NO_OFFSET,
    flags: int = 0, modifiers: int = 0, target_at: int = NO_OFFSET,
) -> None:  # fmt: skip
    ring.fill(
        opcode, target, at, length, offset=target_at, data=data, flags=flags, modifiers=modifiers, index=source
    )  # fmt: skip


@booted
def test_a_splice_waits_for_both_of_its_files(machine: Machine) -> None:
    host = machine.host
    ring = Rings(host, 8)
    source, feed = pipe(host)
    drain, target = pipe(host)
    fill_splice(ring, source, target, 10, 1, flags=layout.IO_LINK)
    ring.fill(NOP, data=2)
    ring.go()
    assert ring.take() == []
    host.write(feed, b"0123456789", 10)
    assert ring.take() == [(1, 10, 0), (2, 0, 0)]
    host.write(target, bytes(65526), 65526)
    host.write(feed, b"abcdef", 6)
    fill_splice(ring, source, target, 10, 3, flags=layout.IO_LINK)
    ring.fill(NOP, data=4)
    ring.go()
    assert ring.take() == []
    into = bytearray(70000)
    assert host.read(drain, into, 70000) == 65536
    assert ring.take() == [(3, 6, 0), (4, -errno.ECANCELED, 0)]  # less than it wanted
    assert host.read(drain, into, 10) == 6
    regular = host.open("/tmp/spliced", os.O_RDWR | os.O_CREAT, 0o600)
    fill_splice(ring, source, regular, 10, 5, target_at=3)
    ring.go()
    host.write(feed, b"xyz", 3)
    assert ring.take() == [(5, 3, 0)]
    fill_splice(ring, regular, target, 10, 6, at=2)
    ring.go()
    assert ring.take() == [(6, 4, 0)]
    assert host.read(drain, into, 10) == 4 and into[:4] == b"\0xyz"


@booted
def test_a_splice_does_not_wait_for_room_that_others_took(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    host = machine.host
    ring = Rings(host, 8)
    drain, target = pipe(host)
    regular = host.open("/tmp/spliced", os.O_RDWR | os.O_CREAT, 0o600)
    host.write(regular, b"0123456789", 10)
    read = Cursor.read

    def late(cursor: Cursor, buffer: KernelBuffer) -> int:
        monkeypatch.undo()
        host.write(target, bytes(65536), 65536)  # another thread does while the file is read
        return read(cursor, buffer)

    monkeypatch.setattr(Cursor, "read", late)
    fill_splice(ring, regular, target, 4, 1, at=3)
    ring.go()
    assert ring.take() == []
    into = bytearray(70000)
    assert host.read(drain, into, 70000) == 65536
    assert ring.take() == [(1, 4, 0)]
    assert host.read(drain, into, 10) == 4 and into[:4] == b"3456"


@booted
def test_a_splice_is_told_to_end(machine: Machine) -> None:
    host = machine.host
    ring = Rings(host, 8)
    source, feed = pipe(host)
    drain, target = pipe(host)
    before = OPEN_FILES.count
    for modifiers, result in ((0, -errno.EALREADY), (CANCEL_ALL, 0)):
        fill_splice(ring, source, target, 10, 1)
        ring.fill(ASYNC_CANCEL, address=1, data=2, modifiers=modifiers)
        ring.go()
        assert ring.take() == [(2, result, 0), (1, -errno.EINTR, 0)]
    fill_splice(ring, source, target, 10, 3, modifiers=NONBLOCK)
    fill_splice(ring, source, target, 10, 4, at=0)
    fill_splice(ring, 99, target, 10, 5)
    fill_splice(ring, source, feed, 10, 6)
    fill_splice(ring, source, target, 0, 7)
    ring.go()
    assert ring.take() == [
        (3, -errno.EAGAIN, 0), (4, -errno.ESPIPE, 0), (5, -errno.EBADF, 0), (6, -errno.EINVAL, 0), (7, 0, 0),
    ]  # fmt: skip
    fill_splice(ring, feed, target, 10, 8, at=0)  # the wrong end comes before its offset
    ring.go()
    assert ring.take() == [(8, -errno.EBADF, 0)]
    fill_splice(ring, source, target, 10, 8, modifiers=16)
    ring.go()
    fill_splice(ring, source, target, 10, 9, opcode=TEE)
    ring.go()
    assert ring.take() == [(8, -errno.EINVAL, 0), (9, -errno.EINVAL, 0)]
    fill_splice(ring, source, target, 10, 10, opcode=TEE, at=0, target_at=0)
    ring.go()
    host.write(feed, b"tee", 3)
    assert ring.take() == [(10, 3, 0)]
    into = bytearray(10)
    assert [host.read(end, into, 10) for end in (source, drain)] == [3, 3]
    host.close(drain)
    host.write(feed, b"end", 3)
    fill_splice(ring, source, target, 10, 11)  # without a signal
    ring.go()
    assert ring.take() == [(11, -errno.EPIPE, 0)]
    assert OPEN_FILES.count == before - 1


REGISTER_PBUF_RING = 22
MULTISHOT = 2
BUNDLE = 1 << 4
PART = 1 << 4  # IORING_CQE_F_BUF_MORE
NONEMPTY = layout.CQE_SOCK_NONEMPTY


def buffer_ring(program: Program, ring: Rings, lengths: list[int], flags: int = 0) -> tuple[int, int]:
    """A ring of buffers with the numbers from 20 on, in group 5; where it is, and where they are."""
    place, room = memory(program), memory(program)
    program.io_uring_register(ring.fd, REGISTER_PBUF_RING, struct.pack("<QIHH24x", place, 16, 5, flags), 1)
    at = room
    for index, length in enumerate(lengths):
        program.store(place + 16 * index, struct.pack("<QIH", at, length, 20 + index))
        at += length
    program.store(place + 14, struct.pack("<H", len(lengths)))
    return place, room


def stream(program: Program, port: int) -> tuple[int, int]:
    """Both ends of a TCP connection."""
    address = struct.pack("<H", 2) + struct.pack(">HI8x", port, 0x7F00_0001)
    listening = program.socket(2, 1, 0)
    program.ioctl(listening, SIOCSIFFLAGS, struct.pack("<16sH22x", b"lo", 1))
    program.bind(listening, address, 16)
    program.listen(listening, 5)
    client = program.socket(2, 1, 0)
    program.connect(client, address, 16)
    return client, program.accept(listening, 0, 0)


@booted
def test_messages_come_with_their_descriptions(machine: Machine) -> None:
    host = machine.host
    ring = Rings(host, 8)
    sender, receiver, address = udp(host, 4005)
    _, room = buffer_ring(host, ring, [64, 64, 20, 64])
    place = memory(host, b"hello" + address)
    header = place + 100
    host.store(header, struct.pack("<QIIQQQQII", 0, 16, 0, 0, 0, 0, 0, 0, 0))
    ring.fill(RECVMSG, receiver, header, 1, data=1, flags=layout.BUFFER_SELECT, group=5, priority=MULTISHOT)
    assert ring.go() == 1
    for length in (5, 0x30):
        host.sendto(sender, place, length, 0, place + 5, 16)
    assert ring.take() == [
        (1, 37, MORE | buffer_flags(20)), (1, 64, MORE | buffer_flags(21)),
        (1, -errno.EFAULT, 0),  # the next buffer has no room for the description
    ]  # fmt: skip
    assert host.load(room, 16) == struct.pack("<4I", 16, 0, 5, 0)
    assert host.load(room + 16, 2) == b"\x02\0" and host.load(room + 32, 5) == b"hello"
    assert host.load(room + 64, 16) == struct.pack("<4I", 16, 0, 32, 0x20)  # a part: MSG_TRUNC
    host.store(header, struct.pack("<QIIQQQQII", 0, 0xFFFF_FFFF, 0, 0, 0, 0, 0, 0, 0))
    ring.fill(RECVMSG, receiver, header, 1, data=2, flags=layout.BUFFER_SELECT, group=5, priority=MULTISHOT)
    ring.go()
    assert ring.take() == [(2, -errno.EOVERFLOW, 0)]


@booted
def test_a_bundle_takes_several_buffers(machine: Machine) -> None:
    host = machine.host
    ring = Rings(host, 8)
    client, accepted = stream(host, 4006)
    _, room = buffer_ring(host, ring, [4] * 6)
    host.write(client, b"0123456789ab", 12)
    ring.fill(RECV, accepted, data=1, flags=layout.BUFFER_SELECT, group=5, priority=MULTISHOT | BUNDLE)
    assert ring.go() == 1
    assert ring.take() == [(1, 12, MORE | buffer_flags(20))]
    assert host.load(room, 12) == b"0123456789ab"
    host.write(client, b"cdefghijklmnopq", 15)
    assert ring.take() == [(1, 12, NONEMPTY | buffer_flags(23))]
    place = memory(host, b"one two")
    ring.fill(PROVIDE_BUFFERS, 2, place, 3, 30, data=2, group=6)
    ring.fill(SEND, client, length=2, data=3, flags=layout.BUFFER_SELECT, group=6)
    ring.go()
    assert ring.take() == [(2, 0, 0), (3, 2, buffer_flags(30))]


@booted
def test_a_bundle_is_sent_as_one(machine: Machine) -> None:
    host = machine.host
    ring = Rings(host, 8)
    client, accepted = stream(host, 4007)
    _, room = buffer_ring(host, ring, [4] * 4)
    host.store(room, b"abcdefghijklmnop")
    ring.fill(SEND, client, length=6, data=1, flags=layout.BUFFER_SELECT, group=5, priority=BUNDLE)
    ring.go()
    assert ring.take() == [(1, 4, MORE | buffer_flags(20)), (1, 12, buffer_flags(21))]
    into = bytearray(20)
    assert host.read(accepted, into, 20) == 16 and into[:16] == b"abcdefghijklmnop"
    for priority, flags in ((BUNDLE, 0), (0, layout.BUFFER_SELECT)):
        ring.fill(SEND, client, data=2, flags=flags, group=5, priority=priority)
        ring.go()
    assert ring.take() == [(2, -errno.EINVAL, 0), (2, -errno.ENOBUFS, 0)]


@booted
def test_a_buffer_is_used_up_bit_by_bit(machine: Machine) -> None:
    host = machine.host
    ring = Rings(host, 8)
    reader, writer = pipe(host)
    place, room = buffer_ring(host, ring, [10, 10], flags=2)
    for data in (b"abc", b"defg", b"hijklm"):
        host.write(writer, data, len(data))
        ring.fill(READ, reader, data=1, flags=layout.BUFFER_SELECT, group=5)
        ring.go()
    named = buffer_flags(20)
    assert ring.take() == [(1, 3, named | PART), (1, 4, named | PART), (1, 3, named)]
    ring.fill(READ_MULTISHOT, reader, data=2, flags=layout.BUFFER_SELECT, group=5)
    ring.go()
    host.write(writer, b"xy", 2)
    named = buffer_flags(21) | MORE | PART
    assert ring.take() == [(2, 3, named), (2, 2, named)]
    assert host.load(room, 15) == b"abcdefghijklmxy"
    assert struct.unpack("<QI", host.load(place + 16, 12)) == (room + 15, 5)


@booted
def test_a_registered_file_is_sent_to_another_ring(machine: Machine) -> None:
    host = machine.host
    ring, other = Rings(host, 4), Rings(host, 4)
    reader, writer = pipe(host)
    host.io_uring_register(ring.fd, REGISTER_FILES, struct.pack("<ii", writer, -1), 2)

    def send(slot: int, target: int, flags: int = 0, length: int = 0, to: int = other.fd) -> int:
        ring.fill(MSG_RING, to, 1, length, offset=77, data=1, modifiers=flags, index=target)
        host.store(ring.sqes + 64 * ((ring.tail - 1) % ring.entries) + 48, struct.pack("<Q", slot))
        ring.go()
        ((_, result, _),) = ring.take()
        return result

    assert send(0, 1) == -errno.ENXIO
    host.io_uring_register(other.fd, REGISTER_FILES, struct.pack("<ii", -1, -1), 2)
    assert send(0, 2) == 0
    assert send(0, 0xFFFF_FFFF) == 0
    assert send(0, 0xFFFF_FFFF) == -errno.ENFILE
    assert send(0, 1, flags=1) == 0
    assert [send(1, 1), send(0, 3), send(0, 0), send(0, 1, length=1), send(0, 1, to=ring.fd)] == [
        -errno.EBADF, -errno.EINVAL, -errno.EINVAL, -errno.EINVAL, -errno.EINVAL,
    ]  # fmt: skip
    assert other.take() == [(77, 0, 0), (77, 0, 0)]
    place = memory(host, b"sent")
    other.fill(23, 1, place, 4, data=2, flags=layout.FIXED_FILE)
    other.go()
    assert host.read(reader, bytearray(4), 4) == 4
