"""One or two calls of families of manual pages that no other unit test makes, on a booted machine."""

import contextlib
import os
import struct
from collections.abc import Iterator

import pytest

from tests.unit.booted import booted
from tests.unit.syscalls.test_files import names_in, read_all, write_new
from tests.unit.syscalls.test_programs import make_pipe, map_pages, receive
from tools.simulated.machine import Machine
from tools.simulated.program import Program

RLIMIT_FSIZE, RLIMIT_NOFILE = 1, 7
PRIO_PROCESS = 0
SCHED_FIFO = 1
F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_SETPIPE_SZ, F_GETPIPE_SZ = 0, 1, 2, 3, 4, 1031, 1032
LOCK_SH, LOCK_EX, LOCK_NB, LOCK_UN = 1, 2, 4, 8


@contextlib.contextmanager
def fails(error: str) -> Iterator[None]:
    with pytest.raises(OSError, match=error):
        yield


def word(program: Program, call: str, *arguments: int | bytes | bytearray | str | None) -> int:
    """The int that a call leaves at its last argument."""
    found = bytearray(4)
    program.call(call, *arguments, found)
    return int(struct.unpack("<i", found)[0])


@booted
def test_uname(machine: Machine) -> None:
    host = machine.host
    names = bytearray(6 * 65)
    host.uname(names)
    assert names.startswith(b"Linux\0")
    assert host.sethostname(b"house", 5) == 0
    host.uname(names)
    assert names[65:71] == b"house\0"
    with fails("EINVAL"):
        host.sethostname(b"x" * 65, 65)


@booted
def test_getrlimit(machine: Machine) -> None:
    host = machine.host
    host.setrlimit(RLIMIT_NOFILE, struct.pack("<QQ", 4, 100))
    pair = bytearray(16)
    host.getrlimit(RLIMIT_NOFILE, pair)
    assert struct.unpack("<QQ", pair) == (4, 100)
    with fails("EMFILE"):
        for _ in range(5):
            host.dup(0)
    with fails("EINVAL"):
        host.setrlimit(RLIMIT_NOFILE, struct.pack("<QQ", 5, 4))
    with fails("EINVAL"):
        host.getrlimit(16, pair)


@booted
def test_getpriority(machine: Machine) -> None:
    host = machine.host
    assert host.getpriority(PRIO_PROCESS, 0) == 20
    host.setpriority(PRIO_PROCESS, 0, 30)  # more than the lowest priority is the lowest
    assert host.getpriority(PRIO_PROCESS, 0) == 1
    with fails("EINVAL"):
        host.getpriority(3, 0)
    with fails("ESRCH"):
        host.getpriority(PRIO_PROCESS, 4000)


@booted
def test_sched_setscheduler(machine: Machine) -> None:
    host = machine.host
    host.sched_setscheduler(0, SCHED_FIFO, struct.pack("<i", 7))
    assert host.sched_getscheduler(0) == SCHED_FIFO
    assert word(host, "sched_getparam", 0) == 7
    with fails("EINVAL"):
        host.sched_setscheduler(0, SCHED_FIFO, struct.pack("<i", 100))
    assert (host.sched_get_priority_min(SCHED_FIFO), host.sched_get_priority_max(SCHED_FIFO)) == (1, 99)


@booted
def test_fcntl_and_dup(machine: Machine) -> None:
    host = machine.host
    write_new(host, "/tmp/file", b"text")
    descriptor = host.open("/tmp/file", os.O_RDWR | os.O_CLOEXEC)
    copy = host.fcntl(descriptor, F_DUPFD, 20)
    assert copy == 20
    assert (host.fcntl(descriptor, F_GETFD, 0), host.fcntl(copy, F_GETFD, 0)) == (1, 0)
    host.fcntl(copy, F_SETFL, os.O_APPEND)
    assert host.fcntl(descriptor, F_GETFL, 0) & (os.O_APPEND | os.O_ACCMODE) == os.O_APPEND | os.O_RDWR
    host.write(descriptor, b"!", 1)
    assert read_all(host, "/tmp/file") == b"text!"
    assert host.dup2(copy, copy) == copy
    with fails("EINVAL"):
        host.dup3(copy, copy, 0)
    with fails("EBADF"):
        host.dup2(90, 3)


@booted
def test_pipes_keep_their_size(machine: Machine) -> None:
    host = machine.host
    read_end, write_end = make_pipe(host)
    assert host.fcntl(write_end, F_GETPIPE_SZ, 0) == 65536
    assert host.fcntl(write_end, F_SETPIPE_SZ, 5000) == 8192
    host.fcntl(write_end, F_SETFL, os.O_NONBLOCK)
    assert host.write(write_end, bytes(10000), 10000) == 8192
    with fails("EBUSY"):
        host.fcntl(read_end, F_SETPIPE_SZ, 4096)
    with fails("EAGAIN"):
        host.write(write_end, b"x", 1)


@booted
def test_tee_and_splice(machine: Machine) -> None:
    host = machine.host
    (first_out, first_in), (second_out, second_in) = make_pipe(host), make_pipe(host)
    host.write(first_in, b"both", 4)
    assert host.tee(first_out, second_in, 100, 0) == 4
    assert receive(host, second_out) == b"both"
    descriptor = host.open("/tmp/out", os.O_RDWR | os.O_CREAT, 0o600)
    assert host.splice(first_out, None, descriptor, None, 3, 0) == 3
    assert read_all(host, "/tmp/out") == b"bot"
    with fails("EINVAL"):
        host.splice(descriptor, None, descriptor, None, 3, 0)
    with fails("ESPIPE"):
        host.splice(first_out, struct.pack("<q", 0), descriptor, None, 3, 0)


@booted
def test_flock(machine: Machine) -> None:
    host = machine.host
    first, second = (host.open("/tmp/lock", os.O_RDWR | os.O_CREAT, 0o600) for _ in range(2))
    host.flock(first, LOCK_SH)
    host.flock(second, LOCK_SH)
    with fails("EAGAIN"):
        host.flock(first, LOCK_EX | LOCK_NB)
    host.close(second)
    host.flock(first, LOCK_EX | LOCK_NB)
    with fails("EINVAL"):
        host.flock(first, LOCK_NB)


@booted
def test_xattr(machine: Machine) -> None:
    host = machine.host
    write_new(host, "/tmp/file", b"")
    host.setxattr("/tmp/file", "user.colour", b"green", 5, 0)
    value = bytearray(10)
    assert host.getxattr("/tmp/file", "user.colour", value, 10) == 5
    assert value[:5] == b"green"
    with fails("ERANGE"):
        host.getxattr("/tmp/file", "user.colour", value, 4)
    with fails("EEXIST"):
        host.setxattr("/tmp/file", "user.colour", b"red", 3, 1)
    host.removexattr("/tmp/file", "user.colour")
    with fails("ENODATA"):
        host.getxattr("/tmp/file", "user.colour", None, 0)


@booted
def test_truncate_and_the_limit_of_sizes(machine: Machine) -> None:
    host = machine.host
    write_new(host, "/tmp/file", b"text")
    host.truncate("/tmp/file", 6)
    assert read_all(host, "/tmp/file") == b"text\0\0"
    with fails("EINVAL"):
        host.truncate("/tmp/file", -1)
    with fails("EISDIR"):
        host.truncate("/tmp", 0)
    host.rt_sigprocmask(0, struct.pack("<Q", 1 << 24), None, 8)  # SIGXFSZ
    host.setrlimit(RLIMIT_FSIZE, struct.pack("<QQ", 5, 100))
    with fails("EFBIG"):
        host.truncate("/tmp/file", 7)


@booted
def test_statfs(machine: Machine) -> None:
    host = machine.host
    text = bytearray(120)
    host.statfs("/tmp", text)
    kind, block = struct.unpack_from("<QQ", text)
    assert (kind, block) == (0x01021994, 4096)  # TMPFS_MAGIC
    with fails("ENOENT"):
        host.statfs("/none", text)


@booted
def test_eventfd_and_poll(machine: Machine) -> None:
    host = machine.host
    descriptor = host.eventfd2(3, os.O_NONBLOCK)
    asked = bytearray(struct.pack("<ihh", descriptor, 5, 0))  # POLLIN | POLLOUT
    assert host.poll(asked, 1, 0) == 1
    assert struct.unpack("<ihh", asked)[2] == 5
    assert struct.unpack("<Q", receive(host, descriptor, 8)) == (3,)
    with fails("EAGAIN"):
        host.read(descriptor, bytearray(8), 8)
    host.poll(asked, 1, 0)
    assert struct.unpack("<ihh", asked)[2] == 4
    with fails("EINVAL"):
        host.write(descriptor, struct.pack("<Q", (1 << 64) - 1), 8)


@booted
def test_mincore_and_madvise(machine: Machine) -> None:
    host = machine.host
    place = map_pages(host, 3)
    host.store(place + 4096, b"x")
    found = bytearray(3)
    host.mincore(place, 3 * 4096, found)
    assert found[0] & 1 == 0 and found[1] & 1 == 1
    host.madvise(place, 3 * 4096, 4)  # MADV_DONTNEED
    assert host.load(place + 4096, 1) == b"\0"
    with fails("EINVAL"):
        host.madvise(place + 1, 4096, 4)
    host.munmap(place + 4096, 4096)
    with fails("ENOMEM"):
        host.mincore(place, 3 * 4096, found)


@booted
def test_devices_of_memory(machine: Machine) -> None:
    host = machine.host
    host.mount("none", "/dev", "devtmpfs", 0, None)
    assert {"null", "zero", "full", "random", "tty"} <= set(names_in(host, "/dev"))
    zero, full, null = (host.open(f"/dev/{name}", os.O_RDWR) for name in ("zero", "full", "null"))
    assert receive(host, zero, 5) == bytes(5)
    assert receive(host, null) == b""
    assert host.write(null, b"gone", 4) == 4
    with fails("ENOSPC"):
        host.write(full, b"x", 1)


@booted
def test_sysfs(machine: Machine) -> None:
    host = machine.host
    host.mkdir("/sys", 0o755)
    host.mount("none", "/sys", "sysfs", 0, None)
    assert {"class", "block", "devices", "kernel"} <= set(names_in(host, "/sys"))
    assert "lo" in names_in(host, "/sys/class/net")
    assert read_all(host, "/sys/class/net/lo/mtu") == b"65536\n"
    with fails("EPERM"):
        host.mkdir("/sys/mine", 0o755)


@booted
def test_getgroups_and_umask(machine: Machine) -> None:
    host = machine.host
    host.setgroups(2, struct.pack("<II", 7, 5))
    found = bytearray(8)
    assert host.getgroups(2, found) == 2
    assert sorted(struct.unpack("<II", found)) == [5, 7]
    with fails("EINVAL"):
        host.getgroups(1, found)
    before = host.umask(0o7077)
    assert host.umask(before) == 0o77


@booted
def test_getrusage_and_times(machine: Machine) -> None:
    host = machine.host
    text = bytearray(144)
    host.getrusage(0, text)
    seconds, microseconds = struct.unpack_from("<qq", text)
    assert seconds >= 0 and 0 <= microseconds < 1_000_000
    with fails("EINVAL"):
        host.getrusage(5, text)
    clocks = bytearray(32)
    host.times(clocks)
    assert all(clock >= 0 for clock in struct.unpack("<4q", clocks))


@booted
def test_kcmp(machine: Machine) -> None:
    host = machine.host
    pid = host.getpid()
    copy = host.dup(host.open("/tmp", os.O_RDONLY))
    other = host.open("/tmp", os.O_RDONLY)
    assert host.kcmp(pid, pid, 0, copy, copy) == 0
    assert host.kcmp(pid, pid, 0, copy, other) in (1, 2)
    with fails("EBADF"):
        host.kcmp(pid, pid, 0, copy, 99)
