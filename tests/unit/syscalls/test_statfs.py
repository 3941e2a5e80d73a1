"""What a file system tells about itself (kernel/syscalls/statfs.py)."""

from __future__ import annotations

import errno
import struct

import pytest

from kernel.fs.filesystem import Statistics
from kernel.fs.path import MOUNTS
from tests.unit.booted import booted
from tools.simulated.machine import Machine


@booted
def test_a_file_system_is_in_use_while_it_answers(machine: Machine) -> None:
    """The answer may take its time, where a program serves the file system: it is not unmounted meanwhile."""
    host = machine.host
    host.mkdir("/tmp/held", 0o755)
    host.mount("none", "/tmp/held", "tmpfs", 0, None)
    file_system = list(MOUNTS.values())[-1].file_system
    usual = file_system.statistics
    codes: list[int | None] = []

    def slow() -> Statistics:
        with pytest.raises(OSError) as caught:
            host.umount2("/tmp/held", 0)
        codes.append(caught.value.errno)
        return usual()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(file_system, "statistics", slow)
        assert host.ustat(file_system.device, bytearray(32)) == 0
    assert codes == [errno.EBUSY]
    host.umount2("/tmp/held", 0)
    with pytest.raises(OSError) as caught:
        host.ustat(file_system.device, bytearray(32))
    assert caught.value.errno == errno.EINVAL


@booted
def test_flags_are_those_of_the_mount_and_of_the_file_system(machine: Machine) -> None:
    host = machine.host
    host.mkdir("/tmp/held", 0o755)
    raw = bytearray(120)
    for flags, expected in (
        (0, 0x1020), (1, 0x1021), (2 | 8, 0x102A), (16, 0x1030), (64, 0x1060), (1 << 25, 0x1020), (1024, 0x420),
    ):  # fmt: skip
        host.mount("none", "/tmp/held", "tmpfs", flags, None)
        host.statfs("/tmp/held", raw)
        assert struct.unpack_from("<q", raw, 80)[0] == expected
        host.umount2("/tmp/held", 0)
    host.mount("none", "/tmp/held", "tmpfs", 1 | 16, None)
    host.mount("none", "/tmp/held", None, 32 | 4096, None)  # a mount for writing, of what is read-only
    host.statfs("/tmp/held", raw)
    assert struct.unpack_from("<q", raw, 80)[0] == 0x1031
    host.umount2("/tmp/held", 0)
