"""Reads, writes and flushes that fail: the caller gets EIO, nothing else is harmed, and programs see what they see on
Linux with the same disk.
"""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest

from tests.boot.faulty_disk import FaultyDisk, debugfs
from tests.harness import LINUX, Guest, Kernel, compile_program
from tests.harness.guest import PATIENCE
from tests.harness.kernels import add_modules
from tools.cpio import Archive, extend
from tools.machine import Machine
from tools.oracle import fetch_oracle
from tools.paths import BUILD, ROOT
from userland.image import root_archive

pytestmark = pytest.mark.timeout(int(240 * PATIENCE))

MIB = 1 << 20
PROGRAM = ROOT / "tests" / "boot" / "disk_faults.c"
ANSWERS = BUILD / "tests" / "answers"


def make_image(path: Path, tree: Path) -> Path:
    """A disk with the files that the program uses. /far/lonely's inode shares its block with none that is looked at."""
    content = bytes((i * 7 + i // 4096) & 0xFF for i in range(300_000))
    (tree / "directory").mkdir(parents=True)
    (tree / "directory" / "name").write_bytes(b"")
    (tree / "file").write_bytes(content)
    (tree / "target").write_bytes(b"before" * 6827)
    (tree / "grows").write_bytes(b"before" * 17000)
    (tree / "program").write_bytes(root_archive().entries["bin/busybox"].data)
    (tree / "program").chmod(0o755)
    (tree / "script").write_text("#!/bin/sh\nexit 3\n")
    (tree / "script").chmod(0o755)
    with path.open("wb") as image:
        image.truncate(16 * MIB)
    command = ["mke2fs", "-q", "-F", "-t", "ext2", "-b", "4096", "-d", str(tree), str(path)]
    subprocess.run(command, check=True, capture_output=True)
    names = [f"/far/a{i}" for i in range(20)] + ["/far/lonely"] + [f"/far/z{i}" for i in range(20)]
    script = "mkdir /far\n" + "".join(f"write /dev/null {name}\n" for name in names)
    subprocess.run(["debugfs", "-w", "-f", "-", str(path)], input=script, text=True, check=True, capture_output=True)
    assert "Inode" in debugfs(path, "imap /far/lonely")
    return path


def answers(kernel: Kernel, root_image: Path, tmp_path: Path) -> tuple[str, FaultyDisk]:
    """What the program prints."""
    overlay = Archive()
    overlay.file("disk_faults", compile_program(PROGRAM).read_bytes(), 0o755)
    if kernel is LINUX:
        add_modules(overlay)
    initrd = tmp_path / "initrd"
    initrd.write_bytes(extend(root_image.read_bytes(), overlay))
    disk = FaultyDisk(make_image(tmp_path / "disk", tmp_path / "tree"))
    printed = []
    failing = False
    with Guest(kernel.boot(initrd, "quiet loglevel=1"), Machine(extra=disk.arguments())) as guest:
        guest.expect_prompt(60)
        guest.send("stty -echo; /disk_faults; echo @end $?\r")
        guest.expect(r"echo @end \$\?\r\n")
        while True:
            match = guest.expect(r"^@(fault|end) (.*)\r\n", 60)
            printed.append(match.string[: match.start()].replace(b"\r\n", b"\n").decode())
            wanted = match[2].decode()
            if match[1] == b"end":
                break
            if failing:
                disk.heal(guest)
            failing = wanted != "none"
            if failing:
                disk.fail(guest, *wanted.split(" "))
            guest.send("\r")
        assert wanted == "0", guest.log
    return "".join(printed), disk


def linux_answers(root_image: Path, tmp_path: Path) -> str:
    """As `answers` for Linux, kept until the program, this file, the image or Linux changes."""
    fetch_oracle()
    texts = (PROGRAM, Path(__file__), PROGRAM.with_name("faulty_disk.py"), root_image, LINUX.path)
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in texts)).hexdigest()[:16]
    kept = ANSWERS / f"disk-faults-{digest}.txt"
    if not kept.exists():
        tmp_path.mkdir()
        text, _ = answers(LINUX, root_image, tmp_path)
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(text)
    return kept.read_text()


def test_programs_see_what_they_see_on_linux(kernel: Kernel, root_image: Path, tmp_path: Path) -> None:
    told, disk = answers(kernel, root_image, tmp_path)
    assert told == linux_answers(root_image, tmp_path / "linux")
    checked = subprocess.run(["e2fsck", "-fn", str(disk.image)], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout
