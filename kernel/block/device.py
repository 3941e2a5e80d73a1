"""Block devices and what is asked of them.

A driver derives from `BlockDevice` and carries out requests in any order; who needs an order waits for one request
before it makes the next, and asks for a flush where data must outlast a power failure. A sector is always 512 bytes
here; `logical_block_size` is the smallest unit that the device itself can move, and every request is a multiple of it.

Context: `submit` never sleeps, and may be called from an interrupt that finished another request. `finish` is called
by drivers, in interrupt context perhaps.
"""

from enum import IntEnum
from typing import Final

from kernel.lang import EIO, EROFS, Errno, sleeps
from kernel.sched import WaitQueue

SECTOR_SIZE: Final = 512
SECTOR_SHIFT: Final = 9

PENDING: Final = -1


class Operation(IntEnum):
    """What a request does."""

    READ = 0
    WRITE = 1
    FLUSH = 2  # everything written so far is on stable storage when it is finished; moves no data


class BlockRequest:
    """One transfer between consecutive sectors and frames of memory.

    The bytes lie at `offset` of the first frame and go on from the start of each following one, `length` bytes in all.
    The caller holds a reference to each frame until the request is finished. A derived class overrides `completed`.
    """

    def __init__(self, operation: Operation, sector: int) -> None:
        self.operation: Operation = operation
        self.sector: int = sector
        self.frames: list[int] = []
        self.offset: int = 0
        self.length: int = 0
        self.error: int = PENDING  # 0 or an errno once it is finished
        self.waiters: WaitQueue = WaitQueue()
        self.next: BlockRequest | None = None  # for the driver's queue

    def completed(self) -> None:
        """The request is finished and `error` is set. In interrupt context perhaps: never sleeps."""

    def finish(self, error: int) -> None:
        """The driver is done with it; `error` is 0 or an errno."""
        self.error = error
        self.completed()
        self.waiters.wake_all()

    def is_finished(self) -> bool:
        return self.error != PENDING

    @sleeps
    def wait(self) -> None:
        """Sleep until it is finished. Raises the device's error (EIO)."""
        while self.error == PENDING:
            self.waiters.sleep(interruptible=False)
        if self.error != 0:
            raise Errno(self.error)


class BlockDevice:
    """Base of all disks, partitions and loop devices."""

    def __init__(self, name: bytes, number: int, sectors: int) -> None:
        self.name: bytes = name  # vda, vda1, loop0
        self.number: int = number  # dev_t
        self.sectors: int = sectors  # of 512 bytes
        self.logical_block_size: int = SECTOR_SIZE
        self.physical_block_size: int = SECTOR_SIZE
        self.read_only: bool = False
        self.has_volatile_cache: bool = False  # flushes mean something
        self.largest_transfer: int = 128  # frames in one request
        self.readahead_pages: int = 32  # how far reads may be ahead of a sequential reader

    def submit(self, request: BlockRequest) -> None:
        """Begin a request that `check` has let pass. Its `finish` is called sooner or later, whatever happens."""
        request.finish(EIO)

    def check(self, request: BlockRequest) -> None:
        """Raise EIO unless the request lies on the device and fits its blocks, EROFS if it may not be written."""
        if request.operation == Operation.FLUSH:
            return
        if request.operation == Operation.WRITE and self.read_only:
            raise Errno(EROFS)
        mask = self.logical_block_size - 1
        sectors = request.length >> SECTOR_SHIFT
        if request.length & mask != 0 or (request.sector << SECTOR_SHIFT) & mask != 0:
            raise Errno(EIO)
        if request.sector < 0 or request.sector > self.sectors or sectors > self.sectors - request.sector:
            raise Errno(EIO)


BLOCK_DEVICES: Final[dict[int, BlockDevice]] = {}
"""By device number. Entered by drivers, and by the partition scanner."""


@sleeps
def transfer(device: BlockDevice, request: BlockRequest) -> None:
    """Carry out one request and wait for it. Raises EIO, EROFS."""
    device.check(request)
    device.submit(request)
    request.wait()


@sleeps
def flush(device: BlockDevice) -> None:
    """Wait until everything that the device was given is on stable storage. Raises EIO."""
    if device.has_volatile_cache:
        transfer(device, BlockRequest(Operation.FLUSH, 0))
