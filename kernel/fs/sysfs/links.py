"""Directories of links to devices: /sys/class/X, /sys/block, /sys/dev/block, /sys/dev/char, /sys/bus/X/devices and the
directories of drivers.

Context: thread context. All is created when it is looked up.
"""

from enum import IntEnum
from typing import Final

from kernel.block.registry import each_device
from kernel.fs.character_devices import CHAR_DEVICES
from kernel.fs.file import DirectorySink
from kernel.fs.filesystem import FileSystem
from kernel.fs.inode import Inode
from kernel.fs.procfs.entries import FIRST_POSITION, ComputedDirectory, FixedLink
from kernel.fs.sysfs.block import block_path
from kernel.fs.sysfs.characters import character_path, characters_of, class_of, numbers_of
from kernel.fs.sysfs.kobject import KobjectLink
from kernel.lang import final
from kernel.lib.bus import BUS_DEVICES

_KIND_LINK: Final = 10
_INO_SHIFT: Final = 16
_LINK_COST: Final = 1500  # instructions, for `pace`


class Disks(IntEnum):
    """Which block devices a directory has, and by what name."""

    WHOLE = 0  # /sys/block
    ALL = 1  # /sys/class/block
    BY_NUMBER = 2  # /sys/dev/block


class LinksDirectory(ComputedDirectory):
    """A directory of links. Base class. `up` is the way from there to /sys: `../` for each part of the directory's
    path.
    """

    def __init__(self, file_system: FileSystem, ino: int, up: bytes) -> None:
        super().__init__(file_system, ino, 0o755)
        self.up: bytes = up

    def entries(self) -> list[KobjectLink]:
        """The links, with targets below /sys/devices."""
        return []

    def _ino(self, index: int) -> int:
        return (1 << 56) | self.ino << _INO_SHIFT | index

    def lookup(self, name: bytes) -> Inode | None:
        index = 0
        for entry in self.entries():
            if entry.name == name:
                return FixedLink(self.file_system, self._ino(index), self.up + b"devices/" + entry.target, size=0)
            index += 1
        return None

    def read_directory(self, position: int, sink: DirectorySink) -> None:
        entries = self.entries()
        index = max(0, position - FIRST_POSITION)
        while index < len(entries):
            if not sink.emit(entries[index].name, self._ino(index), _KIND_LINK, index + 1 + FIRST_POSITION):
                return
            index += 1
            sink.position = index + FIRST_POSITION


@final
class DiskLinks(LinksDirectory):
    """Links to block devices."""

    def __init__(self, file_system: FileSystem, ino: int, up: bytes, which: Disks) -> None:
        super().__init__(file_system, ino, up)
        self.which: Disks = which

    def entries(self) -> list[KobjectLink]:
        found: list[KobjectLink] = []
        for device in each_device(_LINK_COST):
            if self.which != Disks.WHOLE or device.whole is None:
                name = numbers_of(device.number) if self.which == Disks.BY_NUMBER else device.name
                found.append(KobjectLink(name, block_path(device)))
        return found


@final
class ClassLinks(LinksDirectory):
    """Links to the character devices of a class."""

    def __init__(self, file_system: FileSystem, ino: int, class_name: bytes) -> None:
        super().__init__(file_system, ino, b"../../")
        self.class_name: bytes = class_name

    def entries(self) -> list[KobjectLink]:
        return [KobjectLink(device.sys_name, character_path(device)) for device in characters_of(self.class_name)]


@final
class CharacterLinks(LinksDirectory):
    """/sys/dev/char."""

    def entries(self) -> list[KobjectLink]:
        found: list[KobjectLink] = []
        for device in CHAR_DEVICES.values():
            if len(class_of(device)) > 0:
                found.append(KobjectLink(numbers_of(device.number), character_path(device)))
        return found


@final
class BusLinks(LinksDirectory):
    """The devices of a bus, or of one driver there; empty: whoever drives them."""

    def __init__(self, file_system: FileSystem, ino: int, bus: bytes, driver: bytes) -> None:
        super().__init__(file_system, ino, b"../../../" if len(driver) == 0 else b"../../../../")
        self.bus: bytes = bus
        self.driver: bytes = driver

    def entries(self) -> list[KobjectLink]:
        found: list[KobjectLink] = []
        for device in BUS_DEVICES:
            if device.bus == self.bus and (len(self.driver) == 0 or device.driver == self.driver):
                found.append(KobjectLink(device.name, device.path))
        return found
