"""Control groups on a booted machine: files, processes in groups, memory."""

import os
import signal
import struct

import pytest

from kernel.cgroup.group import TOP
from kernel.cgroup.memory import NO_MEMORY_LIMIT
from kernel.fs.cgroup.directory import GroupFile, Node
from kernel.fs.cgroup.memory_files import parse_bytes
from kernel.fs.dentry import CACHE
from kernel.lang import Errno
from kernel.task.group_holdings import count_holdings
from kernel.task.group_walks import ThreadWalk
from tests.unit.booted import booted
from tests.unit.fs.ext2.conftest import make_image
from tests.unit.syscalls.test_files import names_in
from tools.simulated.disk import attach_disk
from tools.simulated.machine import Machine
from tools.simulated.program import Program

CLONE_NEWNS = 0x2_0000
CLONE_NEWCGROUP = 0x200_0000
CLONE_NEWUSER = 0x1000_0000
CLONE_NEWPID = 0x2000_0000
MS_RDONLY = 1
MS_SYNCHRONOUS = 16
MS_REMOUNT = 32
WRITE = 2
PAGE = 4096


def mounted(machine: Machine) -> Program:
    host = machine.host
    host.mkdir("/proc", 0o755)
    host.mount("proc", "/proc", "proc", 0, None)
    host.mkdir("/cg", 0o755)
    host.mount("none", "/cg", "cgroup2", 0, None)
    return host


def get(program: Program, path: str) -> bytes:
    fd = program.open(path, os.O_RDONLY)
    buffer = bytearray(4096)
    length = program.read(fd, buffer, 4096)
    program.close(fd)
    return bytes(buffer[:length])


def put(program: Program, path: str, text: bytes) -> None:
    fd = program.open(path, os.O_WRONLY)
    try:
        program.write(fd, text, len(text))
    finally:
        program.close(fd)


def field(program: Program, path: str, key: str) -> int:
    for line in get(program, path).decode().splitlines():
        name, value = line.split()
        if name == key:
            return int(value)
    raise KeyError(key)


@booted
def test_files_of_a_group(machine: Machine) -> None:
    host = mounted(machine)
    put(host, "/cg/cgroup.subtree_control", b"+cpu +cpuset +memory +pids")
    host.mkdir("/cg/a", 0o755)
    for name in names_in(host, "/cg/a"):
        if name not in (".", "..", "cgroup.kill", "memory.reclaim"):
            get(host, f"/cg/a/{name}")
    assert get(host, "/cg/a/cgroup.controllers") == b"cpuset cpu memory pids\n"
    assert get(host, "/proc/self/cgroup") == b"0::/\n"
    put(host, "/cg/a/memory.max", b"1M")
    assert get(host, "/cg/a/memory.max") == b"1048576\n"
    put(host, "/cg/cgroup.subtree_control", b"-memory")
    with pytest.raises(OSError, match="ENOENT"):
        get(host, "/cg/a/memory.max")
    put(host, "/cg/cgroup.subtree_control", b"+memory")
    assert get(host, "/cg/a/memory.max") == b"max\n"
    host.rmdir("/cg/a")
    with pytest.raises(OSError, match="ENOENT"):
        get(host, "/cg/a/memory.max")
    assert not TOP.children


@booted
def test_inodes_of_files_stay_where_somebody_changed_them(machine: Machine) -> None:
    host = mounted(machine)
    host.mkdir("/cg/a", 0o755)
    node = TOP.children[b"a"].listener
    assert isinstance(node, Node)
    get(host, "/cg/a/cgroup.procs")
    get(host, "/cg/a/cgroup.events")
    host.chown("/cg/a/cgroup.procs", 1000, 1000)
    assert len(node.files) == 2
    CACHE.shrink(10 * CACHE.count)
    assert [file.row.name for file in node.files.values()] == [b"cgroup.procs"]
    host.rmdir("/cg/a")
    assert not node.files


@booted
def test_a_process_moves_and_ends(machine: Machine) -> None:
    host = mounted(machine)
    put(host, "/cg/cgroup.subtree_control", b"+memory +pids +cpu")
    host.mkdir("/cg/a", 0o755)
    put(host, "/cg/a/pids.max", b"3")

    def child(program: Program) -> int:
        put(program, "/cg/a/cgroup.procs", b"0")
        assert get(program, "/proc/self/cgroup") == b"0::/a\n"
        assert get(program, "/cg/a/cgroup.procs") == b"%d\n" % program.getpid()
        first = program.fork(lambda other: other.pause())
        assert get(program, "/cg/a/pids.current") == b"2\n"
        second = program.fork(lambda other: other.pause())
        with pytest.raises(OSError, match="EAGAIN"):
            program.fork(lambda other: 0)
        assert get(program, "/cg/a/pids.events") == b"max 1\n"
        for pid in (first, second):
            program.kill(pid, signal.SIGKILL)
            program.wait4(pid, None, 0, None)
        assert get(program, "/cg/a/pids.current") == b"1\n"
        with pytest.raises(OSError, match="EBUSY"):
            program.rmdir("/cg/a")
        return 0

    assert machine.run(child) == 0
    assert get(host, "/cg/a/pids.current") == b"0\n"
    assert get(host, "/cg/a/cgroup.events") == b"populated 0\nfrozen 0\n"
    assert field(host, "/cg/a/cpu.stat", "usage_usec") >= 0
    host.rmdir("/cg/a")


@booted
def test_memory_is_charged_and_comes_back(machine: Machine) -> None:
    host = mounted(machine)
    put(host, "/cg/cgroup.subtree_control", b"+memory")
    host.mkdir("/cg/a", 0o755)

    def child(program: Program) -> int:
        put(program, "/cg/a/cgroup.procs", b"0")
        before = int(get(program, "/cg/a/memory.current"))
        memory = program.mmap(None, 100 * PAGE, 3, 0x22, -1, 0)
        for page in range(100):
            program.store(memory + page * PAGE, b"x")
        after = int(get(program, "/cg/a/memory.current"))
        assert after - before >= 100 * PAGE
        assert field(program, "/cg/a/memory.stat", "anon") >= 90 * PAGE
        program.munmap(memory, 100 * PAGE)
        assert int(get(program, "/cg/a/memory.current")) - before < 10 * PAGE
        fd = program.memfd_create("x", 0)
        for _ in range(50):
            program.write(fd, bytes(PAGE), PAGE)
        assert field(program, "/cg/a/memory.stat", "shmem") == 50 * PAGE
        return 0

    assert machine.run(child) == 0
    assert get(host, "/cg/a/memory.current") == b"0\n"
    host.rmdir("/cg/a")


@booted
def test_too_much_memory_kills_within_the_group(machine: Machine) -> None:
    host = mounted(machine)
    put(host, "/cg/cgroup.subtree_control", b"+memory")
    host.mkdir("/cg/a", 0o755)
    put(host, "/cg/a/memory.max", b"400k")

    def child(program: Program) -> int:
        put(program, "/cg/a/cgroup.procs", b"0")
        memory = program.mmap(None, 1000 * PAGE, 3, 0x22, -1, 0)
        for page in range(1000):
            program.store(memory + page * PAGE, b"x")
        return 0

    assert machine.run(child) == signal.SIGKILL
    assert field(host, "/cg/a/memory.events", "oom_kill") == 1
    assert get(host, "/cg/a/memory.current") == b"0\n"


@booted
def test_files_larger_than_the_limit_pass_through(machine: Machine) -> None:
    host = mounted(machine)
    attach_disk(make_image(4096))
    host.mount("none", "/dev", "devtmpfs", 0, None)
    host.mkdir("/mnt", 0o755)
    host.mount("/dev/vda", "/mnt", "ext2", 0, None)
    put(host, "/cg/cgroup.subtree_control", b"+memory")
    host.mkdir("/cg/a", 0o755)
    put(host, "/cg/a/memory.max", b"1M")

    def child(program: Program) -> int:
        put(program, "/cg/a/cgroup.procs", b"0")
        fd = program.open("/mnt/big", os.O_CREAT | os.O_RDWR, 0o600)
        for _ in range(50):
            assert program.write(fd, bytes(16 * PAGE), 16 * PAGE) == 16 * PAGE
        program.lseek(fd, 0, 0)
        buffer = bytearray(16 * PAGE)
        for _ in range(50):
            assert program.read(fd, buffer, 16 * PAGE) == 16 * PAGE
        assert int(get(program, "/cg/a/memory.current")) <= 1 << 20
        return 0

    assert machine.run(child) == 0
    assert field(host, "/cg/a/memory.events", "oom_kill") == 0
    assert 512 * 1024 < field(host, "/cg/a/memory.stat", "file") <= int(get(host, "/cg/a/memory.current"))
    put(host, "/cg/a/memory.reclaim", b"256K")
    assert int(get(host, "/cg/a/memory.current")) <= 3 << 18
    host.rmdir("/cg/a")


@booted
def test_frozen_processes_rest_until_they_are_thawed(machine: Machine) -> None:
    host = mounted(machine)
    host.mkdir("/cg/a", 0o755)

    def sleeper(program: Program) -> int:
        put(program, "/cg/a/cgroup.procs", b"0")
        program.nanosleep(struct.pack("<QQ", 2, 0), None)
        return 7

    pid = host.fork(sleeper)
    host.nanosleep(struct.pack("<QQ", 1, 0), None)
    put(host, "/cg/a/cgroup.freeze", b"1")
    host.nanosleep(struct.pack("<QQ", 3, 0), None)
    assert get(host, "/cg/a/cgroup.events") == b"populated 1\nfrozen 1\n"
    put(host, "/cg/a/cgroup.freeze", b"0")
    assert machine.wait(pid) == 7 << 8
    pid = host.fork(sleeper)
    host.nanosleep(struct.pack("<QQ", 1, 0), None)
    put(host, "/cg/a/cgroup.freeze", b"1")
    put(host, "/cg/cgroup.procs", b"%d" % pid)
    assert machine.wait(pid) == 7 << 8  # it goes on where nothing is frozen
    pid = host.fork(sleeper)
    host.nanosleep(struct.pack("<QQ", 1, 0), None)
    host.kill(pid, signal.SIGTERM)  # does nothing but end it
    assert machine.wait(pid) == signal.SIGTERM
    put(host, "/cg/a/cgroup.freeze", b"0")
    pid = host.fork(sleeper)
    host.nanosleep(struct.pack("<QQ", 1, 0), None)
    put(host, "/cg/a/cgroup.freeze", b"1")
    host.nanosleep(struct.pack("<QQ", 1, 0), None)
    put(host, "/cg/a/cgroup.kill", b"1")
    assert machine.wait(pid) == signal.SIGKILL
    host.rmdir("/cg/a")


@booted
def test_the_first_of_a_namespace_is_killed_from_outside_alone(machine: Machine) -> None:
    host = mounted(machine)
    host.mkdir("/cg/a", 0o755)

    def init(program: Program) -> int:
        put(program, "/cg/a/cgroup.procs", b"0")
        program.fork(lambda other: put(other, "/cg/a/cgroup.kill", b"1"))
        status = bytearray(4)
        program.wait4(-1, status, 0, None)
        assert struct.unpack("<i", status)[0] == signal.SIGKILL
        program.nanosleep(struct.pack("<QQ", 100, 0), None)
        return 0

    host.unshare(CLONE_NEWPID)
    pid = host.fork(init)
    host.nanosleep(struct.pack("<QQ", 1, 0), None)
    put(host, "/cg/a/cgroup.kill", b"1")
    assert machine.wait(pid) == signal.SIGKILL


@booted
def test_a_namespace_has_its_own_top(machine: Machine) -> None:
    host = mounted(machine)
    host.mkdir("/cg/a", 0o755)
    host.mkdir("/cg/a/b", 0o755)

    def child(program: Program) -> int:
        put(program, "/cg/a/cgroup.procs", b"0")
        program.unshare(CLONE_NEWCGROUP)
        assert get(program, "/proc/self/cgroup") == b"0::/\n"
        program.mkdir("/inner", 0o755)
        program.mount("none", "/inner", "cgroup2", 0, None)
        assert get(program, "/inner/cgroup.procs") == b"%d\n" % program.getpid()
        put(program, "/inner/b/cgroup.procs", b"0")
        assert get(program, "/proc/self/cgroup") == b"0::/b\n"
        assert b" / /inner rw" in get(program, "/proc/self/mountinfo")
        assert b" /.. /cg rw" in get(program, "/proc/self/mountinfo")
        program.umount2("/inner", 0)
        return 0

    assert machine.run(child) == 0


@booted
def test_options_are_for_those_to_choose_who_may_mount(machine: Machine) -> None:
    host = mounted(machine)
    host.mount("none", "/cg", "cgroup2", MS_REMOUNT, b"nsdelegate")
    host.mkdir("/inner", 0o755)

    def shown(program: Program) -> bytes:
        lines = get(program, "/proc/self/mountinfo").splitlines()
        return next(line for line in lines if b" /cg " in line).partition(b" - ")[2]

    before = shown(host)
    assert b"nsdelegate" in before

    def child(program: Program) -> int:
        program.unshare(CLONE_NEWUSER | CLONE_NEWNS)
        with pytest.raises(OSError, match="EPERM"):
            program.mount("other", "/inner", "cgroup2", 0, None)
        program.unshare(CLONE_NEWCGROUP)
        program.mount("other", "/inner", "cgroup2", MS_RDONLY | MS_SYNCHRONOUS, b"memory_localevents")
        return 0

    assert machine.run(child) == 0
    assert shown(host) == before


@booted
def test_what_is_written_is_read_as_on_linux(machine: Machine) -> None:
    host = mounted(machine)
    assert get(host, "/cg/cgroup.subtree_control") == b""
    put(host, "/cg/cgroup.subtree_control", b"+cpu +cpuset +pids")
    host.mkdir("/cg/a", 0o755)
    for name, text, error in (
        ("cpu.weight", b"-5", "EINVAL"),
        ("cpu.weight", b" 250\n", "EINVAL"),
        ("cpu.weight", b"10001", "ERANGE"),
        ("cpuset.cpus", b"63", "ERANGE"),
        ("pids.max", b"4194305", "EINVAL"),
        ("cgroup.freeze", b"2", "ERANGE"),
    ):
        with pytest.raises(OSError, match=error):
            put(host, f"/cg/a/{name}", text)
    for name, text, shown in (
        ("cpu.weight", b"250\n", b"250\n"),
        ("cpu.max", b"10000 x", b"10000 100000\n"),
        ("pids.max", b"4194304", b"4194304\n"),
        ("cpuset.cpus", b"0", b"0\n"),
        ("cpu.idle", b"1", b"1\n"),
    ):
        put(host, f"/cg/a/{name}", text)
        assert get(host, f"/cg/a/{name}") == shown
    assert get(host, "/cg/a/cpu.weight") == b"1\n"
    host.mkdir("/other", 0o755)
    host.mount("another", "/other", "cgroup2", 0, None)
    mounts = get(host, "/proc/self/mounts")
    assert b"none /cg cgroup2" in mounts and b"another /other cgroup2" in mounts


@booted
def test_who_comes_while_a_group_is_killed_is_killed(machine: Machine) -> None:
    host = mounted(machine)
    host.mkdir("/cg/a", 0o755)
    host.mkdir("/cg/a/b", 0o755)

    def child(program: Program) -> int:
        put(program, "/cg/a/b/cgroup.procs", b"0")
        program.nanosleep(struct.pack("<QQ", 5, 0), None)
        return 0

    TOP.children[b"a"].kills_under_way = 1
    assert machine.run(child) == signal.SIGKILL
    TOP.children[b"a"].kills_under_way = 0
    host.rmdir("/cg/a/b")
    host.rmdir("/cg/a")


@booted
def test_what_is_held_for_descriptors_counts_once(machine: Machine) -> None:
    host = mounted(machine)
    put(host, "/cg/cgroup.subtree_control", b"+memory")
    host.mkdir("/cg/a", 0o755)

    def child(program: Program) -> int:
        put(program, "/cg/a/cgroup.procs", b"0")
        pair = bytearray(8)
        program.socketpair(1, 1, 0, pair)
        program.write(struct.unpack("<ii", pair)[0], bytes(100_000), 100_000)
        task = ThreadWalk(TOP.children[b"a"]).next()
        assert task is not None
        count_holdings(task)
        control = TOP.children[b"a"].memory
        assert control is not None and 24 <= control.kept <= 60
        alone = control.kept
        pids = [program.fork(lambda other: other.pause()) for _ in range(4)]
        walk = ThreadWalk(TOP.children[b"a"])
        while (member := walk.next()) is not None:
            count_holdings(member)
        assert control.kept <= alone
        for pid in pids:
            program.kill(pid, signal.SIGKILL)
            program.wait4(pid, None, 0, None)
        return 0

    assert machine.run(child) == 0
    assert get(host, "/cg/a/memory.current") == b"0\n"


def test_sizes_are_written_as_in_c() -> None:
    for text, pages in (
        (b"8192\n", 2), (b"0x2000", 2), (b"020000", 2), (b"0", 0), (b"4k", 1), (b"1M", 256), (b"1P", 1 << 38),
        (b"max", NO_MEMORY_LIMIT), (b"8e", NO_MEMORY_LIMIT), (b"99999999999999999999", 7766279631452241919 >> 12),
    ):  # fmt: skip
        assert parse_bytes(text) == pages
    for wrong in (b"x", b"-1", b"1kk", b"0x", b"09", b"1 k"):
        with pytest.raises(Errno):
            parse_bytes(wrong)


@booted
def test_an_old_file_of_a_controller_does_not_take_the_new_one_away(machine: Machine) -> None:
    host = mounted(machine)
    files = host.task.files
    put(host, "/cg/cgroup.subtree_control", b"+memory")
    host.mkdir("/cg/a", 0o755)
    old = host.open("/cg/a/memory.max", os.O_RDONLY)
    put(host, "/cg/cgroup.subtree_control", b"-memory")
    put(host, "/cg/cgroup.subtree_control", b"+memory")
    fresh = host.open("/cg/a/memory.max", os.O_RDONLY)
    inode = files.get(fresh).inode
    assert isinstance(inode, GroupFile) and inode is not files.get(old).inode
    node = inode.group.listener
    assert isinstance(node, Node)
    host.close(old)
    assert inode in node.files.values()
