"""Partitions as devices: vda1 … on vda; and the nodes of all block devices in /dev.

A partition passes requests on to its disk, moved by where it starts. Numbers of devices: a disk has 16 minors, and so
15 partitions of its major; further ones have major 259, and the lowest minor that is free, as Linux's.

Context: scanning sleeps.
"""

from typing import Final

from kernel.block.device import BLOCK_DEVICES, SECTOR_SHIFT, BlockDevice, BlockRequest
from kernel.block.partitions import Partition, SectorReader, read_partitions
from kernel.block.registry import WATCHERS, DeviceWatcher, add_device, remove_device, tell_change
from kernel.cache.devices import device_cache, take_cache
from kernel.cache.file_cache import FileCache
from kernel.fs.constants import device_number
from kernel.fs.devices.filesystem import add_block_node, remove_block_node
from kernel.lang import EBUSY, EIO, Errno, final, recursion
from kernel.mm.frames import PAGE_MASK, PAGE_SHIFT, frame_span

_EXTENDED_MAJOR: Final = 259
_MINORS: Final = 16


@final
class PartitionDevice(BlockDevice):
    """A part of a disk. The disk is always a whole one, so nothing here recurses into a partition: `@recursion(1)`."""

    def __init__(self, disk: BlockDevice, name: bytes, number: int, partition: Partition) -> None:
        super().__init__(name, number, partition.length)
        self.whole = disk
        self.disk: BlockDevice = disk
        self.partition_number = partition.number
        self.first_sector = partition.start
        self.uuid: bytes = partition.uuid
        self.label: bytes = partition.label
        self.logical_block_size = disk.logical_block_size
        self.physical_block_size = disk.physical_block_size
        self.read_only = disk.read_only
        self.hardware_read_only = disk.hardware_read_only
        self.has_volatile_cache = disk.has_volatile_cache
        self.largest_transfer = disk.largest_transfer
        self.largest_joined_transfer = disk.largest_joined_transfer
        self.readahead_pages = disk.readahead_pages
        self.discard_limit = disk.discard_limit
        self.discard_alignment = disk.discard_alignment
        self.zeroes_limit = disk.zeroes_limit

    @recursion(1)
    def submit(self, request: BlockRequest) -> None:
        request.sector += self.first_sector
        self.disk.submit(request)

    @recursion(1)
    def hold_back(self) -> None:
        self.disk.hold_back()

    @recursion(1)
    def let_go(self) -> None:
        self.disk.let_go()

    @recursion(1)
    def ioctl(self, command: int, argument: int) -> int:
        return self.disk.ioctl(command, argument)

    @recursion(1)
    def opened(self) -> None:
        self.openers += 1
        self.disk.opened()

    @recursion(1)
    def closed(self) -> None:
        self.openers -= 1
        self.disk.closed()


@final
class CacheReader(SectorReader):
    """Reads partition tables through the disk's page cache."""

    def __init__(self, device: BlockDevice) -> None:
        super().__init__(device.sectors, device.logical_block_size)
        self.device: BlockDevice = device

    def read(self, sector: int) -> bytes:
        if sector < 0 or sector >= self.sectors:
            raise Errno(EIO)
        offset = sector << SECTOR_SHIFT
        page = device_cache(self.device).present(offset >> PAGE_SHIFT)
        within = offset & PAGE_MASK
        return frame_span(page.frame)[within : within + 512].to_bytes()


def partitions_of(disk: BlockDevice) -> list[BlockDevice]:
    """The devices of a disk's partitions."""
    found: list[BlockDevice] = []
    for device in BLOCK_DEVICES.values():
        if device.whole is disk:
            found.append(device)
    return found


def scan_partitions(disk: BlockDevice) -> None:
    """Read a disk's partition table and create devices for its partitions, replacing those that it had, unless one of
    them is claimed. Sleeps. Raises MemoryError.
    """
    with disk.partitioning:
        if disk.claimed_partitions == 0:
            _scan(disk)


def _scan(disk: BlockDevice) -> None:
    drop_partitions(partitions_of(disk))
    partitions = read_partitions(CacheReader(disk))
    if len(partitions) > 0:
        tell_change(disk, b"")
    for partition in partitions:
        add_partition(disk, partition)


def scan_again(disk: BlockDevice) -> None:
    """BLKRRPART: look for partitions anew. Raises EBUSY while one is in use, MemoryError."""
    with disk.partitioning:
        if disk.claimed or disk.claimed_partitions > 0:
            raise Errno(EBUSY)
        for partition in partitions_of(disk):
            if partition.openers > 0:
                raise Errno(EBUSY)
        _scan(disk)


def add_partition(disk: BlockDevice, partition: Partition) -> None:
    """Create a device for a partition. Raises MemoryError."""
    name = disk.name
    last = name[len(name) - 1]
    if ord("0") <= last <= ord("9"):
        name += b"p"  # loop0p1
    name += f"{partition.number}".encode()
    add_device(PartitionDevice(disk, name, _number_for(disk, partition.number), partition))


def drop_partitions(partitions: list[BlockDevice]) -> None:
    """Remove the devices of partitions of one disk; dirty pages of their caches are lost. The caller holds
    `partitioning`. Sleeps, but only once nobody can open any of them. Raises MemoryError, with nothing changed.
    """
    caches: list[FileCache | None] = [None] * len(partitions)
    for index in range(len(partitions)):
        remove_device(partitions[index])
        caches[index] = take_cache(partitions[index])
    for cache in caches:
        if cache is not None:
            cache.close()


def _number_for(disk: BlockDevice, number: int) -> int:
    if number < _MINORS and disk.number & (_MINORS - 1) == 0 and not disk.uses_single_minors:
        return disk.number + number
    minor = 0
    while device_number(_EXTENDED_MAJOR, minor) in BLOCK_DEVICES:
        minor += 1
    return device_number(_EXTENDED_MAJOR, minor)


def scan_all() -> None:
    """Look for partitions on every disk, while the kernel comes up. Sleeps. Raises MemoryError."""
    disks: list[BlockDevice] = []
    for device in BLOCK_DEVICES.values():
        if device.whole is None and not device.uses_single_minors:
            disks.append(device)
    for disk in disks:
        scan_partitions(disk)


@final
class _Nodes(DeviceWatcher):
    """Shows devices in /dev."""

    def appeared(self, device: BlockDevice) -> None:
        add_block_node(device.name, device.number)

    def vanished(self, device: BlockDevice) -> None:
        remove_block_node(device.name, device.number)


WATCHERS.append(_Nodes())
