"""Describe a virtual machine and how it boots, and turn that into a QEMU command line.

The front end and the tests share this, so that a test's machine can be started by hand with the command it prints.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from tools.errors import KraitError
from tools.paths import on_path

QEMU = "qemu-system-x86_64"
OVMF_CODE = Path("/usr/share/OVMF/OVMF_CODE_4M.fd")
OVMF_VARIABLES = Path("/usr/share/OVMF/OVMF_VARS_4M.fd")
QBOOT = Path("/usr/share/qemu/qboot.rom")  # if the QEMU on PATH brings none of its own

# A guest ends QEMU by writing to this port: the exit status is (value << 1) | 1.
DEBUG_EXIT_PORT = 0xF4
MACHINE_TYPES = ("q35", "pc", "microvm")


def require_qemu() -> None:
    """Raises KraitError."""
    if on_path(QEMU) is None:
        raise KraitError("krait: QEMU is missing (krait doctor says what else is)")


def quick_firmware(kind: str) -> Path | None:
    """A firmware for machines of this type that has nothing to do but start a kernel, if QEMU brings it. It leaves PCI
    devices without addresses; Krait and Linux give them some.
    """
    if kind not in ("q35", "pc"):
        return None
    qemu = on_path(QEMU)
    beside = [] if qemu is None else [qemu.resolve().parent.parent / "share" / "qemu" / QBOOT.name]
    return next((path for path in (*beside, QBOOT) if path.is_file()), None)


class Firmware(Enum):
    BIOS = "bios"
    UEFI = "uefi"


class Medium(Enum):
    CD = "cd"
    DISK = "disk"
    VIRTIO = "virtio"


class DiskMode(Enum):
    """What becomes of what the guest writes to a disk."""

    SNAPSHOT = "snapshot"  # it is kept in a temporary file and thrown away at the end
    WRITE = "rw"
    READ_ONLY = "ro"


QCOW2_MAGIC = b"QFI\xfb"


@dataclass(frozen=True)
class Disk:
    """A virtio disk of the guest: a raw image or one in QEMU's own format, told apart by its first bytes."""

    image: Path
    mode: DiskMode = DiskMode.SNAPSHOT
    options: str = ""  # more properties of the device, beginning with a comma

    @property
    def format(self) -> str:
        with self.image.open("rb") as image:
            return "qcow2" if image.read(4) == QCOW2_MAGIC else "raw"

    def arguments(self, number: int, bus: str) -> list[str]:
        """QEMU's arguments for the disk with this number; `bus` ends the device's name: pci or device (MMIO)."""
        modes = {DiskMode.SNAPSHOT: ",snapshot=on", DiskMode.WRITE: "", DiskMode.READ_ONLY: ",readonly=on"}
        name = str(self.image).replace(",", ",,")  # QEMU's way to write a comma
        return [
            "-drive", f"if=none,id=disk{number},file={name},format={self.format}{modes[self.mode]}",
            "-device", f"virtio-blk-{bus},drive=disk{number}{self.options}",
        ]


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
    mode: DiskMode = DiskMode.SNAPSHOT  # for a virtio disk

    def arguments(self, scratch: Path) -> list[str]:
        if self.medium is Medium.VIRTIO:
            drive = Disk(self.image, self.mode, ",bootindex=0").arguments(0, "pci")
        else:
            media = "cdrom" if self.medium is Medium.CD else "disk"
            drive = ["-drive", f"file={self.image},format=raw,media={media},snapshot=on,if=ide"]
        if self.firmware is Firmware.BIOS:
            return drive
        import shutil

        variables = scratch / "uefi-variables.fd"
        shutil.copy(OVMF_VARIABLES, variables)
        return [
            "-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={OVMF_CODE}",
            "-drive", f"if=pflash,format=raw,unit=1,file={variables}",
            *drive,
        ]


Boot = DirectBoot | ImageBoot


@dataclass(frozen=True)
class Forward:
    """A port of the host, on its loopback address, that leads to a port of the guest."""

    host_port: int  # 0: QEMU takes one that is free
    guest_port: int
    protocol: str = "tcp"


@dataclass(frozen=True)
class Network:
    """QEMU's user network behind a virtio card: the guest is 10.0.2.15 and the host 10.0.2.2."""

    forwards: tuple[Forward, ...] = ()
    options: str = ""  # more properties of the card, beginning with a comma

    def arguments(self, bus: str) -> list[str]:
        """QEMU's arguments; `bus` as with disks."""
        rules = "".join(
            f",hostfwd={each.protocol}:127.0.0.1:{each.host_port}-:{each.guest_port}" for each in self.forwards
        )
        rom = ",romfile=" if bus == "pci" else ""  # nobody boots from the card, and its program takes a while
        return ["-netdev", f"user,id=net0{rules}", "-device", f"virtio-net-{bus},netdev=net0{rom}{self.options}"]


@dataclass(frozen=True)
class Cable:
    """A virtio card whose other end is a program of the host: each datagram of a socket is an Ethernet frame.

    Without offloads: the guest computes every checksum and cuts every segment itself.
    """

    guest: Path  # the socket that QEMU makes, to which the program sends
    host: Path  # the program's socket
    options: str = ""  # more properties of the card, beginning with a comma

    def arguments(self, bus: str) -> list[str]:
        """QEMU's arguments; `bus` as with disks."""
        local = f"local.type=unix,local.path={self.guest}"
        remote = f"remote.type=unix,remote.path={self.host}"
        return ["-netdev", f"dgram,id=net0,{local},{remote}", "-device", f"virtio-net-{bus},netdev=net0{self.options}"]


@dataclass(frozen=True)
class Share:
    """A directory of the host that the guest mounts: by virtio-fs where a server is at the other end of `socket`, by 9P
    of QEMU's own otherwise. Files that the guest makes belong to whoever runs QEMU.
    """

    directory: Path
    place: str  # in the guest
    read_only: bool = False
    socket: int | None = None  # a descriptor that QEMU inherits

    @staticmethod
    def tag(number: int) -> str:
        return f"share{number}"

    def arguments(self, number: int, bus: str) -> list[str]:
        """QEMU's arguments for the share with this number; `bus` as with disks."""
        name = self.tag(number)
        if self.socket is not None:
            return [
                "-chardev", f"socket,id={name},fd={self.socket}",
                "-device", f"vhost-user-fs-{bus},chardev={name},tag={name}",
            ]  # fmt: skip
        path = str(self.directory).replace(",", ",,")
        mode = ",readonly=on" if self.read_only else ""
        return [
            "-fsdev", f"local,id={name},path={path},security_model=none,multidevs=remap{mode}",
            "-device", f"virtio-9p-{bus},fsdev={name},mount_tag={name}",
        ]


@dataclass(frozen=True, kw_only=True)
class Machine:
    type: str = "q35"
    memory: str = "256M"
    processors: int = 1
    cpu: str = "max"
    accelerator: str = "tcg"
    disks: tuple[Disk, ...] = ()
    shares: tuple[Share, ...] = ()
    network: Network | Cable | None = None
    firmware: Path | None = None  # instead of QEMU's own choice
    extra: tuple[str, ...] = ()

    def _devices(self) -> list[str]:
        """The virtio devices: on PCI, or on microvm's MMIO slots; only ever by the modern interface."""
        mmio = self.type == "microvm"
        bus = "device" if mmio else "pci"
        arguments = [part for number, disk in enumerate(self.disks) for part in disk.arguments(number, bus)]
        for number, share in enumerate(self.shares):
            arguments += share.arguments(number, bus)
        if self.network is not None:
            arguments += self.network.arguments(bus)
        if arguments and mmio:
            arguments = ["-global", "virtio-mmio.force-legacy=false", *arguments]
        return arguments

    def _memory(self) -> list[str]:
        """The machine's type and memory, which servers of shared directories must see."""
        memory = self.memory + "B" * self.memory.isdecimal()  # a number alone would be mebibytes to -m
        if all(share.socket is None for share in self.shares):
            return ["-machine", self.type, "-m", memory]
        return [
            "-object", f"memory-backend-memfd,id=memory,size={memory},share=on",
            "-machine", f"{self.type},memory-backend=memory", "-m", memory,
        ]  # fmt: skip

    def command(self, boot: Boot, scratch: Path) -> list[str]:
        """The QEMU command line without its character devices: the caller decides where the serial line goes."""
        return [
            QEMU, "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
            *self._memory(), "-accel", self.accelerator, "-cpu", self.cpu,
            "-smp", str(self.processors),
            *(["-bios", str(self.firmware)] if self.firmware is not None else []),
            "-device", f"isa-debug-exit,iobase={DEBUG_EXIT_PORT:#x},iosize=0x04",
            *boot.arguments(scratch), *self._devices(), *self.extra,
        ]
