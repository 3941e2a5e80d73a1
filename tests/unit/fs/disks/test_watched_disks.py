"""What fanotify(7) reports of a disk: damage, and marks that go with their files; on a booted machine."""

import os
import struct

import pytest

from tests.unit.booted import booted
from tests.unit.fs.disks.test_disk import mount
from tests.unit.fs.ext2.conftest import make_image
from tests.unit.syscalls.test_files import names_in, read_all, write_new
from tools.simulated.machine import Machine
from tools.simulated.program import Program

AT_FDCWD = -100
NONBLOCK, REPORT_FID = 0x2, 0x200  # FAN_…
ADD, EVICTABLE, OF_FILE_SYSTEM = 0x1, 0x200, 0x100
OPENED, DAMAGED = 0x20, 0x8000
ERROR_RECORD = 5
EUCLEAN = 117


def event_of(program: Program, group: int) -> bytes:
    buffer = bytearray(4096)
    return bytes(buffer[: program.read(group, buffer, len(buffer))])


@booted
def test_damage_is_reported_once_and_counted(machine: Machine) -> None:
    host = machine.host
    image = make_image(4096)
    mount(machine, image)
    host.mkdir("/mnt/folder", 0o755)
    write_new(host, "/mnt/folder/first-name", b"")
    write_new(host, "/mnt/folder/second-name", b"")
    host.umount2("/mnt", 0)
    record = image.find(b"second-name")
    image[record - 4 : record - 2] = b"\x0d\0"  # a length that no record has
    host.mount("/dev/vda", "/mnt", "ext2", 0, "errors=continue")
    group = host.fanotify_init(NONBLOCK | REPORT_FID, 0)
    host.fanotify_mark(group, ADD | OF_FILE_SYSTEM, DAMAGED, AT_FDCWD, "/mnt")
    for _ in range(3):
        with pytest.raises(OSError, match="EUCLEAN"):
            names_in(host, "/mnt/folder")
    event = event_of(host, group)
    assert struct.unpack_from("<Q", event, 8) == (DAMAGED,)
    assert struct.unpack_from("<BBHii", event, len(event) - 12) == (ERROR_RECORD, 0, 12, EUCLEAN, 3)
    with pytest.raises(OSError, match="EAGAIN"):
        event_of(host, group)


@booted
def test_evictable_marks_go_with_their_files(machine: Machine) -> None:
    host = machine.host
    mount(machine, make_image(4096))
    host.mkdir("/proc", 0o755)
    host.mount("none", "/proc", "proc", 0, 0)
    write_new(host, "/mnt/evictable", b"")
    write_new(host, "/mnt/kept", b"")
    group = host.fanotify_init(NONBLOCK | REPORT_FID, 0)
    host.fanotify_mark(group, ADD | EVICTABLE, OPENED, AT_FDCWD, "/mnt/evictable")
    host.fanotify_mark(group, ADD, OPENED, AT_FDCWD, "/mnt/kept")
    assert read_all(host, f"/proc/self/fdinfo/{group}").count(b"mflags:") == 2
    setting = host.open("/proc/sys/vm/drop_caches", os.O_WRONLY, 0)
    host.write(setting, b"2", 1)
    assert read_all(host, f"/proc/self/fdinfo/{group}").count(b"mflags:") == 1
    host.close(host.open("/mnt/evictable", os.O_RDONLY, 0))
    with pytest.raises(OSError, match="EAGAIN"):
        event_of(host, group)
    host.close(host.open("/mnt/kept", os.O_RDONLY, 0))
    assert struct.unpack_from("<Q", event_of(host, group), 8) == (OPENED,)
