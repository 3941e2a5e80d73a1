"""Reading directories: getdents(2)."""

from typing import Final

from kernel.doors.table import syscall
from kernel.fs.file import DirectorySink, File
from kernel.fs.marks import MARKS, ask_to_read
from kernel.fs.notification import IN_ACCESS, tell_file
from kernel.lang import EINVAL, ENOENT, ENOTDIR, Errno, UserAddr, i32, span_of, u32, u64
from kernel.lib import user
from kernel.syscalls.descriptor_arguments import file_at

_LARGEST_CHUNK: Final = 32768
_FIRST_CHUNK: Final = 2048  # grows when it is full: most directories are small, and what is allocated must be zeroed


class EntryBuffer(DirectorySink):
    """Builds the records of getdents64(2), or with `old` those of getdents(2)."""

    def __init__(self, size: int, old: bool) -> None:
        super().__init__()
        self.size: int = size  # that the records may have in all
        self.storage: bytearray = bytearray(min(size, _FIRST_CHUNK))
        self.used: int = 0
        self.last: int = 0  # where the last record begins
        self.old: bool = old
        self.refused: bool = False

    def emit(self, name: bytes, ino: int, kind: int, next_position: int) -> bool:
        # Header, name, NUL (and in the old form the kind at the very end), up to a multiple of eight.
        length = (18 + len(name) + 2 + 7) & ~7 if self.old else (19 + len(name) + 1 + 7) & ~7
        if length > len(self.storage) - self.used and not self._grow(length):
            self.refused = True
            return False
        record = span_of(self.storage)[self.used : self.used + length]
        record.store_u64(0, u64(ino))
        record.store_u64(8, u64(next_position))
        record.store_u16(16, length)
        start = 18 if self.old else 19
        record[start : start + len(name)].copy_from(span_of(name))
        if self.old:
            record.store_u8(length - 1, kind)
        else:
            record.store_u8(18, kind)
        self.last = self.used
        self.used += length
        return True

    def _grow(self, length: int) -> bool:
        """Make room for a record; False if there is none."""
        if length > self.size - self.used:
            return False
        try:
            larger = bytearray(min(self.size, max(2 * len(self.storage), self.used + length)))
        except MemoryError:
            return False
        span_of(larger)[0 : self.used].copy_from(span_of(self.storage)[0 : self.used])
        self.storage = larger
        return True

    def pass_over(self, position: int) -> None:
        super().pass_over(position)
        if self.used > 0:
            span_of(self.storage).store_u64(self.last + 8, u64(position))


def _read_entries(file: File, address: UserAddr, size: int, old: bool) -> int:
    if not file.inode.is_directory():
        raise Errno(ENOTDIR)
    if MARKS.guards != 0:
        ask_to_read(file)
    if file.inode.nlink == 0:  # perhaps while the question waited
        raise Errno(ENOENT)
    user.check(address, size)
    sink = EntryBuffer(min(size, _LARGEST_CHUNK), old)
    before = file.position
    file.read_directory(sink)
    tell_file(file, IN_ACCESS)
    if sink.used == 0 and sink.refused:
        raise Errno(EINVAL)
    try:
        user.write_from(address, span_of(sink.storage)[0 : sink.used])
    except Errno:
        file.position = before
        raise
    return sink.used


@syscall("getdents64", status="Full", args="fd:directory >bytes[size] size")
def getdents64(descriptor: i32, address: UserAddr, size: u32) -> int:
    return _read_entries(file_at(descriptor), address, size, old=False)


@syscall("getdents", status="Full", args="fd:directory >bytes[size] size")
def getdents(descriptor: i32, address: UserAddr, size: u32) -> int:
    return _read_entries(file_at(descriptor), address, size, old=True)
