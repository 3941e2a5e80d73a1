"""The order of errors of calls about extended attributes (kernel/syscalls/xattr.py), on a booted machine."""

import os
from collections.abc import Callable

import pytest

from kernel.fs.filesystem import Statistics
from kernel.fs.names import unlink
from kernel.fs.tmpfs.base import Tmpfs
from kernel.fs.tmpfs.file import TmpfsFile
from kernel.lang import UserAddr
from kernel.syscalls import xattr
from kernel.task import current
from tests.unit.booted import booted
from tools.simulated.machine import Machine

FAULTY = 16  # an address without memory


@booted
def test_an_attribute_is_read_before_its_path(machine: Machine) -> None:
    host = machine.host
    for call in (host.setxattr, host.lsetxattr):
        for name, value, size, flags, error in (
            (FAULTY, FAULTY, 70_000, 8, "EINVAL"),
            (FAULTY, FAULTY, 70_000, 0, "EFAULT"),
            ("", FAULTY, 70_000, 0, "ERANGE"),
            ("user.x", FAULTY, 70_000, 0, "E2BIG"),
            ("user.x", FAULTY, 1, 0, "EFAULT"),
            ("user.x", "x", 1, 0, "ENOENT"),
        ):
            with pytest.raises(OSError, match=error):
                call("/tmp/none", name, value, size, flags)
    for call in (host.removexattr, host.lremovexattr):
        for name, error in ((FAULTY, "EFAULT"), ("", "ERANGE"), ("user.x", "ENOENT")):
            with pytest.raises(OSError, match=error):
                call("/tmp/none", name)


@booted
def test_a_descriptor_comes_before_its_attribute(machine: Machine) -> None:
    host = machine.host
    with pytest.raises(OSError, match="EBADF"):
        host.fsetxattr(999, FAULTY, FAULTY, 1, 8)
    with pytest.raises(OSError, match="EBADF"):
        host.fremovexattr(999, FAULTY)
    file = host.open("/tmp/file", os.O_RDWR | os.O_CREAT, 0o600)
    assert host.fsetxattr(file, "user.x", "abc", 3, 0) == 0
    found = bytearray(3)
    assert host.fgetxattr(file, "user.x", found, 3) == 3
    assert found == b"abc"
    assert host.fremovexattr(file, "user.x") == 0
    with pytest.raises(OSError, match="ENODATA"):
        host.fgetxattr(file, "user.x", found, 3)


@booted
def test_the_name_of_a_memfd_comes_before_its_huge_pages(machine: Machine) -> None:
    huge, executable, not_executable = 4, 0x10, 8
    for name, flags, error in (
        (FAULTY, 0x100, "EINVAL"),
        (FAULTY, 5 << 26, "EINVAL"),  # a size only counts with huge pages
        (FAULTY, huge | 5 << 26, "EFAULT"),
        (FAULTY, huge | not_executable, "EFAULT"),
        (FAULTY, huge | executable | not_executable, "EINVAL"),
        ("x" * 250, huge, "EINVAL"),
    ):
        with pytest.raises(OSError, match=error):
            machine.host.memfd_create(name, flags)


@booted
def test_a_descriptor_that_is_linked_comes_before_the_right_to_it(machine: Machine) -> None:
    empty_path = 0x1000
    with pytest.raises(OSError, match="EBADF"):
        machine.host.linkat(999, "", -100, "/tmp/link", empty_path)


@booted
def test_a_file_ends_once_while_the_name_of_an_attribute_is_read(machine: Machine) -> None:
    """Another thread removes the file meanwhile."""
    host = machine.host
    host.close(host.open("/tmp/file", os.O_RDWR | os.O_CREAT, 0o600))
    assert host.setxattr("/tmp/file", "user.x", "abc", 3, 0) == 0
    read, evict = xattr._name, TmpfsFile.evict
    ended: list[TmpfsFile] = []

    def read_slowly(address: UserAddr) -> bytes:
        unlink(current().fs, None, b"/tmp/file")
        return read(address)

    def end(file: TmpfsFile) -> None:
        ended.append(file)
        evict(file)

    found = bytearray(3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(xattr, "_name", read_slowly)
        patch.setattr(TmpfsFile, "evict", end)
        assert host.getxattr("/tmp/file", "user.x", found, 3) == 3
    assert found == b"abc" and len(ended) == 1


@booted
def test_a_mount_stays_while_its_figures_are_asked_for(machine: Machine) -> None:
    host = machine.host
    mount = current().fs.root.mount
    ask: Callable[[Tmpfs], Statistics] = Tmpfs.statistics
    users: list[int] = []

    def ask_slowly(file_system: Tmpfs) -> Statistics:
        users.append(mount.users)
        return ask(file_system)

    before = mount.users
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Tmpfs, "statistics", ask_slowly)
        host.statfs("/", bytearray(120))
    assert users == [before + 1] and mount.users == before
