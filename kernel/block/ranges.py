"""Ranges of a device without data: discarding them, and filling them with zeros.

Context: sleeps.
"""

from typing import Final

from kernel.block.device import SECTOR_SHIFT, BlockDevice, BlockRequest, Operation, transfer
from kernel.lang import EOPNOTSUPP, Errno
from kernel.mm.frames import PAGE_SHIFT, allocate_zeroed_frame, put_frame

_ZEROES_AT_ONCE: Final = 128  # frames, of one request that writes zeros


def discard(device: BlockDevice, sector: int, count: int) -> None:
    """Discard `count` sectors: their contents become undefined. Raises EOPNOTSUPP, EIO, EROFS."""
    if device.discard_limit == 0:
        raise Errno(EOPNOTSUPP)
    _in_parts(device, Operation.DISCARD, sector, count, device.discard_limit)


def zero_out(device: BlockDevice, sector: int, count: int) -> None:
    """Fill `count` sectors with zeros, by the device itself if it can. Raises EIO, EROFS, MemoryError."""
    if device.zeroes_limit > 0:
        _in_parts(device, Operation.WRITE_ZEROES, sector, count, device.zeroes_limit)
        return
    frame = allocate_zeroed_frame()
    try:
        limit = min(_ZEROES_AT_ONCE, device.largest_transfer) << (PAGE_SHIFT - SECTOR_SHIFT)
        while count > 0:
            part = min(count, limit)
            request = BlockRequest(Operation.WRITE, sector)
            request.length = part << SECTOR_SHIFT
            for _ in range((request.length + (1 << PAGE_SHIFT) - 1) >> PAGE_SHIFT):
                request.frames.append(frame)
            transfer(device, request)
            sector += part
            count -= part
    finally:
        put_frame(frame)


def _in_parts(device: BlockDevice, operation: Operation, sector: int, count: int, limit: int) -> None:
    while count > 0:
        part = min(count, limit)
        request = BlockRequest(operation, sector)
        request.length = part << SECTOR_SHIFT
        transfer(device, request)
        sector += part
        count -= part
