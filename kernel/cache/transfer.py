"""From pages and runs of sectors to requests: pieces that go on, on the device and in memory, travel together.

    transfer = Transfer(device, Operation.READ)
    transfer.hold(page); transfer.add(page, 0, 4096, sector) …
    transfer.submit()

`hold` keeps a page's transfer from finishing before all its parts were added; `submit` lets go.

Context: never sleeps. `completed` in interrupt context perhaps.
"""

from typing import Final

from kernel.block.device import SECTOR_SHIFT, BlockDevice, BlockRequest, Operation
from kernel.cache.page import CachedPage
from kernel.lang import EIO, Errno, final
from kernel.mm.frames import PAGE_MASK

_LARGEST: Final = 256  # pages in one request, whatever the device says


@final
class PageRequest(BlockRequest):
    """A request that tells each of its pages when it is finished."""

    def __init__(self, operation: Operation, sector: int) -> None:
        super().__init__(operation, sector)
        self.pages: list[CachedPage] = []

    def completed(self) -> None:
        error = self.error
        for page in self.pages:
            page.part_done(error)


@final
class Transfer:
    """Requests in the making, all of one kind for one device."""

    def __init__(self, device: BlockDevice, operation: Operation) -> None:
        self.device: BlockDevice = device
        self.operation: Operation = operation
        self.largest: int = min(device.largest_transfer, _LARGEST)
        self.requests: list[PageRequest] = []
        self.held: list[CachedPage] = []

    def hold(self, page: CachedPage) -> None:
        """The page takes part. Raises MemoryError."""
        self.held.append(page)
        page.pending += 1

    def add(self, page: CachedPage, start: int, length: int, sector: int) -> None:
        """The bytes start … start + length - 1 of a held page are those at `sector`. Raises MemoryError."""
        last = len(self.requests) - 1
        if last >= 0 and self._extend(self.requests[last], page, start, length, sector):
            return
        request = PageRequest(self.operation, sector)
        request.offset = start
        request.length = length
        request.frames.append(page.frame)
        request.pages.append(page)
        self.requests.append(request)
        page.pending += 1

    def _extend(self, request: PageRequest, page: CachedPage, start: int, length: int, sector: int) -> bool:
        if request.sector + (request.length >> SECTOR_SHIFT) != sector:
            return False
        end = (request.offset + request.length) & PAGE_MASK
        if end != start:
            return False
        if start != 0:
            if request.pages[-1] is not page:
                return False
        else:
            if len(request.frames) >= self.largest:
                return False
            request.pages.append(page)
            try:
                request.frames.append(page.frame)
            except MemoryError:
                request.pages.pop()
                raise
            page.pending += 1
        request.length += length
        return True

    def submit(self) -> None:
        """Send everything; a request that the device refuses fails at once."""
        for request in self.requests:
            try:
                self.device.start(request)
            except Errno as error:
                request.finish(error.code)
        self.requests.clear()
        self._let_go(0)

    def abandon(self, error: int = EIO) -> None:
        """Send nothing: all pages that take part have failed."""
        for request in self.requests:
            request.finish(error)
        self.requests.clear()
        self._let_go(error)

    def _let_go(self, error: int) -> None:
        for page in self.held:
            page.part_done(error)
        self.held.clear()
