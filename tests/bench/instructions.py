"""What each row of bench.c costs, in instructions: `python -m tests.bench.instructions [--write] [ROW…]`.

The figures lie in instructions.tsv, and `test_instructions.py` compares them: a row that lost 3 % fails. Whoever means
it writes the file anew and says why in the commit. Counts are those of the whole guest, the program included, under a
clock that follows them, so that a busy host changes nothing.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.bench.__main__ import system_image
from tests.bench.counting import Counts
from tests.harness import KRAIT, Guest
from tools.kernel_build import build_kernel
from tools.paths import ROOT

FILE = ROOT / "tests" / "bench" / "instructions.tsv"
LOSS = 0.03
_EACH_ROW = 30_000_000  # instructions, about; so that many passes of the reclaimer fall into a row


def recorded() -> dict[str, float]:
    """Instructions of each row, as committed."""
    lines = FILE.read_text().splitlines()[1:] if FILE.exists() else []
    return {name: float(cost) for name, cost in (line.split("\t") for line in lines)}


def times(cost: float) -> int:
    """How often a row is done that costs about that much: a power of two, so that it does not change with each figure.
    """
    count = 16
    while count * cost < _EACH_ROW and count < 32768:
        count *= 2
    return count


def script(row: str, groups: int) -> str:
    """What runs a row, within as many control groups, one in the other."""
    path = "/groups" + "/g" * groups
    enter = f"mkdir /groups; mount -t cgroup2 none /groups; mkdir -p {path}; echo $$ > {path}/cgroup.procs\n"
    return f"#!/bin/sh\n{enter if groups > 0 else ''}/cases/bench {row}\n"


def measure(row: str = "all", cpu: str = "max", groups: int = 0) -> dict[str, float]:
    """One boot: instructions of one row, or of all."""
    known = recorded()
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        counts, initrd = Counts(Path(folder)), Path(folder) / "initrd"
        initrd.write_bytes(system_image(script(row, groups).encode()))
        with Guest(KRAIT.boot(initrd, "quiet"), counts.machine(cpu)) as guest:
            while (line := guest.expect(r"@ready ([\w-]+)@|@krait-end@", 600))[1] is not None:
                name = line[1].decode()
                count = times(known.get(name, 10_000))
                before = counts.total()
                guest.send(f"{count}\r")
                guest.expect(r"@done( \d+)?@", 600)
                found[name] = (counts.total() - before) / count
                guest.send("\r")
    return found


def losses(found: dict[str, float], known: dict[str, float]) -> list[str]:
    """A line for each row that costs more than it may."""
    return [
        f"{name}: {cost:.0f} instructions, {cost / known[name] - 1:+.1%}"
        for name, cost in found.items()
        if name in known and cost > known[name] * (1 + LOSS)
    ]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.instructions", description=__doc__)
    parser.add_argument("row", nargs="*", help="as in docs/performance.md (default: all)")
    parser.add_argument("--cpu", default="max", help="QEMU's processor model")
    parser.add_argument("--groups", type=int, default=0, help="within how many control groups, one in the other")
    parser.add_argument("--write", action="store_true", help="write the figures to instructions.tsv")
    parser.add_argument("--no-build", action="store_true", help="measure the kernel that lies in build/")
    options = parser.parse_args()
    if not options.no_build:
        build_kernel("release")
    known = recorded()
    found: dict[str, float] = {}
    for row in options.row or ["all"]:
        found |= measure(row, options.cpu, options.groups)
    for name, cost in found.items():
        change = f" {cost / known[name] - 1:+.1%}" if name in known else ""
        print(f"{cost:12.1f} {name}{change}")
    if options.write:
        rows = known | found if options.row else found
        FILE.write_text("row\tinstructions\n" + "".join(f"{name}\t{cost:.1f}\n" for name, cost in rows.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
