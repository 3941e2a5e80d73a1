"""The kernels that guests boot: Krait, and Debian's Linux as the oracle."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tools.machine import DirectBoot
from tools.paths import KERNEL, ORACLE


@dataclass(frozen=True)
class Kernel:
    name: str
    path: Path
    parameters: str  # what the kernel needs to use the serial line and to stop, rather than wait, on a panic

    def boot(self, initrd: Path | None, parameters: str = "") -> DirectBoot:
        if not self.path.exists():
            raise FileNotFoundError(f"{self.path} is missing: run `make` first")
        return DirectBoot(self.path, initrd, f"{self.parameters} {parameters}".strip())


KRAIT = Kernel("krait", KERNEL, "console=ttyS0 panic=-1")
LINUX = Kernel("linux", ORACLE, "console=ttyS0 panic=-1 no_timer_check mitigations=off no5lvl")
