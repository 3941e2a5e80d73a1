"""Programs of bpf(2) that see and change the addresses of a group's sockets, on a booted machine."""

from __future__ import annotations

import errno
import socket
import struct
from typing import cast

import pytest

from kernel.lang import EACCES, Errno
from kernel.net.sockets import inet_socket
from tests.unit.booted import booted
from tests.unit.bpf.assembler import LEAVE, R0, R1, W, mov, store_constant
from tests.unit.syscalls.test_bpf import DENY, Answers, group_of, in_child
from tests.unit.syscalls.test_bpf_sockets import SocketCalls, address, bring_up
from tools.simulated.machine import Machine
from tools.simulated.program import Program

CGROUP_SOCK_ADDR = 18
BIND, CONNECT, SEND, RECEIVE, PEER, NAME = 8, 10, 14, 19, 29, 31


def to_port(port: int) -> bytes:
    """A program that puts another port in place of the one that it sees."""
    return store_constant(W, R1, 24, socket.htons(port)) + mov(R0, 1) + LEAVE


def attach(calls: SocketCalls, group: int, place: int, instructions: bytes) -> None:
    program = calls.load_kind(CGROUP_SOCK_ADDR, instructions, place)
    assert program >= 0
    assert calls.attach_at(place, group, program) == 0
    calls.answers.close(program)


def port_of(answers: Answers, fd: int, call: str = "getsockname") -> int:
    name = bytearray(16)
    result = getattr(answers, call)(fd, name, bytearray(struct.pack("<i", 16)))
    return result if result < 0 else cast(int, struct.unpack_from(">H", name, 2)[0])


@booted
def test_a_program_chooses_what_a_socket_is_bound_to(machine: Machine) -> None:
    def check(program: Program, answers: Answers) -> None:
        bring_up(answers)
        calls = SocketCalls(program)
        group = group_of(program)
        attach(calls, group, BIND, to_port(7502))
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            made = answers.socket(socket.AF_INET, kind, 0)
            assert answers.bind(made, address(7501)[:15], 15) == -errno.EINVAL
            assert answers.bind(made, address(7501), 16) == 0
            assert port_of(answers, made) == 7502
            answers.close(made)
        assert calls.detach_at(BIND, group) == 0
        attach(calls, group, BIND, DENY)
        made = answers.socket(socket.AF_INET, socket.SOCK_DGRAM, 0)
        assert answers.bind(made, address(7501), 16) == -errno.EPERM and port_of(answers, made) == 0

    in_child(machine, check)


@booted
def test_a_program_permits_ports_of_the_system(machine: Machine) -> None:
    def check(program: Program, answers: Answers) -> None:
        bring_up(answers)
        calls = SocketCalls(program)
        group = group_of(program)
        chosen = [calls.load_kind(CGROUP_SOCK_ADDR, mov(R0, answer) + LEAVE, BIND) for answer in range(4)]
        made = [answers.socket(socket.AF_INET, socket.SOCK_DGRAM, 0) for _ in chosen]

        def bound(fd: int) -> int:
            """What bind(2) answers whoever has no capabilities."""
            patch = pytest.MonkeyPatch()
            patch.setattr(inet_socket, "check_port_right", refuses)
            result = answers.bind(fd, address(81), 16)
            patch.undo()
            return result

        def refuses(*arguments: object) -> None:
            raise Errno(EACCES)

        for answer, expected in enumerate((-errno.EPERM, -errno.EACCES, -errno.EPERM, 0)):
            assert calls.attach_at(BIND, group, chosen[answer]) == 0
            assert bound(made[answer]) == expected
            assert calls.detach_at(BIND, group) == 0

    in_child(machine, check)


@booted
def test_programs_redirect_connections(machine: Machine) -> None:
    def check(program: Program, answers: Answers) -> None:
        bring_up(answers)
        calls = SocketCalls(program)
        group = group_of(program)
        listener = answers.socket(socket.AF_INET, socket.SOCK_STREAM, 0)
        assert answers.bind(listener, address(7511), 16) == 0 and answers.listen(listener, 5) == 0
        attach(calls, group, CONNECT, to_port(7511))
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            made = answers.socket(socket.AF_INET, kind, 0)
            assert answers.connect(made, address(7512), 16) == 0
            assert port_of(answers, made, "getpeername") == 7511
            answers.close(made)
        assert calls.detach_at(CONNECT, group) == 0
        attach(calls, group, CONNECT, DENY)
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            made = answers.socket(socket.AF_INET, kind, 0)
            assert answers.connect(made, address(7511), 16) == -errno.EPERM
            assert port_of(answers, made, "getpeername") == -errno.ENOTCONN
            answers.close(made)

    in_child(machine, check)


@booted
def test_programs_redirect_datagrams(machine: Machine) -> None:
    def check(program: Program, answers: Answers) -> None:
        bring_up(answers)
        calls = SocketCalls(program)
        group = group_of(program)
        server, client = (answers.socket(socket.AF_INET, socket.SOCK_DGRAM, 0) for _ in range(2))
        assert answers.bind(server, address(7521), 16) == 0 and answers.bind(client, address(7522), 16) == 0
        attach(calls, group, SEND, to_port(7521))
        attach(calls, group, RECEIVE, to_port(7777))
        assert answers.sendto(client, b"abc", 3, 0, address(7523), 16) == 3
        data, sender = bytearray(8), bytearray(16)
        assert answers.recvfrom(server, data, 8, 0, sender, bytearray(struct.pack("<i", 16))) == 3
        assert bytes(sender) == address(7777)
        assert calls.detach_at(SEND, group) == 0
        attach(calls, group, SEND, to_port(0))
        assert answers.sendto(client, b"abc", 3, 0, address(7521), 16) == -errno.EINVAL
        assert calls.detach_at(SEND, group) == 0
        attach(calls, group, SEND, DENY)
        assert answers.sendto(client, b"abc", 3, 0, address(7521), 16) == -errno.EPERM
        assert answers.connect(client, address(7521), 16) == 0
        assert answers.sendto(client, b"abc", 3, 0, 0, 0) == 3, "a message that names nobody is not judged"

    in_child(machine, check)


@booted
def test_programs_change_names(machine: Machine) -> None:
    def check(program: Program, answers: Answers) -> None:
        bring_up(answers)
        calls = SocketCalls(program)
        group = group_of(program)
        listener, client = (answers.socket(socket.AF_INET, socket.SOCK_STREAM, 0) for _ in range(2))
        assert answers.bind(listener, address(7531), 16) == 0 and answers.listen(listener, 5) == 0
        assert answers.connect(client, address(7531), 16) == 0
        attach(calls, group, PEER, to_port(7532))
        attach(calls, group, NAME, to_port(7533))
        assert port_of(answers, client, "getpeername") == 7532 and port_of(answers, client) == 7533
        assert port_of(answers, listener, "getpeername") == -errno.ENOTCONN
        name = bytearray(16)
        assert answers.accept(listener, name, bytearray(struct.pack("<i", 16))) >= 0
        assert bytes(name) == address(7532)
        assert calls.detach_at(NAME, group) == 0
        assert port_of(answers, listener) == 7531

    in_child(machine, check)


@booted
def test_without_memory_nothing_is_bound_or_connected(machine: Machine) -> None:
    def check(program: Program, answers: Answers) -> None:
        bring_up(answers)
        calls = SocketCalls(program)
        group = group_of(program)
        attach(calls, group, BIND, to_port(7541))
        made = answers.socket(socket.AF_INET, socket.SOCK_DGRAM, 0)

        def fails(*arguments: object) -> int:
            raise MemoryError

        patch = pytest.MonkeyPatch()
        patch.setattr(inet_socket, "judge", fails)
        assert answers.bind(made, address(7541), 16) == -errno.ENOMEM
        assert answers.connect(made, address(7541), 16) == -errno.ENOMEM
        patch.undo()
        assert answers.bind(made, address(7541), 16) == 0

    in_child(machine, check)
