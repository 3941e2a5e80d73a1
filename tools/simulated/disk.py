"""A disk in memory: its sectors are a bytearray of the caller's. Requests finish at once, or with an error that the
caller asks for.
"""

from kernel.block.device import BLOCK_DEVICES, SECTOR_SHIFT, BlockDevice, BlockRequest, Operation
from kernel.block.registry import add_device
from kernel.fs.disks.scan import scan_partitions
from kernel.lang import EIO, span_of
from kernel.mm.frames import PAGE_SIZE, Frame, frame_span

FIRST_NUMBER = 0xFE00  # vda's: major 254, as virtio disks have it
MINORS = 16


class MemoryDisk(BlockDevice):
    """`image` is the disk's contents; `log` what was asked: (operation, first sector, bytes)."""

    def __init__(self, image: bytearray, number: int = FIRST_NUMBER, name: bytes = b"vda") -> None:
        super().__init__(name, number, len(image) >> SECTOR_SHIFT)
        self.image = image
        self.log: list[tuple[Operation, int, int]] = []
        self.bad_sectors: dict[int, bool] = {}
        self.has_volatile_cache = True

    def submit(self, request: BlockRequest) -> None:
        self.log.append((request.operation, request.sector, request.length))
        if request.operation == Operation.FLUSH:
            request.finish(0)
            return
        if request.operation in (Operation.DISCARD, Operation.WRITE_ZEROES):
            start = request.sector << SECTOR_SHIFT
            filling = b"\xdd" if request.operation == Operation.DISCARD else b"\0"
            self.image[start : start + request.length] = filling * request.length
            request.finish(0)
            return
        for sector in range(request.sector, request.sector + (request.length >> SECTOR_SHIFT)):
            if sector in self.bad_sectors:
                request.finish(EIO)
                return
        position = request.sector << SECTOR_SHIFT
        offset = request.offset
        left = request.length
        for frame in request.frames:
            part = min(PAGE_SIZE - offset, left)
            span = frame_span(Frame(frame))[offset : offset + part]
            if request.operation == Operation.READ:
                span.copy_from(span_of(self.image)[position : position + part])
            else:
                self.image[position : position + part] = span.to_bytes()
            position += part
            left -= part
            offset = 0
        assert left == 0
        request.finish(0)


def attach_disk(image: bytearray) -> MemoryDisk:
    """Plug a disk into the booted machine: the next free of vda … vdz, and its partitions. In a program's context."""
    taken = {device.name for device in BLOCK_DEVICES.values()}
    index = next(i for i in range(26) if b"vd%c" % (ord("a") + i) not in taken)
    disk = MemoryDisk(image, FIRST_NUMBER + MINORS * index, b"vd%c" % (ord("a") + index))
    add_device(disk)
    scan_partitions(disk)
    return disk
