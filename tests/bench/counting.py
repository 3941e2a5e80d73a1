"""A machine that counts: how often each instruction of a guest was executed, while its clock follows the count.

So figures do not depend on what else the host does. The plugin is count_instructions.c.
"""

from __future__ import annotations

from array import array
from collections import Counter
from pathlib import Path

from tools.machine import Machine
from tools.paths import ROOT
from tools.plugin import build_plugin

PLUGIN = ROOT / "tests" / "bench" / "count_instructions.c"
CLOCK = ("-icount", "shift=1")  # an instruction takes two nanoseconds


class Counts:
    """The counts of one guest, in a file in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "counts"
        self.plugin = build_plugin(PLUGIN, folder)

    def options(self) -> tuple[str, ...]:
        """For QEMU."""
        return ("-plugin", f"{self.plugin},counts={self.file}")

    def machine(self, cpu: str = "max", memory: str = "1G") -> Machine:
        """One whose clock counts instructions."""
        return Machine(cpu=cpu, memory=memory, extra=(*self.options(), *CLOCK))

    def read(self) -> Counter[int]:
        """How often each instruction was executed until now, by its address."""
        words = array("Q")
        with self.file.open("rb") as counts:
            words.frombytes(counts.read(8))
            words.frombytes(counts.read(8 * (words[0] - 1)))
        sums: Counter[int] = Counter()
        at = 1
        while at < len(words):
            times, length = words[at : at + 2]
            if times > 0:
                for pc in words[at + 2 : at + 2 + length]:
                    sums[pc] += times
            at += 2 + length
        return sums

    def total(self) -> int:
        """How many instructions were executed until now."""
        words = array("Q")
        with self.file.open("rb") as counts:
            words.frombytes(counts.read(8))
            words.frombytes(counts.read(8 * (words[0] - 1)))
        sum_ = 0
        at = 1
        while at < len(words):
            times, length = words[at : at + 2]
            sum_ += times * length
            at += 2 + length
        return sum_
