"""ext4 with checksums of metadata that are wrong (metadata_csum): each kernel refuses what the other one refuses."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.boot.faulty_disk import debugfs
from tests.boot.test_disk_twins import require_equal
from tests.boot.test_ext2 import make_disk
from tests.harness import KRAIT, LINUX, Guest, Kernel
from tests.harness.guest import PATIENCE
from tests.harness.kernels import add_modules
from tools.cpio import Archive, extend
from tools.machine import Disk, DiskMode, Machine
from tools.oracle import fetch_oracle

pytestmark = pytest.mark.timeout(int(240 * PATIENCE))

BLOCK = 1024
LOOK = """mount -t ext4 -o ro $1 /mnt || exit 0
cd /mnt
for name in . one many plain; do ls $name > /tmp/out; echo "$name: $? $(wc -l < /tmp/out)"; done
stat -c '%n %s' file one/a many/1 plain/entry1 plain/entry50 2>&1
cat file | md5sum; cat pieces | md5sum; cat one/a many/1; readlink long; readlink short
getfattr -d inside 2>&1; getfattr -d outside 2>&1
stat -f -c 'blocks %b' . ; cd /; umount /mnt
"""


def fill(tree: Path) -> None:
    for name in ("one", "many"):
        (tree / name).mkdir(parents=True)
    for name in ("a", "b", "c"):
        (tree / "one" / name).write_text(f"{name}\n")
    for number in range(150):
        (tree / "many" / str(number)).write_text(f"{number}\n")
    (tree / "file").write_bytes(b"text" * 5000)
    with (tree / "pieces").open("wb") as file:
        for number in range(40):  # more extents than the inode has room for
            file.seek(number * 4096)
            file.write(b"piece")
    (tree / "long").symlink_to("x" * 200)
    (tree / "short").symlink_to("file")
    (tree / "inside").write_bytes(b"")
    (tree / "outside").write_bytes(b"")


def block_of(disk: Path, name: str, index: int) -> int:
    return int(debugfs(disk, f"bmap {name} {index}")) * BLOCK


def inode_of(disk: Path, name: str) -> int:
    place = re.search(r"block (\d+), offset 0x([0-9a-f]+)", debugfs(disk, f"imap {name}"))
    assert place is not None
    return int(place[1]) * BLOCK + int(place[2], 16)


def found(disk: Path, command: str, pattern: str) -> int:
    match = re.search(pattern, debugfs(disk, command))
    assert match is not None, debugfs(disk, command)
    return int(match[1]) * BLOCK


# Where a byte is changed that nothing but the checksum depends on.
PLACES: dict[str, Callable[[Path], int]] = {
    "nothing": lambda disk: 0,
    "super block": lambda disk: 1024 + 0x3A0,
    "descriptor": lambda disk: 2 * BLOCK + 0x1E,
    "block bitmap": lambda disk: found(disk, "stats", r"block bitmap at (\d+)") + 1000,
    "inode bitmap": lambda disk: found(disk, "stats", r"inode bitmap at (\d+)") + 20,
    "inode of a file": lambda disk: inode_of(disk, "file") + 0x7C,
    "inode of a directory": lambda disk: inode_of(disk, "one") + 0x7C,
    "inode of a link": lambda disk: inode_of(disk, "short") + 0x7C,
    "inode of the root": lambda disk: inode_of(disk, "/") + 0x7C,
    "directory of one block": lambda disk: block_of(disk, "one", 0) + BLOCK - 4,
    "root directory": lambda disk: block_of(disk, "/", 0) + BLOCK - 4,
    "root of a hash tree": lambda disk: block_of(disk, "many", 0) + BLOCK - 4,
    "leaf of a hash tree": lambda disk: block_of(disk, "many", 2) + BLOCK - 4,
    "first block without a tree": lambda disk: block_of(disk, "plain", 0) + BLOCK - 4,
    "block without a tree": lambda disk: block_of(disk, "plain", 1) + BLOCK - 4,
    "extents": lambda disk: found(disk, "stat pieces", r"\(ETB0\):(\d+)") + BLOCK - 4,
    "attributes": lambda disk: found(disk, "stat outside", r"File ACL: (\d+)") + 16,
}


def damaged_disks(tmp_path: Path) -> dict[str, Path]:
    fill(tmp_path / "tree")
    features = ("-O", "^has_journal", "-b", str(BLOCK), "-N", "512", "-g", "4096")
    sound = make_disk(tmp_path / "sound", 4, "-t", "ext4", *features, "-d", str(tmp_path / "tree"))
    subprocess.run(["e2fsck", "-fyD", sound], capture_output=True)
    script = f"ea_set inside user.name small\nea_set outside user.name {'v' * 600}\nmkdir plain\n"
    script += "".join(f"write /dev/null plain/entry{i}\n" for i in range(120))
    subprocess.run(["debugfs", "-w", "-f", "-", sound], input=script.encode(), check=True, capture_output=True)
    disks = {}
    for number, (name, place) in enumerate(PLACES.items()):
        disks[name] = tmp_path / f"disk{number}"
        image = bytearray(sound.read_bytes())
        image[place(sound)] ^= 0x55 if place(sound) > 0 else 0
        disks[name].write_bytes(image)
    return disks


def seen(kernel: Kernel, root_image: Path, tmp_path: Path, disks: dict[str, Path]) -> str:
    overlay = Archive()
    overlay.file("look", LOOK.encode())
    if kernel is LINUX:
        add_modules(overlay)
    initrd = tmp_path / f"{kernel.name}.initrd"
    initrd.write_bytes(extend(root_image.read_bytes(), overlay))
    printed = ""
    machine = Machine(memory="256M", disks=tuple(Disk(disk, DiskMode.SNAPSHOT) for disk in disks.values()))
    with Guest(kernel.boot(initrd, "quiet loglevel=1"), machine) as guest:
        guest.expect_prompt(60)
        for letter, name in zip("abcdefghijklmnopqrstuvwxyz", disks, strict=False):
            printed += f"-- {name}\n" + guest.run(f"sh /look /dev/vd{letter} 2>&1; cd /; umount /mnt 2> /dev/null", 30)
    return re.sub(r"/dev/vd.", "DISK", printed)


def test_wrong_checksums(root_image: Path, tmp_path: Path) -> None:
    fetch_oracle()
    disks = damaged_disks(tmp_path)
    answers = [seen(kernel, root_image, tmp_path, disks) for kernel in (LINUX, KRAIT)]
    # Of a hash tree Linux lists what lies in front of the leaf, Krait also what lies after it.
    of_linux, of_krait = (re.sub(r"(leaf of(?:.*\r?\n){3}many: 0) \d+", r"\1", answer) for answer in answers)
    require_equal(of_linux, of_krait)
