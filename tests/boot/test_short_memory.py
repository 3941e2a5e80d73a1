"""Memory runs out in the middle of calls: each place where it may is tried; nothing traps, nothing is lost.

`make test` tries small programs that wait for nothing; KRAIT_SHORT_MEMORY=all is the long form.
"""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.harness import Guest, Kernel, compile_program
from tests.harness.guest import PATIENCE
from tools.cpio import Archive, extend
from tools.machine import Disk, DiskMode, Machine
from tools.paths import ROOT

PROGRAMS = {
    "all": (
        "tcp tcp6 udp unix netlink events files direct_io mounts mount_files processes job_control executes namespaces "
        "threads memory pairs system_v more_ipc maps proc terminal shell locks "
        "broken_private broken_forked broken_shared broken_file"
    ).split(),
}.get(
    os.environ.get("KRAIT_SHORT_MEMORY", ""),
    (
        "unix netlink events files direct_io mounts pairs system_v threads locks "
        "broken_private broken_shared broken_file"
    ).split(),
)
MOST_OBJECTS = 60  # what a round may keep for later: tables that have grown, the allocation of the check itself

pytestmark = pytest.mark.timeout(int(300 * PATIENCE))


def _image(root_image: Path, place: Path) -> Path:
    """The root image with the program in it."""
    files = Archive()
    program = compile_program(ROOT / "tests" / "boot" / "short_memory.c")
    files.file("usr/bin/short_memory", program.read_bytes(), 0o755)
    initrd = place / "initrd"
    initrd.write_bytes(extend(root_image.read_bytes(), files))
    return initrd


def test_unnamed_files_come_back_when_memory_lacks(kernel: Kernel, root_image: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    subprocess.run(["mke2fs", "-q", "-t", "ext2", "-b", "1024", str(disk), "8M"], check=True)
    machine = Machine(disks=(Disk(disk, DiskMode.WRITE),))
    with Guest(kernel.boot(_image(root_image, tmp_path), "quiet"), machine) as guest:
        guest.expect_prompt(60)
        guest.check("mount -t ext2 /dev/vda /mnt")
        output = guest.check("short_memory disk", 120)
        found = re.search(r"^disk: (\d+) places, (\d+) killed", output, re.MULTILINE)
        assert found and int(found[1]) > 100, output
        guest.check("umount /mnt")
        assert "could be freed" not in guest.check("dmesg"), "blocks or inodes were given up"
    checked = subprocess.run(["e2fsck", "-fn", str(disk)], check=False, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("block_size", [1024, 4096])
def test_a_disk_stays_whole_when_memory_lacks(
    kernel: Kernel, root_image: Path, tmp_path: Path, block_size: int
) -> None:
    disk = tmp_path / "disk"
    subprocess.run(["mke2fs", "-q", "-t", "ext2", "-b", str(block_size), str(disk), "8M"], check=True)
    machine = Machine(disks=(Disk(disk, DiskMode.WRITE),))
    with Guest(kernel.boot(_image(root_image, tmp_path), "quiet"), machine) as guest:
        guest.expect_prompt(60)
        guest.check("mount -t ext2 /dev/vda /mnt")
        output = guest.check("short_memory whole_disk", 120)
        print(output)
        found = re.search(r"^whole_disk: (\d+) places, (\d+) killed", output, re.MULTILINE)
        assert found and int(found[1]) > 500, output
        guest.check("umount /mnt")
        assert "could be freed" not in guest.check("dmesg"), "blocks or inodes were given up"
    checked = subprocess.run(["e2fsck", "-fn", str(disk)], check=False, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


def test_the_nth_allocation_fails(kernel: Kernel, root_image: Path, tmp_path: Path) -> None:
    with Guest(kernel.boot(_image(root_image, tmp_path), "quiet"), Machine()) as guest:
        guest.expect_prompt(60)
        guest.check("ifconfig lo up")
        for name in PROGRAMS:
            guest.check(f"short_memory {name}", 60)
            output = guest.check(f"short_memory {name}", 60)
            print(output, end="")
            found = re.search(rf"^{name}: (\d+) places, (\d+) killed, objects (-?\d+)", output, re.MULTILINE)
            assert found and int(found[1]) > 10, output
            if "Traceback" in guest.log:
                guest.fail(f"{name}: the kernel trapped")
            # Namespaces have tables that shrink and grow between rounds: in hundreds of places they may differ by more.
            assert int(found[3]) < max(MOST_OBJECTS, int(found[1]) // 2), output
