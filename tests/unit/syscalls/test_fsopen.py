"""The order of errors of mounting in steps (kernel/syscalls/fsopen.py), on a booted machine."""

import os
import struct

import pytest

from kernel.task import current
from tests.unit.booted import booted
from tests.unit.fs.ext2.conftest import make_image
from tools.simulated.disk import FIRST_NUMBER, attach_disk
from tools.simulated.machine import Machine

FAULTY = 16  # an address without memory
HERE = -100
DETACH = 2
BIND = 0x1000
ID_MAP = 0x100000
FLAG, TEXT, BINARY, PATH, PATH_OR_NONE, DESCRIPTOR, CREATE, RECONFIGURE = range(8)


@booted
def test_the_flags_of_a_mount_come_before_what_is_mounted(machine: Machine) -> None:
    for flags, attributes, error in ((2, 0, "EINVAL"), (0, 1 << 31, "EINVAL"), (0, 0, "EBADF")):
        with pytest.raises(OSError, match=error):
            machine.host.fsmount(999, flags, attributes)


@booted
def test_the_namespace_of_mapped_ids_comes_before_the_path(machine: Machine) -> None:
    host = machine.host
    for set_, cleared, propagation, descriptor, error in (
        (ID_MAP, 0, 0, 999, "EBADF"),
        (ID_MAP, 0, 0, 1 << 31, "EINVAL"),
        (ID_MAP | 1 << 40, 0, 0, 999, "EINVAL"),
        (ID_MAP, ID_MAP, 0, 999, "EINVAL"),
        (ID_MAP, 0, 3, 999, "EINVAL"),
    ):
        with pytest.raises(OSError, match=error):
            host.mount_setattr(HERE, FAULTY, 0, struct.pack("<QQQQ", set_, cleared, propagation, descriptor), 32)


@booted
def test_arguments_of_a_parameter_come_before_its_file(machine: Machine) -> None:
    host = machine.host
    for command, key, value, extra, error in (
        (FLAG, FAULTY, None, 1, "EINVAL"),
        (BINARY, FAULTY, FAULTY, 0, "EINVAL"),
        (BINARY, FAULTY, FAULTY, (1 << 20) + 1, "EINVAL"),
        (PATH, FAULTY, FAULTY, -1, "EINVAL"),
        (PATH, FAULTY, None, HERE, "EINVAL"),
        (DESCRIPTOR, FAULTY, FAULTY, 0, "EINVAL"),
        (DESCRIPTOR, FAULTY, None, -1, "EINVAL"),
        (9, FAULTY, FAULTY, 1, "ENOTSUP"),
        (BINARY, FAULTY, FAULTY, 1, "EBADF"),
        (PATH, FAULTY, FAULTY, HERE, "EBADF"),
        (DESCRIPTOR, FAULTY, None, 0, "EBADF"),
    ):
        with pytest.raises(OSError, match=error):
            host.fsconfig(999, command, key, value, extra)


@booted
def test_values_are_read_before_they_are_refused(machine: Machine) -> None:
    host = machine.host
    context = host.fsopen("tmpfs", 0)
    for command, key, value, extra, error in (
        (BINARY, FAULTY, FAULTY, 1, "EFAULT"),
        (BINARY, "size", FAULTY, 1, "EFAULT"),
        (BINARY, "size", "x", 1, "EINVAL"),
        (PATH, "size", FAULTY, HERE, "EFAULT"),
        (PATH, "size", "", HERE, "ENOENT"),
        (PATH_OR_NONE, "size", "", HERE, "EINVAL"),
        (DESCRIPTOR, "size", None, 999, "EBADF"),
        (DESCRIPTOR, "size", None, context, "EINVAL"),
    ):
        with pytest.raises(OSError, match=error):
            host.fsconfig(context, command, key, value, extra)


@booted
def test_a_disk_that_is_mounted_nowhere_any_more_is_mounted_again(machine: Machine) -> None:
    """While something holds the file system on it, it is that one, with the same tree of names."""
    host = machine.host
    attach_disk(make_image(1024))
    host.mknod("/tmp/disk", 0o060600, FIRST_NUMBER)
    for name in ("/tmp/m", "/tmp/n"):
        host.mkdir(name, 0o755)
    host.mount("/tmp/disk", "/tmp/m", "ext2", 0, None)
    host.mkdir("/tmp/m/d", 0o755)
    picked = host.fspick(HERE, "/tmp/m", 0)
    host.umount2("/tmp/m", 0)
    host.mount("/tmp/disk", "/tmp/m", "ext2", 0, None)
    host.close(picked)
    file = host.open("/tmp/m/d/file", os.O_CREAT | os.O_RDWR, 0o600)
    host.umount2("/tmp/m", DETACH)
    host.mount("/tmp/disk", "/tmp/m", "ext2", 0, None)
    host.unlink("/tmp/m/d/file")
    status = bytearray(144)
    host.fstat(file, status)
    assert struct.unpack_from("<Q", status, 16) == (0,)  # links
    host.close(file)
    host.mount("/tmp/m/d", "/tmp/n", None, BIND, None)
    host.umount2("/tmp/m", 0)
    host.mount("/tmp/disk", "/tmp/m", "ext2", 0, None)
    host.mkdir("/tmp/m/d/new", 0o755)
    host.rmdir("/tmp/n/new")
    with pytest.raises(OSError, match="ENOENT"):
        host.rmdir("/tmp/m/d/new")
    host.umount2("/tmp/n", 0)
    host.umount2("/tmp/m", 0)
    host.open("/tmp/disk", os.O_RDONLY | os.O_EXCL)  # nobody has claimed it


@booted
def test_a_change_of_an_instance_keeps_what_it_does_not_name(machine: Machine) -> None:
    host = machine.host
    host.mkdir("/tmp/at", 0o755)
    synchronous, lazy, dirsync = 16, 1 << 25, 128
    host.mount("none", "/tmp/at", "tmpfs", synchronous | lazy | dirsync, None)
    file = host.open("/tmp/at", 0)
    instance = current().files.get(file).inode.file_system
    picked = host.fspick(HERE, "/tmp/at", 0)
    host.fsconfig(picked, FLAG, "nolazytime", None, 0)
    host.fsconfig(picked, RECONFIGURE, None, None, 0)
    assert instance.flags() == synchronous | dirsync
    host.fsconfig(picked, FLAG, "ro", None, 0)
    host.fsconfig(picked, RECONFIGURE, None, None, 0)
    assert instance.flags() == synchronous | dirsync | 1
    host.fsconfig(picked, FLAG, "dirsync", None, 0)
    for error in ("EINVAL", "EBUSY"):  # nothing can be done with it any more
        with pytest.raises(OSError, match=error):
            host.fsconfig(picked, RECONFIGURE, None, None, 0)


@booted
def test_an_instance_with_writers_does_not_become_read_only(machine: Machine) -> None:
    host = machine.host
    host.mkdir("/tmp/at", 0o755)
    host.mount("none", "/tmp/at", "tmpfs", 0, None)
    host.open("/tmp/at/file", os.O_CREAT | os.O_WRONLY, 0o644)
    picked = host.fspick(HERE, "/tmp/at", 0)
    host.fsconfig(picked, FLAG, "ro", None, 0)
    with pytest.raises(OSError, match="EBUSY"):
        host.fsconfig(picked, RECONFIGURE, None, None, 0)


@booted
def test_a_mounted_context_may_change_its_instance(machine: Machine) -> None:
    host = machine.host
    context = host.fsopen("tmpfs", 0)
    host.fsconfig(context, FLAG, "sync", None, 0)
    host.fsconfig(context, CREATE, None, None, 0)
    with pytest.raises(OSError, match="EBUSY"):
        host.fsconfig(context, FLAG, "ro", None, 0)
    instance = current().files.get_any(host.fsmount(context, 0, 0)).inode.file_system
    assert instance.flags() == 16
    host.fsconfig(context, FLAG, "ro", None, 0)
    host.fsconfig(context, RECONFIGURE, None, None, 0)
    assert instance.flags() == 1  # `sync` was named before, and not again


@booted
def test_ramfs_ignores_options_of_a_remount_too(machine: Machine) -> None:
    host = machine.host
    host.mkdir("/tmp/at", 0o755)
    host.mount("none", "/tmp/at", "ramfs", 0, None)
    host.mount("none", "/tmp/at", "ramfs", 32, "unknown")  # MS_REMOUNT
    with pytest.raises(OSError, match="EINVAL"):
        host.mount("none", "/tmp/at", "ramfs", 32, "mode=9")
