"""Stretches of kernel code that nothing interrupts, as a plugin of QEMU finds them (longest_stretches.c).

With the guest's clock tied to its instructions (`Recorder.machine` does so), a run is exactly repeatable. The lengths
are instructions; 1,000,000 are about a millisecond.
"""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tools.machine import Machine
from tools.paths import KERNEL, ROOT
from tools.plugin import build_plugin

SOURCE = Path(__file__).parent / "longest_stretches.c"
# Where interrupts come in: safe points, and where the processor waits.
ENDS = ("interrupt_window", "wait_for_interrupt", "enable_interrupts", "halt_forever")
INTERVAL = 100_000  # instructions from one look at the stack to the next


@dataclass(frozen=True)
class Stretch:
    """Instructions from one chance for interrupts to the next, and the stacks that were seen meanwhile, innermost
    address first.
    """

    length: int
    samples: tuple[tuple[int, ...], ...]

    def innermost(self) -> list[tuple[str, int]]:
        """The lines in which samples were taken, with their number, most frequent first."""
        return Counter(_frames(sample[0])[0] for sample in self.samples).most_common()

    def traceback(self) -> str:
        """The Python lines of a sample from the middle, most recent call last."""
        sample = self.samples[len(self.samples) // 2]
        frames = [frame for address in sample for frame in _frames(address)]
        return "\n".join(f"  {frame}" for frame in reversed(frames))

    def describe(self) -> str:
        """For people: the length, the lines and a traceback."""
        lines = ", ".join(f"{times}x {line}" for line, times in self.innermost()[:4])
        return f"{self.length:,} instructions, of {len(self.samples)} samples: {lines}\n{self.traceback()}"


@cache
def _frames(address: int) -> tuple[str, ...]:
    """Function and line of an address in the kernel, inlined functions first."""
    query = ["addr2line", "-f", "-i", "-e", str(KERNEL), f"{address:#x}"]
    answer = subprocess.run(query, check=True, capture_output=True, text=True).stdout.splitlines()
    found = []
    for function, place in zip(answer[::2], answer[1::2], strict=True):
        line = re.sub(r" \(discriminator.*", "", place).removeprefix(f"{ROOT}/")
        found.append(f"{line} {function.removeprefix('kernel.')}")
    return tuple(found)


class Recorder:
    """Records the stretches of one machine. `new` gives those that ended since the last time."""

    def __init__(self, folder: Path, interval: int = INTERVAL) -> None:
        self.plugin = build_plugin(SOURCE, folder)
        self.file = folder / "stretches"
        self.interval = interval
        self.read = 0

    def machine(self, memory: str = "256M", **more: object) -> Machine:
        """A machine with the plugin, whose clock follows its instructions."""
        ends = ":".join(f"{address:x}" for address in _addresses(ENDS))
        plugin = f"{self.plugin},records={self.file},interval={self.interval},ends={ends}"
        extra = ("-plugin", plugin, "-icount", "shift=0,sleep=off")
        return Machine(memory=memory, extra=extra, **more)  # type: ignore[arg-type]

    def new(self) -> list[Stretch]:
        """The stretches that were at least as long as the interval, longest first."""
        with self.file.open("rb") as file:
            file.seek(self.read)
            text = file.read()
        text = text[: text.rfind(b"\n") + 1]
        self.read += len(text)
        found = []
        for line in text.decode().splitlines():
            length, *samples = line.split("|")
            found.append(Stretch(int(length), tuple(tuple(int(a, 16) for a in sample.split()) for sample in samples)))
        return sorted(found, key=lambda stretch: -stretch.length)


def _addresses(names: tuple[str, ...]) -> list[int]:
    symbols = subprocess.run(["nm", str(KERNEL)], check=True, capture_output=True, text=True).stdout
    known = {line[19:]: int(line[:16], 16) for line in symbols.splitlines()}
    return [known[name] for name in names]
