"""Krait and Linux in turns on the same virtual machine: `python -m tests.bench [--turns N] [--write]`.

Each turn boots one kernel and then the other with the same program and the same image, so that a slow minute of the
host hits both. The smallest time of each row over all turns counts; what is reported is the ratio. `--write` puts the
tables into docs/performance.md between its marks.
"""

from __future__ import annotations

import argparse
import math
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.harness import KRAIT, LINUX, Guest, Kernel, compile_program
from tools.cpio import Archive, extend
from tools.front_end import build_kernel
from tools.machine import Machine
from tools.paths import INITRAMFS, ROOT

PAGE = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
SCRIPT = b"""#!/bin/sh
/cases/first
cat /proc/meminfo
/cases/bench
"""
FIRST = """int write(int, const char *, unsigned long);
int main(void) { write(1, "@init@\\n", 7); return 0; }
"""


def image() -> bytes:
    """The root image with the benchmarks, run by /init as a single command."""
    overlay = Archive()
    overlay.file("cases/bench", compile_program(ROOT / "tests" / "bench" / "bench.c").read_bytes(), 0o755)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "first.c"
        source.write_text(FIRST)
        subprocess.run(["musl-gcc", "-static", "-O1", "-o", f"{folder}/first", str(source)], check=True)
        overlay.file("cases/first", (Path(folder) / "first").read_bytes(), 0o755)
    overlay.file("krait-run", SCRIPT, 0o755)
    return extend(INITRAMFS.read_bytes(), overlay)


def run(kernel: Kernel, cpu: str, initrd: Path) -> dict[str, float]:
    """One boot: rows in nanoseconds, and memory in use in KiB."""
    with Guest(kernel.boot(initrd, "quiet"), Machine(cpu=cpu, memory="1G")) as guest:
        start = time.monotonic()
        guest.expect(r"@init@", 60)
        rows = {"boot to the first command (ms)": (time.monotonic() - start) * 1000}
        text = guest.expect(r"(?s)MemTotal:\s+(\d+).*?MemFree:\s+(\d+).*?\n", 30)
        rows["memory in use (KiB)"] = float(int(text[1]) - int(text[2]))
        while True:
            line = guest.expect(r"(?m)^(?:([\w-]+) ([\d.]+)|@krait-end@.*)\r?\n", 120)
            if line[1] is None:
                return rows
            rows[line[1].decode()] = float(line[2])


def measure(turns: int, cpu: str) -> dict[str, tuple[float, float]]:
    """Rows as (Krait, Linux): the least of all turns."""
    best: dict[str, dict[str, float]] = {"krait": {}, "linux": {}}
    with tempfile.NamedTemporaryFile(suffix=".cpio") as file:
        file.write(image())
        file.flush()
        for _ in range(turns):
            for kernel in (KRAIT, LINUX):
                for name, value in run(kernel, cpu, Path(file.name)).items():
                    kept = best[kernel.name]
                    kept[name] = min(value, kept.get(name, value))
    return {name: (best["krait"][name], best["linux"][name]) for name in best["linux"] if name in best["krait"]}


def table(rows: dict[str, tuple[float, float]]) -> str:
    """Markdown, the ratio last; the geometric mean is over the rows of system calls."""
    lines = ["| | Krait | Linux | Linux / Krait |", "| --- | ---: | ---: | ---: |"]
    logs = []
    for name, (krait, linux) in rows.items():
        unit = "" if "(" in name else " (ns)"
        lines.append(f"| {name}{unit} | {krait:,.0f} | {linux:,.0f} | {linux / krait:.2f} |")
        if not re.search(r"\(", name):
            logs.append(math.log(linux / krait))
    lines.append(f"| geometric mean of the system calls | | | {math.exp(sum(logs) / len(logs)):.2f} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--turns", type=int, default=3, help="how often each kernel is booted")
    parser.add_argument("--cpu", action="append", help="QEMU's processor models (default: max and qemu64)")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/performance.md")
    options = parser.parse_args()
    build_kernel("release")  # what lies there may be the profile of another purpose
    parts = []
    for cpu in options.cpu or ["max", "qemu64"]:
        parts.append(f"### `-cpu {cpu}`\n\n{table(measure(options.turns, cpu))}\n")
        print(parts[-1], flush=True)
    if options.write:
        text = PAGE.read_text()
        before, rest = text.split(BEGIN, 1)
        after = rest.split(END, 1)[1]
        PAGE.write_text(f"{before}{BEGIN}\n{chr(10).join(parts)}{END}{after}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
