"""Where a row's instructions go: `python -m tests.bench.profile ROW [--network] [--count N] [--lines]`.

A plugin of QEMU counts instructions while the row's operation is done N times, and the guest's clock follows that
count. So the figures are exact, whatever else the host does: what times cannot show shows here. The rows of the network
card (`--network`, and `--plain` for a card that offers nothing) have a peer that lives in real time, so does the guest
there, and how much work comes at once differs from run to run. So it is with the disk's rows, done once.
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
from contextlib import nullcontext
from pathlib import Path

from tests.bench import network
from tests.bench.__main__ import DISK_MIB, HOST_MEMORY, disk_image, fresh_disk, system_image
from tests.bench.counting import Counts
from tests.harness import KRAIT, Guest
from tests.harness.namespace import is_in_namespace, run_in_namespace
from tools.kernel_build import build_kernel
from tools.machine import Disk, DiskMode, Machine
from tools.paths import KERNEL, ROOT

SOURCES = ROOT / "tests" / "bench"
USER_END = 1 << 63
PROGRAM = "(the program)"


def record(row: str, count: int, cpu: str, card: str | None) -> Iterator[tuple[str, Counter[int]]]:
    """How often each program counter was executed while a row's operation was done `count` times; `all` gives all rows.
    With a card, which network.py knows, the row is one of its.
    """
    with tempfile.TemporaryDirectory() as folder, nullcontext() if card is None else network.peer():
        counts, initrd = Counts(Path(folder)), Path(folder) / "initrd"
        if card is None:
            initrd.write_bytes(system_image(f"#!/bin/sh\n/cases/bench {row}\n".encode()))
            machine = counts.machine(cpu)
        else:
            initrd.write_bytes(network.network_image(KRAIT, row))
            machine = network.machine(cpu, network.CARDS[card], counts.options())
        with Guest(KRAIT.boot(initrd, "quiet"), machine) as guest:
            while (line := guest.expect(r"@ready ([\w-]+)@|@krait-end@", 600))[1] is not None:
                before = counts.read()
                guest.send(f"{count}\r")
                guest.expect(r"@done( \d+)?@", 600)
                yield line[1].decode(), counts.read() - before
                guest.send("\r")


def record_disk(row: str, cpu: str) -> Iterator[tuple[str, Counter[int]]]:
    """The same for a row of the disk, done once."""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory(dir=HOST_MEMORY) as memory:
        counts, initrd = Counts(Path(folder)), Path(folder) / "initrd"
        initrd.write_bytes(disk_image(KRAIT, f"#!/bin/sh\n/cases/bench_disk {row}\n".encode()))
        disk = Disk(fresh_disk(Path(memory) / "disk", DISK_MIB), DiskMode.WRITE)
        machine = Machine(cpu=cpu, memory="1G", disks=(disk,), extra=counts.options())
        with Guest(KRAIT.boot(initrd, "quiet"), machine) as guest:
            guest.expect(r"@ready@", 600)
            before = counts.read()
            guest.send("\r")
            guest.expect(r"@done@", 600)
            yield row, counts.read() - before
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
    parser.add_argument("--network", action="store_true", help="the row is one of the network card's")
    parser.add_argument("--plain", action="store_true", help="the card offers nothing")
    options = parser.parse_args()
    if options.network and not is_in_namespace():
        build_kernel("release")
        print(run_in_namespace("tests.bench.profile", *sys.argv[1:]).decode(), end="")
        return 0
    build_kernel("release")
    card = ("-plain" if options.plain else "") if options.network else None
    is_disk = f'"{options.row}"' in (SOURCES / "bench_disk.c").read_text()
    rows = record_disk(options.row, options.cpu) if is_disk else record(options.row, options.count, options.cpu, card)
    done = 1 if is_disk else options.count
    known = False
    for row, counts in rows:
        known = True
        print(f"{row}: {sum(counts.values()) / done:.1f} instructions each time", flush=True)
        places = by_line(counts) if options.lines else {names[-1]: n for names, n in by_function(counts).items()}
        for place, times in Counter(places).most_common(options.top):
            print(f"{times / done:10.1f} {place}")
    if not known:
        parser.error(f"there is no row {options.row}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
