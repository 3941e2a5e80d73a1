"""From pages and runs of sectors to requests: pieces that are contiguous, on the device and in memory, travel together.

    with Transfer(device, Operation.READ) as transfer:
        transfer.hold(page); transfer.add(page, 0, 4096, sector) …
        transfer.submit()

`hold` keeps a page's transfer from finishing before all its parts were added; `submit` lets go, and so does the end of
the `with`: whatever was not sent by then fails. A page is marked as in transfer only once it is held, so nobody waits
for a transfer that never comes to an end. Write-back of many files hands its transfers to a `Plug` instead, which joins
the requests of neighbours, whichever file they are of.

Context: never sleeps. `completed` may run in interrupt context.
"""

from typing import Final

from kernel.block.device import SECTOR_SHIFT, BlockDevice, BlockRequest, Operation
from kernel.cache.page import CachedPage
from kernel.lang import EIO, Errno, final
from kernel.mm.frames import PAGE_MASK
from kernel.sched import Obligation

_PLUG_SHIFT: Final = 9
_PLUG_LIMIT: Final = 1 << _PLUG_SHIFT  # requests that a plug holds back; a sector and such a number fit into one int


@final
class PageRequest(BlockRequest):
    """A request that notifies each of its pages when it finishes."""

    def __init__(self, operation: Operation, sector: int) -> None:
        super().__init__(operation, sector)
        self.pages: list[CachedPage] = []
        self.is_paid = operation == Operation.WRITE
        self.segments: int = 1  # runs of consecutive frames

    def completed(self) -> None:
        error = self.error
        for page in self.pages:
            page.part_done(error)

    def has_room(self, device: BlockDevice, frames: int, segments: int) -> bool:
        """Whether the device takes that much more in the same request."""
        if len(self.frames) + frames > device.largest_joined_transfer:
            return False
        return self.segments + segments <= device.largest_transfer

    def ends_page_at(self, sector: int) -> bool:
        """Whether the start of another page, at `sector`, continues where this request ends."""
        return self.sector + (self.length >> SECTOR_SHIFT) == sector and (self.offset + self.length) & PAGE_MASK == 0

    def append(self, page: CachedPage) -> None:
        """Add a page, or its beginning; the caller counts its bytes. Raises MemoryError."""
        is_next = page.frame == self.frames[-1] + 1
        self.pages.append(page)
        try:
            self.frames.append(page.frame)
        except MemoryError:
            self.pages.pop()
            raise
        if not is_next:
            self.segments += 1

    def join(self, other: "PageRequest") -> bool:
        """Take over a request that continues where this one ends. Returns False if there is no memory for it."""
        count = len(self.pages)
        try:
            for page in other.pages:
                self.append(page)
        except MemoryError:
            while len(self.pages) > count:
                self.pages.pop()
                self.frames.pop()
            return False
        self.length += other.length
        return True


@final
class Transfer(Obligation):
    """Requests being built, all of one kind for one device. The thread must finish it, because others wait for the
    pages.
    """

    def __init__(self, device: BlockDevice, operation: Operation) -> None:
        super().__init__()
        self.device: BlockDevice = device
        self.operation: Operation = operation
        self.requests: list[PageRequest] = []
        self.held: list[CachedPage] = []

    def __enter__(self) -> "Transfer":
        return self

    def __exit__(self, kind: object, value: object, traceback: object) -> None:
        if len(self.held) > 0:
            self.abandon()

    def hold(self, page: CachedPage) -> None:
        """The page takes part: the caller marks it as being read or written. Raises MemoryError."""
        self.held.append(page)
        if len(self.held) == 1:
            self.owe()
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
        if start == 0:
            if not request.ends_page_at(sector) or not request.has_room(self.device, 1, 1):
                return False
            request.append(page)
            page.pending += 1
        elif (
            request.sector + (request.length >> SECTOR_SHIFT) != sector
            or (request.offset + request.length) & PAGE_MASK != start
            or request.pages[-1] is not page
        ):
            return False
        request.length += length
        return True

    def submit(self) -> None:
        """Send everything; a request that the device refuses fails at once."""
        start_all(self.device, self.requests)
        self._let_go(0)

    def submit_through(self, plug: "Plug") -> None:
        """Leave everything to a plug."""
        plug.take(self.device, self.requests)
        self._let_go(0)

    def abandon(self, error: int = EIO) -> None:
        """Send nothing: all held pages fail."""
        for request in self.requests:
            request.finish(error)
        self.requests.clear()
        self._let_go(error)

    def broken_off(self) -> None:
        self.abandon()

    def _let_go(self, error: int) -> None:
        self.settle()
        for page in self.held:
            page.part_done(error)
        self.held.clear()


def start_all(device: BlockDevice, requests: list[PageRequest]) -> None:
    """Start requests, notify the device once, and clear the list; a request that is refused fails at once."""
    device.hold_back()
    try:
        for request in requests:
            try:
                device.start(request)
            except Errno as error:
                request.finish(error.code)
    finally:
        device.let_go()
    requests.clear()


@final
class Plug(Obligation):
    """Write requests that are held back for a moment, so that neighbours become one. The user calls `flush` before it
    sleeps for one of the pages, and at the end. It is for files' contents only: others wait for pages of metadata while
    they hold locks that the user may need.
    """

    def __init__(self) -> None:
        super().__init__()
        self.device: BlockDevice | None = None
        self.requests: list[PageRequest] = []

    def take(self, device: BlockDevice, requests: list[PageRequest]) -> None:
        """Take over requests and clear the list. Sends them at once if there is no memory to hold them back."""
        if self.device is not device or len(self.requests) + len(requests) > _PLUG_LIMIT:
            self.flush()
            self.device = device
            self.owe()
        count = len(self.requests)
        try:
            self.requests.extend(requests)
        except MemoryError:
            while len(self.requests) > count:
                self.requests.pop()
            start_all(device, requests)
        requests.clear()

    def flush(self) -> None:
        """Send everything, in order of sectors."""
        device = self.device
        if device is None:
            return
        self.device = None
        self.settle()
        try:
            start_all(device, self._joined(device))
        except MemoryError:
            start_all(device, self.requests)
        self.requests.clear()

    def broken_off(self) -> None:
        for request in self.requests:
            request.finish(EIO)

    def _joined(self, device: BlockDevice) -> list[PageRequest]:
        """The requests in order, neighbours joined. Raises MemoryError, having joined nothing."""
        keys: list[int] = []
        for i in range(len(self.requests)):
            keys.append(self.requests[i].sector << _PLUG_SHIFT | i)
        keys.sort()
        ordered: list[PageRequest] = [self.requests[key & _PLUG_LIMIT - 1] for key in keys]
        count = 0
        for request in ordered:
            if count > 0:
                last = ordered[count - 1]
                fits = last.has_room(device, len(request.frames), request.segments)
                if fits and request.offset == 0 and last.ends_page_at(request.sector) and last.join(request):
                    continue
            ordered[count] = request
            count += 1
        while len(ordered) > count:
            ordered.pop()
        return ordered
