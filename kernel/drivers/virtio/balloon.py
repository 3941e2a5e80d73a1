"""virtio-balloon: memory that the host takes while the guest can do without it.

The host says in the device's configuration how many frames it wants. A kernel thread allocates them, 256 at a time,
tells the device, and keeps them until the host wants fewer. They do not count as the machine's memory meanwhile
(MemTotal). Programs come first: the balloon may displace caches, but leaves a part of memory alone. If the device
allows it (F_DEFLATE_ON_OOM), it gives frames back before a program is killed, and takes no more until the host asks for
another size; these frames always count as the machine's.

With free page reporting the thread also shows the device blocks of 4 MiB that have been free for a while
(`kernel/mm/frames.py`): the host frees their memory, and finds room for it again when they are used. The thread looks
every two seconds, and less and less often on a machine where no memory is freed.

Through the statistics queue the host queries the guest's memory, and gets the numbers of /proc/meminfo.

A device that breaks the rules is reset, so that it touches no memory any more; what it was given is never reused,
because nobody knows what the host did with it.

Context: a kernel thread, which may sleep; the interrupts only wake. `rescue` runs in any thread that lacks memory.
Source: Virtual I/O Device (VIRTIO) Version 1.2, 5.5 (traditional memory balloon device).
"""

from typing import Final

from kernel.drivers.platform.window import Window, frame_window
from kernel.drivers.virtio.ring import NOTHING, Chain, SplitQueue
from kernel.drivers.virtio.transport import RING_FEATURES, DeviceEvents, Transport
from kernel.lang import ENODEV, ENOSPC, Errno, final, noraise
from kernel.lib import log
from kernel.lib.pace import pace
from kernel.mm.frames import (
    FREE_BLOCKS,
    MAX_ORDER,
    NO_FRAME,
    PAGE_SHIFT,
    Frame,
    allocate_user_frame,
    allocate_zeroed_frame,
    available_frame_count,
    chain_frame,
    count_lent_frames,
    free_frame,
    free_frame_count,
    give_block_back,
    make_room,
    next_in_chain,
    start_chain,
    take_unreported_block,
    total_frame_count,
    unchain_frame,
)
from kernel.sched import Mutex, WaitQueue, spawn_kernel_thread
from kernel.task.memory_shortage import RESCUERS, Rescuer
from kernel.time import monotonic_ns
from kernel.time.timers import FOREVER_NS

F_STATISTICS: Final = 1 << 1
F_DEFLATE_ON_OOM: Final = 1 << 2
F_HINTS: Final = 1 << 3  # of free pages, for migration: not taken
F_REPORTING: Final = 1 << 5
WANTED: Final = F_STATISTICS | F_DEFLATE_ON_OOM | F_REPORTING | RING_FEATURES

CONFIG_WANTED: Final = 0  # u32: frames that the host wants
CONFIG_ACTUAL: Final = 4  # u32: frames that it has

# Queues. The reporting queue's number depends on which features the device offers, taken or not.
INFLATE: Final = 0
DEFLATE: Final = 1
STATISTICS: Final = 2
_QUEUE_SIZE: Final = 32

_NUMBERS: Final = 256  # frame numbers of one request
_NUMBER_SIZE: Final = 4
_BLOCKS_AT_ONCE: Final = 8
_BLOCK_BYTES: Final = 1 << (MAX_ORDER + PAGE_SHIFT)
_REST_NS: Final = 2_000_000_000  # between two looks for free blocks
_LONGEST_REST_NS: Final = 32_000_000_000  # where there were none
_RETRY_NS: Final = 200_000_000  # until the balloon tries again, where memory is short
_LEAST_LEFT: Final = 256  # frames
_MARGIN_SHIFT: Final = 6  # … and a sixty-fourth of memory
_FRAME_COST: Final = 150  # instructions
_RESCUE_FRAMES: Final = 1024  # given back where a program would otherwise be killed

# Statistics: a tag of two bytes and a value of eight.
_STATISTIC_SIZE: Final = 10
_TAG_FREE: Final = 4
_TAG_TOTAL: Final = 5
_TAG_AVAILABLE: Final = 6


@final
class Balloon:
    """One device. The transport has agreed on features. Raises ENODEV, MemoryError."""

    def __init__(self, transport: Transport) -> None:
        self.size: int = 0  # frames that the host has
        self.is_dead: bool = False
        self.queue: WaitQueue = WaitQueue()  # where the thread sleeps
        self._transport: Transport = transport
        self._answered: WaitQueue = WaitQueue()
        self._turn: Mutex = Mutex()  # over a request, and over the frames
        self._anchor: Frame = allocate_zeroed_frame()  # of the ring of frames that the host has; holds the numbers
        self._numbers: Window = frame_window(self._anchor)
        self._inflating: SplitQueue = transport.make_queue(INFLATE, _QUEUE_SIZE)
        self._deflating: SplitQueue = transport.make_queue(DEFLATE, _QUEUE_SIZE)
        self._asking: SplitQueue | None = None
        self._reporting: SplitQueue | None = None
        self._report_index: int = STATISTICS
        if transport.has(F_STATISTICS):
            self._asking = transport.make_queue(STATISTICS, _QUEUE_SIZE)
            self._report_index += 1
        if transport.device_features(0) & F_HINTS != 0:
            self._report_index += 1
        if transport.has(F_REPORTING):
            self._reporting = transport.make_queue(self._report_index, _QUEUE_SIZE)
        self._answers: Window = frame_window(allocate_zeroed_frame())
        self._chain: Chain = Chain(_BLOCKS_AT_ONCE, _BLOCK_BYTES)
        self._blocks: list[Frame] = []
        self._has_changed: bool = True
        self._gave_way: bool = False  # since the host last set a size
        start_chain(self._anchor)
        transport.connect(_BalloonEvents(self), self._report_index + (1 if self._reporting is not None else 0))
        transport.set_queue(INFLATE, self._inflating)
        transport.set_queue(DEFLATE, self._deflating)
        if self._asking is not None:
            transport.set_queue(STATISTICS, self._asking)
        if self._reporting is not None:
            transport.set_queue(self._report_index, self._reporting)
        transport.start()
        if self._asking is not None:
            self._answer(self._asking)

    def size_changed(self) -> None:
        """The host may want another size. May be called from interrupts."""
        self._gave_way = False
        self.changed()

    def changed(self) -> None:
        """There may be work for the thread. May be called from interrupts."""
        self._has_changed = True
        self.queue.wake_all()

    def answered(self) -> None:
        """The device may have read a request. May be called from interrupts."""
        self._answered.wake_all()

    # The thread -------------------------------------------------------------------------------------------------------

    def serve(self) -> None:
        """Do what the host wants, until the device breaks. Raises ENODEV, MemoryError."""
        rest_ns = _REST_NS
        report_ns = FOREVER_NS if self._reporting is None else monotonic_ns() + rest_ns
        while True:
            if self.is_dead:
                raise Errno(ENODEV)
            self._has_changed = False
            deadline_ns = FOREVER_NS if self._follow() else monotonic_ns() + _RETRY_NS
            self._give_statistics()
            if report_ns <= monotonic_ns():
                rest_ns = _REST_NS if FREE_BLOCKS.has_new else min(2 * rest_ns, _LONGEST_REST_NS)
                FREE_BLOCKS.has_new = False
                self._report()
                report_ns = monotonic_ns() + rest_ns
            if not self._has_changed:
                self.queue.sleep_until(min(deadline_ns, report_ns), interruptible=False)

    def _follow(self) -> bool:
        """Adjust to the size that the host wants. False: memory is short, so try again later."""
        while True:
            wanted = self._transport.configuration_u32(CONFIG_WANTED)
            if wanted == self.size or (wanted > self.size and self._gave_way):
                return True
            with self._turn:
                if wanted > self.size:
                    moved = self._inflate(min(wanted - self.size, _NUMBERS))
                else:
                    moved = self._deflate(min(self.size - wanted, _NUMBERS))
            self._tell_size()
            if moved == 0:
                return False

    def _tell_size(self) -> None:
        self._transport.set_configuration_u32(CONFIG_ACTUAL, self.size)

    def _inflate(self, most: int) -> int:
        """Give frames to the host; returns how many. Raises ENODEV."""
        count = 0
        while count < most:
            if available_frame_count() <= _margin():
                make_room(_NUMBERS)
            if available_frame_count() <= _margin():
                break  # programs need it more
            try:
                frame = allocate_user_frame()
            except MemoryError:
                break
            self._numbers.store_u32(count * _NUMBER_SIZE, frame)
            chain_frame(frame, self._anchor)
            count += 1
            pace(_FRAME_COST)
        if count > 0:
            self.size += count
            self._count_lent(count)
            self._request(self._inflating, INFLATE, count)
        return count

    def _deflate(self, most: int) -> int:
        """Take frames back; returns how many. Raises ENODEV."""
        count = 0
        frame = next_in_chain(self._anchor)
        while count < most and frame != self._anchor:
            self._numbers.store_u32(count * _NUMBER_SIZE, frame)
            frame = next_in_chain(frame)
            count += 1
        if count > 0:
            self._request(self._deflating, DEFLATE, count)
            for _ in range(count):
                frame = next_in_chain(self._anchor)
                unchain_frame(frame)
                free_frame(frame)
                pace(_FRAME_COST)
            self.size -= count
            self._count_lent(-count)
        return count

    def _count_lent(self, change: int) -> None:
        """Count lent frames, unless they come back on demand: those always count as the machine's memory."""
        if not self._transport.has(F_DEFLATE_ON_OOM):
            count_lent_frames(change)

    def _request(self, queue: SplitQueue, index: int, count: int) -> None:
        """Show the device `count` frame numbers, and wait until it has read them. Raises ENODEV."""
        if self.is_dead:
            raise Errno(ENODEV)
        queue.add_buffer(self._numbers.physical, count * _NUMBER_SIZE, device_writes=False)
        self._wait_for(queue, index)

    def _wait_for(self, queue: SplitQueue, index: int) -> None:
        """Publish what is on a queue, and wait until the device gives it back. Raises ENODEV."""
        if queue.publish():
            self._transport.notify(index)
        while queue.take() == NOTHING:
            if queue.is_broken or self.is_dead:
                self.die()
                raise Errno(ENODEV)
            if queue.request_interrupt():
                self._answered.sleep(interruptible=False)

    # Statistics -------------------------------------------------------------------------------------------------------

    def _give_statistics(self) -> None:
        """Answer the host, if it has returned the last answer, which is how it asks for the next one. Raises ENODEV."""
        queue = self._asking
        if queue is None:
            return
        if queue.take() != NOTHING:
            self._answer(queue)
        if queue.is_broken:
            self.die()
            raise Errno(ENODEV)
        if not queue.request_interrupt():
            self._has_changed = True

    def _answer(self, queue: SplitQueue) -> None:
        self._put_statistic(0, _TAG_FREE, free_frame_count())
        self._put_statistic(1, _TAG_TOTAL, total_frame_count())
        self._put_statistic(2, _TAG_AVAILABLE, available_frame_count())
        queue.add_buffer(self._answers.physical, 3 * _STATISTIC_SIZE, device_writes=False)
        if queue.publish():
            self._transport.notify(STATISTICS)

    def _put_statistic(self, number: int, tag: int, frames: int) -> None:
        at = number * _STATISTIC_SIZE
        size = frames << PAGE_SHIFT
        self._answers.store_u16(at, tag)
        for i in range(4):
            self._answers.store_u16(at + 2 + 2 * i, size >> 16 * i & 0xFFFF)

    # Free page reporting ----------------------------------------------------------------------------------------------

    def _report(self) -> None:
        """Report free blocks to the device that were not reported before. Raises ENODEV."""
        while self._report_some() == _BLOCKS_AT_ONCE:
            pace(_BLOCKS_AT_ONCE * _FRAME_COST)

    def _report_some(self) -> int:
        """Report some blocks; returns how many. They are out of reach meanwhile. Raises ENODEV, MemoryError."""
        queue = self._reporting
        if queue is None:
            return 0
        if self.is_dead:
            raise Errno(ENODEV)
        count = 0
        self._chain.clear()
        with self._turn:
            is_reported = False
            try:
                while len(self._blocks) < _BLOCKS_AT_ONCE:
                    block = take_unreported_block()
                    if block == NO_FRAME:
                        break
                    self._keep(block)
                    self._chain.add(block << PAGE_SHIFT, _BLOCK_BYTES, device_writes=True)
                count = len(self._blocks)
                if count > 0:
                    if queue.add(self._chain) == NOTHING:
                        self.die()
                        raise Errno(ENODEV)
                    self._wait_for(queue, self._report_index)
                    is_reported = True
            finally:
                while len(self._blocks) > 0 and (is_reported or not self.is_dead):
                    give_block_back(self._blocks.pop(), is_reported)
        return count

    def _keep(self, block: Frame) -> None:
        """Raises MemoryError."""
        try:
            self._blocks.append(block)
        except MemoryError:
            give_block_back(block, is_reported=False)
            raise

    # Trouble ----------------------------------------------------------------------------------------------------------

    def give_way(self) -> None:
        """Memory is so short that a program would be killed: take frames back. Raises ENODEV."""
        if self.size > 0 and not self.is_dead:
            self._gave_way = True
            with self._turn:
                done = 0
                while done < _RESCUE_FRAMES and self._deflate(_NUMBERS) > 0:
                    done += _NUMBERS
            self._tell_size()

    def die(self) -> None:
        """The device is broken: stop it."""
        if self.is_dead:
            return
        self.is_dead = True
        log.error("virtio-balloon: the device breaks the rules and is switched off")
        try:
            self._transport.reset()
        except Errno:
            log.error("virtio-balloon: it does not stop")


def _margin() -> int:
    """Frames to leave to programs, however much the host wants."""
    return max(_LEAST_LEFT, total_frame_count() >> _MARGIN_SHIFT)


@final
class _BalloonEvents(DeviceEvents):
    """The interrupts of one device."""

    def __init__(self, balloon: Balloon) -> None:
        self.balloon: Balloon = balloon

    def queue_used(self, queue: int) -> None:
        if queue == STATISTICS:
            self.balloon.changed()
        self.balloon.answered()

    def configuration_changed(self) -> None:
        self.balloon.size_changed()


BALLOONS: Final[list[Balloon]] = []


@final
class _Deflater(Rescuer):
    """Takes memory back from the host before a program is killed."""

    @noraise
    def rescue(self) -> None:
        for balloon in BALLOONS:
            try:
                balloon.give_way()
            except (Errno, MemoryError):
                log.error("virtio-balloon: memory is short, and the host gives none back")


def _serve(number: int) -> None:
    """The thread."""
    balloon = BALLOONS[number]
    while not balloon.is_dead:
        lacks_memory = False
        try:
            balloon.serve()
        except MemoryError:
            lacks_memory = True
        except Errno as error:
            log.error(f"virtio-balloon: error {error.code}")
            return
        if lacks_memory:
            balloon.queue.pause(_RETRY_NS)


def start(transport: Transport) -> None:
    """Bring a device up. Raises Errno if it is unusable, MemoryError."""
    if len(BALLOONS) > 0:
        raise Errno(ENOSPC)
    transport.negotiate(WANTED)
    balloon = Balloon(transport)
    BALLOONS.append(balloon)
    if transport.has(F_DEFLATE_ON_OOM):
        RESCUERS.append(_Deflater())
    spawn_kernel_thread(b"balloon", _serve, 0)
    log.info(f"virtio {transport.name}: memory balloon")
