"""What a session leaves behind on a serial line when it ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness import Guest, Kernel, compile_program
from tests.harness.guest import PATIENCE
from tools import cpio

pytestmark = pytest.mark.timeout(int(120 * PATIENCE))


def test_a_process_of_an_ended_session_cannot_use_its_line(kernel: Kernel, root_image: Path, tmp_path: Path) -> None:
    overlay = cpio.Archive()
    program = compile_program(Path(__file__).parent / "left_behind.c")
    overlay.file("root/left_behind", program.read_bytes(), 0o755)
    initrd = tmp_path / "initrd"
    initrd.write_bytes(cpio.extend(root_image.read_bytes(), overlay))
    with Guest(kernel.boot(initrd)) as guest:
        guest.expect_prompt(30)
        guest.send("./left_behind\r")
        guest.expect("left behind: 0, write -1 I/O error, read 0, console 0", 30)
        # The shell lost its line, too, and has a successor. One that ends by itself ends the machine.
        guest.send("\r")
        guest.expect_prompt(30)
        guest.send("kill -9 $$\r")
        guest.expect("the shell was killed", 30)
        guest.expect_prompt(30)
        guest.send("exit 3\r")
        guest.wait_exit(30)
