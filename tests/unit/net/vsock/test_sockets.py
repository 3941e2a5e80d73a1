"""AF_VSOCK sockets on a booted machine: what programs see of connections over loopback. The conformance cases vsock_*
compare much more with Linux.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Callable

import pytest

from kernel.net.netlink import vsock_diagnosis
from kernel.net.vsock import socket as vsock_socket
from kernel.net.vsock import transfer
from kernel.net.vsock.endpoint import Endpoint
from kernel.net.vsock.memory import MEMORY
from kernel.net.vsock.transport import TRANSPORTS
from tests.unit.booted import booted
from tools.simulated.machine import Machine
from tools.simulated.program import Program

AF_VSOCK, STREAM, SEQPACKET = 40, 1, 5
ANY, LOCAL, HOST = 0xFFFF_FFFF, 1, 2
NONBLOCK, DONTWAIT, PEEK, TRUNC, WAITALL = 0o4000, 0x40, 2, 0x20, 0x100
POLLIN, POLLOUT, POLLERR, POLLHUP, POLLRDHUP = 1, 4, 8, 16, 0x2000


def answer(call: Callable[..., int], *arguments: object) -> int:
    """What a call gives, or the errno that it raises, negative."""
    try:
        return call(*arguments)
    except OSError as error:
        assert error.errno is not None
        return -error.errno


def address(cid: int, port: int) -> bytes:
    return struct.pack("<HHII4x", AF_VSOCK, 0, port, cid)


def listen(program: Program, port: int, kind: int = STREAM, backlog: int = 4) -> int:
    listening = program.socket(AF_VSOCK, kind, 0)
    assert program.bind(listening, address(ANY, port), 16) == 0
    assert program.listen(listening, backlog) == 0
    return listening


def pair(program: Program, port: int, kind: int = STREAM) -> tuple[int, int]:
    listening = listen(program, port, kind)
    first = program.socket(AF_VSOCK, kind, 0)
    assert program.connect(first, address(LOCAL, port), 16) == 0
    second = program.accept(listening, None, None)
    assert second >= 0
    program.close(listening)
    return first, second


def receive(program: Program, descriptor: int, count: int, flags: int = DONTWAIT) -> bytes | int:
    storage = bytearray(count)
    done = answer(program.recvfrom, descriptor, storage, count, flags, None, None)
    return bytes(storage[:done]) if done >= 0 else done


def send(program: Program, descriptor: int, data: bytes, flags: int = DONTWAIT) -> int:
    return answer(program.sendto, descriptor, data, len(data), flags | 0x4000, None, 0)


def readiness(program: Program, descriptor: int) -> int:
    asked = bytearray(struct.pack("<ihh", descriptor, POLLIN | POLLOUT | POLLRDHUP, 0))
    program.poll(asked, 1, 0)
    return int(struct.unpack_from("<H", asked, 6)[0])


@booted
def test_a_stream(machine: Machine) -> None:
    host = machine.host
    first, second = pair(host, 4000)
    assert readiness(host, first) == POLLOUT
    assert send(host, first, b"one") == 3 and send(host, first, b"two") == 3
    assert receive(host, second, 4, PEEK) == b"onet"
    assert receive(host, second, 4) == b"onet"
    assert receive(host, second, 100) == b"wo"
    assert receive(host, second, 100) == -errno.EAGAIN
    assert send(host, second, b"back") == 4 and receive(host, first, 100) == b"back"
    assert host.shutdown(first, 1) == 0
    assert receive(host, second, 100) == b"" and readiness(host, second) == POLLIN | POLLOUT | POLLRDHUP
    assert send(host, second, b"answer") == 6 and receive(host, first, 10) == b"answer"
    host.close(first)
    assert send(host, second, b"x") == -errno.EPIPE
    host.close(second)


@booted
def test_a_buffer_fills_and_drains(machine: Machine) -> None:
    host = machine.host
    first, second = pair(host, 4001)
    block = bytes(i % 251 for i in range(100_000))
    assert [send(host, first, block) for _ in range(4)] == [100_000, 100_000, 62_144, -errno.EAGAIN]
    assert readiness(host, first) == 0
    assert receive(host, second, 1000) == block[:1000] and send(host, first, b"x") == -errno.EAGAIN
    assert receive(host, second, 300_000) == block[1000:] + block + block[:62_144]
    assert readiness(host, first) == POLLOUT and send(host, first, block) == 100_000


@booted
def test_what_was_received_is_not_lost_for_want_of_memory(machine: Machine) -> None:
    host = machine.host
    first, second = pair(host, 4022)
    with pytest.MonkeyPatch.context() as monkeypatch:

        def no_memory(*arguments: object) -> None:
            raise MemoryError

        monkeypatch.setattr(transfer, "_wait", no_memory)
        assert receive(host, second, 10, WAITALL) == -errno.ENOMEM
        assert send(host, first, b"abc") == 3
        assert receive(host, second, 10, WAITALL) == b"abc"
    host.close(first)
    host.close(second)


@booted
def test_messages(machine: Machine) -> None:
    host = machine.host
    first, second = pair(host, 4002, SEQPACKET)
    large = bytes(200_000)
    for message in (b"one", b"three", large):
        assert send(host, first, message) == len(message)
    assert send(host, first, bytes(300_000)) == -errno.EMSGSIZE
    assert receive(host, second, 100) == b"one"
    assert receive(host, second, 2) == b"th"
    assert receive(host, second, 300_000) == large
    assert send(host, first, b"") == 0 and receive(host, second, 10) == -errno.EAGAIN


@booted
def test_who_may_connect(machine: Machine) -> None:
    host = machine.host
    alone = host.socket(AF_VSOCK, STREAM, 0)
    assert answer(host.connect, alone, address(LOCAL, 4003), 16) == -errno.ECONNRESET
    assert answer(host.connect, alone, address(HOST, 4003), 16) == -errno.ENODEV
    listening = listen(host, 4003, backlog=0)
    waiting = host.socket(AF_VSOCK, STREAM | NONBLOCK, 0)
    assert answer(host.connect, waiting, address(LOCAL, 4003), 16) == -errno.EINPROGRESS
    assert (
        readiness(host, waiting) == POLLOUT
        and answer(host.connect, waiting, address(LOCAL, 4003), 16) == -errno.EISCONN
    )
    assert answer(host.connect, alone, address(LOCAL, 4003), 16) == -errno.ECONNRESET, "the backlog is full"
    assert readiness(host, listening) == POLLIN
    host.close(listening)
    assert readiness(host, waiting) == POLLIN | POLLOUT | POLLRDHUP
    assert answer(host.socket, AF_VSOCK, 2, 0) == -errno.ENODEV


@booted
def test_a_reader_waits_and_a_writer_too(machine: Machine) -> None:
    host = machine.host
    listening = listen(host, 4004)

    def writer(program: Program) -> None:
        descriptor = program.socket(AF_VSOCK, STREAM, 0)
        assert program.connect(descriptor, address(LOCAL, 4004), 16) == 0
        assert program.sendto(descriptor, bytes(1_000_000), 1_000_000, 0, None, 0) == 1_000_000
        assert receive(program, descriptor, 10, 0) == b"thanks"

    child = host.fork(writer)
    accepted = host.accept(listening, None, None)
    total = 0
    while total < 1_000_000:
        got = receive(host, accepted, 50_000, 0)
        assert isinstance(got, bytes) and len(got) > 0
        total += len(got)
    assert send(host, accepted, b"thanks") == 6
    assert machine.wait(child) == 0


@booted
def test_the_device_tells_the_context(machine: Machine) -> None:
    host = machine.host
    host.mknod("/vsock", 0o20600, os.makedev(10, 258))
    device = host.open("/vsock", 0, 0)
    told = bytearray(4)
    assert host.ioctl(device, 0x7B9, told) == 0 and told == b"\1\0\0\0"


def set_limit(monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    monkeypatch.setattr(MEMORY.programs, "limit", limit)


@booted
def test_a_stream_waits_while_memory_is_used_up(machine: Machine) -> None:
    host = machine.host
    first, second = pair(host, 4010)
    other, other_peer = pair(host, 4011)
    with pytest.MonkeyPatch.context() as monkeypatch:
        set_limit(monkeypatch, 300_000)
        assert send(host, other, bytes(250_000)) == 250_000
        sent = send(host, first, bytes(65536))
        assert sent == 65536 and readiness(host, first) == 0 and send(host, first, b"x") == -errno.EAGAIN
        assert receive(host, second, 100_000) == bytes(65536)
        assert readiness(host, first) == POLLOUT
        assert send(host, first, bytes(65536)) == 65536
        assert receive(host, second, 100_000) == bytes(65536)
        assert receive(host, other_peer, 300_000) == bytes(250_000)
    assert MEMORY.programs.used == 0
    for descriptor in (first, second, other, other_peer):
        host.close(descriptor)


@booted
def test_small_messages_do_not_pass_the_limit(machine: Machine) -> None:
    host = machine.host
    first, second = pair(host, 4012, SEQPACKET)
    other, other_peer = pair(host, 4013)
    assert send(host, other, bytes(250_000)) == 250_000
    with pytest.MonkeyPatch.context() as monkeypatch:
        set_limit(monkeypatch, 200_000)
        assert [send(host, first, b"a") for _ in range(3)] == [1, -errno.EAGAIN, -errno.EAGAIN]
        assert receive(host, second, 10) == b"a" and send(host, first, bytes(100_000)) == 100_000
        assert receive(host, second, 100_000) == bytes(100_000)
    for descriptor in (first, second, other, other_peer):
        host.close(descriptor)


@booted
def test_who_waits_for_memory_is_woken(machine: Machine) -> None:
    host = machine.host
    first, second = pair(host, 4014)
    other, other_peer = pair(host, 4015)
    assert send(host, first, b"x") == 1 and send(host, other, bytes(250_000)) == 250_000
    with pytest.MonkeyPatch.context() as monkeypatch:
        set_limit(monkeypatch, 200_000)

        def writer(program: Program) -> None:
            assert send(program, first, bytes(1000), 0) == 1000

        def reader(program: Program) -> None:
            assert receive(program, other_peer, 300_000, 0) == bytes(250_000)

        waiting = host.fork(writer)
        reading = host.fork(reader)
        assert machine.wait(reading) == 0 and machine.wait(waiting) == 0
        assert receive(host, second, 2000) == b"x" + bytes(1000)
    for descriptor in (first, second, other, other_peer):
        host.close(descriptor)


def port_of(program: Program, descriptor: int) -> int:
    storage, length = bytearray(16), bytearray(struct.pack("<I", 16))
    assert program.getsockname(descriptor, storage, length) == 0
    return int(struct.unpack_from("<HHII", storage)[2])


@booted
def test_strangers_do_not_reach_a_connection(machine: Machine) -> None:
    host = machine.host
    first, second = pair(host, 4016)
    assert send(host, first, bytes(200_000)) == 200_000 and receive(host, second, 300_000) == bytes(200_000)
    assert send(host, first, bytes(200_000)) == 200_000 and receive(host, second, 300_000) == bytes(200_000)
    stranger = host.socket(AF_VSOCK, STREAM | NONBLOCK, 0)
    victim = address(LOCAL, port_of(host, first))
    assert answer(host.connect, stranger, victim, 16) == -errno.EINPROGRESS
    assert readiness(host, stranger) & POLLERR
    answer(host.shutdown, stranger, 2)
    assert readiness(host, first) == POLLOUT and send(host, first, b"still") == 5
    assert receive(host, second, 10) == b"still"
    namesake = host.socket(AF_VSOCK, STREAM, 0)
    named = host.socket(AF_VSOCK, STREAM, 0)
    listening = listen(host, 4017)
    assert host.bind(named, address(LOCAL, 4018), 16) == 0
    assert host.connect(named, address(LOCAL, 4017), 16) == 0
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(TRANSPORTS.guest, "cid", lambda: 42)
        assert host.bind(namesake, address(42, 4018), 16) == 0
        assert answer(host.connect, namesake, address(LOCAL, 4017), 16) == -errno.EADDRINUSE
    for descriptor in (first, second, stranger, named, namesake, listening):
        host.close(descriptor)


@booted
def test_an_address_with_unknown_flags_is_none(machine: Machine) -> None:
    host = machine.host
    descriptor = host.socket(AF_VSOCK, STREAM, 0)
    for flags, result in ((0x80, -errno.EINVAL), (2, -errno.EINVAL), (1, 0)):
        place = struct.pack("<HHIIB3x", AF_VSOCK, 0, 4019, ANY, flags)
        assert answer(host.bind, descriptor, place, 16) == result
    host.close(descriptor)


@booted
def test_without_memory_for_its_time_limit_nothing_is_asked(machine: Machine) -> None:
    host = machine.host
    listening = listen(host, 4020)
    descriptor = host.socket(AF_VSOCK, STREAM | NONBLOCK, 0)
    with pytest.MonkeyPatch.context() as monkeypatch:

        def no_memory(endpoint: Endpoint, delay_ns: int) -> None:
            raise MemoryError

        monkeypatch.setattr(vsock_socket, "start_timer", no_memory)
        assert answer(host.connect, descriptor, address(LOCAL, 4020), 16) == -errno.ENOMEM
    assert readiness(host, listening) == 0
    assert answer(host.connect, descriptor, address(LOCAL, 4020), 16) == -errno.EINPROGRESS
    assert readiness(host, listening) == POLLIN
    host.close(descriptor)
    host.close(listening)


@booted
def test_listing_sockets_has_safe_points(machine: Machine) -> None:
    host = machine.host
    listening = listen(host, 4021, backlog=200)
    for _ in range(150):
        descriptor = host.socket(AF_VSOCK, STREAM | NONBLOCK, 0)
        answer(host.connect, descriptor, address(LOCAL, 4021), 16)
        host.close(descriptor)
    diagnosis = host.socket(16, 3, 4)
    request = struct.pack("<IHHIIBBHIIIII", 40, 20, 0x301, 1, 0, AF_VSOCK, 0, 0, 0xFFFF_FFFF, 0, 0, 0, 0)
    spent: list[int] = []
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(vsock_diagnosis, "pace", spent.append)
        host.sendto(diagnosis, request, len(request), 0, None, 0)
    assert len(spent) >= 150
    host.close(diagnosis)
    host.close(listening)
