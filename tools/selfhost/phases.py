"""What the phases of a build in a machine cost: processor time of QEMU's threads that run the guest, from the host's
scheduler, and the guest's own account of user mode and kernel (times(2)).

The wall clock has in it whatever else the host does, so it is not used. A phase ends when the build says so at the
serial line.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from tools.selfhost.machine import Done

STEP = re.compile(r"krait: (.*): [\d.]+ s$")  # compiler/progress.py
TIMING = re.compile(r"^([\w ]+?) +[\d.]+ s, ([\d.]+) user, ([\d.]+) system$")  # compiler/driver.py, Timings
PHASES = {
    "check the kernel's types": "front end", "translate the kernel": "lowering", "compile the kernel": "LLVM",
    "link the kernel": "link",
}  # fmt: skip
TOTAL = "total"


@dataclass
class Phases:
    """Seconds by phase; `host`: of QEMU's threads."""

    host: dict[str, float] = field(default_factory=dict)
    user: dict[str, float] = field(default_factory=dict)
    system: dict[str, float] = field(default_factory=dict)

    def share(self, phase: str) -> float:
        """The kernel's part of a phase, from 0 to 1."""
        used = self.user.get(phase, 0.0) + self.system.get(phase, 0.0)
        return self.system[phase] / used if used else 0.0


class Watch:
    """Fills `phases` from the lines that a build prints."""

    def __init__(self, processor_ns: Callable[[], int]) -> None:
        self.phases = Phases()
        self._clock = processor_ns
        self._first = self._last = processor_ns()

    def see(self, line: str) -> str | None:
        """A line was printed. If a phase has ended with it, a sentence about that."""
        said = None
        ended = STEP.search(line)
        if ended and ended[1] in PHASES:
            phase, now = PHASES[ended[1]], self._clock()
            self.phases.host[phase] = (now - self._last) / 1e9
            self._last = now
            said = f"krait: {phase}: {self.phases.host[phase]:.1f} s of QEMU's processors"
        if timing := TIMING.search(line):
            self.phases.user[timing[1]], self.phases.system[timing[1]] = float(timing[2]), float(timing[3])
        return said

    def end(self, done: Done) -> Phases:
        """The program that was watched has ended."""
        self.phases.host[TOTAL] = (self._clock() - self._first) / 1e9
        self.phases.user[TOTAL], self.phases.system[TOTAL] = done.user, done.system
        return self.phases
