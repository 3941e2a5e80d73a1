"""Writing a core file: pieces are gathered in a buffer, holes are skipped, and the limit is kept (core(5)).

Producers put pieces in, and flush whenever that is due, so that the code that writes to the file is called from a
shallow place. What does not fit is left out, and the file ends there: a truncated core file is better than none.
Holes do not count against the limit. A program that reads the file through a pipe gets them as zeros.

Invariant: while there is a hole, the buffer is empty, or a flush is due.
Context: `flush` sleeps.
"""

from typing import Final

from kernel.fs.file import File
from kernel.fs.notification import tell_written
from kernel.lang import EIO, Errno, Span, final, span_of, u8
from kernel.lib.pace import pace_bytes
from kernel.lib.user import KernelBuffer
from kernel.mm.frames import PAGE_SIZE
from kernel.task.core_state import CoreDump
from kernel.task.limits import UNLIMITED

_BUFFER_BYTES: Final = 65536


@final
class CoreWriter:
    """A core file as it grows. Holds no reference to the file."""

    def __init__(self, file: File, limit: int, size_limit: int, dump: CoreDump) -> None:
        self._file: File = file
        self._limit: int = limit  # of bytes that are written (RLIMIT_CORE)
        self._size_limit: int = size_limit  # of the file's size (RLIMIT_FSIZE)
        self._dump: CoreDump = dump
        self._buffer: KernelBuffer = KernelBuffer(bytearray(_BUFFER_BYTES))
        self._filled: int = 0
        self._piece: bytes = b""  # the last one
        self._piece_at: int = 0  # the offset of its part not yet in the buffer
        self._zeros: int = 0  # to be written before anything else
        self._hole: int = 0  # to be skipped before anything else
        self._written: int = 0  # including pending bytes
        self._is_full: bool = False  # the limit is reached
        self.position: int = 0  # in the file, after everything put in
        self.error: int = 0  # what ended the writing, if it failed

    def has_ended(self) -> bool:
        """Whether nothing more goes into the file: its limit is reached, the writing failed, or SIGKILL came."""
        return self._is_full or self.error != 0 or self._dump.is_broken_off

    def put(self, piece: bytes) -> None:
        """Add a piece, unless it is too long for the limit. No flush is due."""
        if self._takes(len(piece)):
            self._piece = piece
            self._piece_at = 0
            self._fill()

    def put_page(self, page: Span[u8]) -> None:
        """Add a page of memory, for which there is room."""
        if self._takes(PAGE_SIZE):
            span_of(self._buffer.storage)[self._filled : self._filled + PAGE_SIZE].copy_from(page)
            self._filled += PAGE_SIZE

    def skip(self, count: int) -> None:
        """Leave a hole of `count` bytes."""
        self.position += count
        if self._file.seekable:
            self._hole += count
        else:
            self._written += count
            self._zeros += count
            self._fill()

    def end(self) -> None:
        """Nothing more follows. A hole at the end gets a last byte, so that the file is as long as its headers say."""
        if self._hole > 0 and not self.has_ended():
            self._hole -= 1
            self.position -= 1
            self.put(b"\0")

    def _takes(self, count: int) -> bool:
        """Account for that many bytes, if the limit allows them."""
        if self._limit != UNLIMITED and self._written + count > self._limit:
            self._is_full = True
            return False
        self._written += count
        self.position += count
        if self._hole > 0:
            self._file.position += self._hole
            self._hole = 0
        return True

    def _fill(self) -> None:
        """Move pending bytes into the buffer."""
        room = span_of(self._buffer.storage)
        if self._zeros > 0:
            part = min(self._zeros, _BUFFER_BYTES - self._filled)
            room[self._filled : self._filled + part].fill(0)
            self._filled += part
            self._zeros -= part
        piece = self._piece
        start = self._piece_at
        part = min(len(piece) - start, _BUFFER_BYTES - self._filled)
        if part > 0:
            room[self._filled : self._filled + part].copy_from(span_of(piece)[start : start + part])
            self._filled += part
            self._piece_at += part

    def is_flush_due(self) -> bool:
        """Whether to flush before adding more."""
        if self.error != 0 or self._dump.is_broken_off:
            return False
        waits = self._zeros > 0 or self._piece_at < len(self._piece)
        return waits or self._filled > _BUFFER_BYTES - PAGE_SIZE or (self._hole > 0 and self._filled > 0)

    def is_dirty(self) -> bool:
        """Whether anything is left to be written, after the last piece."""
        return self.error == 0 and not self._dump.is_broken_off and self._filled > 0

    def flush(self) -> None:
        """Write the buffer, and fill it with pending bytes. Raises MemoryError."""
        file = self._file
        buffer = self._buffer
        wanted = self._filled
        self._filled = 0
        room = max(0, self._size_limit - file.position) if file.inode.is_regular() else wanted
        buffer.rewind(min(wanted, room))
        done = 0
        try:
            if buffer.remaining > 0:
                done = tell_written(file, file.write(buffer))
        except Errno as error:
            self.error = error.code
            return
        if done < wanted:
            self.error = EIO
            return
        pace_bytes(2 * wanted)  # into the buffer, and out of it
        self._fill()
