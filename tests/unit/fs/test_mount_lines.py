"""Lines of /proc/self/mountinfo on a booted machine, and what may be mounted. What is expected is what Linux answers
(the cases mount_arguments, mount_pairs and mount_namespace_files).
"""

from __future__ import annotations

import pytest

from tests.unit.booted import booted
from tests.unit.syscalls.test_files import read_all
from tests.unit.task.test_namespaces import mount_proc
from tools.simulated.machine import Machine
from tools.simulated.program import Program

NOATIME, RELATIME, STRICTATIME, BIND, MOVE = 1 << 10, 1 << 21, 1 << 24, 1 << 12, 1 << 13
NEWNS = 0x20000


def line_of(program: Program, place: str) -> list[str]:
    """The fields of the line of what is mounted somewhere."""
    lines = [line.split() for line in read_all(program, "/proc/self/mountinfo").decode().splitlines()]
    return next(line for line in lines if line[4] == place)


@booted
@pytest.mark.parametrize(
    ("flags", "shown"),
    [
        (0, "rw,relatime"),
        (RELATIME, "rw,relatime"),
        (NOATIME, "rw,noatime"),
        (NOATIME | RELATIME, "rw,noatime"),
        (NOATIME | STRICTATIME, "rw"),
        (RELATIME | STRICTATIME, "rw"),
    ],
)
def test_flags_of_time_exclude_each_other(machine: Machine, flags: int, shown: str) -> None:
    host = machine.host
    mount_proc(host)
    host.mkdir("/tmp/at", 0o755)
    host.mount("none", "/tmp/at", "tmpfs", flags, None)
    assert line_of(host, "/tmp/at")[5] == shown


@booted
def test_a_number_sign_in_the_source_begins_no_comment(machine: Machine) -> None:
    host = machine.host
    mount_proc(host)
    host.mkdir("/tmp/#", 0o755)
    host.mount("a#b", "/tmp/#", "tmpfs", 0, None)
    assert line_of(host, "/tmp/#")[8] == "a\\043b"


@booted
def test_what_was_removed_is_not_mounted(machine: Machine) -> None:
    """Neither a directory, nor a mount of one."""
    host = machine.host
    host.mkdir("/tmp/gone", 0o755)
    host.mkdir("/tmp/at", 0o755)
    host.mkdir("/tmp/other", 0o755)
    held = host.open("/tmp/gone", 0o200000)
    mount_proc(host)
    host.mount("/tmp/gone", "/tmp/at", None, BIND, None)
    host.call("rmdir", "/tmp/gone")
    with pytest.raises(OSError, match="ENOENT"):
        host.mount(f"/proc/self/fd/{held}", "/tmp/other", None, BIND, None)
    with pytest.raises(OSError, match="ENOENT"):
        host.mount("/tmp/at", "/tmp/other", None, MOVE, None)


@booted
def test_the_file_of_a_namespace_has_its_name(machine: Machine) -> None:
    host = machine.host
    mount_proc(host)
    host.close(host.open("/tmp/kept", 0o102, 0o600))
    host.mount("/proc/self/ns/uts", "/tmp/kept", None, BIND, None)
    line = line_of(host, "/tmp/kept")
    assert line[3].startswith("uts:[") and line[3].endswith("]") and line[line.index("-") + 1] == "nsfs"
