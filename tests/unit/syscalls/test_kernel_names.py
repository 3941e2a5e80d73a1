"""Names and inodes of the kernel's own file systems, and errors of calls about names, on a booted machine."""

import os
from collections.abc import Callable

import pytest

from tests.unit.booted import booted
from tools.simulated.machine import Machine
from tools.simulated.program import Program

FAULTY = 16  # an address without memory
HERE = -100  # AT_FDCWD
NEW_USER, NEW_IPC = 0x1000_0000, 0x0800_0000
PAGE = 4096


@booted
def test_nobody_creates_removes_or_renames_what_a_process_shows(machine: Machine) -> None:
    host = machine.host
    host.mkdir("/proc", 0o755)
    host.mount("none", "/proc", "proc", 0, 0)
    for name in ("maps", "ns", "task", "fd", "root"):
        for call in (host.unlink, host.rmdir):
            with pytest.raises(OSError, match="EPERM"):
                call(f"/proc/self/{name}")
        with pytest.raises(OSError, match="EPERM"):
            host.rename(f"/proc/self/{name}", "/proc/version")
        assert host.rename(f"/proc/self/{name}", f"/proc/self/{name}") == 0  # the same file
    with pytest.raises(OSError, match="EPERM"):
        host.access("/proc/self", os.W_OK)


@booted
def test_what_a_process_shows_keeps_its_mode(machine: Machine) -> None:
    host = machine.host
    host.mkdir("/proc", 0o755)
    host.mount("none", "/proc", "proc", 0, 0)
    for name in ("", "/maps", "/task", "/fd", "/fdinfo", "/ns", "/net"):
        with pytest.raises(OSError, match="EPERM"):
            host.chmod("/proc/self" + name, 0o777)
    assert host.chown("/proc/self/maps", 1000, 1000) == 0
    with pytest.raises(OSError, match="EPERM"):
        host.chown("/proc/self", 1000, 1000)


@booted
def test_nobody_changes_a_namespace(machine: Machine) -> None:
    host = machine.host
    host.mkdir("/proc", 0o755)
    host.mount("none", "/proc", "proc", 0, 0)
    name = "/proc/self/ns/uts"
    attempts: tuple[Callable[[], object], ...] = (
        lambda: host.chown(name, 1000, 1000),
        lambda: host.chmod(name, 0o600),
        lambda: host.truncate(name, 0),
        lambda: host.access(name, os.W_OK),
        lambda: host.open(name, os.O_WRONLY | os.O_TRUNC),
        lambda: host.setxattr(name, "user.a", "b", 1, 0),
    )
    for attempt in attempts:
        with pytest.raises(OSError, match="EPERM"):
            attempt()


@booted
def test_a_program_is_opened_before_its_arguments_are_read(machine: Machine) -> None:
    host = machine.host
    host.mkdir("/proc", 0o755)
    host.mount("none", "/proc", "proc", 0, 0)
    for name, error in (("/proc/version", "EACCES"), ("/none", "ENOENT"), ("/proc", "EACCES")):
        with pytest.raises(OSError, match=error):
            host.execve(name, FAULTY, FAULTY)


@booted
def test_entries_are_returned_as_far_as_there_is_memory(machine: Machine) -> None:
    host = machine.host
    host.mkdir("/proc", 0o755)
    host.mount("none", "/proc", "proc", 0, 0)
    host.mkdir("/tmp/many", 0o755)
    for number in range(20):
        host.mkdir(f"/tmp/many/{number}", 0o755)
    area = host.mmap(0, 2 * PAGE, 3, 0x22, -1, 0)
    host.munmap(area + PAGE, PAGE)
    descriptor = host.open("/tmp/many", os.O_RDONLY | os.O_DIRECTORY)
    total = 0
    while count := host.getdents64(descriptor, area + PAGE - 60, 1000):
        assert count == 48  # two records
        total += 2
    assert total == 22
    host.lseek(descriptor, 0, os.SEEK_SET)
    with pytest.raises(OSError, match="EFAULT"):
        host.getdents64(descriptor, area + PAGE - 20, 1000)
    assert host.lseek(descriptor, 0, os.SEEK_CUR) == 0


@booted
def test_a_queue_belongs_to_somebody_whom_its_namespace_knows(machine: Machine) -> None:
    def child(program: Program) -> None:
        program.unshare(NEW_USER | NEW_IPC)
        with pytest.raises(OSError, match="EOVERFLOW"):
            program.mq_open("q", os.O_RDWR | os.O_CREAT, 0o600, 0)

    assert machine.run(child) == 0


@booted
def test_a_queue_shows_the_size_that_it_is_given(machine: Machine) -> None:
    host = machine.host
    host.mkdir("/proc", 0o755)
    host.mount("none", "/proc", "proc", 0, 0)
    descriptor = host.mq_open("q", os.O_RDWR | os.O_CREAT, 0o600, 0)
    assert host.lseek(descriptor, 0, os.SEEK_END) == 80
    assert host.ftruncate(descriptor, 5) == 0
    assert host.lseek(descriptor, 0, os.SEEK_END) == 5
    with pytest.raises(OSError, match="EFBIG"):
        host.ftruncate(descriptor, 1 << 31)
    host.mq_unlink("q")


@booted
def test_the_order_of_errors(machine: Machine) -> None:
    host = machine.host
    host.mkdir("/proc", 0o755)
    host.mount("none", "/proc", "proc", 0, 0)
    with pytest.raises(OSError, match="ENOENT"):
        host.sysfs(1, "", 0)
    with pytest.raises(OSError, match="ENOENT"):
        host.symlink("", FAULTY)
    with pytest.raises(OSError, match="EINVAL"):
        host.mount("none", "/proc/version", "sysfs", 0, "nr_blocks=1")
    with pytest.raises(OSError, match="ENOTDIR"):
        host.mount("none", "/proc/version", "sysfs", 0, 0)
    with pytest.raises(OSError, match="EINVAL"):
        host.mount("/none", "/tmp", "ext4", 0, "nr_blocks=1")
    with pytest.raises(OSError, match="ENOENT"):
        host.mount("/none", "/tmp", "ext4", 0, 0)

    def child(program: Program) -> None:
        program.setuid(1000)
        with pytest.raises(OSError, match="EBADF"):
            program.open_by_handle_at(999, FAULTY, 0)
        with pytest.raises(OSError, match="EPERM"):
            program.open_by_handle_at(HERE, FAULTY, 0)

    assert machine.run(child) == 0


@booted
def test_sysfs_keeps_attributes_of_root(machine: Machine) -> None:
    host = machine.host
    host.mkdir("/sys", 0o755)
    host.mount("none", "/sys", "sysfs", 0, 0)
    value = bytearray(8)
    for path in ("/sys/kernel", "/sys/kernel/uevent_seqnum", "/sys/devices/virtual/net/lo/mtu"):
        for name in ("trusted.a", "security.b"):
            with pytest.raises(OSError, match="ENODATA"):
                host.getxattr(path, name, value, 8)
            assert host.setxattr(path, name, "abc", 3, 0) == 0
            assert host.getxattr(path, name, value, 8) == 3
            assert host.removexattr(path, name) == 0
            with pytest.raises(OSError, match="ENODATA"):
                host.removexattr(path, name)
        with pytest.raises(OSError, match="ENOTSUP"):
            host.setxattr(path, "user.a", "abc", 3, 0)
    with pytest.raises(OSError, match="EACCES"):
        host.open("/sys/kernel/x", os.O_CREAT | os.O_RDWR, 0o600)
    with pytest.raises(OSError, match="EPERM"):
        host.rmdir("/sys/kernel")
    for call in (host.mkdir, host.chmod):
        with pytest.raises(OSError, match="ENOENT"):
            call("/sys/fs/cgroup/x", 0o700)
    with pytest.raises(OSError, match="EPERM"):
        host.chmod("/sys/fs/cgroup", 0o700)


@booted
def test_a_process_descriptor_opens_again(machine: Machine) -> None:
    host = machine.host
    host.mkdir("/proc", 0o755)
    host.mount("none", "/proc", "proc", 0, 0)
    first = host.pidfd_open(host.getpid(), 0)
    name = f"/proc/self/fd/{first}"
    again = host.open(name, os.O_RDONLY)
    assert host.pidfd_send_signal(again, 0, 0, 0) == 0
    for flags, error in ((os.O_RDWR, "EPERM"), (os.O_RDONLY | os.O_DIRECT, "EINVAL")):
        with pytest.raises(OSError, match=error):
            host.open(name, flags)
    for call, error in ((host.chmod, "EPERM"), (host.truncate, "EPERM")):
        with pytest.raises(OSError, match=error):
            call(name, 0)
    with pytest.raises(OSError, match="ENOTSUP"):
        host.chown(name, -1, -1)
    with pytest.raises(OSError, match="ENOTDIR"):
        host.access(name + "/", os.F_OK)


@booted
def test_what_has_no_pages_opens_not_directly(machine: Machine) -> None:
    host = machine.host
    host.mkdir("/proc", 0o755)
    host.mount("none", "/proc", "proc", 0, 0)
    host.mkdir("/d", 0o755)
    host.mknod("/f", 0o010600, 0)
    for name in ("/", "/d", "/proc", "/proc/self", "/f"):
        with pytest.raises(OSError, match="EINVAL"):
            host.open(name, os.O_RDONLY | os.O_DIRECT | os.O_NONBLOCK)
    with pytest.raises(OSError, match="EINVAL"):
        host.open("/f", os.O_ACCMODE)
    with pytest.raises(OSError, match="EISDIR"):
        host.open("/proc/self/cwd", os.O_RDONLY | os.O_CREAT, 0o600)
    with pytest.raises(OSError, match="ENOENT"):
        host.open("/proc/self/absent", os.O_RDONLY | os.O_CREAT, 0o600)


@booted
def test_files_of_one_process_and_of_its_thread_differ(machine: Machine) -> None:
    host = machine.host
    host.mkdir("/proc", 0o755)
    host.mount("none", "/proc", "proc", 0, 0)
    pid = host.getpid()

    def number(name: str) -> int:
        status = bytearray(144)
        host.lstat(name, status)
        return int.from_bytes(status[8:16], "little")

    for name in ("", "/status", "/attr", "/attr/current", "/fd", "/ns"):
        assert number(f"/proc/{pid}{name}") != number(f"/proc/{pid}/task/{pid}{name}")
    file = host.open("/proc/self/attr/current", os.O_RDWR)
    for call in (host.read, host.write):
        with pytest.raises(OSError, match="EINVAL"):
            call(file, bytearray(4), 4)
