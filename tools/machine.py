"""Describe a virtual machine and how it boots, and turn that into a QEMU command line.

The front end and the tests share this, so that a test's machine can be started by hand with the command it prints.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

QEMU = "qemu-system-x86_64"
OVMF_CODE = Path("/usr/share/OVMF/OVMF_CODE_4M.fd")
OVMF_VARIABLES = Path("/usr/share/OVMF/OVMF_VARS_4M.fd")

# A guest ends QEMU by writing to this port: the exit status is (value << 1) | 1.
DEBUG_EXIT_PORT = 0xF4
MACHINE_TYPES = ("q35", "pc", "microvm")


class Firmware(Enum):
    BIOS = "bios"
    UEFI = "uefi"


class Medium(Enum):
    CD = "cd"
    DISK = "disk"


@dataclass(frozen=True)
class DirectBoot:
    """QEMU loads the kernel itself: Linux by its own protocol, Krait by PVH."""

    kernel: Path
    initrd: Path | None
    parameters: str = ""

    def arguments(self, scratch: Path) -> list[str]:
        initrd = ["-initrd", str(self.initrd)] if self.initrd else []
        return ["-kernel", str(self.kernel), *initrd, "-append", self.parameters]


@dataclass(frozen=True)
class ImageBoot:
    """Firmware starts the boot loader of a disk image. `scratch` receives UEFI's writable variables."""

    image: Path
    firmware: Firmware = Firmware.BIOS
    medium: Medium = Medium.CD

    def arguments(self, scratch: Path) -> list[str]:
        media = "cdrom" if self.medium is Medium.CD else "disk"
        drive = ["-drive", f"file={self.image},format=raw,media={media},snapshot=on,if=ide"]
        if self.firmware is Firmware.BIOS:
            return drive
        variables = scratch / "uefi-variables.fd"
        shutil.copy(OVMF_VARIABLES, variables)
        return [
            "-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={OVMF_CODE}",
            "-drive", f"if=pflash,format=raw,unit=1,file={variables}",
            *drive,
        ]


Boot = DirectBoot | ImageBoot


@dataclass(frozen=True, kw_only=True)
class Machine:
    type: str = "q35"
    memory: str = "256M"
    processors: int = 1
    cpu: str = "max"
    accelerator: str = "tcg"
    extra: tuple[str, ...] = ()

    def command(self, boot: Boot, scratch: Path) -> list[str]:
        """The QEMU command line without its character devices: the caller decides where the serial line goes."""
        return [
            QEMU, "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
            "-machine", self.type, "-accel", self.accelerator, "-cpu", self.cpu,
            "-m", self.memory, "-smp", str(self.processors),
            "-device", f"isa-debug-exit,iobase={DEBUG_EXIT_PORT:#x},iosize=0x04",
            *boot.arguments(scratch), *self.extra,
        ]
