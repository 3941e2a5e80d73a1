"""Huge pages of 1 GiB, in a machine that has room for two: mappings, files and segments of them, on both kernels."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.boot.test_disk_twins import require_equal
from tests.harness import KRAIT, LINUX, Guest, Kernel, compile_program
from tests.harness.guest import PATIENCE
from tools.cpio import Archive, extend
from tools.machine import Machine
from tools.oracle import fetch_oracle

pytestmark = pytest.mark.timeout(int(240 * PATIENCE))

PROGRAM = Path(__file__).parent / "gigantic_pages.c"


def seen(kernel: Kernel, root_image: Path, tmp_path: Path) -> str:
    overlay = Archive()
    overlay.file("gigantic_pages", compile_program(PROGRAM, flags=("-static",)).read_bytes(), 0o755)
    initrd = tmp_path / f"{kernel.name}.initrd"
    initrd.write_bytes(extend(root_image.read_bytes(), overlay))
    parameters = "quiet loglevel=1 hugepagesz=1G hugepages=2"
    with Guest(kernel.boot(initrd, parameters), Machine(memory="5G")) as guest:
        guest.expect_prompt(90)
        return guest.run("/gigantic_pages", 120)


def test_pages_of_a_gigabyte(root_image: Path, tmp_path: Path) -> None:
    fetch_oracle()
    of_linux, of_krait = (seen(kernel, root_image, tmp_path) for kernel in (LINUX, KRAIT))
    assert "at the end: total 0" in of_linux
    require_equal(of_linux, of_krait)
