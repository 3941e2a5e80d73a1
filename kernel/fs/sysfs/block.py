"""Block devices in /sys/devices: the properties of disks, partitions and loop devices.

A disk's directory lies in `block` of the device that it belongs to, a partition's in its disk's. /sys/block (disks),
/sys/class/block and /sys/dev/block have links there.

Context: thread context.
Source: Linux's Documentation/ABI/stable/sysfs-block, and sysfs-block-loop in testing.
"""

from typing import Final

from kernel.block.device import BLOCK_DEVICES, SECTOR_SHIFT, BlockDevice
from kernel.fs.constants import device_major, device_minor
from kernel.fs.disks.loop import LO_FLAGS_AUTOCLEAR, LO_FLAGS_DIRECT_IO, LO_FLAGS_PARTSCAN, LoopDevice
from kernel.fs.disks.scan import PartitionDevice
from kernel.fs.path import path_name
from kernel.fs.procfs.system import statistics_line
from kernel.fs.sysfs.events import DeviceKobject
from kernel.fs.sysfs.kobject import Kobject, KobjectLink, line
from kernel.lang import EINVAL, EIO, ENODEV, Errno, final
from kernel.lib.numbers import LARGEST, parse_unsigned
from kernel.task import current

_SCHEDULER: Final = b"scheduler"
_ROTATIONAL: Final = b"rotational"
_OF_ALL: Final[list[bytes]] = [b"dev", b"size", b"ro", b"stat", b"alignment_offset", b"inflight"]
_OF_DISKS: Final[list[bytes]] = [b"removable", b"range", b"ext_range", b"hidden", b"capability", b"diskseq"]
_OF_PARTITIONS: Final[list[bytes]] = [b"partition", b"start"]
_OF_QUEUES: Final[list[bytes]] = [
    b"logical_block_size",
    b"physical_block_size",
    b"hw_sector_size",
    b"minimum_io_size",
    b"optimal_io_size",
    b"max_sectors_kb",
    b"read_ahead_kb",
    _ROTATIONAL,
    b"write_cache",
    b"discard_max_bytes",
    b"discard_granularity",
    _SCHEDULER,
]
_OF_LOOPS: Final[list[bytes]] = [b"autoclear", b"backing_file", b"dio", b"offset", b"partscan", b"sizelimit"]
_MOST_NUMBER: Final = (1 << 32) - 1
_FIRST_INO: Final = 1 << 40  # of the devices; from the next powers of two on, of what lies in their directories
_QUEUE_INO: Final = 1 << 41
_HOLDERS_INO: Final = 1 << 42
_SLAVES_INO: Final = 1 << 43
_LOOP_INO: Final = 1 << 45


def attribute_text(device: BlockDevice, name: bytes) -> bytes:
    """The text of a file of a device's directory. Raises EIO for an unknown name."""
    match name:
        case b"dev":
            return _numbers(device) + b"\n"
        case b"size":
            return line(device.sectors)
        case b"ro":
            return line(1 if device.read_only else 0)
        case b"stat":
            return statistics_line(device) + b"\n"
        case b"diskseq":
            return line(device.sequence)
        case b"inflight":
            return f"{device.statistics.in_flight:8d} {0:8d}\n".encode()
        case b"partition":
            return line(device.partition_number)
        case b"start":
            return line(device.first_sector)
        case b"range":
            return line(1 if device.uses_single_minors else 16)
        case b"ext_range":
            return line(256)
        case b"alignment_offset" | b"removable" | b"hidden" | b"capability":
            return line(0)
        case _:
            return _queue_attribute(device, name)


def _queue_attribute(device: BlockDevice, name: bytes) -> bytes:
    match name:
        case b"logical_block_size" | b"hw_sector_size":
            return line(device.logical_block_size)
        case b"physical_block_size" | b"minimum_io_size":
            return line(device.physical_block_size)
        case b"max_sectors_kb":
            return line(device.largest_joined_transfer * 4)
        case b"read_ahead_kb":
            return line(device.readahead_pages * 4)
        case b"rotational":
            return line(1 if device.is_rotational else 0)
        case b"write_cache":
            return b"write back\n" if device.has_volatile_cache else b"write through\n"
        case b"discard_max_bytes" | b"discard_max_hw_bytes":
            return line(device.discard_limit << SECTOR_SHIFT)
        case b"discard_granularity":
            return line(device.discard_alignment << SECTOR_SHIFT if device.discard_limit > 0 else 0)
        case b"write_zeroes_max_bytes":
            return line(device.zeroes_limit << SECTOR_SHIFT)
        case b"optimal_io_size":
            return line(0)
        case b"scheduler":
            return b"[none] \n"  # requests go out in the order in which they come, as Linux's do by default
        case _:
            raise Errno(EIO)


def _number_in(text: bytes) -> int:
    """An unsigned int, which ends at a NUL. Raises EINVAL."""
    try:
        number = parse_unsigned(text.split(b"\0")[0], 10, LARGEST + 1)
    except Errno:
        raise Errno(EINVAL) from None
    if number > _MOST_NUMBER:
        raise Errno(EINVAL)
    return number


def _numbers(device: BlockDevice) -> bytes:
    return f"{device_major(device.number)}:{device_minor(device.number)}".encode()


def _properties(device: BlockDevice) -> bytes:
    text = f"MAJOR={device_major(device.number)}\nMINOR={device_minor(device.number)}\nDEVNAME=".encode() + device.name
    whole = device.whole
    if whole is None:
        return text + f"\nDEVTYPE=disk\nDISKSEQ={device.sequence}\n".encode()
    text += f"\nDEVTYPE=partition\nDISKSEQ={whole.sequence}\nPARTN={device.partition_number}\n".encode()
    if isinstance(device, PartitionDevice) and len(device.label) > 0:
        text += b"PARTNAME=" + device.label + b"\n"
    return text


def _text_of_loop(device: LoopDevice, name: bytes) -> bytes:
    """The attributes of a bound loop device. Raises EINVAL, as on Linux, if the file has no name."""
    match name:
        case b"backing_file":
            file = device.file
            if file is None:
                raise Errno(EINVAL)
            return path_name(file.path, current().fs.root) + b"\n"
        case b"offset":
            return line(device.offset)
        case b"sizelimit":
            return line(device.size_limit)
        case b"autoclear":
            return line(1 if device.flags & LO_FLAGS_AUTOCLEAR != 0 else 0)
        case b"partscan":
            return line(1 if device.flags & LO_FLAGS_PARTSCAN != 0 else 0)
        case _:
            return line(1 if device.flags & LO_FLAGS_DIRECT_IO != 0 else 0)


def block_path(device: BlockDevice) -> bytes:
    """Where a device is, below /sys/devices."""
    whole = device.whole
    place = device.place
    if whole is not None:
        place = whole.place
    above = b"virtual/block/" if place is None else place.path + b"/block/"
    return above + device.name if whole is None else above + whole.name + b"/" + device.name


@final
class BlockKobject(DeviceKobject):
    """A disk, a partition, a loop device."""

    def __init__(self, device: BlockDevice) -> None:
        super().__init__(block_path(device), _FIRST_INO | device.number << 8)
        self.subsystem = b"class/block"
        self.device: BlockDevice = device

    def attributes(self) -> list[bytes]:
        return _OF_ALL + (_OF_PARTITIONS if self.device.whole is not None else _OF_DISKS)

    def text(self, attribute: bytes) -> bytes:
        if BLOCK_DEVICES.get(self.device.number) is not self.device:
            raise Errno(ENODEV)
        return attribute_text(self.device, attribute)

    def properties(self) -> bytes:
        return _properties(self.device)

    def links(self) -> list[KobjectLink]:
        place = self.device.place
        return [] if place is None else [KobjectLink(b"device", b"devices/" + place.path)]

    def children(self) -> list[Kobject]:
        device = self.device
        found: list[Kobject] = [BlockPart(device, b"holders", _HOLDERS_INO, [])]
        if device.whole is not None:
            return found
        found.append(BlockPart(device, b"queue", _QUEUE_INO, _OF_QUEUES))
        found.append(BlockPart(device, b"slaves", _SLAVES_INO, []))
        if isinstance(device, LoopDevice) and device.file is not None:
            found.append(BlockPart(device, b"loop", _LOOP_INO, _OF_LOOPS))
        for other in BLOCK_DEVICES.values():
            if other.whole is device:
                found.append(BlockKobject(other))
        return found


@final
class BlockPart(Kobject):
    """A directory in a device's: its queue, what a loop device is bound to; what lies above and below, which is nothing
    here.
    """

    def __init__(self, device: BlockDevice, name: bytes, ino: int, attributes: list[bytes]) -> None:
        super().__init__(block_path(device) + b"/" + name, ino | device.number << 8)
        self.device: BlockDevice = device
        self.names: list[bytes] = attributes

    def attributes(self) -> list[bytes]:
        return self.names

    def mode(self, attribute: bytes) -> int:
        return 0o644 if attribute == _SCHEDULER or attribute == _ROTATIONAL else 0o444

    def store(self, attribute: bytes, text: bytes) -> None:
        """Say whether the disk is rotational, or choose a scheduler of requests: there is one, which is none. As on
        Linux, more may follow its name.
        """
        if attribute == _ROTATIONAL:
            self.device.is_rotational = _number_in(text) != 0
            return
        name = text.split(b"\0")[0].strip(b" \t\n")
        if attribute != _SCHEDULER or not name.startswith(b"none"):
            raise Errno(EINVAL)

    def text(self, attribute: bytes) -> bytes:
        device = self.device
        if BLOCK_DEVICES.get(device.number) is not device:
            raise Errno(ENODEV)
        if isinstance(device, LoopDevice) and self.names is _OF_LOOPS:
            return _text_of_loop(device, attribute)
        return _queue_attribute(device, attribute)
