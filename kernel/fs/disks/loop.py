"""Loop devices: a file, or a part of one, as a block device (loop(4)).

Requests are queued and carried out by a thread of the device, because reading and writing a file sleeps. Data written
to the device goes to the file's cache, or bypasses it (LOOP_SET_DIRECT_IO), so that the device below reaches the
request's own frames; a flush is an fsync of the file. A bound device holds its file open.

Context: `submit` never sleeps; everything else may.
"""

from typing import Final

from kernel.block.device import BLOCK_DEVICES, SECTOR_SHIFT, BlockDevice, BlockRequest, Operation
from kernel.block.frames_buffer import FramesBuffer
from kernel.block.registry import add_device, take_sequence, tell_change
from kernel.cache.devices import device_cache, forget_contents, sync_device
from kernel.cache.dirty_pages import LAST_PAGE
from kernel.fs.constants import FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, O_DIRECT, device_number
from kernel.fs.disks.block_file import BlockFile
from kernel.fs.disks.scan import drop_partitions, partitions_of, scan_partitions
from kernel.fs.file import File
from kernel.lang import EBUSY, EINVAL, EIO, ENOSPC, ENXIO, Errno, final, sleeps
from kernel.lib import log
from kernel.lib.linked import Queue
from kernel.mm.frames import SHORTAGE
from kernel.sched import WaitQueue, spawn_kernel_thread

LOOP_MAJOR: Final = 7
FIRST_DEVICES: Final = 8
DEVICE_LIMIT: Final = 256

LO_FLAGS_READ_ONLY: Final = 1
LO_FLAGS_AUTOCLEAR: Final = 4
LO_FLAGS_PARTSCAN: Final = 8
LO_FLAGS_DIRECT_IO: Final = 16

_DISCARD_LIMIT: Final = 1 << 22  # sectors
_TRIES_FOR_MEMORY: Final = 50


@final
class LoopDevice(BlockDevice):
    """/dev/loopN. `file` is None while it is not bound, and its size is 0 then."""

    def __init__(self, index: int) -> None:
        super().__init__(f"loop{index}".encode(), device_number(LOOP_MAJOR, index), 0)
        self.index: int = index
        self.uses_single_minors = True
        self.file: File | None = None
        self.file_size: int = 0
        self.offset: int = 0
        self.size_limit: int = 0  # bytes; 0: none
        self.flags: int = 0  # LO_FLAGS_*
        self.file_name: bytes = bytes(64)
        self.requests: Queue[BlockRequest] = Queue()
        self.work: WaitQueue = WaitQueue()
        self.idle: WaitQueue = WaitQueue()
        self.is_working: bool = False  # the thread carries out a request
        self.thread_runs: bool = False
        self.is_serving: bool = False
        self.parting: File | None = None  # for the thread to release before it ends
        self.bindings: int = 0  # how many there have been
        self.is_closing: bool = False
        self.is_leaving: bool = False  # after LOOP_CLR_FD: every request fails until the last user closes it

    # ---- Requests ---------------------------------------------------------------------------------------------

    def submit(self, request: BlockRequest) -> None:
        if self.file is None or self.is_leaving or self.is_closing:  # closing: the thread has ended, or is about to
            request.finish(EIO)
            return
        self.requests.append(request)
        self.work.wake_all()

    @sleeps
    def serve(self) -> None:
        """The thread's work: until the device is unbound."""
        while True:
            request = self.requests.take()
            if request is not None:
                self.is_working = True
                error = self._carry_out(request)
                self.is_working = False
                request.finish(error)
            elif self.is_closing:
                break
            else:
                self.idle.wake_all()
                self.work.wait()
        self.is_serving = False
        self.idle.wake_all()
        self._release_file()
        self.thread_runs = False
        self.idle.wake_all()

    def _release_file(self) -> None:
        """The thread's last work. `clear` does not release the file itself, because that may end the mount of another
        loop device, and so on: this way each runs on the stack of its own thread.
        """
        while True:
            file = self.parting
            if file is not None:
                self.parting = None
                file.release()
                return
            self.work.wait()

    def _carry_out(self, request: BlockRequest) -> int:
        """0 or an errno."""
        file = self.file
        if file is None:
            return EIO
        for _ in range(_TRIES_FOR_MEMORY):
            try:
                self._transfer(file, request)
                return 0
            except Errno:
                return EIO
            except MemoryError:
                try:
                    SHORTAGE.helper.wait_for_room()
                except Errno:
                    return EIO
                except MemoryError:
                    continue
        return EIO

    def _transfer(self, file: File, request: BlockRequest) -> None:
        if request.operation == Operation.FLUSH:
            file.fsync()
            return
        position = self.offset + (request.sector << SECTOR_SHIFT)
        if request.operation == Operation.DISCARD or request.operation == Operation.WRITE_ZEROES:
            file.allocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, position, request.length)
            return
        buffer = FramesBuffer(request)
        is_direct = self.flags & LO_FLAGS_DIRECT_IO != 0
        while buffer.remaining > 0:
            if request.operation == Operation.READ:
                done = file.pread_direct(buffer, position) if is_direct else file.pread(buffer, position)
                if done == 0:
                    buffer.put_zeros(buffer.remaining)  # the file has become shorter
            else:
                done = file.pwrite_direct(buffer, position) if is_direct else file.pwrite(buffer, position)
                if done == 0:
                    raise Errno(EIO)
            position += done

    # ---- Binding ----------------------------------------------------------------------------------------------

    def bind(self, file: File, file_size: int, read_only: bool) -> None:
        """Bind the device to `file`. Raises EBUSY (bound already), MemoryError."""
        if self.file is not None or self.thread_runs:
            raise Errno(EBUSY)
        self.is_closing = False
        self.bindings += 1
        self.thread_runs = True
        self.is_serving = True
        started = False
        try:
            spawn_kernel_thread(self.name, _serve, self.index)
            started = True
        finally:
            if not started:
                self.thread_runs = False
                self.is_serving = False
        self.file = file.acquire()
        self.read_only = read_only
        self.flags = LO_FLAGS_READ_ONLY if read_only else 0
        self.offset = 0
        self.size_limit = 0
        self.file_name = bytes(64)
        self.has_volatile_cache = True
        self._find_limits(file)
        self.set_file_size(file_size)
        self.find_way(wanted=False)
        take_sequence(self)

    def set_direct(self, wanted: bool) -> None:
        """LOOP_SET_DIRECT_IO. Raises EINVAL where the file cannot be accessed without its cache."""
        self.flags &= ~LO_FLAGS_DIRECT_IO
        if wanted and not self._can_be_direct():
            raise Errno(EINVAL)
        if wanted:
            self.flags |= LO_FLAGS_DIRECT_IO

    def find_way(self, wanted: bool) -> None:
        """Choose whether to bypass the file's cache, from the present state, the request and the file's open flags;
        called after a change that matters to this.
        """
        file = self.file
        wanted = wanted or self.flags & LO_FLAGS_DIRECT_IO != 0 or (file is not None and file.flags & O_DIRECT != 0)
        self.flags &= ~LO_FLAGS_DIRECT_IO
        if wanted and self._can_be_direct():
            self.flags |= LO_FLAGS_DIRECT_IO

    def _can_be_direct(self) -> bool:
        """Whether every request fits the blocks of the device that the file lies on."""
        file = self.file
        if file is None:
            return False
        below = _device_below(file)
        if below is None or below.logical_block_size > self.logical_block_size:
            return False
        return self.offset & (below.logical_block_size - 1) == 0

    def _find_limits(self, file: File) -> None:
        """The device can discard if holes can be punched into the file."""
        makes_holes = file.inode.is_regular() and file.writable
        self.discard_limit = _DISCARD_LIMIT if makes_holes else 0
        self.zeroes_limit = self.discard_limit
        self.discard_alignment = max(1, file.inode.file_system.block_size >> SECTOR_SHIFT)
        below = _device_below(file)
        self.is_rotational = below is not None and below.rotates()

    @sleeps
    def wait_until_idle(self) -> None:
        """Sleep until no request is left."""
        while not self.requests.is_empty() or self.is_working:
            self.idle.wait()

    def exchange_file(self, file: File, file_size: int) -> None:
        """LOOP_CHANGE_FD: replace the file by another one of the same size. The device is idle. Raises
        EINVAL, ENXIO.
        """
        old = self.file
        if old is None or self.is_leaving or self.is_closing:
            raise Errno(ENXIO)
        if self.flags & LO_FLAGS_READ_ONLY == 0 or file_size != self.file_size:
            raise Errno(EINVAL)
        self.file = file.acquire()
        try:
            self._find_limits(file)
            self.find_way(wanted=False)
            device_cache(self).invalidate(0, LAST_PAGE)
            self._tell_of_medium()
        finally:
            old.release()

    def _tell_of_medium(self) -> None:
        """Report that the disk has another medium, or none any more."""
        tell_change(self, b"DISK_MEDIA_CHANGE=1")
        take_sequence(self)

    def show_part(self, offset: int, size_limit: int) -> None:
        """Show only a part of the file, in a new binding: nothing has been read or written yet. Invalid values are
        refused later (`move`).
        """
        if offset >= 0 and size_limit >= 0:
            self.offset = offset
            self.size_limit = size_limit
            self.set_file_size(self.file_size)

    def resize(self, file_size: int) -> None:
        """Set the size of the file, which may have changed."""
        before = self.sectors
        self.set_file_size(file_size)
        is_other_size = before != self.sectors and before != 0 and self.sectors != 0
        tell_change(self, b"RESIZE=1" if is_other_size else b"")

    def set_file_size(self, file_size: int) -> None:
        """Compute from the file's size how much the device shows."""
        self.file_size = file_size
        size = max(0, file_size - self.offset)
        if 0 < self.size_limit < size:
            size = self.size_limit
        self.sectors = size >> SECTOR_SHIFT

    @sleeps
    def move(self, offset: int, size_limit: int) -> None:
        """Show another part of the file. Raises EIO, EINVAL, EBUSY (mounted), ENXIO (it is no longer bound)."""
        if offset < 0 or size_limit < 0:
            raise Errno(EINVAL)
        if offset == self.offset and size_limit == self.size_limit:
            return
        self._check_movable()
        sync_device(self)
        for partition in partitions_of(self):
            sync_device(partition)
        self._check_movable()
        self.offset = offset
        self.size_limit = size_limit
        self.resize(self.file_size)
        self.find_way(wanted=False)
        forget_contents(self)  # what was read before that
        for partition in partitions_of(self):  # they stay, and show a different part, too
            forget_contents(partition)

    def _check_movable(self) -> None:
        """Raises EBUSY (mounted), ENXIO (not bound)."""
        if self.claimed or self.claimed_partitions > 0:
            raise Errno(EBUSY)
        if self.file is None or self.is_closing or self.is_leaving:
            raise Errno(ENXIO)

    @sleeps
    def unbind(self) -> None:
        """LOOP_CLR_FD: once the last user has closed the device. If that is the caller, all requests fail from now
        on.
        """
        if self.openers == 1 and not self.claimed:
            self._write_all()
        if self.openers > 1 or self.claimed:  # since before, or meanwhile
            self.flags |= LO_FLAGS_AUTOCLEAR
        else:
            self.is_leaving = True

    def may_have_partitions(self) -> bool:
        return self.flags & LO_FLAGS_PARTSCAN != 0

    def closed(self) -> None:
        self.openers -= 1
        file = self.file
        if not self._is_to_go():
            return
        if not self.is_leaving:
            self._write_all()
            # Meanwhile somebody may have opened it, and will then finish this; or opened and closed it, and it is gone.
            if self.file is not file or not self._is_to_go():
                return
        self.clear()

    def _is_to_go(self) -> bool:
        """Whether the binding must end now: that was requested, and nobody uses the device any more."""
        waits = self.is_leaving or self.flags & LO_FLAGS_AUTOCLEAR != 0
        return waits and self.openers == 0 and self.file is not None and not self.is_closing

    def clear(self) -> None:
        """Unbind at once. Dirty data is lost."""
        file = self.file
        if file is None or self.is_closing:
            return
        self.is_closing = True
        self.work.wake_all()
        tell_change(self, b"")
        self._tell_of_medium()
        try:
            while self.is_serving:
                self.idle.wait()
            self._forget_contents()
        except Errno:
            log.error("loop: its cache could not be given back")
        except MemoryError:
            log.error("loop: no memory to end")
        self.file = None
        self.is_leaving = False
        self.sectors = 0
        self.read_only = False
        self.flags = 0
        self.parting = file
        binding = self.bindings
        self.work.wake_all()
        try:
            while self.thread_runs and self.bindings == binding:  # somebody may bind it again before this thread runs
                self.idle.wait()
        except Errno:
            log.error("loop: the wait for the file's release was cut short")
        except MemoryError:
            log.error("loop: no memory to wait for the file's release")

    def _write_all(self) -> None:
        """Write what is dirty to the file. Nobody can receive an error, so it goes to the log."""
        try:
            sync_device(self)
        except Errno:
            log.error("loop: what was written could not be kept")
        except MemoryError:
            log.error("loop: no memory to write what is left")

    def _forget_contents(self) -> None:
        with self.partitioning:
            drop_partitions(partitions_of(self))
        forget_contents(self)

    @sleeps
    def look_for_partitions(self) -> None:
        """LO_FLAGS_PARTSCAN was set."""
        self.flags |= LO_FLAGS_PARTSCAN
        scan_partitions(self)


def _device_below(file: File) -> BlockDevice | None:
    """What a file is, or lies on."""
    return file.device if isinstance(file, BlockFile) else file.inode.file_system.block_device


def loop_device(index: int) -> LoopDevice | None:
    """Device /dev/loopN, if there is one."""
    device = BLOCK_DEVICES.get(device_number(LOOP_MAJOR, index))
    return device if isinstance(device, LoopDevice) else None


def _serve(index: int) -> None:
    device = loop_device(index)
    if device is not None:
        device.serve()


def add_loop_device(index: int) -> LoopDevice:
    """Create /dev/loopN. Raises MemoryError."""
    device = LoopDevice(index)
    add_device(device)
    return device


def free_index() -> int:
    """The lowest index of a device that is not bound, which is created if there is none. Raises ENOSPC if there may be
    no more.
    """
    for index in range(DEVICE_LIMIT):
        device = loop_device(index)
        if device is None:
            add_loop_device(index)
            return index
        if device.file is None:
            return index
    raise Errno(ENOSPC)
