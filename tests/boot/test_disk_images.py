"""`krait run DISK`: the root file system is found on disks with partitions, raw and qcow2."""

from __future__ import annotations

import struct
import subprocess
import uuid
from pathlib import Path

import pytest

from tests.boot.test_front_end import run
from tests.harness import Kernel
from tests.harness.guest import PATIENCE
from tests.unit.tools.test_disks import qcow2
from tools.gpt import LINUX_ROOT_X86_64, SECTOR, Partition, write_table

pytestmark = pytest.mark.timeout(int(120 * PATIENCE))

LINUX_DATA = uuid.UUID("0fc63daf-8483-4772-8e79-3d69d8477de4")
MIB = 1 << 20


def file_system(path: Path, note: str, size: int) -> bytes:
    """An ext2 file system with a shell, and a note that tells it from others."""
    from userland.busybox import build_busybox

    root = path / note
    (root / "bin").mkdir(parents=True)
    for name in ("sh", "cat"):
        (root / "bin" / name).write_bytes((build_busybox() / "busybox").read_bytes())
        (root / "bin" / name).chmod(0o755)
    (root / "note").write_text(f"{note}\n")
    disk = path / f"{note}.ext2"
    subprocess.run(["mke2fs", "-q", "-t", "ext2", "-d", str(root), str(disk), str(size >> 10)], check=True)
    return disk.read_bytes()


def with_partitions(path: Path, parts: list[tuple[uuid.UUID, bytes]]) -> bytes:
    """A disk with a GPT."""
    partitions, first = [], 2048
    for kind, contents in parts:
        partitions.append(Partition(kind, first, len(contents) // SECTOR, "part"))
        first += len(contents) // SECTOR
    with path.open("w+b") as disk:
        disk.truncate((first + 2048) * SECTOR)
        write_table(disk, first + 2048, partitions)
        for partition, (_, contents) in zip(partitions, parts, strict=True):
            disk.seek(partition.offset)
            disk.write(contents)
    return path.read_bytes()


def note_of(kernel: Kernel, disk: Path) -> str:
    return run(kernel, "--network", "none", str(disk), "cat", "/note", status=0).stdout


def test_the_partition_of_the_root_file_system(kernel: Kernel, tmp_path: Path) -> None:
    """Its type counts more than its size, its size more than its place; qcow2 or raw."""
    small, large = file_system(tmp_path, "small", 6 * MIB), file_system(tmp_path, "large", 8 * MIB)
    disk = tmp_path / "disk.img"
    with_partitions(disk, [(LINUX_DATA, large), (LINUX_ROOT_X86_64, small)])
    assert note_of(kernel, disk) == "small\n"
    contents = with_partitions(disk, [(LINUX_DATA, small), (LINUX_DATA, bytes(10 * MIB)), (LINUX_DATA, large)])
    assert note_of(kernel, disk) == "large\n"
    (tmp_path / "disk.qcow2").write_bytes(qcow2(contents))
    assert note_of(kernel, tmp_path / "disk.qcow2") == "large\n"


def test_a_table_of_the_old_kind(kernel: Kernel, tmp_path: Path) -> None:
    contents = file_system(tmp_path, "old", 6 * MIB)
    entry = struct.pack("<B3sB3sII", 0x80, b"", 0x83, b"", 2048, len(contents) // SECTOR)
    table = bytes(446) + entry + bytes(48) + b"\x55\xaa"
    (tmp_path / "disk").write_bytes(table.ljust(2048 * SECTOR, b"\0") + contents)
    assert note_of(kernel, tmp_path / "disk") == "old\n"


def test_a_disk_without_a_root_file_system(kernel: Kernel, tmp_path: Path) -> None:
    with_partitions(tmp_path / "disk", [(LINUX_DATA, bytes(MIB))])
    done = run(kernel, str(tmp_path / "disk"), status=125)
    assert done.stderr == (
        "krait: there is no file system ext2, ext3 or ext4 on /dev/vda; there are: vda (3 MiB) vda1 (1 MiB)\n"
    )
