"""Reading directories: getdents(2)."""

from typing import Final

from kernel.doors.table import syscall
from kernel.fs.entry_buffer import EntryBuffer
from kernel.fs.file import File
from kernel.fs.marks import MARKS, ask_to_read
from kernel.fs.notification import IN_ACCESS, tell_file
from kernel.lang import EINVAL, ENOENT, ENOTDIR, Errno, UserAddr, i32, span_of, u32
from kernel.lib import user
from kernel.syscalls.descriptor_arguments import file_at
from kernel.task.words import load_i64

_LARGEST_CHUNK: Final = 32768
_NEXT_POSITION: Final = 8  # struct linux_dirent64, and linux_dirent: d_off
_LENGTH: Final = 16  # d_reclen


def _read_entries(file: File, address: UserAddr, size: int, old: bool) -> int:
    if not file.inode.is_directory():
        raise Errno(ENOTDIR)
    has_turn = file.take_turn()  # always: what an open directory knows of its entries is for one reader at a time
    try:
        return _read_in_turn(file, address, size, old)
    finally:
        if has_turn:
            file.end_turn()


def _read_in_turn(file: File, address: UserAddr, size: int, old: bool) -> int:
    if MARKS.guards != 0:
        ask_to_read(file)
    if file.inode.nlink == 0:  # perhaps while it waited
        raise Errno(ENOENT)
    size = size if size < 1 << 31 else 0  # Linux keeps it in an int, which no entry fits then
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
        return _write_some(file, address, sink)
    return sink.used


def _write_some(file: File, address: UserAddr, sink: EntryBuffer) -> int:
    """Write the records that there is memory for: the next call continues after them. Raises EFAULT if that is none."""
    records = span_of(sink.storage)
    done = 0
    while done < sink.used:
        record = records[done : done + records.load_u16(done + _LENGTH)]
        try:
            user.write_from(user.at(address, done), record)
        except Errno:
            if done == 0:
                raise
            break
        file.position = load_i64(record, _NEXT_POSITION)
        done += len(record)
    return done


@syscall("getdents64", status="Full", args="fd:directory >bytes[size] size")
def getdents64(descriptor: i32, address: UserAddr, size: u32) -> int:
    return _read_entries(file_at(descriptor), address, size, old=False)


@syscall("getdents", status="Full", args="fd:directory >bytes[size] size")
def getdents(descriptor: i32, address: UserAddr, size: u32) -> int:
    return _read_entries(file_at(descriptor), address, size, old=True)
