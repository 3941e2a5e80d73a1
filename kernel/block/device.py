"""Block devices and what is asked of them.

A driver derives from `BlockDevice` and carries out requests in any order; to enforce an order, wait for one request
before starting the next, and flush where data must outlast a power failure. A sector is always 512 bytes here;
`logical_block_size` is the smallest unit that the device itself can move, and every request is a multiple of it.

Context: `submit` never sleeps, and may be called from an interrupt that finished another request. `finish` is called
by drivers, perhaps in interrupt context.
"""

from enum import IntEnum
from typing import Final

from kernel.block.throttle import hold_back, wait_for_transfer
from kernel.cgroup.disks import DISK_CONTROLS
from kernel.lang import EACCES, EBUSY, EIO, ENOTTY, EROFS, Errno, final, inline, sleeps
from kernel.lib.bus import BusDevice
from kernel.lib.linked import Queued
from kernel.sched import Mutex, WaitQueue
from kernel.time.clock import monotonic_ns

SECTOR_SIZE: Final = 512
SECTOR_SHIFT: Final = 9

PENDING: Final = -1


class Operation(IntEnum):
    """What a request does."""

    READ = 0
    WRITE = 1
    FLUSH = 2  # once it finishes, everything written so far is on stable storage; moves no data
    DISCARD = 3  # the contents of the sectors no longer matter: `length` bytes, and no frames
    WRITE_ZEROES = 4  # the sectors are to be zeros: no frames either


class BlockRequest(Queued["BlockRequest"]):
    """One transfer between consecutive sectors and frames of memory. The bytes lie at `offset` of the first frame and
    go on from the start of each following one, `length` bytes in all. The caller holds a reference to each frame until
    the request is finished. A derived class overrides `completed`.
    """

    def __init__(self, operation: Operation, sector: int) -> None:
        super().__init__()
        self.operation: Operation = operation
        self.sector: int = sector
        self.frames: list[int] = []
        self.offset: int = 0
        self.length: int = 0
        self.error: int = PENDING  # 0 or an errno once it is finished
        self.waiters: WaitQueue = WaitQueue()
        self.device: BlockDevice | None = None  # the one it was started on
        self.started_ns: int = 0
        self.is_paid: bool = False  # it writes pages back: whoever dirtied them has already paid (throttle.py)

    @inline
    def this(self) -> "BlockRequest":
        return self

    def completed(self) -> None:
        """The request is finished and `error` is set. Perhaps in interrupt context: never sleeps."""

    def finish(self, error: int) -> None:
        """The driver is done with it; `error` is 0 or an errno."""
        device = self.device
        if device is not None:
            self.device = None
            device.account_finish(self)
            whole = device.whole
            if whole is not None:
                whole.account_finish(self)
        self.error = error
        self.completed()
        self.waiters.wake_all()

    def is_finished(self) -> bool:
        return self.error != PENDING

    @sleeps
    def wait(self) -> None:
        """Sleep until it is finished. Raises the device's error (EIO)."""
        while self.error == PENDING:
            wait_for_transfer(self.waiters)
        if self.error != 0:
            raise Errno(self.error)


class DeviceStatistics:
    """What /proc/diskstats shows: requests and sectors since the device appeared."""

    def __init__(self) -> None:
        self.reads: int = 0
        self.read_sectors: int = 0
        self.read_ns: int = 0
        self.writes: int = 0
        self.written_sectors: int = 0
        self.write_ns: int = 0
        self.flushes: int = 0
        self.flush_ns: int = 0
        self.discards: int = 0
        self.discarded_sectors: int = 0
        self.discard_ns: int = 0
        self.in_flight: int = 0
        self.busy_ns: int = 0  # time with something in flight
        self.busy_since_ns: int = 0


@final
class Geometry:
    """Of a disk, for old partition tools."""

    def __init__(self, heads: int, sectors: int, cylinders: int) -> None:
        self.heads: int = heads
        self.sectors: int = sectors  # of a track
        self.cylinders: int = cylinders


class BlockDevice:
    """Base of all disks, partitions and loop devices."""

    def __init__(self, name: bytes, number: int, sectors: int) -> None:
        self.name: bytes = name  # vda, vda1, loop0
        self.number: int = number  # dev_t
        self.sectors: int = sectors  # of 512 bytes
        self.logical_block_size: int = SECTOR_SIZE
        self.physical_block_size: int = SECTOR_SIZE
        self.read_only: bool = False
        self.hardware_read_only: bool = False  # and it stays so
        self.soft_block_size: int = 4096  # BLKBSZGET; means nothing to the cache
        self.geometry: Geometry | None = None
        self.has_volatile_cache: bool = False  # flushes mean something
        self.is_rotational: bool = False  # of a whole disk: places far from each other cost time (root may say so)
        self.largest_transfer: int = 128  # frames in one request
        self.largest_joined_transfer: int = 128  # as many, if no more than `largest_transfer` runs of frames in a row
        self.discard_limit: int = 0  # sectors that one request may discard; 0: none
        self.discard_alignment: int = 1  # sectors: smaller pieces are not worth discarding
        self.zeroes_limit: int = 0  # sectors that one request may fill with zeros; 0: none
        self.place: BusDevice | None = None  # the device on a bus behind it; None: it exists in software only
        self.sequence: int = 0  # of a whole disk: a new number for each medium ever inserted
        self.whole: BlockDevice | None = None  # of a partition: the disk that it lies on
        self.uses_single_minors: bool = False  # loop devices: the next minor is another device
        self.partition_number: int = 0  # from 1; 0 for a whole disk
        self.first_sector: int = 0  # of a partition, on its disk
        self.claimed: bool = False  # mounted, opened with O_EXCL, or under a loop device
        self.claimed_partitions: int = 0  # how many of its partitions are claimed
        self.partitioning: Mutex = Mutex()  # over changes of which partitions it has
        self.openers: int = 0  # open descriptions
        self.statistics: DeviceStatistics = DeviceStatistics()
        self.flushed_writes: int = 0  # how many finished writes are surely on stable storage
        self.readahead_pages: int = 32  # how far to read ahead of a sequential reader

    def submit(self, request: BlockRequest) -> None:
        """Begin a request that passed `check`. Its `finish` is called sooner or later, whatever happens."""
        request.finish(EIO)

    def hold_back(self) -> None:
        """Several requests follow: the device may delay its notification until `let_go`. The caller must not sleep in
        between.
        """

    def let_go(self) -> None:
        """Undo `hold_back`."""

    def start(self, request: BlockRequest) -> None:
        """Check, count and submit a request. Raises EIO, EROFS."""
        self.check(request)
        request.device = self
        request.started_ns = monotonic_ns()
        self.account_start(request.started_ns)
        whole = self.whole
        if whole is not None:
            whole.account_start(request.started_ns)
        if not DISK_CONTROLS.exist or not hold_back(self, request):
            self.submit(request)

    def account_start(self, now_ns: int) -> None:
        """A request begins."""
        statistics = self.statistics
        if statistics.in_flight == 0:
            statistics.busy_since_ns = now_ns
        statistics.in_flight += 1

    def account_finish(self, request: BlockRequest) -> None:
        """A request is finished."""
        now = monotonic_ns()
        taken = now - request.started_ns
        statistics = self.statistics
        statistics.in_flight -= 1
        if statistics.in_flight == 0:
            statistics.busy_ns += now - statistics.busy_since_ns
        if request.operation == Operation.READ:
            statistics.reads += 1
            statistics.read_sectors += request.length >> SECTOR_SHIFT
            statistics.read_ns += taken
        elif request.operation == Operation.WRITE:
            statistics.writes += 1
            statistics.written_sectors += request.length >> SECTOR_SHIFT
            statistics.write_ns += taken
        elif request.operation == Operation.FLUSH:
            statistics.flushes += 1
            statistics.flush_ns += taken
        elif request.operation == Operation.DISCARD:
            statistics.discards += 1
            statistics.discarded_sectors += request.length >> SECTOR_SHIFT
            statistics.discard_ns += taken
        else:
            statistics.writes += 1
            statistics.written_sectors += request.length >> SECTOR_SHIFT
            statistics.write_ns += taken

    def set_read_only(self, read_only: bool) -> None:
        """BLKROSET. Raises EACCES where the device itself cannot be written."""
        if not read_only and self.hardware_read_only:
            raise Errno(EACCES)
        self.read_only = read_only

    def rotates(self) -> bool:
        """Whether it, or the disk that it lies on, is rotational."""
        whole = self.whole
        return self.is_rotational if whole is None else whole.is_rotational

    def may_have_partitions(self) -> bool:
        """Whether its partition table is looked at."""
        return True

    def ioctl(self, command: int, argument: int) -> int:
        """A command that only this kind of device knows. Raises ENOTTY for all others."""
        raise Errno(ENOTTY)

    def opened(self) -> None:
        """One more open description."""
        self.openers += 1

    def closed(self) -> None:
        """An open description is gone. May sleep."""
        self.openers -= 1

    def claim(self) -> None:
        """Use the device alone. Raises EBUSY if it, one of its partitions or its whole disk is in use already."""
        whole = self.whole
        if self.claimed or self.claimed_partitions > 0 or (whole is not None and whole.claimed):
            raise Errno(EBUSY)
        self.claimed = True
        if whole is not None:
            whole.claimed_partitions += 1

    def unclaim(self) -> None:
        """Undo `claim`."""
        self.claimed = False
        whole = self.whole
        if whole is not None:
            whole.claimed_partitions -= 1

    def check(self, request: BlockRequest) -> None:
        """Raise EIO unless the request lies on the device and fits its blocks, EROFS if it may not be written."""
        if request.operation == Operation.FLUSH:
            return
        if request.operation != Operation.READ and self.read_only:
            raise Errno(EROFS)
        mask = self.logical_block_size - 1
        sectors = request.length >> SECTOR_SHIFT
        if request.length & mask != 0 or (request.sector << SECTOR_SHIFT) & mask != 0:
            raise Errno(EIO)
        if request.sector < 0 or request.sector > self.sectors or sectors > self.sectors - request.sector:
            raise Errno(EIO)


BLOCK_DEVICES: Final[dict[int, BlockDevice]] = {}
"""By device number. Entered by drivers, and by the partition scanner."""

SWAP_DEVICES: Final[dict[int, bool]] = {}
"""The numbers of those in use for swapping: programs may not write to them."""


@sleeps
def transfer(device: BlockDevice, request: BlockRequest) -> None:
    """Carry out one request and wait for it. Raises EIO, EROFS."""
    device.start(request)
    request.wait()


@sleeps
def flush(device: BlockDevice) -> None:
    """Wait until everything written to the device is on stable storage. Raises EIO."""
    whole = device.whole
    disk = device if whole is None else whole
    finished = disk.statistics.writes
    if disk.has_volatile_cache and disk.flushed_writes < finished:
        transfer(device, BlockRequest(Operation.FLUSH, 0))
        disk.flushed_writes = max(disk.flushed_writes, finished)
