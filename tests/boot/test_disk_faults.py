"""Reads, writes and flushes that fail: the caller gets EIO, nothing else is harmed, and programs see what they see on
Linux with the same disk.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.boot.faulty_disk import FaultyDisk, debugfs
from tests.harness import LINUX, Guest, Kernel, compile_program
from tests.harness.guest import PATIENCE
from tests.harness.kept import kept_answer
from tests.harness.kernels import add_modules
from tools.cpio import Archive, extend
from tools.machine import Disk, DiskMode, Machine
from tools.oracle import fetch_oracle
from tools.paths import ROOT
from userland.image import root_archive

pytestmark = pytest.mark.timeout(int(240 * PATIENCE))

MIB = 1 << 20
PROGRAM = ROOT / "tests" / "boot" / "disk_faults.c"


def make_image(path: Path, tree: Path) -> Path:
    """A disk with the files that the program uses. Linux reads 32 blocks of the inode table at once (512 inodes), or if
    one is bad perhaps none of them. /far/lonely's lies after that.
    """
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
    names = [f"/far/{i}" for i in range(540)] + ["/far/lonely"] + [f"/far/z{i}" for i in range(20)]
    script = "mkdir /far\n" + "".join(f"write /dev/null {name}\n" for name in names)
    subprocess.run(["debugfs", "-w", "-f", "-", str(path)], input=script, text=True, check=True, capture_output=True)
    number = re.search(r"Inode: (\d+)", debugfs(path, "stat /far/lonely"))
    assert number is not None and int(number[1]) > 512 + 16
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

    def answer() -> str:
        tmp_path.mkdir()
        return answers(LINUX, root_image, tmp_path)[0]

    return kept_answer("disk-faults", [path.read_bytes() for path in texts], answer)


def test_programs_see_what_they_see_on_linux(kernel: Kernel, root_image: Path, tmp_path: Path) -> None:
    told, disk = answers(kernel, root_image, tmp_path)
    assert told == linux_answers(root_image, tmp_path / "linux")
    checked = subprocess.run(["e2fsck", "-fn", str(disk.image)], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


def bad_from_the_start(image: Path, sector: int) -> tuple[str, ...]:
    """QEMU's arguments for a disk of which a sector can never be read."""
    rule = f"inject-error.0.event=none,inject-error.0.iotype=read,inject-error.0.sector={sector}"
    return (
        "-blockdev", f"driver=file,filename={image},node-name=file0",
        "-blockdev", f"driver=blkdebug,image=file0,node-name=bad0,{rule}",
        "-device", "virtio-blk-pci,drive=bad0,werror=report,rerror=report",
    )  # fmt: skip


def test_a_partition_table_that_cannot_be_read(kernel: Kernel, root_image: Path, tmp_path: Path) -> None:
    image = make_image(tmp_path / "disk", tmp_path / "tree")
    with Guest(kernel.boot(root_image), Machine(extra=bad_from_the_start(image, 0))) as guest:
        guest.expect_prompt(30)
        names = [line.split()[-1] for line in guest.check("cat /proc/partitions").splitlines()[2:]]
        assert [name for name in names if name.startswith("vd")] == ["vda"]
        assert "I/O error" in guest.run("head -c 1 /dev/vda")
        guest.check("dd if=/dev/vda of=/dev/null bs=4k skip=1 count=100")


def test_a_root_that_cannot_be_read(kernel: Kernel, tmp_path: Path) -> None:
    image = make_image(tmp_path / "disk", tmp_path / "tree")
    machine = Machine(extra=bad_from_the_start(image, 2))
    with Guest(kernel.boot(None, "root=/dev/vda rw"), machine, may_trap=True) as guest:
        guest.expect(r"root: vda cannot be mounted: the disk cannot be read", 30)


def test_a_disk_vanishes(kernel: Kernel, root_image: Path, tmp_path: Path) -> None:
    """Pulled out while it is mounted and written to: EIO for whoever needs it, and everything else goes on."""
    image = make_image(tmp_path / "disk", tmp_path / "tree")
    other = make_image(tmp_path / "other", tmp_path / "tree2")
    disks = (Disk(image, DiskMode.WRITE), Disk(other, DiskMode.WRITE))
    with Guest(kernel.boot(root_image), Machine(disks=disks)) as guest:
        guest.expect_prompt(30)
        guest.check("mkdir -p /a /b; mount -t ext2 /dev/vda /a && mount -t ext2 /dev/vdb /b; cat /a/script; cd /a")
        turn = "i=$((i + 1)); echo $i > /turn; cp program p$i; rm p$((i - 3))"
        guest.run(f"write() {{ i=0; while [ $i -lt 99 ]; do {turn}; done; }}")
        guest.run("write > /dev/null 2>&1 &")
        guest.check("until test \"$(cat /turn)\" -gt 2; do :; done 2> /dev/null")
        guest.monitor("drive_del disk0")
        assert "I/O error" in guest.run("sleep 1; dd if=/b/program of=/a/new bs=64k count=4 conv=fsync", 30)
        assert "I/O error" in guest.run("echo 3 > /proc/sys/vm/drop_caches; cat /a/file > /dev/null", 30)
        guest.run("echo more >> /a/target; mkdir /a/d; ls /a > /dev/null; mv /a/script /a/d; sync", 60)
        guest.check("cat /a/script || true; cp /b/file /b/copy && sync /b/copy && cmp /b/file /b/copy", 30)
        guest.run("wait; cd /", 60)
        guest.check("umount /a", 30)
        assert "I/O error" in guest.run("mount -t ext2 /dev/vda /a || dd if=/dev/vda of=/dev/null bs=4k count=1")
        guest.check("umount /b && echo fine")
    checked = subprocess.run(["e2fsck", "-fn", str(other)], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


SLOW = "slow"  # QEMU's name of such a disk


def slow_disk(tmp_path: Path, mib: int) -> tuple[str, ...]:
    """QEMU's arguments for a disk of 40 requests and 2 MiB a second, with a file system."""
    image = tmp_path / "disk"
    with image.open("wb") as disk:
        disk.truncate(mib * MIB)
    subprocess.run(["mke2fs", "-q", "-F", "-t", "ext2", str(image)], check=True, capture_output=True)
    return (
        "-drive", f"if=none,id={SLOW},file={image},format=raw,throttling.iops-total=40,throttling.bps-total={2 * MIB}",
        "-device", f"virtio-blk-pci,drive={SLOW}",
    )  # fmt: skip


def test_a_disk_that_is_synced_is_not_busy(kernel: Kernel, root_image: Path, tmp_path: Path) -> None:
    """Unmounting waits for whoever writes the file system out, be it sync(2) or the kernel itself."""
    with Guest(kernel.boot(root_image, "quiet"), Machine(extra=slow_disk(tmp_path, 16))) as guest:
        guest.expect_prompt(30)
        guest.check("mount -t ext2 /dev/vda /mnt; head -c 4000000 /dev/zero > /mnt/file")
        is_writing = "grep -q 'State:.D' /proc/$!/status || ! kill -0 $!"
        guest.check(f"sync & until {is_writing}; do :; done; umount /mnt", 60)


def test_a_slow_disk_keeps_the_shell_quick(kernel: Kernel, root_image: Path, tmp_path: Path) -> None:
    """A program writes more than memory holds while the disk takes nothing at all: it waits, others do not."""
    with Guest(kernel.boot(root_image, "quiet"), Machine(memory="128M", extra=slow_disk(tmp_path, 256))) as guest:
        guest.expect_prompt(30)
        guest.check("mount -t ext2 /dev/vda /mnt; echo small > /mnt/small; sync", 60)
        guest.run("dd if=/dev/zero of=/mnt/large bs=64k count=3000 2> /dev/null &")
        guest.check("until test -s /mnt/large; do :; done")
        guest.monitor(f"block_set_io_throttle {SLOW} 1 0 0 0 0 0")  # one byte a second: nothing comes of any request
        guest.check("until grep -q 'State:.D' /proc/$!/status; do :; done", 60)
        for turn in range(10):
            guest.check(f"echo {turn} > /tmp/file; cat /mnt/small /tmp/file; ls / /mnt; ps > /dev/null; free")
        guest.check("grep 'State:.D' /proc/$!/status")
        guest.monitor(f"block_set_io_throttle {SLOW} 0 0 0 0 0 0")
        guest.check("kill %1; cat /mnt/small")


def with_program(root_image: Path, tmp_path: Path, name: str) -> Path:
    """The root image with one of the programs beside this file."""
    overlay = Archive()
    overlay.file(name, compile_program(PROGRAM.with_name(f"{name}.c")).read_bytes(), 0o755)
    initrd = tmp_path / "initrd"
    initrd.write_bytes(extend(root_image.read_bytes(), overlay))
    return initrd


@pytest.mark.parametrize("block_size", [1024, 4096])
def test_a_full_disk_with_many_writers(kernel: Kernel, root_image: Path, tmp_path: Path, block_size: int) -> None:
    image = tmp_path / "disk"
    with image.open("wb") as disk:
        disk.truncate(12 * MIB)
    command = ["mke2fs", "-q", "-F", "-t", "ext2", "-b", str(block_size), "-N", "400", str(image)]
    subprocess.run(command, check=True, capture_output=True)
    machine = Machine(memory="64M", disks=(Disk(image, DiskMode.WRITE),))
    with Guest(kernel.boot(with_program(root_image, tmp_path, "full_disk")), machine) as guest:
        guest.expect_prompt(30)
        assert "full and sound" in guest.check("mount -t ext2 /dev/vda /mnt && /full_disk /mnt", 60)
        guest.check("umount /mnt", 30)
    checked = subprocess.run(["e2fsck", "-fn", str(image)], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


def test_random_commands_to_loop_devices(kernel: Kernel, root_image: Path, tmp_path: Path) -> None:
    """KRAIT_LOOP_SECONDS says for how long, 3 unless set."""
    seconds = int(os.environ.get("KRAIT_LOOP_SECONDS", "3"))
    seed = int(os.environ.get("KRAIT_SEED", "1"))
    with Guest(kernel.boot(with_program(root_image, tmp_path, "loop_fuzz"), "quiet loglevel=1")) as guest:
        guest.expect_prompt(30)
        guest.check(f"/loop_fuzz {seed} {seconds}", seconds + 30)
        guest.run_until("losetup -a | grep . || echo all are fr''ee", "all are free")
        guest.check("echo text > /tmp/file; losetup $(losetup -f) /tmp/file && losetup -a")
