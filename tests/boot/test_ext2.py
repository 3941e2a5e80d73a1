"""ext2 in a guest: what it writes pleases e2fsck and debugfs; a root file system on a disk."""

from __future__ import annotations

import random
import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from tests.harness import KRAIT, LINUX, Guest, Kernel
from tests.harness.guest import PATIENCE, GuestError
from tests.harness.kernels import add_modules
from tools.cpio import Archive, extend
from tools.machine import Disk, DiskMode, Machine
from tools.oracle import fetch_oracle
from userland.image import root_archive

pytestmark = pytest.mark.timeout(int(240 * PATIENCE))

MIB = 1 << 20


def make_disk(path: Path, size_mib: int, *options: str) -> Path:
    with path.open("wb") as image:
        image.truncate(size_mib * MIB)
    subprocess.run(["mke2fs", "-q", "-F", *options, str(path)], check=True, capture_output=True)
    return path


def problems(image: Path) -> str:
    """What e2fsck finds, without changing anything; an empty text if it is content."""
    result = subprocess.run(["e2fsck", "-fn", str(image)], capture_output=True, text=True)
    return "" if result.returncode == 0 else result.stdout + result.stderr


def on_disk(image: Path, name: str) -> bytes:
    return subprocess.run(["debugfs", "-R", f"cat {name}", str(image)], capture_output=True, check=True).stdout


def guest_with(kernel: Kernel, initrd: Path | None, image: Path, parameters: str = "", memory: str = "256M") -> Guest:
    return Guest(kernel.boot(initrd, parameters), Machine(memory=memory, disks=(Disk(image, DiskMode.WRITE),)))


@pytest.mark.parametrize("block_size", [1024, 4096])
def test_files_are_on_the_disk(kernel: Kernel, root_image: Path, tmp_path: Path, block_size: int) -> None:
    image = make_disk(tmp_path / "disk", 32, "-t", "ext2", "-b", str(block_size))
    with guest_with(kernel, root_image, image) as guest:
        guest.expect_prompt(30)
        guest.check("mount -t ext2 /dev/vda /mnt && cd /mnt")
        guest.check("mkdir -p a/b/c && cp /bin/busybox a/b/c/busybox && ln a/b/c/busybox hard && ln -s a/b symbolic")
        guest.check("mknod null c 1 3 && mkfifo fifo && echo text > a/text")
        guest.check("chown 70000:5 a/text && chmod 4751 a/text")
        guest.check("dd if=/bin/busybox of=sparse bs=1k count=8 seek=9000 && mv a/b moved && rmdir moved/c || true")
        guest.check("cmp hard moved/c/busybox && /mnt/moved/c/busybox true && rm hard")
        guest.check("cd / && umount /mnt")
        assert problems(image) == ""
        assert on_disk(image, "moved/c/busybox") == (root_archive().entries["bin/busybox"].data)
        assert on_disk(image, "a/text") == b"text\n"
        guest.check("mount -t ext2 -o ro /dev/vda /mnt")
        assert guest.check("stat -c '%a %u %g %F' /mnt/a/text").split(maxsplit=3)[:3] == ["4751", "70000", "5"]
        assert "No space" not in guest.check("df /mnt")
        assert guest.run("touch /mnt/new").strip().endswith("Read-only file system")


def test_five_thousand_files(kernel: Kernel, root_image: Path, tmp_path: Path) -> None:
    image = make_disk(tmp_path / "disk", 64, "-t", "ext2")
    with guest_with(kernel, root_image, image) as guest:
        guest.expect_prompt(30)
        guest.check("mount -t ext2 /dev/vda /mnt && cd /mnt && mkdir src out")
        guest.check(
            "for d in $(seq 50); do mkdir src/$d; for f in $(seq 100); do echo file $d $f > src/$d/$f; done; done", 120
        )
        guest.check("tar cf all.tar src && tar xf all.tar -C out && diff -r src out/src", 120)
        assert guest.check("find out -type f | wc -l", 60).strip() == "5000"
        guest.check("rm -r src && cd / && umount /mnt", 120)
    assert problems(image) == ""
    assert on_disk(image, "out/src/50/100") == b"file 50 100\n"


def test_ext4_is_read(kernel: Kernel, root_image: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "large").write_bytes(random.Random(2).randbytes(3 * MIB))
    for number in range(300):
        (tree / f"name {number}").write_text(str(number))
    image = make_disk(tmp_path / "disk", 32, "-t", "ext4", "-d", str(tree))
    with guest_with(kernel, root_image, image) as guest:
        guest.expect_prompt(30)
        assert "Read-only" in guest.run("mount -t ext4 -o rw /dev/vda /mnt; echo") or "read-only" in guest.run("dmesg")
        guest.run("mountpoint -q /mnt || mount -t ext4 -o ro /dev/vda /mnt")
        digest = subprocess.run(["md5sum", str(tree / "large")], capture_output=True, text=True).stdout.split()[0]
        assert guest.check("md5sum /mnt/large").split()[0] == digest
        assert guest.check("cat '/mnt/name 77'; ls /mnt | wc -l") == "77302\n"


def disk_root(tmp_path: Path) -> Path:
    """A directory that holds a root file system, with a first program that tells of it and switches the machine off."""
    tree = tmp_path / "root"
    for name in ("bin", "dev", "proc", "sys"):
        (tree / name).mkdir(parents=True)
    busybox = tree / "bin" / "busybox"
    busybox.write_bytes(root_archive().entries["bin/busybox"].data)
    busybox.chmod(0o755)
    first = tree / "first"
    first.write_text(
        "#!/bin/busybox sh\nb=/bin/busybox\n$b mount -t proc proc /proc\n$b grep ' / ' /proc/mounts\n"
        "echo hello > /written && echo written\n$b umount -a -r\n$b poweroff -f\n"
    )
    first.chmod(0o755)
    return tree


@pytest.mark.parametrize(
    ("name", "mode", "line"),
    [
        ("/dev/vda", "rw", r"/dev/\S+ / ext2 rw"),
        ("LABEL=roots", "ro", r"/dev/\S+ / ext2 ro"),
        ("UUID=0123ABCD-89ab-cdef-0123-456789abcdef", "rw rootwait rootfstype=ext2", r"/dev/\S+ / ext2 rw"),
    ],
)
def test_root_on_a_disk(kernel: Kernel, tmp_path: Path, name: str, mode: str, line: str) -> None:
    uuid = "0123abcd-89ab-cdef-0123-456789abcdef"
    image = make_disk(
        tmp_path / "disk", 16, "-t", "ext2", "-L", "roots", "-U", uuid, "-d", str(disk_root(tmp_path))
    )
    with guest_with(kernel, None, image, f"root={name} {mode} init=/first") as guest:
        guest.expect(line, 30)
        if mode.startswith("rw"):
            guest.expect("written", 10)
        guest.wait_exit(30)
    assert problems(image) == ""
    state = subprocess.run(["dumpe2fs", "-h", str(image)], capture_output=True, text=True, check=True).stdout
    assert re.search(r"Filesystem state: +clean\n", state)
    if mode.startswith("rw"):
        assert on_disk(image, "/written") == b"hello\n"


def test_root_on_a_partition(kernel: Kernel, tmp_path: Path) -> None:
    part = make_disk(tmp_path / "part", 16, "-t", "ext2", "-d", str(disk_root(tmp_path)))
    image = tmp_path / "disk"
    with image.open("wb") as disk:
        disk.truncate(20 * MIB)
        disk.seek(MIB)
        with part.open("rb") as source:
            shutil.copyfileobj(source, disk)
        # An MBR with one partition of Linux's type, without addresses by cylinder.
        disk.seek(446)
        disk.write(struct.pack("<B3sB3sII", 0, bytes(3), 0x83, bytes(3), 2048, 32768) + bytes(48) + b"\x55\xaa")
    with guest_with(kernel, None, image, "root=/dev/vda1 rw init=/first") as guest:
        guest.expect(r"/dev/\S+ / ext2 rw", 30)
        guest.expect("written", 10)
        guest.wait_exit(30)


def test_no_such_root(kernel: Kernel, tmp_path: Path) -> None:
    image = make_disk(tmp_path / "disk", 4, "-t", "ext2")
    disks = (Disk(image, DiskMode.WRITE),)
    with Guest(kernel.boot(None, "root=/dev/sda9 rw"), Machine(disks=disks), may_trap=True) as guest:
        guest.expect(r"root=/dev/sda9: there is no such device. There are: vda \(4 MiB\)", 30)


def test_a_root_that_is_waited_for(kernel: Kernel, tmp_path: Path) -> None:
    """Nothing brings it, but the kernel neither gives up nor does something else."""
    image = make_disk(tmp_path / "disk", 4, "-t", "ext2")
    with guest_with(kernel, None, image, "root=LABEL=late rw rootwait") as guest:
        guest.expect(r"Waiting for root device LABEL=late", 30)
        with pytest.raises(GuestError):
            guest.expect(r"panic|Traceback|root: ", 1)
        guest.monitor("info status")


def test_a_root_that_is_waited_for_in_vain(kernel: Kernel, tmp_path: Path) -> None:
    image = make_disk(tmp_path / "disk", 4, "-t", "ext2")
    disks = (Disk(image, DiskMode.WRITE),)
    with Guest(kernel.boot(None, "root=LABEL=typo rw rootwait=1"), Machine(disks=disks), may_trap=True) as guest:
        guest.expect(r"root=LABEL=typo: there is no such device. There are: vda \(4 MiB\)", 30)


MAKE = (
    "cd /mnt && mkdir -p $name/deep/er && for i in 1 2 3 4 5 6 7 8 9; do "
    "head -c $((i * 37777)) /dev/urandom > $name/random$i; ln $name/random$i $name/deep/hard$i; "
    "ln -s ../random$i $name/deep/er/link$i; done && mknod $name/node c 4 65 && chmod 4711 $name/random1 && "
    "for i in $(seq 200); do echo $i > $name/deep/er/small$i; done && "
    "find $name -type f | sort | xargs sha1sum > $name.sums && rm $name/random9 && cd / && sync"
)
CHECK = (
    "cd /mnt && grep -v random9 $name.sums | sha1sum -c | grep -vc OK; test -c $name/node && "
    "test $(readlink $name/deep/er/link3) = ../random3 && test $(stat -c %a:%h $name/random1) = 4711:2 && "
    "test $(ls $name/deep/er | wc -l) = 209 && ls --color=never $name; cd /"
)


@pytest.mark.parametrize("block_size", [1024, 4096])
def test_linux_and_krait_share_a_disk(root_image: Path, tmp_path: Path, block_size: int) -> None:
    fetch_oracle()
    for kernel in (KRAIT, LINUX):
        overlay = Archive()
        overlay.file("make", MAKE.encode())
        overlay.file("check", CHECK.encode())
        if kernel is LINUX:
            add_modules(overlay)
        (tmp_path / kernel.name).write_bytes(extend(root_image.read_bytes(), overlay))
    image = make_disk(tmp_path / "disk", 32, "-t", "ext2", "-b", str(block_size))
    for writer, reader in ((KRAIT, LINUX), (LINUX, KRAIT)):
        for kernel, script in ((writer, "make"), (reader, "check")):
            with guest_with(kernel, tmp_path / kernel.name, image) as guest:
                guest.expect_prompt(60)
                guest.check("mount -t ext2 /dev/vda /mnt")
                printed = guest.check(f"name={writer.name} sh /{script}", 60)
                guest.check("umount /mnt", 30)
            assert problems(image) == "", kernel.name
        # grep counts the files whose checksums are wrong.
        assert sorted(printed.split()) == ["0", "deep", "node", *(f"random{number}" for number in range(1, 9))]
