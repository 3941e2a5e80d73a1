"""/sys/block, /sys/class/block and /sys/dev/block: what there is to know about block devices.

A disk is a directory in /sys/block, a partition one in its disk's. The two other places are links there. (On Linux
/sys/block holds links too, into a tree of buses; the names of files that programs read are the same.)

Context: never sleeps. All is created when it is looked up.
Source: Linux's Documentation/ABI/stable/sysfs-block.
"""

from typing import Final

from kernel.block.device import BLOCK_DEVICES, SECTOR_SHIFT, BlockDevice
from kernel.fs.constants import S_IFREG, device_major, device_minor
from kernel.fs.disks.scan import PartitionDevice
from kernel.fs.file import DirectorySink
from kernel.fs.filesystem import FileSystem
from kernel.fs.inode import Inode
from kernel.fs.procfs.entries import FIRST_POSITION, ComputedDirectory, FixedLink, TextInode
from kernel.fs.procfs.system import statistics_line
from kernel.lang import EIO, Errno, final

_OF_ALL: Final[list[bytes]] = [b"dev", b"size", b"ro", b"stat", b"uevent", b"alignment_offset", b"inflight"]
_OF_DISKS: Final[list[bytes]] = [b"removable", b"range", b"ext_range", b"hidden", b"capability"]
_OF_PARTITIONS: Final[list[bytes]] = [b"partition", b"start"]
_OF_QUEUES: Final[list[bytes]] = [
    b"logical_block_size",
    b"physical_block_size",
    b"hw_sector_size",
    b"minimum_io_size",
    b"optimal_io_size",
    b"max_sectors_kb",
    b"read_ahead_kb",
    b"rotational",
    b"write_cache",
    b"discard_max_bytes",
    b"discard_granularity",
]
_QUEUE: Final = b"queue"

_KIND_FILE: Final = 8
_KIND_DIRECTORY: Final = 4
_KIND_LINK: Final = 10


def _ino(device: BlockDevice, place: int) -> int:
    """Numbers above those of the fixed part: one for each device and place in its directory."""
    return (1 << 40) | device.number << 8 | place


def _line(value: int) -> bytes:
    return f"{value}\n".encode()


def attribute(device: BlockDevice, name: bytes) -> bytes:
    """The text of a file of a device's directory. Raises EIO for a name that is none."""
    match name:
        case b"dev":
            return _numbers(device) + b"\n"
        case b"size":
            return _line(device.sectors)
        case b"ro":
            return _line(1 if device.read_only else 0)
        case b"stat":
            return statistics_line(device) + b"\n"
        case b"uevent":
            return _uevent(device)
        case b"inflight":
            return f"{device.statistics.in_flight:8d} {0:8d}\n".encode()
        case b"partition":
            return _line(device.partition_number)
        case b"start":
            return _line(device.first_sector)
        case b"range":
            return _line(1 if device.uses_single_minors else 16)
        case b"ext_range":
            return _line(256)
        case b"alignment_offset" | b"removable" | b"hidden" | b"capability":
            return _line(0)
        case _:
            return _queue_attribute(device, name)


def _queue_attribute(device: BlockDevice, name: bytes) -> bytes:
    match name:
        case b"logical_block_size" | b"hw_sector_size":
            return _line(device.logical_block_size)
        case b"physical_block_size" | b"minimum_io_size":
            return _line(device.physical_block_size)
        case b"max_sectors_kb":
            return _line(device.largest_joined_transfer * 4)
        case b"read_ahead_kb":
            return _line(device.readahead_pages * 4)
        case b"rotational":
            return _line(1)
        case b"write_cache":
            return b"write back\n" if device.has_volatile_cache else b"write through\n"
        case b"discard_max_bytes" | b"discard_max_hw_bytes":
            return _line(device.discard_limit << SECTOR_SHIFT)
        case b"discard_granularity":
            return _line(device.discard_alignment << SECTOR_SHIFT if device.discard_limit > 0 else 0)
        case b"write_zeroes_max_bytes":
            return _line(device.zeroes_limit << SECTOR_SHIFT)
        case b"optimal_io_size":
            return _line(0)
        case _:
            raise Errno(EIO)


def _numbers(device: BlockDevice) -> bytes:
    return f"{device_major(device.number)}:{device_minor(device.number)}".encode()


def _uevent(device: BlockDevice) -> bytes:
    text = f"MAJOR={device_major(device.number)}\nMINOR={device_minor(device.number)}\nDEVNAME=".encode() + device.name
    if device.partition_number == 0:
        return text + b"\nDEVTYPE=disk\n"
    text += f"\nDEVTYPE=partition\nPARTN={device.partition_number}\n".encode()
    if isinstance(device, PartitionDevice) and len(device.label) > 0:
        text += b"PARTNAME=" + device.label + b"\n"
    return text


@final
class AttributeFile(TextInode):
    """One fact about one device."""

    def __init__(self, file_system: FileSystem, ino: int, device: BlockDevice, name: bytes) -> None:
        super().__init__(file_system, ino, S_IFREG | 0o444)
        self.device: BlockDevice = device
        self.name: bytes = name

    def make_text(self) -> bytes:
        return attribute(self.device, self.name)


@final
class DeviceDirectory(ComputedDirectory):
    """/sys/block/vda, /sys/block/vda/vda1, or with `is_queue` /sys/block/vda/queue."""

    def __init__(self, file_system: FileSystem, device: BlockDevice, is_queue: bool) -> None:
        super().__init__(file_system, _ino(device, 1 if is_queue else 0), 0o755)
        self.device: BlockDevice = device
        self.is_queue: bool = is_queue

    def _attributes(self) -> list[bytes]:
        if self.is_queue:
            return _OF_QUEUES
        return _OF_ALL + (_OF_PARTITIONS if self.device.whole is not None else _OF_DISKS)

    def lookup(self, name: bytes) -> Inode | None:
        names = self._attributes()
        if name in names:
            place = names.index(name) + (64 if self.is_queue else 2)
            return AttributeFile(self.file_system, _ino(self.device, place), self.device, name)
        if self.is_queue or self.device.whole is not None:
            return None
        if name == _QUEUE:
            return DeviceDirectory(self.file_system, self.device, is_queue=True)
        for device in BLOCK_DEVICES.values():
            if device.whole is self.device and device.name == name:
                return DeviceDirectory(self.file_system, device, is_queue=False)
        return None

    def read_directory(self, position: int, sink: DirectorySink) -> None:
        place = FIRST_POSITION
        for name in self._attributes():
            if place >= position:
                if not sink.emit(name, _ino(self.device, place), _KIND_FILE, place + 1):
                    return
                sink.position = place + 1
            place += 1
        if self.is_queue or self.device.whole is not None:
            return
        if place >= position:
            if not sink.emit(_QUEUE, _ino(self.device, 1), _KIND_DIRECTORY, place + 1):
                return
            sink.position = place + 1
        for device in BLOCK_DEVICES.values():
            if device.whole is self.device:
                place += 1
                if place >= position:
                    if not sink.emit(device.name, _ino(device, 0), _KIND_DIRECTORY, place + 1):
                        return
                    sink.position = place + 1


@final
class DisksDirectory(ComputedDirectory):
    """/sys/block."""

    def lookup(self, name: bytes) -> Inode | None:
        for device in BLOCK_DEVICES.values():
            if device.whole is None and device.name == name:
                return DeviceDirectory(self.file_system, device, is_queue=False)
        return None

    def read_directory(self, position: int, sink: DirectorySink) -> None:
        place = FIRST_POSITION
        for device in BLOCK_DEVICES.values():
            if device.whole is None:
                if place >= position:
                    if not sink.emit(device.name, _ino(device, 0), _KIND_DIRECTORY, place + 1):
                        return
                    sink.position = place + 1
                place += 1


@final
class LinksDirectory(ComputedDirectory):
    """/sys/class/block (by name) and /sys/dev/block (by number): links to all devices."""

    def __init__(self, file_system: FileSystem, ino: int, by_number: bool) -> None:
        super().__init__(file_system, ino, 0o755)
        self.by_number: bool = by_number

    def _name(self, device: BlockDevice) -> bytes:
        return _numbers(device) if self.by_number else device.name

    def lookup(self, name: bytes) -> Inode | None:
        for device in BLOCK_DEVICES.values():
            if self._name(device) == name:
                whole = device.whole
                target = b"../../block/" + device.name
                if whole is not None:
                    target = b"../../block/" + whole.name + b"/" + device.name
                return FixedLink(self.file_system, _ino(device, 128 if self.by_number else 129), target)
        return None

    def read_directory(self, position: int, sink: DirectorySink) -> None:
        place = FIRST_POSITION
        for device in BLOCK_DEVICES.values():
            if place >= position:
                ino = _ino(device, 128 if self.by_number else 129)
                if not sink.emit(self._name(device), ino, _KIND_LINK, place + 1):
                    return
                sink.position = place + 1
            place += 1
