"""The same script over the same disk on Linux and on Krait: it prints the same, e2fsck is content with both disks, and
each kernel sees in the other's disk what it sees in its own.

KRAIT_ENTRIES says how many names the large directory gets, 1500 unless it is set.
"""

from __future__ import annotations

import difflib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.boot.test_ext2 import guest_with, make_disk, problems
from tests.harness import KRAIT, LINUX, Guest
from tests.harness.guest import PATIENCE
from tests.harness.kernels import add_modules
from tools.cpio import Archive, extend
from tools.machine import Disk, DiskMode, Machine
from tools.oracle import fetch_oracle

HERE = Path(__file__).parent
pytestmark = pytest.mark.timeout(int(300 * PATIENCE))
ENTRIES = int(os.environ.get("KRAIT_ENTRIES", "1500"))  # of one directory
QUIET = "quiet loglevel=1"


def prepared(path: Path, features: str) -> Path:
    """A disk with a file that has nearly as many names as a file may have."""
    make_disk(path, 24, "-t", "ext2", "-b", "1024", "-O", features, "-N", "8192", "-m", "3")
    requests = path.with_suffix(".requests")
    requests.write_text("write /etc/hostname limit\nsif limit links_count 64998\nsif limit mtime 20200101\n")
    subprocess.run(["debugfs", "-w", "-f", requests, path], check=True, capture_output=True)
    return path


def require_equal(one: str, other: str) -> None:
    lines = difflib.unified_diff(one.splitlines(), other.splitlines(), "Linux", "Krait", n=1, lineterm="")
    if text := "\n".join(lines):
        pytest.fail(text, pytrace=False)


@pytest.mark.parametrize("has_trees", [False, True])
def test_the_same_on_both(root_image: Path, tmp_path: Path, has_trees: bool) -> None:
    """With hash trees, large directories have more blocks on Linux; Krait's are listed in the disk's order later."""
    fetch_oracle()
    features, trees = ("dir_index", "yes") if has_trees else ("^dir_index", "")
    for kernel in (KRAIT, LINUX):
        overlay = Archive()
        overlay.file("change", (HERE / "disk_change.sh").read_bytes())
        overlay.file("list", (HERE / "disk_list.sh").read_bytes())
        if kernel is LINUX:
            add_modules(overlay)
        (tmp_path / kernel.name).write_bytes(extend(root_image.read_bytes(), overlay))
    original = prepared(tmp_path / "original", features)
    disks = {kernel.name: Path(shutil.copy(original, tmp_path / f"{kernel.name}.disk")) for kernel in (KRAIT, LINUX)}
    printed: dict[str, str] = {}
    for kernel in (LINUX, KRAIT):
        with guest_with(kernel, tmp_path / kernel.name, disks[kernel.name], QUIET) as guest:
            guest.expect_prompt(60)
            guest.check("mount -t ext2 /dev/vda /mnt")
            printed[kernel.name] = guest.check(f"entries={ENTRIES} trees={trees} sh /change", 120)
    require_equal(printed["linux"], printed["krait"])
    assert printed["krait"].endswith("done\n")
    for disk in disks.values():
        # The names that the prepared file never had.
        subprocess.run(["debugfs", "-w", "-R", "sif limit links_count 1", disk], check=True, capture_output=True)
        assert problems(disk) == "", disk.name
    listed: dict[str, list[str]] = {}
    for kernel in (LINUX, KRAIT):
        machine = Machine(memory="256M", disks=tuple(Disk(disks[name], DiskMode.WRITE) for name in ("linux", "krait")))
        with Guest(kernel.boot(tmp_path / kernel.name, QUIET), machine) as guest:
            guest.expect_prompt(60)
            listed[kernel.name] = []
            for device in ("vda", "vdb"):
                guest.check(f"mount -t ext2 -o ro /dev/{device} /mnt")
                listed[kernel.name].append(guest.check("sh /list", 120))
    of_linux, of_krait = listed["linux"]
    if not has_trees:
        require_equal(of_linux, of_krait)
    for seen_by_linux, seen_by_krait in zip(listed["linux"], listed["krait"], strict=True):
        require_equal(seen_by_linux, seen_by_krait)
