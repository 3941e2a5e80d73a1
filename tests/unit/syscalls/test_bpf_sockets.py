"""Programs of bpf(2) for sockets, on a booted machine: filters, and programs that hear of a group's sockets."""

from __future__ import annotations

import errno
import os
import socket
import struct

import pytest

from kernel.bpf.machine import World
from kernel.bpf.program import KEPT
from kernel.bpf.program import Program as BpfProgram
from kernel.bpf.subject import SOCKET_BOUND4, SOCKET_CREATED, SOCKET_RELEASED
from kernel.cgroup.group import ControlGroup
from kernel.cgroup.programs import effective_programs
from kernel.net.sockets import inet_socket, socket_programs
from kernel.net.sockets.socket import Socket
from tests.unit.booted import booted
from tests.unit.bpf.assembler import LEAVE, R0, R1, R2, R6, B, W, load, mov, mov_r, raw, store
from tests.unit.syscalls.test_bpf import ALLOW, DENY, Answers, Calls, group_of, in_child
from tools.simulated.machine import Machine
from tools.simulated.program import Program

SOCKET_FILTER = 1
CGROUP_SOCK = 9
ATTACH_BPF, DETACH_BPF, LOCK_FILTER = 50, 27, 44
SO_MARK, SO_BINDTOIFINDEX = 36, 62


class SocketCalls(Calls):
    """The same for programs about sockets."""

    def load_kind(self, kind: int, instructions: bytes, place: int = 0) -> int:
        attributes = bytearray(148)
        where = self.at(4096, instructions)
        struct.pack_into("<IIQQ", attributes, 0, kind, len(instructions) // 8, where, self.at(0, b"GPL\0"))
        struct.pack_into("<I", attributes, 68, place)
        return self.answers.bpf(5, bytes(attributes), 148)

    def attach_at(self, place: int, group: int, program: int) -> int:
        return self.answers.bpf(8, struct.pack("<5I", group, program, place, 0, 0), 20)

    def detach_at(self, place: int, group: int) -> int:
        return self.answers.bpf(9, struct.pack("<5I", group, 0, place, 0, 0), 20)

    def pair(self, kind: int) -> tuple[int, int]:
        ends = bytearray(8)
        assert self.answers.socketpair(socket.AF_UNIX, kind, 0, ends) == 0
        first, second = struct.unpack("<ii", ends)
        return first, second

    def set_filter(self, fd: int, program: int) -> int:
        return self.answers.setsockopt(fd, socket.SOL_SOCKET, ATTACH_BPF, struct.pack("<i", program), 4)

    def drop_filter(self, fd: int) -> int:
        return self.answers.setsockopt(fd, socket.SOL_SOCKET, DETACH_BPF, bytes(4), 4)

    def option(self, fd: int, name: int) -> int:
        value = bytearray(4)
        assert self.answers.getsockopt(fd, socket.SOL_SOCKET, name, value, bytearray(struct.pack("<i", 4))) == 0
        return int(struct.unpack("<i", value)[0])


def address(port: int) -> bytes:
    return struct.pack("<H", socket.AF_INET) + struct.pack(">H4s8x", port, b"\x7f\0\0\1")


def bring_up(answers: Answers) -> None:
    """The loopback interface."""
    some = answers.socket(socket.AF_INET, socket.SOCK_DGRAM, 0)
    assert answers.ioctl(some, 0x8914, struct.pack("<16sH22x", b"lo", 1)) == 0  # SIOCSIFFLAGS, IFF_UP
    answers.close(some)


def received(answers: Answers, fd: int) -> bytes | int:
    data = bytearray(64)
    count = answers.recvfrom(fd, data, 64, socket.MSG_DONTWAIT, 0, 0)
    return count if count < 0 else bytes(data[:count])


@booted
def test_datagrams_are_cut_to_what_is_wanted(machine: Machine) -> None:
    def check(program: Program, answers: Answers) -> None:
        calls = SocketCalls(program)
        sender, receiver = calls.pair(socket.SOCK_DGRAM)
        for wanted, data in ((0, -errno.EAGAIN), (3, b"abc"), (9, b"abcdef"), (-1, b"abcdef")):
            chosen = calls.load_kind(SOCKET_FILTER, mov(R0, wanted) + LEAVE)
            assert calls.set_filter(receiver, chosen) == 0
            assert answers.sendto(sender, b"abcdef", 6, 0, 0, 0) == 6
            assert received(answers, receiver) == data
        first = mov_r(R6, R1) + raw(0x20 | B, constant=0) + LEAVE  # as many bytes as the first one says
        assert calls.set_filter(receiver, calls.load_kind(SOCKET_FILTER, first)) == 0
        assert answers.sendto(sender, b"\x02xyz", 4, 0, 0, 0) == 4
        assert received(answers, receiver) == b"\x02x"

    in_child(machine, check)


@booted
def test_sockets_keep_their_programs(machine: Machine) -> None:
    def check(program: Program, answers: Answers) -> None:
        calls = SocketCalls(program)
        before = len(KEPT.programs)
        sender, receiver = calls.pair(socket.SOCK_SEQPACKET)
        for _ in range(3):
            chosen = calls.load_kind(SOCKET_FILTER, ALLOW)
            assert calls.set_filter(receiver, chosen) == 0
            answers.close(chosen)
            assert len(KEPT.programs) == before + 1
        assert calls.drop_filter(receiver) == 0 and len(KEPT.programs) == before
        assert calls.drop_filter(receiver) == -errno.ENOENT
        chosen = calls.load_kind(SOCKET_FILTER, ALLOW)
        assert calls.set_filter(sender, chosen) == calls.set_filter(receiver, chosen) == 0
        answers.close(chosen)
        answers.close(sender)
        assert len(KEPT.programs) == before + 1
        answers.close(receiver)
        assert len(KEPT.programs) == before

    in_child(machine, check)


@booted
def test_accepted_sockets_share_the_listener_s(machine: Machine) -> None:
    def check(program: Program, answers: Answers) -> None:
        bring_up(answers)
        calls = SocketCalls(program)
        before = len(KEPT.programs)
        listener = answers.socket(socket.AF_INET, socket.SOCK_STREAM, 0)
        assert answers.bind(listener, address(7301), 16) == 0
        assert answers.listen(listener, 5) == 0
        chosen = calls.load_kind(SOCKET_FILTER, mov(R0, -1) + LEAVE)
        assert calls.set_filter(listener, chosen) == 0
        answers.close(chosen)
        client = answers.socket(socket.AF_INET, socket.SOCK_STREAM, 0)
        assert answers.connect(client, address(7301), 16) == 0
        accepted = answers.accept(listener, 0, 0)
        assert accepted >= 0
        answers.close(listener)
        assert len(KEPT.programs) == before + 1
        assert answers.sendto(client, b"hello", 5, 0, 0, 0) == 5
        assert received(answers, accepted) == b"hello"
        answers.close(accepted)
        assert len(KEPT.programs) == before
        answers.close(client)

    in_child(machine, check)


@booted
def test_what_is_no_filter_is_refused(machine: Machine) -> None:
    def check(program: Program, answers: Answers) -> None:
        calls = SocketCalls(program)
        first, second = calls.pair(socket.SOCK_DGRAM)
        assert calls.set_filter(first, -1) == -errno.EBADF
        assert calls.set_filter(first, second) == -errno.EINVAL
        assert calls.set_filter(first, calls.load(ALLOW)) == -errno.EINVAL
        assert answers.setsockopt(first, socket.SOL_SOCKET, LOCK_FILTER, struct.pack("<i", 1), 4) == 0
        assert calls.set_filter(first, calls.load_kind(SOCKET_FILTER, ALLOW)) == -errno.EPERM
        assert calls.set_filter(first, -1) == -errno.EPERM
        assert calls.drop_filter(first) == -errno.EPERM

    in_child(machine, check)


@booted
def test_sockets_are_refused(machine: Machine) -> None:
    def check(program: Program, answers: Answers) -> None:
        calls = SocketCalls(program)
        group = group_of(program)
        assert calls.attach_at(SOCKET_CREATED, group, calls.load_kind(CGROUP_SOCK, DENY, SOCKET_CREATED)) == 0
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            for family in (socket.AF_INET, socket.AF_INET6):
                assert answers.socket(family, kind, 0) == -errno.EPERM
        assert answers.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0) >= 0
        assert calls.detach_at(SOCKET_CREATED, group) == 0
        assert answers.socket(socket.AF_INET, socket.SOCK_STREAM, 0) >= 0

    in_child(machine, check)


@booted
def test_programs_choose_marks_and_interfaces(machine: Machine) -> None:
    def check(program: Program, answers: Answers) -> None:
        calls = SocketCalls(program)
        group = group_of(program)
        marking = mov(R2, 77) + store(W, R1, 16, R2) + mov(R2, 1) + store(W, R1, 0, R2) + ALLOW
        assert calls.attach_at(SOCKET_CREATED, group, calls.load_kind(CGROUP_SOCK, marking)) == 0
        made = answers.socket(socket.AF_INET, socket.SOCK_DGRAM, 0)
        assert calls.option(made, SO_MARK) == 77 and calls.option(made, SO_BINDTOIFINDEX) == 1

    in_child(machine, check)


@booted
def test_a_refused_binding_leaves_no_trace(machine: Machine) -> None:
    def check(program: Program, answers: Answers) -> None:
        bring_up(answers)
        calls = SocketCalls(program)
        group = group_of(program)
        by_port = load(W, R2, R1, 44) + mov(R0, 1) + raw(0x55, R2, constant=7302, offset=1) + mov(R0, 0) + LEAVE
        place = SOCKET_BOUND4
        assert calls.attach_at(place, group, calls.load_kind(CGROUP_SOCK, by_port, place)) == 0
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            made = answers.socket(socket.AF_INET, kind, 0)
            assert answers.bind(made, address(7302), 16) == -errno.EPERM
            name = bytearray(16)
            assert answers.getsockname(made, name, bytearray(struct.pack("<i", 16))) == 0
            assert name[2:8] == bytes(6)
            assert answers.bind(made, address(7303), 16) == 0
            answers.close(made)

    in_child(machine, check)


@booted
def test_nobody_is_asked_about_sockets_without_ports(machine: Machine) -> None:
    def check(program: Program, answers: Answers) -> None:
        bring_up(answers)
        assert answers.mkdir("/tmp/proc", 0o755) == 0 and answers.mount("none", "/tmp/proc", "proc", 0, 0) == 0
        setting = program.open("/tmp/proc/sys/net/ipv4/ping_group_range", os.O_WRONLY)
        assert program.write(setting, b"0 0", 3) == 3
        calls = SocketCalls(program)
        group, place = group_of(program), SOCKET_BOUND4
        assert calls.attach_at(place, group, calls.load_kind(CGROUP_SOCK, DENY, place)) == 0
        other = answers.socket(socket.AF_INET, socket.SOCK_DGRAM, 0)
        assert answers.bind(other, address(0), 16) == -errno.EPERM
        for kind, protocol in ((socket.SOCK_DGRAM, socket.IPPROTO_ICMP), (socket.SOCK_RAW, socket.IPPROTO_UDP)):
            made = answers.socket(socket.AF_INET, kind, protocol)
            assert made >= 0 and answers.bind(made, address(0), 16) == 0

    in_child(machine, check)


@booted
def test_without_memory_a_socket_is_not_bound(machine: Machine) -> None:
    def check(program: Program, answers: Answers) -> None:
        bring_up(answers)
        calls = SocketCalls(program)
        place = SOCKET_BOUND4
        assert calls.attach_at(place, group_of(program), calls.load_kind(CGROUP_SOCK, ALLOW, place)) == 0
        made = answers.socket(socket.AF_INET, socket.SOCK_STREAM, 0)

        def fails(*arguments: object) -> bool:
            raise MemoryError

        whole = socket_programs.permit
        inet_socket.__dict__["permit"] = fails
        assert answers.bind(made, address(7304), 16) == -errno.ENOMEM
        inet_socket.__dict__["permit"] = whole
        assert answers.bind(made, address(7304), 16) == 0

    in_child(machine, check)


@booted
def test_the_end_of_a_socket_is_told_once(machine: Machine) -> None:
    def check(program: Program, answers: Answers) -> None:
        bring_up(answers)
        calls = SocketCalls(program)
        group = group_of(program)
        assert calls.attach_at(SOCKET_RELEASED, group, calls.load_kind(CGROUP_SOCK, DENY, SOCKET_RELEASED)) == 0
        told: list[int] = []
        whole = socket_programs.permit

        def noting(made: Socket, purpose: int, names: socket_programs.Names) -> bool:
            if purpose == SOCKET_RELEASED:
                told.append(names.state)
            return whole(made, purpose, names)

        inet_socket.__dict__["permit"] = noting
        datagrams = answers.socket(socket.AF_INET, socket.SOCK_DGRAM, 0)
        copy = answers.dup(datagrams)
        answers.close(datagrams)
        assert told == []
        answers.close(copy)
        assert told == [7]
        stream = answers.socket(socket.AF_INET, socket.SOCK_STREAM, 0)
        assert answers.bind(stream, address(7305), 16) == 0 and answers.listen(stream, 1) == 0
        answers.close(stream)
        assert told == [7, 10]
        assert calls.attach_at(SOCKET_CREATED, group, calls.load_kind(CGROUP_SOCK, DENY, SOCKET_CREATED)) == 0
        assert answers.socket(socket.AF_INET, socket.SOCK_DGRAM, 0) == -errno.EPERM
        assert told == [7, 10]  # one that was refused never was

    in_child(machine, check)


@booted
def test_all_programs_hear_of_the_end_that_a_killed_thread_makes(machine: Machine) -> None:
    def check(program: Program, answers: Answers) -> None:
        calls = SocketCalls(program)
        group = group_of(program)
        for place in (SOCKET_CREATED, SOCKET_RELEASED):
            assert calls.attach_at(place, group, calls.load_kind(CGROUP_SOCK, ALLOW, place)) == 0
        asked = 0

        def several(which: ControlGroup, purpose: int) -> list[BpfProgram]:
            return effective_programs(which, purpose) * 2

        judge = BpfProgram.judge_socket

        def counting(
            self: BpfProgram, context: bytearray, cookie: int, most_cost: int, world: World, room: int
        ) -> tuple[int, int]:
            nonlocal asked
            asked += 1
            return judge(self, context, cookie, most_cost, world, room)

        patch = pytest.MonkeyPatch()
        patch.setattr(socket_programs, "effective_programs", several)
        patch.setattr(socket_programs, "is_dying", lambda: True)
        patch.setattr(BpfProgram, "judge_socket", counting)
        made = answers.socket(socket.AF_INET, socket.SOCK_DGRAM, 0)
        assert made >= 0 and asked == 1, "nobody will have it"
        answers.close(made)
        assert asked == 3

    in_child(machine, check)
