"""Devices on buses, as far as programs see them: the place of each, its driver and its properties.

Drivers enter what they find while the kernel comes up; /sys/devices shows it (`kernel/fs/sysfs`). What disks, cards and
ports are to programs is described elsewhere: they have a `place` here.

Context: entries are created at boot, and stay.
"""

from collections.abc import Callable
from typing import Final

from kernel.lang import final

ROOT_PCI: Final = b"pci0000:00"
ROOT_PLATFORM: Final = b"platform"


class BusDevice:
    """One device. Base class: devices on a bus add more."""

    def __init__(self, parent: "BusDevice | None", name: bytes, bus: bytes) -> None:
        self.parent: BusDevice | None = parent
        self.name: bytes = name
        self.bus: bytes = bus  # pci, virtio, platform; empty for the root of a bus, which is not a device
        self.driver: bytes = b""  # empty: it has no driver
        self.path: bytes = name if parent is None else parent.path + b"/" + name  # below /sys/devices
        self.number: int = len(BUS_DEVICES)
        BUS_DEVICES.append(self)

    def fact_names(self) -> list[bytes]:
        """The files in its directory."""
        return []

    def fact(self, name: bytes) -> bytes:
        """The text of one file."""
        return b""

    def properties(self) -> bytes:
        """Its properties in events: lines of NAME=VALUE."""
        return b""


BUS_DEVICES: Final[list[BusDevice]] = []


def _first_alone() -> bytes:
    return b"0\n"


@final
class ProcessorsHook:
    """Entered from above: the list of all processors, as /sys shows it. Each is as near to any device as the others."""

    def __init__(self) -> None:
        self.list: Callable[[], bytes] = _first_alone


PROCESSORS_HOOK: Final = ProcessorsHook()


def bus_device(path: bytes) -> BusDevice | None:
    """The device with a path."""
    for device in BUS_DEVICES:
        if device.path == path:
            return device
    return None


def bus_root(name: bytes) -> BusDevice:
    """The root of a bus (ROOT_PCI, ROOT_PLATFORM). Raises MemoryError."""
    found = bus_device(name)
    return BusDevice(None, name, b"") if found is None else found
