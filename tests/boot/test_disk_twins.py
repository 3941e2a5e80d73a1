"""The same script over the same disk on Linux and on Krait: it prints the same, e2fsck is content with both disks, and
each kernel sees in the other's disk what it sees in its own.
"""

from __future__ import annotations

import difflib
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.boot.test_ext2 import guest_with, make_disk, problems
from tests.harness import KRAIT, LINUX
from tests.harness.guest import PATIENCE
from tests.harness.kernels import add_modules
from tools.cpio import Archive, extend
from tools.oracle import fetch_oracle

HERE = Path(__file__).parent
pytestmark = pytest.mark.timeout(int(300 * PATIENCE))
QUIET = "quiet loglevel=1"


def prepared(path: Path) -> Path:
    """A disk with a file that has nearly as many names as a file may have."""
    make_disk(path, 24, "-t", "ext2", "-b", "1024", "-O", "^dir_index", "-N", "8192", "-m", "3")
    requests = path.with_suffix(".requests")
    requests.write_text("write /etc/hostname limit\nsif limit links_count 64998\nsif limit mtime 20200101\n")
    subprocess.run(["debugfs", "-w", "-f", requests, path], check=True, capture_output=True)
    return path


def require_equal(one: str, other: str) -> None:
    lines = difflib.unified_diff(one.splitlines(), other.splitlines(), "Linux", "Krait", n=1, lineterm="")
    if text := "\n".join(lines):
        pytest.fail(text, pytrace=False)


def test_the_same_on_both(root_image: Path, tmp_path: Path) -> None:
    fetch_oracle()
    for kernel in (KRAIT, LINUX):
        overlay = Archive()
        overlay.file("change", (HERE / "disk_change.sh").read_bytes())
        overlay.file("list", (HERE / "disk_list.sh").read_bytes())
        if kernel is LINUX:
            add_modules(overlay)
        (tmp_path / kernel.name).write_bytes(extend(root_image.read_bytes(), overlay))
    original = prepared(tmp_path / "original")
    disks = {kernel.name: Path(shutil.copy(original, tmp_path / f"{kernel.name}.disk")) for kernel in (KRAIT, LINUX)}
    printed: dict[str, str] = {}
    for kernel in (LINUX, KRAIT):
        with guest_with(kernel, tmp_path / kernel.name, disks[kernel.name], QUIET) as guest:
            guest.expect_prompt(60)
            guest.check("mount -t ext2 /dev/vda /mnt")
            printed[kernel.name] = guest.check("sh /change", 120)
    require_equal(printed["linux"], printed["krait"])
    assert printed["krait"].endswith("done\n")
    for disk in disks.values():
        # The names that the prepared file never had.
        subprocess.run(["debugfs", "-w", "-R", "sif limit links_count 1", disk], check=True, capture_output=True)
        assert problems(disk) == "", disk.name
    listed: dict[str, str] = {}
    for reader, writer in ((LINUX, KRAIT), (KRAIT, LINUX), (KRAIT, KRAIT)):
        with guest_with(reader, tmp_path / reader.name, disks[writer.name], QUIET) as guest:
            guest.expect_prompt(60)
            guest.check("mount -t ext2 -o ro /dev/vda /mnt")
            listed[f"{writer.name} by {reader.name}"] = guest.check("sh /list", 120)
    require_equal(listed["krait by linux"], listed["krait by krait"])
    require_equal(listed["linux by krait"], listed["krait by krait"])
