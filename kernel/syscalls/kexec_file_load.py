"""Loading another kernel from its file: kexec_file_load(2). reboot(2) starts it."""

from typing import Final

from arch import FROM_BYTES, FROM_INITRD, KernelFile, Plan, check_kernel, plan_kernel
from kernel.doors.table import syscall
from kernel.fs.constants import S_IFMT, S_IFREG
from kernel.fs.file import File
from kernel.lang import EADDRNOTAVAIL, EBADF, EINVAL, EIO, ENOMEM, ETXTBSY, Errno, UserAddr, final, i32
from kernel.lib import user
from kernel.lib.user import KernelBuffer
from kernel.mm.frames import total_frame_count
from kernel.mm.next_kernel import NextKernel, SegmentBuffer, pages_for
from kernel.syscalls.descriptor_arguments import file_at
from kernel.syscalls.kexec_load import Turn, check_permission, replace

_FILE_UNLOAD: Final = 1
_FILE_ON_CRASH: Final = 2
_FILE_NO_INITRD: Final = 4
_FILE_DEBUG: Final = 8
_FILE_FLAGS: Final = _FILE_UNLOAD | _FILE_ON_CRASH | _FILE_NO_INITRD | _FILE_DEBUG
_COMMAND_LINE_LIMIT: Final = 64 << 10  # bytes; each kernel has its own below


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
    """A regular, non-empty file that is not open for writing. Raises EBADF, EINVAL, ETXTBSY."""
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
    "kexec_file_load", status="Full", args="fd fd size <bytes[size] flags:1|4|8",
    notes="Takes Linux's bzImage, and ELF files that say where PVH enters them, such as Krait's own. No kernel is kept"
    " for a crash",
)  # fmt: skip
def kexec_file_load(kernel_fd: i32, initrd_fd: i32, size: int, command_line: UserAddr, flags: int) -> int:
    """kexec_file_load(2)."""
    check_permission(flags & _FILE_ON_CRASH != 0)
    if flags & ~_FILE_FLAGS != 0:
        raise Errno(EINVAL)
    with Turn():
        if flags & _FILE_UNLOAD != 0:
            if flags & _FILE_ON_CRASH == 0:
                replace(None)
            return 0
        if flags & _FILE_ON_CRASH != 0:
            raise Errno(EADDRNOTAVAIL)
        replace(_load_files(kernel_fd, initrd_fd, size, command_line, flags & _FILE_NO_INITRD == 0))
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
    """Load the pieces of a plan into memory. Raises EIO if a file has become shorter; ENOMEM."""
    total = 0
    for piece in plan.pieces:
        total += pages_for(piece.size)
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
