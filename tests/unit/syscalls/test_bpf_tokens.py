"""Tokens of bpf(2), on a booted machine: who makes one, and what it is good for."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Callable

from tests.unit.booted import booted
from tests.unit.syscalls.test_bpf import ALLOW, Answers, Calls, in_child
from tools.simulated.machine import Machine
from tools.simulated.program import Program

NEW_USER, NEW_NAMES = 0x1000_0000, 0x2_0000
SET_STRING, CREATE = 1, 6
TOKEN = 0x1_0000
DEVICES, AT_DEVICES = 15, 6
LRU_HASH = 9


class TokenCalls(Calls):
    """The same with tokens."""

    def token(self, root: int, flags: int = 0) -> int:
        return self.answers.bpf(36, struct.pack("<II", flags, root), 8)

    def map_with(self, kind: int, token: int, flags: int = TOKEN) -> int:
        attributes = bytearray(80)
        struct.pack_into("<5I", attributes, 0, kind, 4, 8, 1, flags)
        struct.pack_into("<i", attributes, 76, token)
        return self.answers.bpf(0, bytes(attributes), 80)

    def load_with(self, token: int, kind: int = DEVICES, place: int = AT_DEVICES, flags: int = TOKEN) -> int:
        attributes = bytearray(148)
        where = self.at(4096, ALLOW)
        struct.pack_into("<IIQQ", attributes, 0, kind, len(ALLOW) // 8, where, self.at(0, b"GPL\0"))
        struct.pack_into("<I", attributes, 44, flags)
        struct.pack_into("<I", attributes, 68, place)
        struct.pack_into("<i", attributes, 144, token)
        return self.answers.bpf(5, bytes(attributes), 148)

    def types_with(self, token: int, flags: int = TOKEN) -> int:
        names = b"\0int\0"
        data = struct.pack("<HBB9I", 0xEB9F, 1, 0, 24, 0, 16, 16, len(names), 1, 1 << 24, 4, 32) + names
        attributes = struct.pack("<QQIIIIIi", self.at(0, data), 0, len(data), 0, 0, 0, flags, token)
        return self.answers.bpf(18, attributes[:40], 40)


def with_root(machine: Machine, options: dict[str, str], check: Callable[[TokenCalls, int], None]) -> None:
    """Check something in a user namespace to which the administrator has given a file system, by its root directory."""

    def parent(program: Program, answers: Answers) -> None:
        program.mkdir("/tmp/proc", 0o755)
        assert program.mount("none", "/tmp/proc", "proc", 0, 0) == 0
        ends = bytearray(8)
        answers.pipe2(ends, 0)
        ready, tell = struct.unpack_from("<ii", ends)
        answers.pipe2(ends, 0)
        wait, go = struct.unpack_from("<ii", ends)

        def child(inner: Program) -> int:
            assert inner.unshare(NEW_USER | NEW_NAMES) == 0
            context = inner.fsopen("bpf", 0)
            assert inner.write(tell, struct.pack("<i", context), 4) == 4
            assert inner.read(wait, bytearray(4), 1) == 1
            root = inner.openat(inner.fsmount(context, 0, 0), ".", os.O_RDONLY)
            check(TokenCalls(inner), root)
            return 0

        pid = program.fork(child)
        number = bytearray(4)
        assert answers.read(ready, number, 4) == 4
        context = answers.pidfd_getfd(program.pidfd_open(pid, 0), struct.unpack("<i", number)[0], 0)
        assert context >= 0
        for name, value in options.items():
            assert answers.fsconfig(context, SET_STRING, name, value, 0) == 0
        assert answers.fsconfig(context, CREATE, None, None, 0) == 0
        assert answers.write(go, b"x", 1) == 1
        status = bytearray(4)
        assert answers.wait4(pid, status, 0, None) == pid
        failure = Program.failures.pop(pid, None)
        if failure is not None:
            raise failure
        assert status == bytes(4)

    in_child(machine, parent)


@booted
def test_a_token_of_all(machine: Machine) -> None:
    def check(calls: TokenCalls, root: int) -> None:
        token = calls.token(root)
        assert token >= 0
        assert calls.map_with(LRU_HASH, 0, 0) == calls.load_with(0, flags=0) == calls.types_with(0, 0) == -errno.EPERM
        assert calls.map_with(LRU_HASH, token) >= 0 and calls.load_with(token) >= 0 and calls.types_with(token) >= 0
        assert calls.map_with(LRU_HASH, root) == calls.load_with(root) == calls.types_with(root) == -errno.EINVAL
        assert calls.map_with(LRU_HASH, 99) == calls.load_with(99) == calls.types_with(99) == -errno.EBADF
        assert calls.token(root, 1) == -errno.EINVAL and calls.token(99) == -errno.EBADF
        assert calls.token(calls.answers.open("/tmp", os.O_RDONLY)) == -errno.EINVAL
        text = bytearray(300)
        shown = calls.answers.open(f"/tmp/proc/self/fdinfo/{token}", os.O_RDONLY)
        size = calls.answers.read(shown, text, 300)
        assert bytes(text[:size]).endswith(
            b"allowed_cmds:\tany\nallowed_maps:\tany\nallowed_progs:\tany\nallowed_attachs:\tany\n"
        )

    with_root(machine, {f"delegate_{what}": "any" for what in ("cmds", "maps", "progs", "attachs")}, check)


@booted
def test_a_token_of_some(machine: Machine) -> None:
    def check(calls: TokenCalls, root: int) -> None:
        token = calls.token(root)
        assert calls.map_with(LRU_HASH, token) >= 0 and calls.map_with(1, token) == -errno.EPERM
        assert calls.load_with(token) == calls.types_with(token) == -errno.EPERM

    with_root(machine, {"delegate_cmds": "map_create", "delegate_maps": "lru_hash:array"}, check)


@booted
def test_a_token_of_programs_of_one_place(machine: Machine) -> None:
    def check(calls: TokenCalls, root: int) -> None:
        token = calls.token(root)
        assert calls.load_with(token) >= 0
        assert calls.load_with(token, place=0) == calls.load_with(token, 8, 0) == -errno.EPERM
        calls.answers.capset(struct.pack("<II", 0x2008_0522, 0), bytes(24))
        assert calls.load_with(token) == calls.token(root) == -errno.EPERM

    names = {"delegate_cmds": "prog_load", "delegate_progs": "cgroup_device", "delegate_attachs": "cgroup_device"}
    with_root(machine, names, check)


@booted
def test_no_token(machine: Machine) -> None:
    def check(calls: TokenCalls, root: int) -> None:
        assert calls.token(root) == -errno.ENOENT

    with_root(machine, {}, check)


@booted
def test_no_token_for_others(machine: Machine) -> None:
    def above(program: Program, answers: Answers) -> None:
        calls = TokenCalls(program)
        program.mkdir("/tmp/bpf", 0o755)
        assert program.mount("none", "/tmp/bpf", "bpf", 0, "delegate_cmds=any") == 0
        assert program.mkdir("/tmp/bpf/sub", 0o755) == 0
        root, sub = program.open("/tmp/bpf", os.O_RDONLY), program.open("/tmp/bpf/sub", os.O_RDONLY)
        assert calls.token(root) == -errno.EOPNOTSUPP and calls.token(sub) == -errno.EINVAL
        program.unshare(NEW_USER | NEW_NAMES)
        assert calls.token(root) == -errno.EPERM
        context = program.fsopen("bpf", 0)
        assert answers.fsconfig(context, SET_STRING, "delegate_cmds", "any", 0) == -errno.EPERM
        assert answers.fsconfig(context, CREATE, None, None, 0) == -errno.EPERM

    in_child(machine, above)
