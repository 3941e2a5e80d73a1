"""Directories are listed in the order in which Linux lists them, with the same positions for seek: by hashes of names
where the file system has hash trees, else as they lie on the disk.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.boot.test_disk_twins import require_equal
from tests.boot.test_ext2 import make_disk, problems
from tests.harness import KRAIT, LINUX, Guest, Kernel, compile_program
from tests.harness.guest import PATIENCE
from tests.harness.kept import sum_of
from tests.harness.kernels import add_modules
from tests.harness.records import Records, linux_sum, sources_of
from tools.cpio import Archive, extend
from tools.machine import Disk, DiskMode, Machine
from tools.oracle import fetch_oracle

pytestmark = pytest.mark.timeout(int(240 * PATIENCE))

PROGRAM = Path(__file__).with_name("list_names.c")
RECORDS = Path(__file__).with_name("recorded.txt")
RECORD = "test_directory_order:all"
# The same images each time.
HASH_SEED = "6b8b4567-327b-23c6-643c-986966334873"
# The options for mke2fs, and what is changed then.
DISKS = (
    (("-t", "ext2"), ()),
    (("-t", "ext2", "-b", "1024"), ("ssv flags 2",)),
    (("-t", "ext2", "-b", "1024"), ("ssv def_hash_version tea",)),
    (("-t", "ext2", "-b", "1024"), ("ssv def_hash_version legacy", "ssv flags 0")),
    (("-t", "ext2", "-b", "1024", "-O", "^dir_index"), ()),
    (("-t", "ext4", "-b", "1024"), ()),
)


def fill(tree: Path) -> None:
    """Directories without a name, with few, and with many; names of all lengths, and bytes with the highest bit."""
    for name in ("empty", "few", "many", "more"):
        (tree / name).mkdir(parents=True)
    for number in range(12):
        (tree / "few" / ("n" * number + str(number))).write_bytes(b"")
    for number in range(300):
        (tree / "many" / (f"{number} é" + "äß€" * (number % 23))).write_bytes(b"")
    for number in range(2000):
        (tree / "more" / f"entry number {number}").write_bytes(b"")


def make_disks(tmp_path: Path) -> list[Path]:
    fill(tmp_path / "tree")
    disks = []
    for number, (options, changes) in enumerate(DISKS):
        options = (*options, "-d", str(tmp_path / "tree"), "-E", f"hash_seed={HASH_SEED}")
        disk = make_disk(tmp_path / f"disk{number}", 8, "-N", "3000", *options)
        for command in changes:
            subprocess.run(["debugfs", "-w", "-R", command, disk], check=True, capture_output=True)
        subprocess.run(["e2fsck", "-fyD", disk], capture_output=True)
        # One of several blocks without a tree.
        script = "mkdir plain\n" + "".join(f"write /dev/null plain/entry{i}{'x' * 90}\n" for i in range(60))
        subprocess.run(["debugfs", "-w", "-f", "-", disk], input=script.encode(), check=True, capture_output=True)
        assert problems(disk) == ""
        disks.append(disk)
    return disks


def listed(kernel: Kernel, root_image: Path, tmp_path: Path, originals: list[Path]) -> tuple[str, list[Path]]:
    """What a kernel lists of all disks, and its copies of them."""
    overlay = Archive()
    overlay.file("list_names", compile_program(PROGRAM).read_bytes(), 0o755)
    if kernel is LINUX:
        add_modules(overlay)
    initrd = tmp_path / f"{kernel.name}.initrd"
    initrd.write_bytes(extend(root_image.read_bytes(), overlay))
    copies = [Path(shutil.copy(disk, disk.with_suffix(f".{kernel.name}"))) for disk in originals]
    machine = Machine(memory="256M", disks=tuple(Disk(disk, DiskMode.WRITE) for disk in copies))
    printed = ""
    with Guest(kernel.boot(initrd, "quiet loglevel=1"), machine) as guest:
        guest.expect_prompt(60)
        for number, (options, _) in enumerate(DISKS):
            device = f"/dev/vd{'abcdef'[number]}"
            kind = options[1]
            guest.check(f"mount -t {kind} -o {'rw' if kind == 'ext2' else 'ro'} {device} /mnt; cd /mnt")
            printed += f"== disk {number}\n"
            printed += guest.check("/list_names . empty few many more plain > /list; cat /list", 60)
            if kind == "ext2":
                changed = "few many plain empty"
                printed += guest.check(f"/list_names +few +many +plain +empty {changed} > /list; cat /list", 60)
            guest.check("cd /; umount /mnt")
    return printed, copies


def answer_of_linux(of_krait: str, root_image: Path, tmp_path: Path, originals: list[Path]) -> str:
    """Linux is asked where Krait's answer is not the recorded one."""
    fetch_oracle()
    records = Records(RECORDS)
    key = sum_of([linux_sum(), Path(__file__).read_bytes(), *sources_of(PROGRAM)])
    if records.holds(RECORD, key, of_krait):
        return of_krait
    of_linux, _ = listed(LINUX, root_image, tmp_path, originals)
    if records.writes:
        records.note(RECORD, key, of_linux)
        records.save()
    return of_linux


def test_directories_are_listed_as_on_linux(root_image: Path, tmp_path: Path) -> None:
    originals = make_disks(tmp_path)
    of_krait, disks = listed(KRAIT, root_image, tmp_path, originals)
    of_linux = answer_of_linux(of_krait, root_image, tmp_path, originals)
    require_equal(of_linux, of_krait)
    assert of_linux.count("entry number 1999\n") >= len(DISKS)
    for disk in disks:
        assert problems(disk) == ""
