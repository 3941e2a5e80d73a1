"""Options of SOL_SOCKET about devices, and sends with MSG_ZEROCOPY, on a booted machine."""

import struct

import pytest

from kernel.net.sockets.error_queue import QueuedError, ZeroCopies
from tests.unit.booted import booted
from tests.unit.syscalls.test_scarce_sockets import AF_INET, DATAGRAM, STREAM, bring_up, inet
from tools.simulated.machine import Machine
from tools.simulated.program import Program

SOL_SOCKET, MARK, BUSY, RATE, ZERO_COPY, TIME, RECEIVE_MARK, DONT_NEED = 1, 36, 46, 47, 60, 61, 75, 80
MSG_ZEROCOPY, MSG_ERRQUEUE = 0x400_0000, 0x2000
ONE = struct.pack("<i", 1)
POLLERR = 8


def value_of(host: Program, descriptor: int, option: int, room: int) -> bytes:
    value = bytearray(room)
    length = bytearray(struct.pack("<i", room))
    host.getsockopt(descriptor, SOL_SOCKET, option, value, length)
    return bytes(value[: struct.unpack("<i", length)[0]])


def received(host: Program, descriptor: int, flags: int) -> bytes:
    """The ancillary messages of what is received."""
    place = host.mmap(0, 0x1000, 3, 0x22, -1, 0)
    host.store(place, struct.pack("<QQ", place + 0x400, 100))
    header = bytearray(struct.pack("<QIxxxxQQQQI", 0, 0, place, 1, place + 0x100, 200, 0))
    host.recvmsg(descriptor, header, flags)
    control: int = struct.unpack_from("<Q", header, 40)[0]
    found = bytes(host.load(place + 0x100, control))
    host.munmap(place, 0x1000)
    return found


def notice(host: Program, descriptor: int) -> tuple[int, int]:
    """The numbers of the next notice."""
    first, last = struct.unpack_from("<II", received(host, descriptor, MSG_ERRQUEUE), 16 + 8)
    return first, last


def pair(host: Program, port: int) -> tuple[int, int]:
    """The ends of a connection: that of the caller, and the accepted one."""
    listening = host.socket(AF_INET, STREAM, 0)
    host.bind(listening, inet(port), 16)
    host.listen(listening, 1)
    calling = host.socket(AF_INET, STREAM, 0)
    host.connect(calling, inet(port), 16)
    accepted = host.accept4(listening, 0, 0, 0)
    host.close(listening)
    return calling, accepted


@booted
def test_all_64_bits_of_a_rate(machine: Machine) -> None:
    host = machine.host
    socket = host.socket(AF_INET, STREAM, 0)
    for rate in (0, 1, 0xFFFF_FFFF, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 2, (1 << 64) - 1):
        host.setsockopt(socket, SOL_SOCKET, RATE, struct.pack("<Q", rate), 8)
        assert value_of(host, socket, RATE, 8) == struct.pack("<Q", rate)
        assert value_of(host, socket, RATE, 7) == struct.pack("<I", min(rate, 0xFFFF_FFFF))
    host.setsockopt(socket, SOL_SOCKET, RATE, struct.pack("<i", -1), 4)
    assert value_of(host, socket, RATE, 8) == b"\xff" * 8


@booted
def test_tokens_come_in_whole(machine: Machine) -> None:
    host = machine.host
    socket = host.socket(AF_INET, STREAM, 0)
    for size in (8, 16, 200, 1024):
        assert host.setsockopt(socket, SOL_SOCKET, DONT_NEED, bytes(size), size) == 0
    for size in (4, 12, 201, 1032, 20_000):
        with pytest.raises(OSError, match="EINVAL"):
            host.setsockopt(socket, SOL_SOCKET, DONT_NEED, bytes(size), size)


@booted
def test_a_time_wants_its_exact_size(machine: Machine) -> None:
    host = machine.host
    socket = host.socket(AF_INET, DATAGRAM, 0)
    for size in (4, 7, 12, 16):
        with pytest.raises(OSError, match="EINVAL"):
            host.setsockopt(socket, SOL_SOCKET, TIME, bytes(size), size)
    host.setsockopt(socket, SOL_SOCKET, TIME, struct.pack("<iI", 1, 2), 8)
    assert value_of(host, socket, TIME, 8) == struct.pack("<iI", 1, 2)


@booted
def test_what_accept_hands_on_is_not_shared(machine: Machine) -> None:
    """An accepted socket has the options of the listening one, and changes them for itself alone."""
    host = machine.host
    bring_up(host)
    listening = host.socket(AF_INET, STREAM, 0)
    host.bind(listening, inet(5003), 16)
    host.listen(listening, 1)
    host.setsockopt(listening, SOL_SOCKET, BUSY, struct.pack("<i", 7), 4)
    host.setsockopt(listening, SOL_SOCKET, TIME, struct.pack("<iI", 1, 2), 8)
    host.setsockopt(listening, SOL_SOCKET, RATE, struct.pack("<Q", 1 << 40), 8)
    host.connect(host.socket(AF_INET, STREAM, 0), inet(5003), 16)
    accepted = host.accept4(listening, 0, 0, 0)
    for option, first, second in (
        (BUSY, struct.pack("<i", 7), struct.pack("<i", 8)),
        (TIME, struct.pack("<iI", 1, 2), struct.pack("<iI", 1, 3)),
        (RATE, struct.pack("<Q", 1 << 40), struct.pack("<Q", 1 << 41)),
    ):
        size = len(first)
        assert value_of(host, accepted, option, size) == first
        host.setsockopt(accepted, SOL_SOCKET, option, second, size)
        assert value_of(host, accepted, option, size) == second
        assert value_of(host, listening, option, size) == first


@booted
def test_a_mark_arrives(machine: Machine) -> None:
    host = machine.host
    bring_up(host)
    to = host.socket(AF_INET, DATAGRAM, 0)
    host.bind(to, inet(5001), 16)
    host.setsockopt(to, SOL_SOCKET, RECEIVE_MARK, ONE, 4)
    sender = host.socket(AF_INET, DATAGRAM, 0)
    host.setsockopt(sender, SOL_SOCKET, MARK, struct.pack("<I", 0xFFFF_FFF0), 4)
    host.sendto(sender, b"x", 1, 0, inet(5001), 16)
    assert received(host, to, 0) == struct.pack("<QiiI", 20, SOL_SOCKET, MARK, 0xFFFF_FFF0) + bytes(4)


@pytest.mark.parametrize("is_stream", [True, False])
@booted
def test_notices(machine: Machine, is_stream: bool) -> None:
    host = machine.host
    bring_up(host)
    if is_stream:
        sender, other = pair(host, 5002)
    else:
        other = host.socket(AF_INET, DATAGRAM, 0)
        host.bind(other, inet(5002), 16)
        sender = host.socket(AF_INET, DATAGRAM, 0)
        host.connect(sender, inet(5002), 16)
    host.sendto(sender, b"x", 1, MSG_ZEROCOPY, 0, 0)
    with pytest.raises(OSError, match="EAGAIN"):
        notice(host, sender)
    host.setsockopt(sender, SOL_SOCKET, ZERO_COPY, ONE, 4)
    for _ in range(3):
        host.sendto(sender, b"x", 1, MSG_ZEROCOPY, 0, 0)
    for _ in range(4):
        host.recvfrom(other, bytearray(1), 1, 0, 0, 0)
    polled = bytearray(struct.pack("<ihh", sender, 0, 0))
    assert host.poll(polled, 1, 1000) == 1 and struct.unpack("<ihh", polled)[2] & POLLERR
    assert notice(host, sender) == (0, 2)
    with pytest.raises(OSError, match="EAGAIN"):
        notice(host, sender)


def refuse(refused: list[QueuedError]) -> pytest.MonkeyPatch:
    """Let there be no memory for notices, which go to the list."""

    def fail(copies: ZeroCopies, notice: QueuedError) -> None:
        refused.append(notice)
        raise MemoryError

    patch = pytest.MonkeyPatch()
    patch.setattr(ZeroCopies, "_tell", fail)
    return patch


@booted
def test_a_timer_tells_of_a_send_for_which_there_was_no_memory(machine: Machine) -> None:
    """The connection is idle, and the program does nothing but wait: the notice comes all the same."""
    host = machine.host
    bring_up(host)
    sender, other = pair(host, 5004)
    host.setsockopt(sender, SOL_SOCKET, ZERO_COPY, ONE, 4)
    refused: list[QueuedError] = []
    patch = refuse(refused)
    try:
        host.sendto(sender, b"x", 1, MSG_ZEROCOPY, 0, 0)
        host.recvfrom(other, bytearray(1), 1, 0, 0, 0)
        polled = bytearray(struct.pack("<ihh", sender, 0, 0))
        assert host.poll(polled, 1, 100) == 0
        assert len(refused) > 1
        with pytest.raises(OSError, match="EAGAIN"):
            notice(host, sender)
    finally:
        patch.undo()
    assert host.poll(polled, 1, 1000) == 1 and struct.unpack("<ihh", polled)[2] & POLLERR
    assert notice(host, sender) == (0, 0)


@booted
def test_notices_outlive_a_connection(machine: Machine) -> None:
    """Without memory for them while it ended, they come when the program asks, and never twice."""
    host = machine.host
    bring_up(host)
    sender, _ = pair(host, 5005)
    host.setsockopt(sender, SOL_SOCKET, ZERO_COPY, ONE, 4)
    refused: list[QueuedError] = []
    patch = refuse(refused)
    try:
        host.sendto(sender, b"x", 1, MSG_ZEROCOPY, 0, 0)
        host.connect(sender, bytes(16), 16)
        assert len(refused) > 0
    finally:
        patch.undo()
    assert notice(host, sender) == (0, 0)
    with pytest.raises(OSError, match="EAGAIN"):
        notice(host, sender)
