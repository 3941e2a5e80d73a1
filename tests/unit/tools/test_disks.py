"""Disk images by their first bytes: with a file system or with partitions, raw or qcow2; and what is none."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import pytest

from tools.errors import KraitError, UsageError
from tools.gpt import LINUX_ROOT_X86_64, Partition, write_table
from tools.images.resolve import Kind, kind_of_file

CLUSTER = 1 << 16


def qcow2(disk: bytes, backing_file: int = 0, features: int = 0) -> bytes:
    """A disk in QEMU's format (its docs/interop/qcow2), for images that fit into one table of the second level."""
    clusters = -(-len(disk) // CLUSTER)
    assert clusters <= CLUSTER // 8
    data = 5  # the first cluster of the contents; before it: header, both tables, and those of reference counts
    header = struct.pack(
        ">4sIQIIQIIQQIIQQQQII", b"QFI\xfb", 3, backing_file, 0, 16, len(disk), 0, 1, 1 * CLUSTER, 3 * CLUSTER, 1, 0, 0,
        features, 0, 0, 4, 104,
    )  # fmt: skip
    copied = 1 << 63
    first = struct.pack(">Q", 2 * CLUSTER | copied)
    second = b"".join(struct.pack(">Q", (data + n) * CLUSTER | copied) for n in range(clusters))
    counts = struct.pack(">H", 1) * (data + clusters)
    parts = [header, first, second, struct.pack(">Q", 4 * CLUSTER), counts]
    return b"".join(part.ljust(CLUSTER, b"\0") for part in parts) + disk.ljust(clusters * CLUSTER, b"\0")


def with_gpt() -> bytes:
    disk = io.BytesIO(bytes(1 << 20))
    write_table(disk, 2048, [Partition(LINUX_ROOT_X86_64, 64, 1024, "root")])
    return disk.getvalue()


def with_mbr(kind: int = 0x83, status: int = 0x80) -> bytes:
    entry = struct.pack("<B3sB3sII", status, b"", kind, b"", 64, 1024)
    return bytes(446) + entry + bytes(48) + b"\x55\xaa" + bytes(4096)


@pytest.mark.parametrize("contents", [
    with_gpt(), with_mbr(), with_mbr(status=0), qcow2(with_gpt()), bytes(1080) + b"\x53\xef" + bytes(4096),
], ids=["GPT", "MBR", "MBR, not for booting", "qcow2", "ext"])  # fmt: skip
def test_a_disk(tmp_path: Path, contents: bytes) -> None:
    (tmp_path / "disk").write_bytes(contents)
    assert kind_of_file(tmp_path / "disk") is Kind.DISK


@pytest.mark.parametrize("contents", [with_mbr(kind=0), with_mbr(status=7), bytes(4096)])
def test_what_is_none(tmp_path: Path, contents: bytes) -> None:
    """A boot sector without partitions, for one."""
    (tmp_path / "disk").write_bytes(contents)
    with pytest.raises(UsageError, match="neither a program nor an image"):
        kind_of_file(tmp_path / "disk")


@pytest.mark.parametrize("contents", [qcow2(b"", backing_file=200), qcow2(b"", features=4), b"QFI\xfb"])
def test_one_that_reaches_for_other_files(tmp_path: Path, contents: bytes) -> None:
    (tmp_path / "disk").write_bytes(contents)
    with pytest.raises(KraitError, match="needs another file"):
        kind_of_file(tmp_path / "disk")
