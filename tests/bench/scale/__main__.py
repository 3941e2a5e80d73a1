"""Operations beside 10, 1,000 and many other things: `python -m tests.bench.scale [ROW…] [--sizes small|all]`.

scale.c makes the things and does the operation; a plugin of QEMU counts its instructions. A row whose cost grows more
than `limit` allows is not flat. `test_scale.py` runs the two smaller sizes of each row.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.bench.counting import Counts
from tests.harness import KRAIT, Guest, compile_program
from tools.cpio import Archive, extend
from tools.kernel_build import build_kernel
from tools.paths import INITRAMFS

SOURCE = Path(__file__).parent / "scale.c"
_LOGARITHM = 150  # instructions that an operation may cost more with each doubling
_AT_LEAST = 5_000_000  # instructions that are counted, about: a pass of the reclaimer more or less says nothing then
_MOST_TIMES = 4096


class Row(NamedTuple):
    """One operation: beside how many things it is done, and whether it goes through them all."""

    name: str
    sizes: tuple[int, ...]
    is_each: bool = False  # then what counts is the cost of each thing
    pending: str = ""  # why it is not flat yet


ROWS = (
    Row("fork-exit-waitpid", (10, 1000, 5000)),
    Row("fork-exit-wait-any", (10, 1000, 5000)),
    Row("kill-by-number", (10, 1000, 5000)),
    Row("list-proc", (10, 1000, 5000), is_each=True),
    Row("yield", (10, 100, 1000), is_each=True),
    Row("thread-create-join", (10, 1000, 4000)),
    Row("poll-at-once", (10, 1000, 100_000), is_each=True),
    Row("poll-1ms", (10, 1000, 100_000), is_each=True),
    Row("epoll-wait-one-ready", (10, 1000, 100_000)),
    Row("open-close", (10, 1000, 100_000)),
    Row("timer-start", (10, 1000, 100_000)),
    Row("proc-net-tcp", (10, 1000, 10_000), is_each=True),
    Row("rename", (10, 1000, 100_000)),
    Row("create-unlink", (10, 1000, 100_000)),
    Row("list-names", (10, 1000, 100_000), is_each=True),
    Row("record-lock", (10, 1000, 100_000)),
    Row("inotify-add-remove", (10, 1000, 8000)),
    Row("create-deep", (10, 1000)),
    Row("getcwd", (10, 1000), is_each=True),
    Row("mount-umount", (10, 1000, 3000)),
    Row("proc-mounts", (10, 1000, 3000), is_each=True),
    Row("semget-by-key", (10, 1000, 30_000)),
    Row("semget-new", (10, 1000, 30_000)),
    Row("munmap-untouched", (1000, 65_536)),  # GiB: below a thousand, few tables are there to look at
    Row("mmap-munmap", (10, 1000, 30_000)),
    Row("smaps", (10, 1000, 30_000), is_each=True),
    Row("maps", (10, 1000, 30_000), is_each=True),
)


def limit(small: int, large: int, cost: float) -> float:
    """What an operation may cost beside `large` things that costs `cost` beside `small` ones: twice as much, and the
    logarithm."""
    return 2 * cost + _LOGARITHM * math.log2(large / small)


def runs(rows: tuple[Row, ...], sizes: int) -> list[tuple[Row, int]]:
    """Each row with its first `sizes` sizes."""
    return [(row, size) for row in rows for size in row.sizes[:sizes]]


def measure(wanted: list[tuple[Row, int]]) -> Iterator[tuple[Row, int, float]]:
    """One boot: the cost of each operation, or of each thing, in instructions."""
    with tempfile.TemporaryDirectory() as folder:
        counts, initrd = Counts(Path(folder)), Path(folder) / "initrd"
        files = Archive()
        files.file("cases/scale", compile_program(SOURCE).read_bytes(), 0o755)
        lines = "".join(f"/cases/scale {row.name} {size}\n" for row, size in wanted)
        settings = "echo 200000 > /proc/sys/fs/nr_open\nifconfig lo up\n"
        files.file("krait-run", f"#!/bin/sh\n{settings}{lines}true\n".encode(), 0o755)
        initrd.write_bytes(extend(INITRAMFS.read_bytes(), files))
        with Guest(KRAIT.boot(initrd, "quiet"), counts.machine()) as guest:
            for row, size in wanted:
                guest.expect("@ready@", 600)
                cost: float = _count(guest, counts, 1)
                if cost < _AT_LEAST:
                    count = int(min(_MOST_TIMES, _AT_LEAST // cost + 1))
                    guest.expect("@ready@", 600)
                    cost = _count(guest, counts, count) / count
                guest.expect("@ready@", 600)
                guest.send("0\r")
                yield row, size, cost / size if row.is_each else cost


def _count(guest: Guest, counts: Counts, times: int) -> int:
    before = counts.total()
    guest.send(f"{times}\r")
    guest.expect("@done@", 600)
    return counts.total() - before


def is_flat(row: Row, costs: dict[int, float]) -> bool:
    """Whether a row's cost at its largest size is within the limit."""
    small, large = min(costs), max(costs)
    return costs[large] <= limit(small, large, costs[small])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.scale", description=__doc__)
    parser.add_argument("row", nargs="*", help="default: all")
    parser.add_argument("--sizes", type=int, default=3, help="how many of the sizes of each row")
    parser.add_argument("--no-build", action="store_true", help="measure the kernel that lies in build/")
    options = parser.parse_args()
    if not options.no_build:
        build_kernel("release")
    rows = tuple(row for row in ROWS if row.name in options.row or not options.row)
    costs: dict[str, dict[int, float]] = {}
    for row, size, cost in measure(runs(rows, options.sizes)):
        print(f"{cost:14,.0f} {row.name} {size:,}", flush=True)
        costs.setdefault(row.name, {})[size] = cost
    for row in rows:
        if not is_flat(row, costs[row.name]):
            print(f"not flat: {row.name} {row.pending}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
