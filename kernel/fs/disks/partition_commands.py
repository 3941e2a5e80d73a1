"""BLKPG: programs make, remove and resize the partitions that the kernel knows, one by one. The disk's table does not
change.

Context: sleeps.
"""

from typing import Final, Literal

from kernel.block.device import SECTOR_SHIFT, BlockDevice
from kernel.block.partitions import Partition
from kernel.fs.disks.scan import add_partition, drop_partitions, partitions_of
from kernel.lang import EBUSY, EINVAL, ENXIO, Array, Errno, UserAddr, bytes_of, struct, u8
from kernel.lib import user

_ADD: Final = 1
_DELETE: Final = 2
_RESIZE: Final = 3


@struct
class RawPartition:
    """struct blkpg_partition."""

    start: int  # bytes
    length: int
    number: int  # 32 bits, and padding
    device_name: Array[u8, Literal[64]]
    volume_name: Array[u8, Literal[64]]


def change_partition(disk: BlockDevice, argument: int) -> None:
    """BLKPG with its struct blkpg_ioctl_arg. Raises EFAULT, EINVAL, ENXIO, EBUSY."""
    operation = user.read_i32(UserAddr(argument))
    data = UserAddr(user.read_i64(user.at(UserAddr(argument), 16)))
    raw = RawPartition()
    user.read_struct(data, bytes_of(raw))
    number = raw.number & 0xFFFFFFFF
    if disk.partition_number != 0 or not 0 < number < 1 << 31:
        raise Errno(EINVAL)
    with disk.partitioning:
        _change(disk, operation, number, raw)


def _change(disk: BlockDevice, operation: int, number: int, raw: RawPartition) -> None:
    if operation == _DELETE:
        _delete(disk, number)
        return
    mask = disk.logical_block_size - 1
    size = disk.sectors << SECTOR_SHIFT
    if raw.start < 0 or raw.length <= 0 or raw.start > (1 << 62) - min(raw.length, 1 << 62):
        raise Errno(EINVAL)
    if (raw.start | raw.length) & mask != 0 or operation not in (_ADD, _RESIZE):
        raise Errno(EINVAL)
    start = raw.start >> SECTOR_SHIFT
    length = raw.length >> SECTOR_SHIFT
    if operation == _RESIZE:
        _resize(disk, number, start, length)
        return
    if raw.start >= size or raw.length > size - raw.start:
        raise Errno(EINVAL)
    if _meets_another(disk, 0, start, length) or _find(disk, number) is not None:
        raise Errno(EBUSY)
    add_partition(disk, Partition(number, start, length))


def _find(disk: BlockDevice, number: int) -> BlockDevice | None:
    for partition in partitions_of(disk):
        if partition.partition_number == number:
            return partition
    return None


def _meets_another(disk: BlockDevice, number: int, start: int, length: int) -> bool:
    """Whether sectors belong to a partition other than `number`."""
    for other in partitions_of(disk):
        if other.partition_number == number or other.sectors == 0:
            continue
        if start < other.first_sector + other.sectors and other.first_sector < start + length:
            return True
    return False


def _delete(disk: BlockDevice, number: int) -> None:
    partition = _find(disk, number)
    if partition is None:
        raise Errno(ENXIO)
    if partition.openers > 0:
        raise Errno(EBUSY)
    drop_partitions([partition])


def _resize(disk: BlockDevice, number: int, start: int, length: int) -> None:
    partition = _find(disk, number)
    if partition is None:
        raise Errno(ENXIO)
    if partition.first_sector != start:
        raise Errno(EINVAL)
    if _meets_another(disk, number, start, length):
        raise Errno(EBUSY)
    if start + length > disk.sectors:
        raise Errno(EINVAL)
    partition.sectors = length
