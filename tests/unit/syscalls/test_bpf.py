"""bpf(2) on a booted machine: maps, and a program that judges devices."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Callable

from kernel.bpf.code import Code
from kernel.bpf.kept_maps import MAPS
from kernel.bpf.log import Log
from kernel.bpf.maps import Map
from kernel.bpf.subject import Subject
from kernel.bpf.verifier import verify
from kernel.fs.bpf import devices
from kernel.syscalls import bpf_maps, bpf_programs
from kernel.syscalls.bpf_arguments import Attributes
from kernel.task import current
from tests.unit.booted import booted
from tests.unit.bpf.assembler import (
    ADD,
    AND,
    DW,
    JEQ,
    LEAVE,
    MOV,
    R0,
    R1,
    R2,
    R3,
    R4,
    R6,
    R10,
    W,
    alu,
    alu_r,
    call,
    jump,
    load,
    map_,
    mov,
    mov_r,
    store_constant,
)
from tools.simulated.machine import Machine
from tools.simulated.program import Program

ROOM = 65536
DEVICES = 15  # BPF_PROG_TYPE_CGROUP_DEVICE
AT_DEVICES = 6  # BPF_CGROUP_DEVICE
ALLOW = mov(R0, 1) + LEAVE
DENY = mov(R0, 0) + LEAVE


class Answers:
    """System calls of a program that return what the kernel does, and raise nothing."""

    def __init__(self, program: Program) -> None:
        self.program = program

    def __getattr__(self, name: str) -> Callable[..., int]:
        def call(*arguments: int | str | bytes | bytearray) -> int:
            try:
                return self.program.call(name, *arguments)
            except OSError as error:
                assert error.errno is not None
                return -error.errno

        return call


class Calls:
    """bpf(2) of a program, with memory for what its attributes name."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.answers = Answers(program)
        self.memory = program.mmap(0, ROOM, 3, 0x22, -1, 0)

    def at(self, offset: int, data: bytes) -> int:
        """Where bytes were put."""
        self.program.store(self.memory + offset, data)
        return self.memory + offset

    def create(self, kind: int, key: int, value: int, most: int, flags: int = 0) -> int:
        return self.answers.bpf(0, struct.pack("<5I", kind, key, value, most, flags), 20)

    def element(self, command: int, fd: int, key: bytes, value: bytes = b"", flags: int = 0) -> int:
        attributes = struct.pack("<QQQ", fd, self.at(0, key), self.at(1024, value))
        if command in (1, 2, 21):
            attributes += struct.pack("<Q", flags)
        return self.answers.bpf(
            command, attributes[: 16 if command == 3 else 32], 16 if command == 3 else len(attributes)
        )

    def value(self, size: int) -> bytes:
        return self.program.load(self.memory + 1024, size)

    def load(self, instructions: bytes) -> int:
        attributes = struct.pack(
            "<IIQQIIQII", DEVICES, len(instructions) // 8, self.at(4096, instructions), self.at(0, b"GPL\0"),
            1, 4096, self.memory + 8192, 0, 0,
        )  # fmt: skip
        return self.answers.bpf(5, attributes, len(attributes))

    def log(self) -> str:
        return self.program.string(self.memory + 8192).decode()

    def attach(self, group: int, program: int, flags: int = 0) -> int:
        return self.answers.bpf(8, struct.pack("<5I", group, program, AT_DEVICES, flags, 0), 20)

    def detach(self, group: int, program: int) -> int:
        return self.answers.bpf(9, struct.pack("<5I", group, program, AT_DEVICES, 0, 0), 20)


def group_of(program: Program) -> int:
    """A group that the program is in."""
    program.mkdir("/tmp/groups", 0o755)
    assert program.mount("none", "/tmp/groups", "cgroup2", 0, 0) == 0
    assert program.mkdir("/tmp/groups/box", 0o755) == 0
    members = program.open("/tmp/groups/box/cgroup.procs", os.O_WRONLY)
    assert program.write(members, b"0", 1) == 1
    return program.open("/tmp/groups/box", os.O_RDONLY | os.O_DIRECTORY)


def in_child(machine: Machine, check: Callable[[Program, Answers], None]) -> None:
    """Check something in a process that may go into a group, with nodes of devices."""

    def child(program: Program) -> int:
        program.mknod("/tmp/null", 0o020666, 0x103)
        program.mknod("/tmp/zero", 0o020666, 0x105)
        check(program, Answers(program))
        return 0

    assert machine.run(child) == 0


@booted
def test_a_map_keeps_values(machine: Machine) -> None:
    calls = Calls(machine.host)
    for kind in (1, 2):
        fd = calls.create(kind, 4, 8, 2)
        assert fd >= 0
        key = struct.pack("<I", 1)
        assert calls.element(2, fd, key, b"ABCDEFGH") == 0
        assert calls.element(1, fd, key, bytes(8)) == 0
        assert calls.value(8) == b"ABCDEFGH"
        assert calls.element(3, fd, key) == (0 if kind == 1 else -errno.EINVAL)
    assert Answers(machine.host).bpf(22, struct.pack("<I", fd), 4) == 0
    assert calls.element(2, fd, key, b"ABCDEFGH") == -errno.EPERM
    assert calls.element(1, 0, key, bytes(8)) == -errno.EINVAL


@booted
def test_a_refused_program_says_why(machine: Machine) -> None:
    calls = Calls(machine.host)
    assert calls.load(LEAVE) == -errno.EACCES
    assert calls.log().startswith("R0 !read_ok\nprocessed 1 insns")
    assert calls.load(mov(R0, 2) + LEAVE) == -errno.EINVAL


@booted
def test_devices_are_refused(machine: Machine) -> None:
    def check(program: Program, answers: Answers) -> None:
        calls = Calls(program)
        group = group_of(program)
        denying, allowing = calls.load(DENY), calls.load(ALLOW)
        assert denying >= 0 and allowing >= 0
        assert calls.attach(group, denying) == 0
        assert answers.open("/tmp/null", os.O_RDONLY) == -errno.EPERM
        assert answers.access("/tmp/null", os.R_OK) == -errno.EPERM
        assert answers.mknod("/tmp/node", 0o020600, 0x103) == -errno.EPERM
        assert calls.attach(group, allowing) == 0
        assert answers.open("/tmp/null", os.O_RDONLY) >= 0
        assert calls.attach(group, denying) == 0
        assert calls.detach(group, denying) == 0
        assert answers.open("/tmp/null", os.O_RDONLY) >= 0
        assert answers.mknod("/tmp/node", 0o020600, 0x103) == 0

    in_child(machine, check)


@booted
def test_a_program_sees_the_device(machine: Machine) -> None:
    """Minor 3 of memory devices (null) may be opened, and its access is 2 for reading."""
    judging = load(W, R2, R1, 8) + mov(R0, 0) + jump(JEQ, R2, 3, 1) + LEAVE + load(W, R2, R1, 0)
    judging += jump(JEQ, R2, 2 << 16 | 2, 1) + LEAVE + ALLOW

    def check(program: Program, answers: Answers) -> None:
        calls = Calls(program)
        assert calls.attach(group_of(program), calls.load(judging), 2) == 0
        assert answers.open("/tmp/null", os.O_RDONLY) >= 0
        assert answers.open("/tmp/null", os.O_WRONLY) == -errno.EPERM
        assert answers.open("/tmp/zero", os.O_RDONLY) == -errno.EPERM

    in_child(machine, check)


@booted
def test_a_map_says_what_is_allowed(machine: Machine) -> None:
    def check(program: Program, answers: Answers) -> None:
        calls = Calls(program)
        fd = calls.create(2, 4, 8, 1)
        asking = store_constant(W, R10, -4, 0) + map_(R1, fd) + mov_r(R2, R10) + alu(ADD, R2, -4) + call(1)
        asking += jump(JEQ, R0, 0, 3) + load(DW, R0, R0, 0) + alu(AND, R0, 1) + LEAVE + DENY
        loaded = calls.load(asking)
        assert loaded >= 0, calls.log()
        assert calls.attach(group_of(program), loaded) == 0
        assert answers.open("/tmp/null", os.O_RDONLY) == -errno.EPERM
        assert calls.element(2, fd, bytes(4), struct.pack("<Q", 1)) == 0
        assert answers.open("/tmp/null", os.O_RDONLY) >= 0

    in_child(machine, check)


@booted
def test_users_have_their_numbers_in_the_first_namespace(machine: Machine) -> None:
    judging = call(15) + alu_r(MOV, R6, R0, wide=False) + mov(R0, 0) + jump(JEQ, R6, 1000, 1) + LEAVE + ALLOW

    def check(program: Program, answers: Answers) -> None:
        calls = Calls(program)
        assert calls.attach(group_of(program), calls.load(judging)) == 0
        assert answers.open("/tmp/null", os.O_RDONLY) == -errno.EPERM
        program.setuid(1000)
        assert answers.open("/tmp/null", os.O_RDONLY) >= 0
        program.unshare(0x1000_0000)  # CLONE_NEWUSER
        assert answers.open("/tmp/null", os.O_RDONLY) >= 0

    in_child(machine, check)


@booted
def test_each_program_runs(machine: Machine) -> None:
    """Programs after one that denies count, too."""

    def check(program: Program, answers: Answers) -> None:
        calls = Calls(program)
        group = group_of(program)
        fd = calls.create(1, 4, 8, 4)
        counting = store_constant(W, R10, -4, 7) + store_constant(DW, R10, -16, 1) + map_(R1, fd) + mov_r(R2, R10)
        counting += alu(ADD, R2, -4) + mov_r(R3, R10) + alu(ADD, R3, -16) + mov(R4, 0) + call(2) + ALLOW
        assert calls.attach(group, calls.load(DENY), 2) == 0
        loaded = calls.load(counting)
        assert loaded >= 0, calls.log()
        assert calls.attach(group, loaded, 2) == 0
        assert answers.open("/tmp/null", os.O_RDONLY) == -errno.EPERM
        assert calls.element(1, fd, struct.pack("<I", 7), bytes(8)) == 0

    in_child(machine, check)


@booted
def test_what_is_known_of_objects(machine: Machine) -> None:
    host = machine.host
    host.mkdir("/tmp/proc", 0o755)
    host.mount("none", "/tmp/proc", "proc", 0, 0)
    calls = Calls(host)
    fd = calls.load(ALLOW)
    info = calls.at(16384, bytes(232))
    attributes = bytearray(struct.pack("<IIQ", fd, 232, info))
    assert host.bpf(15, attributes, 16) == 0
    found = host.load(info, 232)
    kind, number = struct.unpack_from("<II", found)
    assert kind == DEVICES and struct.unpack_from("<I", found, 20) == (16,)
    assert host.bpf(13, struct.pack("<I", number), 4) >= 0
    text = bytearray(300)
    shown = host.open(f"/tmp/proc/self/fdinfo/{fd}", os.O_RDONLY)
    host.read(shown, text, 300)
    assert b"prog_type:\t15\nprog_jited:\t0\nprog_tag:\t" in text


@booted
def test_unknown_commands_and_sizes(machine: Machine) -> None:
    host = Answers(machine.host)
    assert host.bpf(1000, bytes(8), 8) == -errno.EINVAL
    assert host.bpf(0, bytes(4097), 4097) == -errno.E2BIG
    assert host.bpf(0, bytes(199) + b"\1", 200) == -errno.E2BIG
    assert host.bpf(0, struct.pack("<5I", 2, 4, 8, 1, 0) + bytes(100) + b"\1", 121) == -errno.EINVAL


@booted
def test_programs_of_groups_are_listed(machine: Machine) -> None:
    def check(program: Program, answers: Answers) -> None:
        calls = Calls(program)
        group = group_of(program)
        one, two = calls.load(ALLOW), calls.load(DENY)

        def query(flags: int, room: int) -> tuple[int, int, int, bytes]:
            numbers = calls.at(20000, bytes(16))
            attributes = bytearray(struct.pack("<4IQII", group, AT_DEVICES, flags, 0, numbers, room, 0))
            answer = answers.bpf(16, attributes, 32)
            count, kept = struct.unpack_from("<I", attributes, 24)[0], struct.unpack_from("<I", attributes, 12)[0]
            return answer, count, kept, program.load(numbers, 12)

        assert query(0, 2)[:3] == (0, 0, 0)
        assert calls.attach(group, one, 2) == 0
        assert calls.attach(group, two, 2) == 0
        assert calls.attach(group, two, 2) == -errno.EINVAL
        answer, count, kept, numbers = query(0, 2)
        assert (answer, count, kept) == (0, 2, 2) and numbers[:4] != bytes(4) != numbers[4:8]
        assert query(0, 1)[:2] == (-errno.ENOSPC, 2)
        assert query(1, 2)[:3] == (0, 2, 0)
        assert query(2, 2)[0] == -errno.EINVAL
        assert answers.open("/tmp/null", os.O_RDONLY) == -errno.EPERM
        assert calls.detach(group, two) == 0
        assert calls.detach(group, two) == -errno.ENOENT
        assert answers.open("/tmp/null", os.O_RDONLY) >= 0
        assert calls.detach(group, one) == 0
        # What runc asks to find out whether programs can be replaced: the descriptor is looked at after the flags.
        elsewhere = program.open("/tmp/null", os.O_RDONLY)
        assert calls.attach(elsewhere, one, 6) == -errno.EBADF
        assert calls.attach(group, one, 4) == -errno.EINVAL

    in_child(machine, check)


@booted
def test_who_may(machine: Machine) -> None:
    def check(program: Program, answers: Answers) -> None:
        calls = Calls(program)
        fd = calls.create(2, 4, 8, 1)
        group = group_of(program)
        assert answers.bpf(18, bytes(8), 8) == -errno.EINVAL  # BPF_BTF_LOAD
        program.setuid(1000)
        assert answers.bpf(18, bytes(8), 8) == -errno.EPERM
        assert calls.detach(999, 0) == -errno.EBADF
        assert calls.detach(group, 0) == -errno.ENOENT  # a descriptor of the group is enough
        assert calls.create(2, 4, 8, 1) == -errno.EPERM
        assert calls.load(ALLOW) == -errno.EPERM
        assert answers.bpf(11, bytes(8), 8) == -errno.EPERM
        assert calls.element(1, fd, bytes(4), bytes(8)) == 0  # whoever has it may use it

    in_child(machine, check)


SETTING = "/tmp/proc/sys/kernel/unprivileged_bpf_disabled"


def capabilities(program: Program, *kept: int) -> None:
    """Keep but some."""
    mask = sum(1 << each for each in kept)
    low, high = mask & 0xFFFF_FFFF, mask >> 32
    program.capset(struct.pack("<IIQ", 0x2008_0522, 0, 0)[:8], struct.pack("<6I", low, low, 0, high, high, 0))


@booted
def test_the_administrator_of_a_network_loads_nothing(machine: Machine) -> None:
    """CAP_BPF is asked for whatever the setting says."""

    def check(program: Program, answers: Answers) -> None:
        calls = Calls(program)
        mounted = program.mkdir("/tmp/proc", 0o755) or program.mount("none", "/tmp/proc", "proc", 0, 0)
        assert mounted == 0
        setting = program.open(SETTING, os.O_WRONLY)
        assert program.write(setting, b"0", 1) == 1
        long = mov(R0, 1) * 5000 + LEAVE
        assert calls.load(ALLOW) >= 0
        capabilities(program, 12, 39)  # CAP_NET_ADMIN, CAP_BPF
        assert calls.load(ALLOW) >= 0
        capabilities(program, 12)
        assert calls.load(ALLOW) == -errno.EPERM
        assert calls.load(long[:-8]) == -errno.E2BIG

    in_child(machine, check)


@booted
def test_who_may_change_the_setting(machine: Machine) -> None:
    def check(program: Program, answers: Answers) -> None:
        program.mkdir("/tmp/proc", 0o755)
        program.mount("none", "/tmp/proc", "proc", 0, 0)
        setting = program.open(SETTING, os.O_WRONLY)
        assert answers.pwrite64(setting, b"0", 1, 0) == 1
        assert answers.pwrite64(setting, b"1", 1, 0) == 1
        assert answers.pwrite64(setting, b"1", 1, 0) == 1
        assert answers.pwrite64(setting, b"2", 1, 0) == -errno.EPERM
        assert answers.pwrite64(setting, b"0", 1, 0) == -errno.EPERM
        capabilities(program, 12, 39)
        assert answers.pwrite64(setting, b"1", 1, 0) == -errno.EPERM

    in_child(machine, check)


@booted
def test_frozen_maps_and_what_is_not_used(machine: Machine) -> None:
    def check(program: Program, answers: Answers) -> None:
        calls = Calls(program)
        fd = calls.create(2, 4, 8, 2)
        assert answers.bpf(22, struct.pack("<I", fd), 4) == 0
        assert answers.bpf(22, struct.pack("<I", fd), 4) == -errno.EPERM
        group = group_of(program)
        loaded = calls.load(ALLOW)
        assert calls.attach(group, loaded) == 0
        assert answers.bpf(9, struct.pack("<6I", group, loaded, AT_DEVICES, 0, 0, 1), 24) == -errno.EINVAL
        assert answers.bpf(9, struct.pack("<6IQ", group, loaded, AT_DEVICES, 0, 0, 0, 1), 32) == -errno.EINVAL
        assert calls.detach(group, loaded) == 0

    in_child(machine, check)


@booted
def test_instructions_are_shown_to_those_who_may_load(machine: Machine) -> None:
    def check(program: Program, answers: Answers) -> None:
        calls = Calls(program)
        loaded = calls.load(ALLOW)
        for length in (16, 0):
            info = calls.at(16384, struct.pack("<5IIQQ", 0, 0, 0, 0, 0, 16, 0, calls.at(20000, bytes(16))))
            assert answers.bpf(15, bytearray(struct.pack("<IIQ", loaded, 232, info)), 16) == 0
            assert struct.unpack_from("<I", program.load(info, 232), 20) == (length,)
            assert program.load(calls.memory + 20000, 16) == (ALLOW if length else bytes(16))
            capabilities(program, 12)

    in_child(machine, check)


@booted
def test_a_map_is_frozen_while_memory_is_read(machine: Machine) -> None:
    calls = Calls(machine.host)
    fd = calls.create(1, 4, 8, 2)
    assert calls.element(2, fd, bytes(4), bytes(8)) == 0
    read_key = bpf_maps._key

    def freezing(attributes: Attributes, map_: Map) -> bytes:
        map_.is_frozen = True
        return read_key(attributes, map_)

    bpf_maps.__dict__["_key"] = freezing
    known = next(iter(MAPS.by_number.values()))
    for command in (2, 3, 21):
        assert calls.element(command, fd, bytes(4), bytes(8)) == -errno.EPERM
        assert known.is_frozen
        known.is_frozen = False
    bpf_maps.__dict__["_key"] = read_key
    assert calls.element(1, fd, bytes(4), bytes(8)) == 0


@booted
def test_a_map_is_closed_while_a_program_that_uses_it_is_verified(machine: Machine) -> None:
    calls = Calls(machine.host)
    fd = calls.create(1, 4, 8, 2)
    known = next(iter(MAPS.by_number.values()))

    def closing(code: Code, maps: list[Map], subject: Subject, log: Log) -> int:
        current().files.close(fd)
        return verify(code, maps, subject, log)

    bpf_programs.__dict__["verify"] = closing
    loaded = calls.load(map_(R1, fd) + ALLOW)
    bpf_programs.__dict__["verify"] = verify
    assert loaded >= 0
    assert MAPS.by_number == {known.identifier: known}  # the program has it
    assert known.users == 1
    assert calls.load(map_(R1, fd + 100) + ALLOW) == -errno.EBADF
    machine.host.close(loaded)
    assert MAPS.by_number == {}
    assert MAPS.numbers.next_used(0) == 0


@booted
def test_a_kill_ends_what_takes_long(machine: Machine) -> None:
    def check(program: Program, answers: Answers) -> None:
        calls = Calls(program)
        assert calls.attach(group_of(program), calls.load(ALLOW)) == 0
        for module in (bpf_maps, devices):
            module.__dict__["is_dying"] = lambda: True
        assert calls.create(1, 4, 8, 2) == -errno.EINTR
        assert answers.open("/tmp/null", os.O_RDONLY) == -errno.EPERM

    in_child(machine, check)


@booted
def test_a_log_that_is_too_long(machine: Machine) -> None:
    host = machine.host
    calls = Calls(host)
    attributes = bytearray(
        struct.pack(
            "<IIQQIIQII", DEVICES, 1, calls.at(4096, LEAVE), calls.at(0, b"GPL\0"), 1, 8, calls.memory + 8192, 0, 0
        )
        + bytes(148 - 48)
    )
    assert Answers(host).bpf(5, attributes, 148) == -errno.ENOSPC
    assert len(calls.log()) == 7  # the end of it
    assert struct.unpack_from("<I", attributes, 140)[0] > 8
