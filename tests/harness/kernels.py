"""The kernels that guests boot: Krait, and Debian's Linux as the oracle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from tools.cpio import Archive
from tools.machine import DirectBoot
from tools.oracle import fetch_oracle, module_paths
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
# Without tests of its own cryptography, which take a third of its start.
LINUX = Kernel("linux", ORACLE, "console=ttyS0 panic=-1 no_timer_check mitigations=off no5lvl cryptomgr.notests")


# Of modules, unless a test says otherwise: this one makes an interface as soon as it is there.
PARAMETERS = {"dummy": "numdummies=0"}


def add_modules(overlay: Archive, parameters: Mapping[str, str] = MappingProxyType({})) -> None:
    """Let Linux load the modules that it needs for disks and cards, from an overlay of the root image, when it starts;
    some with parameters, by the module's name. Linux is fetched if it is not there yet.
    """
    fetch_oracle()
    script = "#!/bin/sh\n"
    for path in module_paths():
        overlay.file(f"modules/{path.name}", path.read_bytes())
        script += f"insmod /modules/{path.name} {parameters.get(path.stem, PARAMETERS.get(path.stem, ''))}\n"
    overlay.file("etc/start.d/modules", script.encode(), 0o755)
