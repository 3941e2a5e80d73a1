"""Krait and Linux in turns on the same virtual machine: `python -m tests.bench [--turns N] [--suite NAME] [--write]`.

Each turn boots one kernel and then the other with the same program and the same image, so that a slow minute of the
host hits both. The smallest time of each row over all turns counts; what is reported is the ratio. Suites are
`system` (bench.c), `disk` (bench_disk.c, with a fresh file system on a disk that is a file in the host's memory, so
that no real disk is measured) and `network` (network.py). `--write` puts the tables into docs/performance.md between
each suite's marks.
"""

from __future__ import annotations

import argparse
import math
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.bench import network
from tests.harness import KRAIT, LINUX, Guest, Kernel, compile_program
from tests.harness.kernels import add_modules
from tools.cpio import Archive, extend
from tools.kernel_build import build_kernel
from tools.machine import Disk, DiskMode, Machine
from tools.paths import INITRAMFS, ROOT

PAGE = ROOT / "docs" / "performance.md"
SOURCES = ROOT / "tests" / "bench"
MEANS = {"system": "the system calls", "disk": "the disk's rows", "network": "the card's rows"}
SYSTEM_SCRIPT = b"""#!/bin/sh
/cases/first
cat /proc/meminfo
/cases/bench
"""
DISK_SCRIPT = b"""#!/bin/sh
/cases/bench_disk
"""
DISK_MIB = 256
HOST_MEMORY = Path("/dev/shm")
FIRST = """int write(int, const char *, unsigned long);
int main(void) { write(1, "@init@\\n", 7); return 0; }
"""


def system_image(script: bytes = SYSTEM_SCRIPT) -> bytes:
    """The root image with the benchmarks of system calls, and what /init runs of them as a single command."""
    overlay = Archive()
    overlay.file("cases/bench", compile_program(SOURCES / "bench.c").read_bytes(), 0o755)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "first.c"
        source.write_text(FIRST)
        subprocess.run(["musl-gcc", "-static", "-O1", "-o", f"{folder}/first", str(source)], check=True)
        overlay.file("cases/first", (Path(folder) / "first").read_bytes(), 0o755)
    overlay.file("krait-run", script, 0o755)
    return extend(INITRAMFS.read_bytes(), overlay)


def disk_image(kernel: Kernel, script: bytes = DISK_SCRIPT) -> bytes:
    """The root image with the benchmarks of disks; Linux's has its modules too."""
    overlay = Archive()
    overlay.file("cases/bench_disk", compile_program(SOURCES / "bench_disk.c").read_bytes(), 0o755)
    overlay.file("krait-run", script, 0o755)
    if kernel is LINUX:
        add_modules(overlay)
    return extend(INITRAMFS.read_bytes(), overlay)


def read_rows(guest: Guest) -> dict[str, float]:
    """What a benchmark prints: rows in nanoseconds."""
    rows: dict[str, float] = {}
    while True:
        line = guest.expect(r"(?m)^(?:([\w-]+) ([\d.]+)|@krait-end@ (\d+))\r?\n", 120)
        if line[1] is None:
            if line[3] != b"0":
                guest.fail(f"the benchmark ended with status {line[3].decode()}")
            return rows
        rows[line[1].decode()] = float(line[2])


def run_system(kernel: Kernel, cpu: str, initrd: Path) -> dict[str, float]:
    """One boot: rows in nanoseconds, and memory in use in KiB."""
    with Guest(kernel.boot(initrd, "quiet"), Machine(cpu=cpu, memory="1G")) as guest:
        start = time.monotonic()
        guest.expect(r"@init@", 60)
        rows = {"boot to the first command (ms)": (time.monotonic() - start) * 1000}
        text = guest.expect(r"(?s)MemTotal:\s+(\d+).*?MemFree:\s+(\d+).*?\n", 30)
        rows["memory in use (KiB)"] = float(int(text[1]) - int(text[2]))
        return rows | read_rows(guest)


def fresh_disk(path: Path, mib: int) -> Path:
    """An ext2 file system that is the same whenever it is made."""
    with path.open("wb") as image:
        image.truncate(mib << 20)
    identity = "e2f5b0f0-5a3c-4b57-9d0a-6b3f0a2c9d11"
    options = ("-t", "ext2", "-b", "4096", "-U", identity, "-E", f"hash_seed={identity}")
    subprocess.run(["mke2fs", "-q", "-F", *options, str(path)], check=True, capture_output=True)
    return path


def run_disk(kernel: Kernel, cpu: str, initrd: Path) -> dict[str, float]:
    """One boot with a fresh disk."""
    with tempfile.TemporaryDirectory(dir=HOST_MEMORY) as folder:
        disk = Disk(fresh_disk(Path(folder) / "disk", DISK_MIB), DiskMode.WRITE)
        with Guest(kernel.boot(initrd, "quiet"), Machine(cpu=cpu, memory="1G", disks=(disk,))) as guest:
            return read_rows(guest)


def in_turns(turns: int, run: Callable[[Kernel], dict[str, float]]) -> dict[str, tuple[float, float]]:
    """Rows as (Krait, Linux): the least of all turns."""
    best: dict[str, dict[str, float]] = {"krait": {}, "linux": {}}
    for _ in range(turns):
        for kernel in (KRAIT, LINUX):
            for name, value in run(kernel).items():
                kept = best[kernel.name]
                kept[name] = min(value, kept.get(name, value))
    return {name: (best["krait"][name], best["linux"][name]) for name in best["linux"] if name in best["krait"]}


def measure(suite: str, turns: int, cpu: str) -> dict[str, tuple[float, float]]:
    """A suite's rows as (Krait, Linux)."""
    if suite == "network":
        return network.measure(turns, cpu)
    with tempfile.TemporaryDirectory() as folder:
        images = {}
        for kernel in (KRAIT, LINUX):
            images[kernel] = Path(folder) / kernel.name
            images[kernel].write_bytes(system_image() if suite == "system" else disk_image(kernel))
        run = run_system if suite == "system" else run_disk
        return in_turns(turns, lambda kernel: run(kernel, cpu, images[kernel]))


def table(rows: dict[str, tuple[float, float]], what: str) -> str:
    """Markdown, the ratio last; the geometric mean is over the rows that are times of operations."""
    lines = ["| | Krait | Linux | Linux / Krait |", "| --- | ---: | ---: | ---: |"]
    logs = []
    for name, (krait, linux) in rows.items():
        unit = "" if "(" in name else " (ns)"
        lines.append(f"| {name}{unit} | {krait:,.0f} | {linux:,.0f} | {linux / krait:.2f} |")
        if not re.search(r"\(", name):
            logs.append(math.log(linux / krait))
    lines.append(f"| geometric mean of {what} | | | {math.exp(sum(logs) / len(logs)):.2f} |")
    return "\n".join(lines)


def replace_tables(suite: str, parts: list[str]) -> None:
    """Put a suite's tables between its marks in the page."""
    begin, end = f"<!-- measured {suite}: begin -->", f"<!-- measured {suite}: end -->"
    before, rest = PAGE.read_text().split(begin, 1)
    after = rest.split(end, 1)[1]
    PAGE.write_text(f"{before}{begin}\n{chr(10).join(parts)}{end}{after}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--turns", type=int, default=3, help="how often each kernel is booted")
    parser.add_argument("--cpu", action="append", help="QEMU's processor models (default: max and qemu64)")
    parser.add_argument("--suite", action="append", choices=sorted(MEANS), help="what to measure (default: all)")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/performance.md")
    options = parser.parse_args()
    build_kernel("release")  # what lies there may be the profile of another purpose
    for suite in options.suite or list(MEANS):
        parts = []
        for cpu in options.cpu or ["max", "qemu64"]:
            parts.append(f"### `-cpu {cpu}`\n\n{table(measure(suite, options.turns, cpu), MEANS[suite])}\n")
            print(parts[-1], flush=True)
        if options.write:
            replace_tables(suite, parts)
    return 0


if __name__ == "__main__":
    sys.exit(main())
