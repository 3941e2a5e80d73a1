"""poweroff, halt and reboot where process 1 is the agent: programs get a signal, disks are written, the status is 0."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.boot.test_machines import Krait
from tests.boot.test_streams import Terminal
from tests.harness import Kernel
from tests.harness.guest import PATIENCE
from tools.paths import ROOT

pytestmark = pytest.mark.timeout(int(180 * PATIENCE))


@pytest.fixture
def krait(kernel: Kernel, tmp_path: Path) -> Iterator[Krait]:
    it = Krait(kernel, tmp_path)
    yield it
    for name in it("ps", "-aq").split():
        it("rm", "-f", name)


@pytest.mark.parametrize("command", ["poweroff", "halt", "reboot"])
def test_a_command_ends_the_machine(krait: Krait, command: str) -> None:
    """The main program is asked to end, and what it says then comes through."""
    handler = "exec 2>/dev/null; trap 'echo told; exit 9' TERM"  # the shell says there that sleep was killed
    script = f"{handler}; {command}; while :; do sleep 0.05; done"
    assert krait.run("--command", script) == "told\n"


def test_programs_that_do_not_listen_are_killed(krait: Krait) -> None:
    assert krait.run("--command", "trap '' TERM; echo before; poweroff; while :; do sleep 0.1; done") == "before\n"


def test_a_shell_at_a_terminal(kernel: Kernel) -> None:
    terminal = Terminal([str(ROOT / "krait"), "run", "--kernel", str(kernel.path), "-it", "busybox"])
    terminal.wait_for(b"# ")
    terminal.type(b"poweroff\r", b"poweroff")
    while True:
        try:
            os.read(terminal.descriptor, 4096)
        except OSError:  # the other side is closed
            break
    assert terminal.status() == 0
    os.close(terminal.descriptor)


def test_from_beside_a_machine_in_the_background(krait: Krait) -> None:
    krait.run("-d", "--name", "it", "busybox", "sleep", "1000")
    krait("exec", "it", "sh", "-c", "poweroff; sleep 1000")
    krait("logs", "-f", "it")  # until it has ended
    assert "ended (0)" in krait("ps", "-a")


def test_a_disk_is_written(krait: Krait, tmp_path: Path) -> None:
    """What a program writes when it is asked to end is on a disk that is kept, and its file system is clean."""
    disk = tmp_path / "disk"
    subprocess.run(["mke2fs", "-q", "-t", "ext2", str(disk), "4096"], check=True)
    handler = "trap 'sleep 0.5; echo last >/mnt/note; exit' TERM; echo up >/tmp/up"
    program = f"mount /dev/vda /mnt && ({handler}; while :; do sleep 0.1; done)"
    script = f"{program} & until [ -e /tmp/up ]; do sleep 0.1; done; poweroff; sleep 1000"
    krait.run("--disk", f"{disk},rw", "--command", script)
    shown = subprocess.run(["debugfs", "-R", "cat note", str(disk)], check=True, capture_output=True, text=True)
    assert shown.stdout == "last\n"
