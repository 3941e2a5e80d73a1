"""Where a row's instructions go: `python -m tests.bench.profile ROW [--count N] [--lines]`.

QEMU executes one instruction a translation block and logs each block (`-d exec,nochain`) while the row's operation is
done N times. So the counts are exact, whatever else runs on the host: what times cannot show shows here. The log has
about 100 bytes an instruction.
"""

from __future__ import annotations

import argparse
import bisect
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.bench.__main__ import system_image
from tests.harness import KRAIT, Guest
from tools.front_end import build_kernel
from tools.machine import Machine
from tools.paths import KERNEL, ROOT

TRACE = re.compile(rb"^Trace \d+: 0x[0-9a-f]+ \[[0-9a-f]+/([0-9a-f]+)/", re.MULTILINE)
USER_END = 1 << 63
PROGRAM = "(the program)"


def record(row: str, count: int, cpu: str) -> Iterator[tuple[str, Counter[int]]]:
    """How often each program counter was executed while a row's operation was done `count` times; `all` gives all rows.
    """
    with tempfile.TemporaryDirectory() as folder:
        log, initrd = Path(folder) / "log", Path(folder) / "initrd"
        initrd.write_bytes(system_image(f"#!/bin/sh\n/cases/bench {row}\n".encode()))
        machine = Machine(cpu=cpu, accelerator="tcg,one-insn-per-tb=on", extra=("-D", str(log)))
        with Guest(KRAIT.boot(initrd, "quiet"), machine) as guest:
            while (line := guest.expect(r"@ready ([\w-]+)@|@krait-end@", 600))[1] is not None:
                log.write_bytes(b"")
                guest.monitor(f"logfile {log}")
                guest.monitor("log exec,nochain")
                guest.send(f"{count}\r")
                guest.expect(r"@done@", 600)
                guest.monitor("log none")
                counts: Counter[int] = Counter()
                with log.open("rb") as file:
                    while lines := file.readlines(1 << 26):
                        counts.update(int(pc, 16) for pc in TRACE.findall(b"".join(lines)))
                yield line[1].decode(), counts
                guest.send("\r")


def by_function(counts: Counter[int]) -> Counter[tuple[str, ...]]:
    """Instructions of each function of the kernel, which may have several names; those of programs in one sum."""
    names: dict[int, list[str]] = {}
    for line in subprocess.run(["nm", str(KERNEL)], check=True, capture_output=True, text=True).stdout.splitlines():
        names.setdefault(int(line[:16], 16), []).append(line[19:])
    starts = sorted(names)
    sums: Counter[tuple[str, ...]] = Counter()
    for pc, times in counts.items():
        found = (PROGRAM,) if pc < USER_END else tuple(sorted(names[starts[bisect.bisect_right(starts, pc) - 1]]))
        sums[found] += times
    return sums


def by_line(counts: Counter[int]) -> Counter[str]:
    """Instructions of each source line, inlined code where it was written."""
    pcs = [pc for pc in counts if pc >= USER_END]
    query = "\n".join(f"{pc:#x}" for pc in pcs)
    found = subprocess.run(["addr2line", "-e", str(KERNEL)], input=query, check=True, capture_output=True, text=True)
    sums: Counter[str] = Counter()
    for pc, place in zip(pcs, found.stdout.splitlines(), strict=True):
        sums[re.sub(r" \(discriminator.*", "", place).removeprefix(f"{ROOT}/")] += counts[pc]
    return sums


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.profile", description=__doc__)
    parser.add_argument("row", help="as in docs/performance.md, such as getppid; `all` gives all")
    parser.add_argument("--count", type=int, default=200, help="how often the operation is done")
    parser.add_argument("--cpu", default="max", help="QEMU's processor model")
    parser.add_argument("--top", type=int, default=40, help="how many places are shown")
    parser.add_argument("--lines", action="store_true", help="by source line, not by function")
    options = parser.parse_args()
    build_kernel("release")
    known = False
    for row, counts in record(options.row, options.count, options.cpu):
        known = True
        print(f"{row}: {sum(counts.values()) / options.count:.1f} instructions each time", flush=True)
        places = by_line(counts) if options.lines else {names[-1]: n for names, n in by_function(counts).items()}
        for place, times in Counter(places).most_common(options.top):
            print(f"{times / options.count:10.1f} {place}")
    if not known:
        parser.error(f"there is no row {options.row}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
