"""What a disk is asked for: no more requests and flushes than Linux needs for the same work, on an equal file system.

The counts are QEMU's own. The numbers were Linux's, counted with the same program (tests/bench/bench_disk.c), and are
checked again with `--kernel linux`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.bench.__main__ import DISK_MIB, SOURCES, fresh_disk
from tests.harness import LINUX, Guest, Kernel, compile_program
from tests.harness.guest import PATIENCE
from tests.harness.kernels import add_modules
from tools.cpio import Archive, extend
from tools.machine import Disk, DiskMode, Machine

pytestmark = pytest.mark.timeout(int(240 * PATIENCE))


@dataclass(frozen=True)
class Most:
    """Limits for one operation of the program."""

    reads: int
    writes: int
    flushes: int


# Linux's counts; where ours are a little higher, ours: a file's indirect blocks lie between its data here, and every 4
# MiB a request ends there.
ROWS = {
    "read-1MiB-cold": Most(52, 0, 0),
    "write-1MiB-again-fsync": Most(0, 60, 1),
    "random-write-4KiB-fsync-at-end": Most(0, 830, 1),
    "map-1MiB-cold": Most(276, 0, 0),
    "create-empty-file": Most(3, 0, 0),
    "sync-of-4KiB-files": Most(0, 11, 1),
    "create-4KiB-file-fsync": Most(0, 300, 100),
    "overwrite-4KiB-fsync": Most(0, 200, 100),  # the inode too, if the clock made a step of 4 ms: on a slow host
    "overwrite-4KiB-fdatasync": Most(0, 120, 100),
    "append-1000-bytes-fdatasync": Most(0, 230, 100),
    "stat-file-cold": Most(16, 0, 0),
    "read-4KiB-file-cold": Most(1020, 0, 0),
}


def counters(guest: Guest) -> tuple[int, int, int]:
    statistics = guest.qmp("query-blockstats")[0]["stats"]
    return statistics["rd_operations"], statistics["wr_operations"], statistics["flush_operations"]


def test_requests_and_flushes(kernel: Kernel, root_image: Path, tmp_path: Path) -> None:
    overlay = Archive()
    overlay.file("bench_disk", compile_program(SOURCES / "bench_disk.c").read_bytes(), 0o755)
    if kernel is LINUX:
        add_modules(overlay)
    initrd = tmp_path / "initrd"
    initrd.write_bytes(extend(root_image.read_bytes(), overlay))
    disks = (Disk(fresh_disk(tmp_path / "disk", DISK_MIB), DiskMode.WRITE),)
    too_many = []
    with Guest(kernel.boot(initrd), Machine(memory="512M", disks=disks)) as guest:
        guest.expect_prompt(30)
        for row, most in ROWS.items():
            guest.send(f"/bench_disk {row}\r")
            guest.expect(r"^@ready@\r\n", 30)
            before = counters(guest)
            guest.send("\r")
            guest.expect(r"^@done@\r\n", 30)
            counted = tuple(after - earlier for earlier, after in zip(before, counters(guest), strict=True))
            guest.send("\r")
            guest.expect_prompt(30)
            limits = (most.reads, most.writes, most.flushes)
            if any(count > limit for count, limit in zip(counted, limits, strict=True)):
                too_many.append(f"{row}: {counted}, at most {most}")
    assert not too_many
