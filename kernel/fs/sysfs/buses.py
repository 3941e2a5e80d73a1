"""The tree of /sys/devices: buses with their devices, and `virtual` with devices that exist in software only.

Context: thread context. Source: Linux's Documentation/ABI/testing/sysfs-devices and sysfs-bus-pci.
"""

from typing import Final

from kernel.block.registry import each_device
from kernel.fs.sysfs.block import BlockKobject
from kernel.fs.sysfs.characters import CLASSES, CharacterKobject, characters_of
from kernel.fs.sysfs.events import DeviceKobject
from kernel.fs.sysfs.kobject import Kobject, KobjectLink
from kernel.fs.sysfs.net import InterfaceKobject
from kernel.lang import final
from kernel.lib.bus import BUS_DEVICES, BusDevice
from kernel.net.link.network import FIRST_NETWORK, Network

_FIRST_INO: Final = 1 << 52
_GROUP_INO: Final = 1 << 53
_DISK_COST: Final = 1500  # instructions, for `pace`
_KINDS: Final[list[bytes]] = [b"block", b"net", *CLASSES]  # of devices, by class


@final
class BusKobject(DeviceKobject):
    """A device of a bus, or the root of a bus. `network`: whose interfaces are shown below."""

    def __init__(self, device: BusDevice, network: Network) -> None:
        super().__init__(device.path, _FIRST_INO | device.number << 8)
        self.subsystem = b"" if len(device.bus) == 0 else b"bus/" + device.bus
        self.device: BusDevice = device
        self.network: Network = network

    def attributes(self) -> list[bytes]:
        return self.device.fact_names()

    def text(self, attribute: bytes) -> bytes:
        return self.device.fact(attribute)

    def properties(self) -> bytes:
        driver = self.device.driver
        return (b"DRIVER=" + driver + b"\n" if driver else b"") + self.device.properties()

    def links(self) -> list[KobjectLink]:
        device = self.device
        return [KobjectLink(b"driver", driver_path(device))] if device.driver else []

    def children(self) -> list[Kobject]:
        found: list[Kobject] = []
        for device in BUS_DEVICES:
            if device.parent is self.device:
                found.append(BusKobject(device, self.network))
        for number in range(len(_KINDS)):
            group = DeviceGroup(self.device, number, self.network)
            if len(group.children()) > 0:
                found.append(group)
        return found


def driver_path(device: BusDevice) -> bytes:
    """Where /sys shows a device's driver."""
    return b"bus/" + device.bus + b"/drivers/" + device.driver


@final
class DeviceGroup(Kobject):
    """The devices of one class that belong to a device: `block`, `net`; with None, those that exist in software
    only.
    """

    def __init__(self, place: BusDevice | None, kind: int, network: Network) -> None:
        number = 0 if place is None else place.number + 1
        above = b"virtual" if place is None else place.path
        super().__init__(above + b"/" + _KINDS[kind], _GROUP_INO | (number << 4 | kind) << 8)
        self.place: BusDevice | None = place
        self.network: Network = network

    def children(self) -> list[Kobject]:
        found: list[Kobject] = []
        kind = self.name()
        if kind == b"block":
            for disk in each_device(_DISK_COST):
                if disk.whole is None and disk.place is self.place:
                    found.append(BlockKobject(disk))
        elif kind == b"net":
            for interface in self.network.devices:
                if interface.place is not None and interface.place is self.place:
                    found.append(InterfaceKobject(interface))
        else:
            for device in characters_of(kind):
                if device.place is self.place:
                    found.append(CharacterKobject(device))
        return found


def virtual_group(kind: bytes) -> DeviceGroup:
    """/sys/devices/virtual/mem and others. Interfaces are elsewhere (`InterfacesDirectory`): they may be many."""
    return DeviceGroup(None, _KINDS.index(kind), FIRST_NETWORK)
