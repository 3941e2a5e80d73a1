"""Files by system calls, on a booted machine."""

import errno
import os
import struct

import pytest

from tests.unit.booted import booted
from tools.simulated.machine import Machine
from tools.simulated.program import Program


def read_all(program: Program, path: str) -> bytes:
    """The bytes of a file, in small reads."""
    descriptor = program.open(path, os.O_RDONLY)
    data = b""
    buffer = bytearray(7)
    while count := program.read(descriptor, buffer, len(buffer)):
        data += buffer[:count]
    program.close(descriptor)
    return data


def write_new(program: Program, path: str, data: bytes) -> None:
    descriptor = program.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    assert program.write(descriptor, data, len(data)) == len(data)
    program.close(descriptor)


def names_in(program: Program, path: str) -> list[str]:
    """What getdents64 lists (struct linux_dirent64)."""
    descriptor = program.open(path, os.O_RDONLY | os.O_DIRECTORY)
    buffer = bytearray(200)
    found = []
    while count := program.getdents64(descriptor, buffer, len(buffer)):
        at = 0
        while at < count:
            size = struct.unpack_from("<H", buffer, at + 16)[0]
            found.append(bytes(buffer[at + 19 : at + size]).split(b"\0")[0].decode())
            at += size
    program.close(descriptor)
    return sorted(found)


@booted
def test_what_is_written_is_read(machine: Machine) -> None:
    host = machine.host
    data = bytes(range(256)) * 40  # over several pages
    write_new(host, "/tmp/data", data)
    assert read_all(host, "/tmp/data") == data
    descriptor = host.open("/tmp/data", os.O_RDWR)
    assert host.lseek(descriptor, -6, os.SEEK_END) == len(data) - 6
    assert host.pwrite64(descriptor, b"middle", 6, 5000) == 6
    assert host.ftruncate(descriptor, 5003) == 0
    assert read_all(host, "/tmp/data") == data[:5000] + b"mid"


@booted
def test_descriptors_of_a_child_are_its_own(machine: Machine) -> None:
    host = machine.host
    descriptor = host.open("/tmp/log", os.O_RDWR | os.O_CREAT, 0o600)

    def child(program: Program) -> int:
        program.write(descriptor, b"child", 5)
        return program.close(descriptor)

    assert machine.run(child) == 0
    assert host.write(descriptor, b" parent", 7) == 7  # after the child's: the offset is shared
    assert read_all(host, "/tmp/log") == b"child parent"


@booted
def test_names(machine: Machine) -> None:
    host = machine.host
    for name in ("b", "a", "c"):
        write_new(host, f"/tmp/{name}", name.encode())
    host.mkdir("/tmp/folder", 0o755)
    host.rename("/tmp/b", "/tmp/folder/moved")
    host.link("/tmp/a", "/tmp/folder/second")
    host.symlink("folder/moved", "/tmp/short")
    assert names_in(host, "/tmp") == [".", "..", "a", "c", "folder", "short"]
    assert names_in(host, "/tmp/folder") == [".", "..", "moved", "second"]
    assert read_all(host, "/tmp/short") == b"b"
    host.unlink("/tmp/a")
    assert read_all(host, "/tmp/folder/second") == b"a"
    with pytest.raises(OSError, match="ENOTEMPTY"):
        host.rmdir("/tmp/folder")


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/tmp/none", errno.ENOENT), ("/tmp/file/below", errno.ENOTDIR), ("/tmp/loop", errno.ELOOP),
        ("/tmp/" + "x" * 256, errno.ENAMETOOLONG), ("", errno.ENOENT),
    ],
)  # fmt: skip
@booted
def test_paths_that_lead_nowhere(machine: Machine, path: str, error: int) -> None:
    host = machine.host
    write_new(host, "/tmp/file", b"")
    host.symlink("loop", "/tmp/loop")
    with pytest.raises(OSError) as raised:
        host.open(path, os.O_RDONLY)
    assert raised.value.errno == error


@booted
def test_rights_of_an_ordinary_user(machine: Machine) -> None:
    host = machine.host
    write_new(host, "/tmp/secret", b"secret")
    host.chmod("/tmp/secret", 0o600)

    def child(program: Program) -> None:
        program.setresgid(1000, 1000, 1000)
        program.setresuid(1000, 1000, 1000)
        with pytest.raises(OSError, match="EACCES"):
            program.open("/tmp/secret", os.O_RDONLY)
        with pytest.raises(OSError, match="EPERM"):
            program.chmod("/tmp/secret", 0o644)
        with pytest.raises(OSError, match="EPERM"):
            program.setuid(0)
        write_new(program, "/tmp/mine", b"")

    assert machine.run(child) == 0
    status = bytearray(144)
    host.stat("/tmp/mine", status)
    assert struct.unpack_from("<II", status, 28) == (1000, 1000)


@booted
def test_a_mounted_file_system_hides_what_is_below(machine: Machine) -> None:
    host = machine.host
    write_new(host, "/tmp/below", b"below")
    host.mount("none", "/tmp", "tmpfs", 0, "size=64k")
    assert names_in(host, "/tmp") == [".", ".."]
    descriptor = host.open("/tmp/large", os.O_WRONLY | os.O_CREAT, 0o600)
    block = bytes(4096)
    with pytest.raises(OSError, match="ENOSPC"):
        for _ in range(17):
            host.write(descriptor, block, len(block))
    with pytest.raises(OSError, match="EBUSY"):
        host.umount2("/tmp", 0)
    host.close(descriptor)
    host.umount2("/tmp", 0)
    assert read_all(host, "/tmp/below") == b"below"


@booted
def test_addresses_that_are_not_the_programs(machine: Machine) -> None:
    host = machine.host
    descriptor = host.open("/tmp/file", os.O_RDWR | os.O_CREAT, 0o600)
    for address in (0, 1, -1, 1 << 46, 1 << 62, -(1 << 63)):
        with pytest.raises(OSError, match="EFAULT"):
            host.write(descriptor, address, 8)
        with pytest.raises(OSError, match="EFAULT"):
            host.open(address, os.O_RDONLY)


@booted
def test_proc_shows_the_program(machine: Machine) -> None:
    host = machine.host
    host.mkdir("/proc", 0o755)
    host.mount("proc", "/proc", "proc", 0, None)
    assert b"/init\n" in read_all(host, "/proc/self/maps")
    assert read_all(host, "/proc/self/stat").startswith(b"1 (init) R 0 ")
    assert "cpuinfo" in names_in(host, "/proc")
