"""virtio-blk: a disk. Each becomes a block device vda, vdb, ….

A request is a chain of buffers: a header, the data, and a byte for the status. Headers and status bytes of all
requests in flight lie in one frame, a slot for each head of the queue. When the queue is full, requests wait in a
list and go on as others finish.

A device that returns a buffer it does not have, or a status that does not exist, is broken: it is reset, so that it
touches no memory any more, and from then on everything fails with EIO.

Context: `submit` and the interrupts never sleep, and allocate only an indirect table on a slot's first use.
Source: Virtual I/O Device (VIRTIO) Version 1.2, 5.2 (block device).
"""

from typing import Final

from kernel.block.device import SECTOR_SHIFT, SECTOR_SIZE, BlockDevice, BlockRequest, Geometry, Operation
from kernel.block.registry import add_device
from kernel.drivers.platform.window import Window, frame_window
from kernel.drivers.virtio.ring import INDIRECT_LIMIT, NOTHING, Chain, SplitQueue
from kernel.drivers.virtio.transport import F_INDIRECT, RING_FEATURES, DeviceEvents, Transport
from kernel.lang import EIO, ENODEV, ENOMEM, ENOSPC, Errno, final
from kernel.lib import log
from kernel.lib.linked import Queue
from kernel.mm.frames import PAGE_SHIFT, PAGE_SIZE, Frame, allocate_zeroed_frame, get_frame

# As Linux has it: the first of the majors given out on demand, sixteen minors for a disk and its partitions.
MAJOR: Final = 254
MINORS: Final = 16
DISK_LIMIT: Final = 26

F_SIZE_MAX: Final = 1 << 1
F_SEG_MAX: Final = 1 << 2
F_GEOMETRY: Final = 1 << 4
F_READ_ONLY: Final = 1 << 5
F_BLOCK_SIZE: Final = 1 << 6
F_FLUSH: Final = 1 << 9
F_TOPOLOGY: Final = 1 << 10
F_CONFIG_WCE: Final = 1 << 11
F_DISCARD: Final = 1 << 13
F_WRITE_ZEROES: Final = 1 << 14
WANTED: Final = (
    F_SIZE_MAX
    | F_SEG_MAX
    | F_GEOMETRY
    | F_READ_ONLY
    | F_BLOCK_SIZE
    | F_FLUSH
    | F_TOPOLOGY
    | F_CONFIG_WCE
    | F_DISCARD
    | F_WRITE_ZEROES
    | RING_FEATURES
)

# The device's configuration.
CONFIG_CAPACITY: Final = 0
CONFIG_SIZE_MAX: Final = 8
CONFIG_SEG_MAX: Final = 12
CONFIG_CYLINDERS: Final = 16
CONFIG_HEADS: Final = 18
CONFIG_SECTORS: Final = 19
CONFIG_BLOCK_SIZE: Final = 20
CONFIG_PHYSICAL_EXPONENT: Final = 24
CONFIG_WRITE_BACK: Final = 32
CONFIG_DISCARD_SECTORS: Final = 36
CONFIG_DISCARD_ALIGNMENT: Final = 44
CONFIG_ZEROES_SECTORS: Final = 48

# A request's header.
TYPE_IN: Final = 0
TYPE_OUT: Final = 1
TYPE_FLUSH: Final = 4
TYPE_DISCARD: Final = 11
TYPE_WRITE_ZEROES: Final = 13
HEADER_TYPE: Final = 0
HEADER_RESERVED: Final = 4
HEADER_SECTOR: Final = 8
HEADER_SIZE: Final = 16

STATUS_OK: Final = 0
STATUS_UNSUPPORTED: Final = 2
STATUS_PENDING: Final = 0xFF  # our initial value, which no device returns

QUEUE: Final = 0
QUEUE_SIZE: Final = 128
SLOT_SIZE: Final = 32  # QUEUE_SIZE of them are a frame
SLOT_STATUS: Final = HEADER_SIZE
# The parameters of requests without data, one for each head of the queue in a frame of their own.
RANGE_SIZE: Final = 16
RANGE_SECTOR: Final = 0
RANGE_COUNT: Final = 8
RANGE_FLAGS: Final = 12

_SEGMENTS_LIMIT: Final = INDIRECT_LIMIT - 2  # buffers of data in one request; header and status are two more
_FRAMES_LIMIT: Final = 320  # in one request, if they lie in so few runs
_SECTORS_LIMIT: Final = 1 << 53  # a disk's bytes fit 62 bits
_RANGE_LIMIT: Final = 1 << 22  # sectors to discard at once: larger requests keep the others waiting


def _has_data(operation: Operation) -> bool:
    return operation == Operation.READ or operation == Operation.WRITE


def _type_of(operation: Operation) -> int:
    """The code of an operation in a request's header."""
    match operation:
        case Operation.READ:
            return TYPE_IN
        case Operation.WRITE:
            return TYPE_OUT
        case Operation.FLUSH:
            return TYPE_FLUSH
        case Operation.DISCARD:
            return TYPE_DISCARD
        case Operation.WRITE_ZEROES:
            return TYPE_WRITE_ZEROES


@final
class VirtioDisk(BlockDevice):
    """One disk. The transport has agreed on features."""

    def __init__(self, transport: Transport, name: bytes, number: int) -> None:
        super().__init__(name, number, min(transport.configuration_u64(CONFIG_CAPACITY), _SECTORS_LIMIT))
        self._transport: Transport = transport
        self._is_dead: bool = False
        self._is_held_back: bool = False
        self.is_rotational = True  # nothing says what is behind it, and Linux believes the worst
        self._waiting: Queue[BlockRequest] = Queue()  # for room
        self._chain: Chain = Chain(_SEGMENTS_LIMIT + 2, self._configure())
        # Allocated in advance: an interrupt can't raise MemoryError.
        self._message_broken: str = f"virtio {transport.name}: the disk breaks the rules and is switched off"
        self._message_running: str = f"virtio {transport.name}: the disk does not stop"
        self._message_resized: str = f"virtio {transport.name}: the disk changed its size"
        queue = transport.make_queue(QUEUE, QUEUE_SIZE)
        self._queue: SplitQueue = queue
        self._slots: Window = frame_window(allocate_zeroed_frame())
        self._ranges: Window = frame_window(allocate_zeroed_frame())
        self._in_flight: list[BlockRequest | None] = [None] * queue.size
        if not transport.has(F_INDIRECT):
            self.largest_transfer = min(self.largest_transfer, max(1, queue.size // 4 - 2))  # several fit
        if transport.has(F_SIZE_MAX):
            self.largest_joined_transfer = self.largest_transfer  # runs may not be joined into longer buffers
        transport.connect(_DiskEvents(self), 1)
        transport.set_queue(QUEUE, queue)
        transport.start()

    def _configure(self) -> int:
        """Read the device's configuration; returns the longest buffer that it takes. Raises ENODEV if it is
        unusable.
        """
        transport = self._transport
        self.read_only = transport.has(F_READ_ONLY)
        if transport.has(F_BLOCK_SIZE):
            self.logical_block_size = transport.configuration_u32(CONFIG_BLOCK_SIZE)
        size = self.logical_block_size
        if size < SECTOR_SIZE or size > PAGE_SIZE or size & (size - 1) != 0:
            raise Errno(ENODEV)
        self.physical_block_size = size
        if transport.has(F_TOPOLOGY):
            self.physical_block_size = size << min(transport.configuration_u8(CONFIG_PHYSICAL_EXPONENT), 16)
        if transport.has(F_FLUSH):
            self.has_volatile_cache = True
            if transport.has(F_CONFIG_WCE):
                self.has_volatile_cache = transport.configuration_u8(CONFIG_WRITE_BACK) != 0
        self._find_geometry()
        if transport.has(F_DISCARD):
            self.discard_limit = min(transport.configuration_u32(CONFIG_DISCARD_SECTORS), _RANGE_LIMIT)
            self.discard_alignment = max(1, min(transport.configuration_u32(CONFIG_DISCARD_ALIGNMENT), _RANGE_LIMIT))
        if transport.has(F_WRITE_ZEROES):
            self.zeroes_limit = min(transport.configuration_u32(CONFIG_ZEROES_SECTORS), _RANGE_LIMIT)
        if transport.has(F_SEG_MAX):
            self.largest_transfer = max(1, min(transport.configuration_u32(CONFIG_SEG_MAX), _SEGMENTS_LIMIT))
        else:
            self.largest_transfer = 1
        self.largest_joined_transfer = max(self.largest_transfer, _FRAMES_LIMIT)
        if not transport.has(F_SIZE_MAX):
            return _FRAMES_LIMIT * PAGE_SIZE
        limit = transport.configuration_u32(CONFIG_SIZE_MAX)
        if limit < PAGE_SIZE:
            raise Errno(ENODEV)
        return limit

    def _find_geometry(self) -> None:
        """For old partition tools; if the device reports none, the one that Linux invents."""
        transport = self._transport
        if transport.has(F_GEOMETRY):
            cylinders = transport.configuration_u8(CONFIG_CYLINDERS)
            cylinders |= transport.configuration_u8(CONFIG_CYLINDERS + 1) << 8
            heads = transport.configuration_u8(CONFIG_HEADS)
            self.geometry = Geometry(heads, transport.configuration_u8(CONFIG_SECTORS), cylinders)
        else:
            self.geometry = Geometry(64, 32, self.sectors >> 11)

    # Requests ------------------------------------------------------------------------------------------------------

    def submit(self, request: BlockRequest) -> None:
        if request.operation == Operation.FLUSH and not self._transport.has(F_FLUSH):
            request.finish(0)  # what is written is on the disk
        elif self._is_dead or not self._is_sound(request):
            request.finish(EIO)
        elif not self._waiting.is_empty() or not self._begin(request):
            self._wait_for_room(request)
        elif not self._is_held_back and self._queue.publish():
            self._transport.notify(QUEUE)

    def hold_back(self) -> None:
        self._is_held_back = True

    def let_go(self) -> None:
        self._is_held_back = False
        if not self._is_dead and self._queue.publish():
            self._transport.notify(QUEUE)

    def _is_sound(self, request: BlockRequest) -> bool:
        """Whether the frames have as many bytes as the request wants to transfer, and the device takes them at once."""
        if not _has_data(request.operation):
            return True
        count = len(request.frames)
        room = (count << PAGE_SHIFT) - request.offset
        if not 0 < request.length <= room or not 0 <= request.offset < PAGE_SIZE:
            return False
        return count <= self.largest_transfer or (
            count <= self.largest_joined_transfer and _count_runs(request.frames) <= self.largest_transfer
        )

    def _begin(self, request: BlockRequest) -> bool:
        """Put a request on the queue; False if there is no room now."""
        head = self._queue.next_head()
        if self._queue.free_count == 0:
            return False
        operation = request.operation
        slot = head * SLOT_SIZE
        slots = self._slots
        slots.store_u32(slot + HEADER_TYPE, _type_of(operation))
        slots.store_u32(slot + HEADER_RESERVED, 0)
        slots.store_i64(slot + HEADER_SECTOR, request.sector if _has_data(operation) else 0)
        slots.store_u8(slot + SLOT_STATUS, STATUS_PENDING)
        chain = self._chain
        chain.clear()
        chain.add(slots.physical + slot, HEADER_SIZE, device_writes=False)
        if operation == Operation.DISCARD or operation == Operation.WRITE_ZEROES:
            place = head * RANGE_SIZE
            self._ranges.store_i64(place + RANGE_SECTOR, request.sector)
            self._ranges.store_u32(place + RANGE_COUNT, request.length >> SECTOR_SHIFT)
            self._ranges.store_u32(place + RANGE_FLAGS, 0)
            chain.add(self._ranges.physical + place, RANGE_SIZE, device_writes=False)
        elif operation != Operation.FLUSH:
            offset = request.offset
            remaining = request.length
            for frame in request.frames:
                size = min(PAGE_SIZE - offset, remaining)
                if size > 0:
                    chain.add((frame << PAGE_SHIFT) + offset, size, operation == Operation.READ)
                remaining -= size
                offset = 0
        chain.add(slots.physical + slot + SLOT_STATUS, 1, device_writes=True)
        if self._queue.add(chain) == NOTHING:
            return False
        self._in_flight[head] = request
        return True

    def _wait_for_room(self, request: BlockRequest) -> None:
        if self._queue.in_flight_count() == 0:
            request.finish(ENOMEM)  # the queue is empty, so the indirect table could not be allocated
            return
        self._waiting.append(request)

    # What the device says -------------------------------------------------------------------------------------------

    def take_finished(self) -> None:
        """Finish requests that the device has completed, and begin those that wait for room."""
        if self._is_dead:
            return
        queue = self._queue
        while True:
            head = queue.take()
            while head != NOTHING:
                self._finish(head)
                head = queue.take()
            if queue.is_broken:
                self._die()
                return
            if queue.request_interrupt():
                break
        self._begin_waiting()

    def _finish(self, head: int) -> None:
        request = self._in_flight[head]
        self._in_flight[head] = None
        status = self._slots.load_u8(head * SLOT_SIZE + SLOT_STATUS)
        if status > STATUS_UNSUPPORTED:
            self._queue.is_broken = True
        if request is not None:
            request.finish(0 if status == STATUS_OK else EIO)

    def _begin_waiting(self) -> None:
        while True:
            request = self._waiting.first()
            if request is None:
                break
            has_begun = self._begin(request)
            if not has_begun and self._queue.in_flight_count() > 0:
                break
            self._waiting.take()
            if not has_begun:
                request.finish(ENOMEM)  # as in `_wait_for_room`; no interrupt would let it begin later
        if self._queue.publish():
            self._transport.notify(QUEUE)

    def _die(self) -> None:
        """The device is broken: stop it, and fail everything with EIO."""
        self._is_dead = True
        log.error(self._message_broken)
        has_stopped = False
        try:
            self._transport.reset()
            has_stopped = True
        except Errno:
            log.error(self._message_running)
        for head in range(len(self._in_flight)):
            request = self._in_flight[head]
            self._in_flight[head] = None
            if request is not None:
                if not has_stopped:
                    _give_up_frames(request)
                request.finish(EIO)
        waiting = self._waiting.take()
        while waiting is not None:
            waiting.finish(EIO)
            waiting = self._waiting.take()

    def read_capacity(self) -> None:
        """The disk may have been made larger or smaller."""
        sectors = min(self._transport.configuration_u64(CONFIG_CAPACITY), _SECTORS_LIMIT)
        if sectors != self.sectors:
            log.info(self._message_resized)
            self.sectors = sectors


def _give_up_frames(request: BlockRequest) -> None:
    """A device that does not stop may still write to a request's frames: never reuse them."""
    for frame in request.frames:
        get_frame(Frame(frame))


def _count_runs(frames: list[int]) -> int:
    """How many runs of consecutive frames there are."""
    runs = 1
    for i in range(1, len(frames)):
        if frames[i] != frames[i - 1] + 1:
            runs += 1
    return runs


@final
class _DiskEvents(DeviceEvents):
    """The interrupts of one disk."""

    def __init__(self, disk: VirtioDisk) -> None:
        self.disk: VirtioDisk = disk

    def queue_used(self, queue: int) -> None:
        self.disk.take_finished()

    def configuration_changed(self) -> None:
        self.disk.read_capacity()


_disk_count: int = 0


def start(transport: Transport) -> None:
    """Bring up a disk and register it. Raises Errno if it is unusable, MemoryError."""
    global _disk_count
    if _disk_count == DISK_LIMIT:
        raise Errno(ENOSPC)
    transport.negotiate(WANTED)
    name = f"vd{chr(97 + _disk_count)}"
    disk = VirtioDisk(transport, name.encode(), MAJOR << 8 | _disk_count * MINORS)
    disk.place = transport.place
    add_device(disk)
    _disk_count += 1
    kind = ", read-only" if disk.read_only else ""
    log.info(f"virtio {transport.name}: disk {name}, {disk.sectors} sectors{kind}")
