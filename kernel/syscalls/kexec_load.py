"""Loading another kernel and starting it: kexec_load(2), kexec_file_load(2), and what reboot(2) does with it.

Nothing of the running system is touched until reboot(2) has found the loaded kernel whole. Then file systems on disks
are written out, devices stop, the other processors halt, and the kernel's pages are moved to where they belong
(arch.leave), over everything that is here.
"""

from typing import Final

from arch import FROM_BYTES, FROM_INITRD, KernelFile, Plan, check_kernel, leave, plan_kernel
from kernel.doors.table import syscall
from kernel.drivers.virtio.transport import reset_all
from kernel.fs.constants import S_IFMT, S_IFREG
from kernel.fs.file import File
from kernel.fs.mount_sync import end_writing
from kernel.lang import (
    EADDRNOTAVAIL,
    EBADF,
    EBUSY,
    EINVAL,
    EIO,
    ENOMEM,
    EPERM,
    ETXTBSY,
    Errno,
    Span,
    UserAddr,
    final,
    i32,
    span_of,
    u8,
)
from kernel.lib import log, user
from kernel.lib.capabilities import CAP_SYS_BOOT
from kernel.lib.settings import SystemSetting
from kernel.lib.user import KernelBuffer
from kernel.mm.frames import PAGE_MASK, PAGE_SHIFT, total_frame_count
from kernel.mm.next_kernel import LOADED, NextKernel, SegmentBuffer
from kernel.sched import current_thread
from kernel.sched.processor import this_processor
from kernel.sched.scheduler import allow_processors, preempt, request_reschedule
from kernel.syscalls.descriptor_arguments import file_at
from kernel.task.task import current
from kernel.task.words import load_i64

_ON_CRASH: Final = 1
_PRESERVE_CONTEXT: Final = 2
_UPDATE_HEADER: Final = 4
_LOAD_FLAGS: Final = _ON_CRASH | _PRESERVE_CONTEXT | _UPDATE_HEADER
_ARCHITECTURE: Final = 0xFFFF_0000
_THIS_ARCHITECTURE: Final = 62 << 16
_MOST_SEGMENTS: Final = 16
_SEGMENT_SIZE: Final = 32
_MEMORY_LIMIT: Final = (1 << 46) - 1

_FILE_UNLOAD: Final = 1
_FILE_ON_CRASH: Final = 2
_FILE_NO_INITRD: Final = 4
_FILE_DEBUG: Final = 8
_FILE_FLAGS: Final = _FILE_UNLOAD | _FILE_ON_CRASH | _FILE_NO_INITRD | _FILE_DEBUG
_COMMAND_LINE_LIMIT: Final = 64 << 10  # bytes; each kernel has its own below
_PIECE: Final = 64 << 10  # bytes of a file that are read at once

_BOOT_PROCESSOR: Final = 1  # as a mask


@final
class DisabledSetting(SystemSetting):
    """Once set it stays: no kernel is loaded until the machine starts anew."""

    def store(self, numbers: list[int]) -> None:
        if numbers[0] < self.values[0]:
            raise Errno(EINVAL)
        self.values[0] = numbers[0]


@final
class LimitSetting(SystemSetting):
    """How many more kernels may be loaded; -1: as many as one likes. It only ever falls."""

    def store(self, numbers: list[int]) -> None:
        wanted = numbers[0]
        present = self.values[0]
        if wanted < 0 or (present != -1 and wanted > present):
            raise Errno(EINVAL)
        self.values[0] = wanted

    def count(self) -> None:
        """One is loaded. Raises EPERM."""
        if self.values[0] == 0:
            raise Errno(EPERM)
        if self.values[0] > 0:
            self.values[0] -= 1


_DISABLED: Final = DisabledSetting(b"kernel/kexec_load_disabled", [0], 0, 1)
_LIMIT_REBOOT: Final = LimitSetting(b"kernel/kexec_load_limit_reboot", [-1], -1, 0x7FFF_FFFF)
_LIMIT_PANIC: Final = LimitSetting(b"kernel/kexec_load_limit_panic", [-1], -1, 0x7FFF_FFFF)


@final
class Turn:
    """In a `with` statement: nobody else loads, unloads or starts a kernel. EBUSY if somebody does."""

    def __enter__(self) -> "Turn":
        if LOADED.is_busy:
            raise Errno(EBUSY)
        LOADED.is_busy = True
        return self

    def __exit__(self, kind: object, value: object, traceback: object) -> None:
        LOADED.is_busy = False


def _check_permission(is_for_crash: bool) -> None:
    if not current().credentials.capable(CAP_SYS_BOOT) or _DISABLED.value != 0:
        raise Errno(EPERM)
    if is_for_crash:
        _LIMIT_PANIC.count()
    else:
        _LIMIT_REBOOT.count()


def _replace(kernel: NextKernel | None) -> None:
    """Load this one, or none, instead of what is loaded."""
    before = LOADED.kernel
    LOADED.kernel = kernel
    if before is not None:
        before.close()


# Segments from a program's memory -------------------------------------------------------------------------------------


@syscall("kexec_load", status="Full", args="address count <kexec_segment[count] flags:1|2|4|0x3e0000",
         notes="No kernel is kept for a crash, as where no memory is reserved for one")  # fmt: skip
def kexec_load(entry: int, count: int, segments: UserAddr, flags: int) -> int:
    """kexec_load(2)."""
    _check_permission(flags & _ON_CRASH != 0)
    if flags & ~_ARCHITECTURE & ~_LOAD_FLAGS != 0 or count < 0 or count > _MOST_SEGMENTS:
        raise Errno(EINVAL)
    if flags & _ARCHITECTURE != 0 and flags & _ARCHITECTURE != _THIS_ARCHITECTURE:
        raise Errno(EINVAL)
    table = user.read_bytes(segments, count * _SEGMENT_SIZE)
    with Turn():
        if count == 0:
            if flags & _ON_CRASH == 0:
                _replace(None)
            return 0
        if flags & _ON_CRASH != 0:
            raise Errno(EADDRNOTAVAIL)
        kernel = NextKernel(entry, is_narrow=False, argument=0)
        done = False
        try:
            _load_segments(kernel, span_of(table), count)
            done = True
        finally:
            if not done:
                kernel.close()
        _replace(kernel)
    return 0


def _load_segments(kernel: NextKernel, table: Span[u8], count: int) -> None:
    """Raises EADDRNOTAVAIL, EINVAL, EFAULT, ENOMEM."""
    starts: list[int] = []
    ends: list[int] = []
    for i in range(count):
        start = load_i64(table, i * _SEGMENT_SIZE + 16)
        size = load_i64(table, i * _SEGMENT_SIZE + 24)
        if start < 0 or size < 0 or start > _MEMORY_LIMIT or size > _MEMORY_LIMIT - start:
            raise Errno(EADDRNOTAVAIL)
        if (start | size) & PAGE_MASK != 0 or start + size >= _MEMORY_LIMIT:
            raise Errno(EADDRNOTAVAIL)
        starts.append(start)
        ends.append(start + size)
    for i in range(count):
        for j in range(i):
            if ends[i] > starts[j] and starts[i] < ends[j]:
                raise Errno(EINVAL)
    total = 0
    for i in range(count):
        filled = load_i64(table, i * _SEGMENT_SIZE + 8)
        if filled < 0 or filled > ends[i] - starts[i]:
            raise Errno(EINVAL)
    for i in range(count):
        pages = ends[i] - starts[i] >> PAGE_SHIFT
        total += pages
        if pages > total_frame_count() // 2:
            raise Errno(EINVAL)
    if total > total_frame_count() // 2:
        raise Errno(EINVAL)
    for i in range(count):
        kernel.add(starts[i], ends[i] - starts[i], load_i64(table, i * _SEGMENT_SIZE + 8))
    kernel.find_room()
    for i in range(count):
        filled = load_i64(table, i * _SEGMENT_SIZE + 8)
        kernel.fill_from_user(kernel.segments[i], UserAddr(load_i64(table, i * _SEGMENT_SIZE)), filled)
    kernel.complete()


# Files ----------------------------------------------------------------------------------------------------------------


@final
class OpenKernel(KernelFile):
    """A kernel in an open file."""

    def __init__(self, file: File, size: int) -> None:
        super().__init__(size)
        self._file: File = file

    def read(self, offset: int, size: int) -> bytearray:
        storage = bytearray(size)
        buffer = KernelBuffer(storage)
        done = 0
        while done < size:
            got = self._file.pread(buffer, offset + done)
            if got <= 0:
                break
            done += got
        return storage if done == size else bytearray(storage[:done])


def _readable(descriptor: int) -> File:
    """A regular file with something in it that nobody writes. Raises EBADF, EINVAL, ETXTBSY."""
    file = file_at(descriptor)
    if not file.readable:
        raise Errno(EBADF)
    if file.inode.mode & S_IFMT != S_IFREG:
        raise Errno(EINVAL)
    if file.inode.writers > 0:
        raise Errno(ETXTBSY)
    if file.inode.size <= 0:
        raise Errno(EINVAL)
    return file


@syscall(
    "kexec_file_load", status="Full", args="fd fd size <bytes[size] flags:KEXEC_FILE_UNLOAD|KEXEC_FILE_NO_INITRAMFS",
    notes="Takes Linux's bzImage, and ELF files that say where PVH enters them, such as Krait's own. No kernel is kept"
    " for a crash",
)  # fmt: skip
def kexec_file_load(kernel_fd: i32, initrd_fd: i32, size: int, command_line: UserAddr, flags: int) -> int:
    """kexec_file_load(2)."""
    _check_permission(flags & _FILE_ON_CRASH != 0)
    if flags & ~_FILE_FLAGS != 0:
        raise Errno(EINVAL)
    with Turn():
        if flags & _FILE_UNLOAD != 0:
            if flags & _FILE_ON_CRASH == 0:
                _replace(None)
            return 0
        if flags & _FILE_ON_CRASH != 0:
            raise Errno(EADDRNOTAVAIL)
        _replace(_load_files(kernel_fd, initrd_fd, size, command_line, flags & _FILE_NO_INITRD == 0))
    return 0


def _load_files(kernel_fd: int, initrd_fd: int, size: int, command_line: UserAddr, has_initrd: bool) -> NextKernel:
    file = _readable(kernel_fd).acquire()
    try:
        image = OpenKernel(file, file.inode.size)
        check_kernel(image)
        initrd: File | None = None
        if has_initrd:
            initrd = _readable(initrd_fd).acquire()
        try:
            text = b""
            if size != 0:
                if size < 0 or size > _COMMAND_LINE_LIMIT:
                    raise Errno(EINVAL)
                text = user.read_bytes(command_line, size)
                if text[size - 1] != 0:
                    raise Errno(EINVAL)
                text = text[: text.find(b"\0")]
            plan = plan_kernel(image, 0 if initrd is None else initrd.inode.size, text)
            return _load_plan(plan, file, initrd)
        finally:
            if initrd is not None:
                initrd.release()
    finally:
        file.release()


def _load_plan(plan: Plan, file: File, initrd: File | None) -> NextKernel:
    """Put the pieces of a plan into memory. Raises EIO where a file has become shorter; ENOMEM."""
    total = 0
    for piece in plan.pieces:
        total += piece.size + PAGE_MASK >> PAGE_SHIFT
    if total > total_frame_count() // 2:
        raise Errno(ENOMEM)
    kernel = NextKernel(plan.entry, plan.is_narrow, plan.argument)
    done = False
    try:
        for piece in plan.pieces:
            kernel.add(piece.destination, piece.size, piece.filled)
        kernel.find_room()
        for i in range(len(plan.pieces)):
            piece = plan.pieces[i]
            buffer = SegmentBuffer(kernel.segments[i], piece.filled)
            if piece.source == FROM_BYTES:
                buffer.put_bytes(piece.data)
            elif piece.source == FROM_INITRD and initrd is not None:
                _read_whole(initrd, 0, buffer)
            else:
                _read_whole(file, piece.offset, buffer)
        kernel.complete()
        done = True
    finally:
        if not done:
            kernel.close()
    return kernel


def _read_whole(file: File, offset: int, buffer: SegmentBuffer) -> None:
    """Fill the buffer from a file. Raises EIO."""
    while buffer.remaining > 0:
        got = file.pread(buffer, offset)
        if got <= 0:
            raise Errno(EIO)
        offset += got


# Starting it ----------------------------------------------------------------------------------------------------------


def start_next_kernel() -> None:
    """What reboot(2) does for LINUX_REBOOT_CMD_KEXEC. Returns only by raising EBUSY; EINVAL: no kernel is loaded; EIO:
    something has changed it in memory.
    """
    with Turn():
        kernel = LOADED.kernel
        if kernel is None:
            raise Errno(EINVAL)
        if not kernel.is_whole():
            log.error("kexec: the loaded kernel has been damaged in memory")
            raise Errno(EIO)
        end_writing()
        # The others can be stopped by a signal that would send the boot processor back to the firmware.
        allow_processors(current_thread(), _BOOT_PROCESSOR)
        while this_processor().number != 0:
            request_reschedule()
            preempt()
        log.info("Starting new kernel")
        reset_all()
        leave(kernel.code_page, kernel.moves, kernel.root, kernel.entry, kernel.is_narrow, kernel.argument)
