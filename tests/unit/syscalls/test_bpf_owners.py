"""Maps of bpf(2) whose values belong to sockets, threads and control groups, on a booted machine."""

from __future__ import annotations

import errno
import os
import socket
import struct

from kernel.bpf.kept_maps import MAPS
from kernel.bpf.storage import GROUP_OWNERS, SOCKET_OWNERS, TASK_OWNERS, StorageMap
from tests.unit.booted import booted
from tests.unit.bpf.assembler import (
    ADD,
    AND,
    DW,
    JNE,
    LEAVE,
    R0,
    R1,
    R2,
    R3,
    R4,
    R6,
    W,
    alu,
    call,
    jump,
    load,
    map_,
    mov,
    mov_r,
    store,
)
from tests.unit.syscalls.test_bpf import Answers, in_child
from tests.unit.syscalls.test_bpf_sockets import SocketCalls, address, bring_up
from tools.simulated.machine import Machine
from tools.simulated.program import Program

SOCKETS, TASKS, GROUPS = 24, 29, 32
NO_PREALLOCATION, CLONED = 1, 0x200
ADDRESSES, BINDS4 = 18, 8


class StorageCalls(SocketCalls):
    """The same for values that belong to objects."""

    def types(self) -> int:
        names = b"\0int\0"
        words = [1, 1 << 24, 4, 32, 1, 1 << 24, 8, 64]
        data = struct.pack("<HBB5I", 0xEB9F, 1, 0, 24, 0, 32, 32, len(names)) + struct.pack("<8I", *words) + names
        return self.answers.bpf(18, struct.pack("<QQIIIII", self.at(0, data), 0, len(data), 0, 0, 0, 0), 36)

    def storage(self, kind: int, flags: int = NO_PREALLOCATION, most: int = 0, key: int = 1, value: int = 2) -> int:
        types = self.types()
        assert types >= 0
        attributes = bytearray(80)
        struct.pack_into("<5I", attributes, 0, kind, 4, 8, most, flags)
        struct.pack_into("<3I", attributes, 48, types, key, value)
        return self.answers.bpf(0, bytes(attributes), 80)

    def set(self, map_: int, fd: int, value: bytes, flags: int = 0) -> int:
        return self.element(2, map_, struct.pack("<i", fd), value.ljust(8, b"\0"), flags)

    def get(self, map_: int, fd: int) -> bytes | int:
        answer = self.element(1, map_, struct.pack("<i", fd), bytes(8))
        return answer if answer != 0 else self.value(8).rstrip(b"\0")

    def drop(self, map_: int, fd: int) -> int:
        return self.element(3, map_, struct.pack("<i", fd))


def storages() -> list[StorageMap]:
    return [each for each in MAPS.by_number.values() if isinstance(each, StorageMap)]


@booted
def test_what_a_map_needs(machine: Machine) -> None:
    calls = StorageCalls(machine.host)
    for kind in (SOCKETS, TASKS, GROUPS):
        assert calls.create(kind, 4, 8, 0, NO_PREALLOCATION) == -errno.EINVAL
        assert calls.storage(kind, 0) == calls.storage(kind, 9) == calls.storage(kind, 1, 5) == -errno.EINVAL
        assert calls.storage(kind, key=2) == calls.storage(kind, value=1) == -errno.EINVAL
        assert calls.storage(kind) >= 0 and calls.storage(kind, NO_PREALLOCATION | CLONED) >= 0


@booted
def test_sockets(machine: Machine) -> None:
    def check(program: Program, answers: Answers) -> None:
        calls = StorageCalls(program)
        map_ = calls.storage(SOCKETS)
        one, other = calls.pair(socket.SOCK_DGRAM)
        assert calls.get(map_, one) == calls.drop(map_, one) == -errno.ENOENT
        assert calls.set(map_, map_, b"a") == calls.get(map_, map_) == calls.drop(map_, map_) == -errno.ENOTSOCK
        assert calls.set(map_, 99, b"a") == calls.get(map_, 99) == calls.drop(map_, 99) == -errno.EBADF
        assert calls.set(map_, one, b"a", 2) == -errno.ENOENT and calls.set(map_, one, b"a", 3) == -errno.EINVAL
        assert calls.set(map_, one, b"a", 1) == 0 and calls.set(map_, one, b"b", 1) == -errno.EEXIST
        assert calls.set(map_, one, b"b") == 0 and calls.get(map_, one) == b"b"
        assert calls.get(map_, other) == -errno.ENOENT
        assert calls.element(4, map_, struct.pack("<i", one)) == calls.element(21, map_, struct.pack("<i", one)) == -524
        copy = answers.dup(one)
        answers.close(one)
        assert calls.get(map_, copy) == b"b"
        answers.close(copy)
        assert SOCKET_OWNERS.by_number == {} and storages()[0].owners == {}
        assert calls.set(map_, other, b"c") == 0 and calls.drop(map_, other) == 0
        assert calls.set(map_, other, b"c") == 0
        assert answers.bpf(22, struct.pack("<I", map_), 4) == 0
        assert calls.set(map_, other, b"d") == calls.drop(map_, other) == -errno.EPERM
        answers.close(map_)
        program.sched_yield()
        answers.nanosleep(struct.pack("<qq", 0, 10_000_000), None)  # the thread "async" has run
        assert SOCKET_OWNERS.by_number == {} and storages() == []

    in_child(machine, check)


@booted
def test_an_accepted_socket(machine: Machine) -> None:
    def check(program: Program, answers: Answers) -> None:
        bring_up(answers)
        calls = StorageCalls(program)
        cloned, other = calls.storage(SOCKETS, NO_PREALLOCATION | CLONED), calls.storage(SOCKETS)
        listener = answers.socket(socket.AF_INET, socket.SOCK_STREAM, 0)
        assert answers.bind(listener, address(7301), 16) == 0 and answers.listen(listener, 5) == 0
        assert calls.set(cloned, listener, b"a") == calls.set(other, listener, b"b") == 0
        client = answers.socket(socket.AF_INET, socket.SOCK_STREAM, 0)
        assert answers.connect(client, address(7301), 16) == 0
        accepted = answers.accept(listener, 0, 0)
        assert calls.get(cloned, accepted) == b"a" and calls.get(other, accepted) == -errno.ENOENT
        assert calls.get(cloned, client) == -errno.ENOENT
        answers.close(accepted)
        answers.close(listener)
        assert SOCKET_OWNERS.by_number == {}

    in_child(machine, check)


@booted
def test_a_socket_has_little_room(machine: Machine) -> None:
    def check(program: Program, answers: Answers) -> None:
        calls = StorageCalls(program)
        program.mkdir("/tmp/proc", 0o755)
        assert program.mount("none", "/tmp/proc", "proc", 0, 0) == 0
        setting = program.open("/tmp/proc/sys/net/core/optmem_max", os.O_WRONLY)
        assert program.write(setting, b"300", 3) == 3
        one, other = calls.storage(SOCKETS), calls.storage(SOCKETS)
        fd, _ = calls.pair(socket.SOCK_STREAM)
        assert calls.set(one, fd, b"a") == 0 and calls.set(other, fd, b"b") == -errno.ENOMEM
        assert calls.get(one, fd) == b"a" and calls.get(other, fd) == -errno.ENOENT

    in_child(machine, check)


@booted
def test_threads(machine: Machine) -> None:
    def check(program: Program, answers: Answers) -> None:
        calls = StorageCalls(program)
        map_ = calls.storage(TASKS)
        child = program.fork(lambda _: 0)
        answers.waitid(1, child, bytearray(128), 0x100_0004, None)  # it has ended, and waits to be reaped
        fd = program.pidfd_open(child, 0)
        own = program.pidfd_open(program.getpid(), 0)
        assert calls.set(map_, fd, b"child") == calls.set(map_, own, b"own") == 0
        assert calls.set(map_, map_, b"a") == calls.set(map_, 99, b"a") == -errno.EBADF
        assert calls.get(map_, fd) == b"child"
        assert program.wait4(child, None, 0, None) == child
        assert calls.get(map_, fd) == calls.set(map_, fd, b"b") == calls.drop(map_, fd) == -errno.ENOENT
        assert calls.get(map_, own) == b"own" and len(TASK_OWNERS.by_number) == 1

    in_child(machine, check)
    assert TASK_OWNERS.by_number == {}


@booted
def test_groups(machine: Machine) -> None:
    def check(program: Program, answers: Answers) -> None:
        calls = StorageCalls(program)
        map_ = calls.storage(GROUPS)
        program.mkdir("/tmp/groups", 0o755)
        assert program.mount("none", "/tmp/groups", "cgroup2", 0, 0) == 0
        assert program.mkdir("/tmp/groups/box", 0o755) == 0
        fd = program.open("/tmp/groups/box", os.O_RDONLY | os.O_DIRECTORY)
        top = program.open("/tmp/groups", os.O_RDONLY | os.O_DIRECTORY)
        assert calls.get(map_, fd) == -errno.ENOENT and calls.get(map_, map_) == -errno.EBADF
        assert calls.set(map_, fd, b"box") == calls.set(map_, top, b"top") == 0
        assert calls.get(map_, fd) == b"box" and calls.get(map_, top) == b"top"
        assert program.rmdir("/tmp/groups/box") == 0
        assert calls.get(map_, fd) == calls.set(map_, fd, b"a") == -errno.ENOENT
        assert list(GROUP_OWNERS.by_number) == [1] and calls.drop(map_, top) == 0

    in_child(machine, check)


@booted
def test_a_program_counts_what_a_socket_does(machine: Machine) -> None:
    def check(program: Program, answers: Answers) -> None:
        bring_up(answers)
        calls = StorageCalls(program)
        map_of = calls.storage(SOCKETS)
        counting = (
            load(DW, R2, R1, 64) + map_(R1, map_of) + mov(R3, 0) + mov(R4, 1) + call(107)
            + jump(JNE, R0, 0, 2) + mov(R0, 0) + LEAVE + load(W, R6, R0, 0) + alu(ADD, R6, 1) + store(W, R0, 0, R6)
            + alu(AND, R6, 1) + mov_r(R0, R6) + LEAVE
        )  # fmt: skip
        loaded = calls.load_kind(ADDRESSES, counting, BINDS4)
        assert loaded >= 0
        program.mkdir("/tmp/groups", 0o755)
        assert program.mount("none", "/tmp/groups", "cgroup2", 0, 0) == 0
        group = program.open("/tmp/groups", os.O_RDONLY | os.O_DIRECTORY)
        assert calls.attach_at(BINDS4, group, loaded) == 0
        fd = answers.socket(socket.AF_INET, socket.SOCK_DGRAM, 0)
        assert answers.bind(fd, address(7400), 16) == 0 and calls.get(map_of, fd) == b"\1"
        assert answers.bind(fd, address(7400), 16) == -errno.EPERM and calls.get(map_of, fd) == b"\2"
        assert calls.detach_at(BINDS4, group) == 0
        answers.close(fd)
        assert SOCKET_OWNERS.by_number == {}

    in_child(machine, check)
