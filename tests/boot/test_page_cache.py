"""The page cache in a guest: files larger than memory, bad sectors, partitions, races for names."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import pytest

from tests.harness import LINUX, Guest, Kernel, compile_program
from tests.harness.guest import PATIENCE
from tests.harness.kernels import add_modules
from tools.cpio import Archive, extend
from tools.machine import Disk, DiskMode, Machine
from tools.paths import ROOT

pytestmark = pytest.mark.timeout(int(240 * PATIENCE))

MIB = 1 << 20


def empty_image(path: Path, mib: int) -> Path:
    with path.open("wb") as image:
        image.truncate(mib * MIB)
    return path


def ext2_image(path: Path, mib: int) -> Path:
    subprocess.run(["mke2fs", "-q", "-F", "-t", "ext2", str(empty_image(path, mib))], check=True, capture_output=True)
    return path


def test_a_file_larger_than_memory(kernel: Kernel, root_image: Path, tmp_path: Path) -> None:
    """200 MB on ext2 in a machine of 64 MiB: written, read, mapped, changed through the mapping."""
    image = ext2_image(tmp_path / "disk", 256)
    overlay = Archive()
    overlay.file("large_file", compile_program(ROOT / "tests" / "boot" / "large_file.c").read_bytes(), 0o755)
    if kernel is LINUX:
        add_modules(overlay)
    initrd = tmp_path / "initrd"
    initrd.write_bytes(extend(root_image.read_bytes(), overlay))
    disks = (Disk(image, DiskMode.WRITE),)
    with Guest(kernel.boot(initrd), Machine(memory="64M", disks=disks)) as guest:
        guest.expect_prompt(30)
        guest.check("mount -t ext2 /dev/vda /mnt")
        answer = guest.check("/large_file /mnt/file 200", 100)
        assert answer.split() == ["written", "read", "mapped", "changed"]
        guest.check("umount /mnt", 30)
    assert subprocess.run(["e2fsck", "-fn", str(image)], capture_output=True).returncode == 0


def test_a_sector_that_cannot_be_written(kernel: Kernel, root_image: Path, tmp_path: Path) -> None:
    """fsync tells of it, once; the rest of the disk is as good as before."""
    image = empty_image(tmp_path / "disk", 16)
    rules = tmp_path / "rules.conf"
    rules.write_text('[inject-error]\nevent = "write_aio"\nerrno = "5"\nsector = "8192"\n')
    extra = (
        "-blockdev", f"driver=file,filename={image},node-name=file0",
        "-blockdev", f"driver=blkdebug,image=file0,config={rules},node-name=bad0",
        "-blockdev", "driver=raw,file=bad0,node-name=raw0",
        "-device", "virtio-blk-pci,drive=raw0,werror=report,rerror=report",
    )  # fmt: skip
    with Guest(kernel.boot(root_image), Machine(extra=extra)) as guest:
        guest.expect_prompt(30)
        answer = guest.run("dd if=/bin/busybox of=/dev/vda bs=4096 seek=1024 count=1 conv=fsync")
        assert "I/O error" in answer or "Input/output error" in answer
        guest.check("dd if=/bin/busybox of=/dev/vda bs=4096 seek=1032 count=8 conv=fsync")
        guest.check("dd if=/bin/busybox of=/dev/vda bs=4096 count=8 conv=fsync")
        guest.check("sync")
    written = image.read_bytes()
    assert written[: 8 * 4096] == written[1032 * 4096 : 1040 * 4096] != bytes(8 * 4096)


def test_partitions(kernel: Kernel, root_image: Path, tmp_path: Path) -> None:
    """A disk's partitions are devices of their own, with caches of their own, found at boot and after fdisk."""
    image = empty_image(tmp_path / "disk", 16)
    data = bytearray(image.read_bytes())
    for i, (kind, start, length) in enumerate([(0x83, 2048, 4096), (0x05, 8192, 8192)]):
        struct.pack_into("<B3xB3xII", data, 446 + 16 * i, 0, kind, start, length)
    struct.pack_into("<B3xB3xII", data, 8192 * 512 + 446, 0, 0x83, 64, 1000)
    data[510:512] = data[8192 * 512 + 510 : 8192 * 512 + 512] = b"\x55\xaa"
    data[(8192 + 64) * 512 : (8192 + 64) * 512 + 5] = b"fifth"
    image.write_bytes(data)
    with Guest(kernel.boot(root_image), Machine(disks=(Disk(image, DiskMode.WRITE),))) as guest:
        guest.expect_prompt(30)
        listed = [line.split()[-2:] for line in guest.check("cat /proc/partitions").splitlines()]
        for size, name in (("16384", "vda"), ("2048", "vda1"), ("1", "vda2"), ("500", "vda5")):
            assert [size, name] in listed
        assert guest.check("head -c 5 /dev/vda5").strip() == "fifth"
        assert guest.check("cat /sys/block/vda/vda5/start").strip() == "8256"
        assert guest.check("cat /sys/class/block/vda1/size").strip() == "4096"
        guest.check("printf first | dd of=/dev/vda1 conv=fsync")
        assert guest.check("dd if=/dev/vda bs=1M skip=1 | head -c 5").startswith("first")
        guest.check("mke2fs /dev/vda1 && mount -t ext2 /dev/vda1 /mnt && echo text > /mnt/file && umount /mnt")
        guest.run(r"printf 'd\n2\nw\n' | fdisk /dev/vda", 20)
        assert "vda5" not in guest.check("cat /proc/partitions")
        guest.check("mount -t ext2 /dev/vda1 /mnt && grep text /mnt/file")
        assert "busy" in guest.run("blockdev --rereadpt /dev/vda")
        guest.check("umount /mnt && blockdev --rereadpt /dev/vda")


def test_races_for_names(kernel: Kernel, root_image: Path, tmp_path: Path) -> None:
    """Many processes make, move and remove the same few names on a disk: each name is right afterwards."""
    image = ext2_image(tmp_path / "disk", 16)
    with Guest(kernel.boot(root_image), Machine(disks=(Disk(image, DiskMode.WRITE),))) as guest:
        guest.expect_prompt(30)
        guest.check("mount -t ext2 /dev/vda /mnt && cd /mnt && mkdir a b")
        worker = (
            "race() { i=0; while [ $i -lt 60 ]; do i=$((i + 1)); mkdir a/d; echo $1 > a/f; mv -f a/f b/f; "
            "mv -f a/d b/d; ln b/f a/l; rm a/l; rmdir b/d; rm b/f; sync; done < /dev/null 2> /dev/null; }"
        )
        guest.check(worker)
        guest.check("echo 3 > /proc/sys/vm/drop_caches; (race 1 & race 2 & race 3 & race 4 & wait)", 90)
        guest.check("rm -rf a/* b/*; rmdir a b && ls")
        guest.check("cd / && umount /mnt")
    found = subprocess.run(["e2fsck", "-fn", str(image)], capture_output=True, text=True)
    assert found.returncode == 0, found.stdout
