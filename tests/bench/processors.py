"""What a second processor brings: `python -m tests.bench.processors [--turns N] [--instructions] [ROW…]`.

Krait and Linux in turns on one and on two processors; the best of each row counts. With `--instructions`, how many
instructions of the guest each row costs on Krait, all processors together, under a clock that follows their count: that
says nothing of what runs at the same time, and depends on nothing that the host does.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from tests.bench.counting import Counts
from tests.harness import KRAIT, LINUX, Guest, Kernel, compile_program
from tools.cpio import Archive, extend
from tools.machine import Machine
from tools.paths import INITRAMFS

SOURCE = Path(__file__).parent / "processors.c"
ROWS = {
    "compute-1": "µs",
    "compute-2": "µs",
    "pairs-1": "ns a round trip",
    "pairs-2": "ns a round trip",
    "yield-10": "ns each",
    "yield-1000": "ns each",
    "yield-rr-10": "ns each",
    "yield-rr-1000": "ns each",
    "bound-10": "ns each",
    "bound-1000": "ns each",
    "share-3": "thousandths",
    "share-5": "thousandths",
}
MORE_IS_BETTER = ("share-3", "share-5")
COUNTED = [name for name in ROWS if name not in MORE_IS_BETTER]


def _image(folder: Path) -> Path:
    files = Archive()
    files.file("usr/bin/processors", compile_program(SOURCE).read_bytes(), 0o755)
    path = folder / "initrd"
    path.write_bytes(extend(INITRAMFS.read_bytes(), files))
    return path


def measure(kernel: Kernel, machine: Machine, initrd: Path, rows: list[str]) -> dict[str, int]:
    """One boot: what the program prints."""
    with Guest(kernel.boot(initrd, "quiet maxcpus=64"), machine) as guest:
        guest.expect_prompt(120)
        return {row: int(guest.check(f"processors {row}", 600)) for row in rows}


def count(processors: int, initrd: Path, rows: list[str], folder: Path) -> dict[str, int]:
    """One boot: instructions of each row."""
    counts = Counts(folder)
    found = {}
    machine = replace(counts.machine(), processors=processors)
    with Guest(KRAIT.boot(initrd, "quiet maxcpus=64"), machine) as guest:
        guest.expect_prompt(120)
        for row in rows:
            before = counts.total()
            guest.check(f"processors {row}", 600)
            found[row] = counts.total() - before
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.processors", description=__doc__)
    parser.add_argument("row", nargs="*", help="default: all")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--instructions", action="store_true")
    parser.add_argument("--processors", type=int, nargs="*", default=[1, 2])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        initrd = _image(Path(folder))
        if options.instructions:
            rows = options.row or COUNTED
            for processors in options.processors:
                own = Path(folder) / str(processors)
                own.mkdir()
                for row, value in count(processors, initrd, rows, own).items():
                    print(f"{processors} {row:14} {value / 1e6:14,.1f} million instructions", flush=True)
            return 0
        rows = options.row or list(ROWS)
        best: dict[tuple[str, int, str], int] = {}
        for _ in range(options.turns):
            for processors in options.processors:
                for kernel in (KRAIT, LINUX):
                    found = measure(kernel, Machine(processors=processors), initrd, rows)
                    for row, value in found.items():
                        key = (row, processors, kernel.name)
                        choose = max if row in MORE_IS_BETTER else min
                        best[key] = choose(value, best.get(key, value))
        for row in rows:
            for processors in options.processors:
                krait, linux = best[row, processors, "krait"], best[row, processors, "linux"]
                print(f"{row:14} {processors} {krait:12,} {linux:12,} {ROWS[row]}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
