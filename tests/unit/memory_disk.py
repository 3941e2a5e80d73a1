"""A block device over a bytearray, for tests of what lies on disks. Requests finish at once, or with an error that the
test asks for.
"""

from kernel.block.device import SECTOR_SHIFT, BlockDevice, BlockRequest, Operation
from kernel.lang import EIO, span_of
from kernel.mm.frames import PAGE_SIZE, Frame, frame_span


class MemoryDisk(BlockDevice):
    """`image` is the disk's contents; `log` what was asked: (operation, first sector, bytes)."""

    def __init__(self, image: bytearray, number: int = 0xFE00) -> None:
        super().__init__(b"vda", number, len(image) >> SECTOR_SHIFT)
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
