"""copy_file_range(2): between files of one file system, by its server where it has one that can."""

from kernel.doors.table import syscall
from kernel.fs.constants import MAX_FILE_SIZE, MAX_RW_COUNT, O_APPEND
from kernel.fs.marks import MARKS, ask_to_read
from kernel.fs.notification import tell_read, tell_written
from kernel.lang import EBADF, EFBIG, EINVAL, EISDIR, EOPNOTSUPP, EOVERFLOW, ETXTBSY, EXDEV, Errno, UserAddr, i32
from kernel.lib import user
from kernel.lib.user import KernelBuffer
from kernel.syscalls.descriptor_arguments import file_at
from kernel.syscalls.sendfile import Cursor, copy_counted
from kernel.syscalls.size_limit import prepare_write
from kernel.task import current


@syscall("copy_file_range", status="Full", args="fd:file =offset? fd:file =offset? size flags:0")
def copy_file_range(
    source: i32, source_address: UserAddr, target: i32, target_address: UserAddr, count: int, flags: i32
) -> int:
    in_file = file_at(source)
    out_file = file_at(target)
    in_offset = user.read_i64(source_address) if source_address != 0 else -1
    out_offset = user.read_i64(target_address) if target_address != 0 else -1
    if flags != 0:
        raise Errno(EINVAL)
    if in_file.inode.is_directory() or out_file.inode.is_directory():
        raise Errno(EISDIR)
    if not in_file.inode.is_regular() or not out_file.inode.is_regular():
        raise Errno(EINVAL)
    if not in_file.readable or not out_file.writable or out_file.flags & O_APPEND != 0:
        raise Errno(EBADF)
    if in_file.inode.file_system is not out_file.inode.file_system:
        raise Errno(EXDEV)
    if in_file.is_swap_area() or out_file.is_swap_area():
        raise Errno(ETXTBSY)
    in_start = in_offset if source_address != 0 else in_file.position
    out_start = out_offset if target_address != 0 else out_file.position
    if _wraps(in_start, count) or _wraps(out_start, count):
        raise Errno(EOVERFLOW)
    if in_start < 0 or out_start < 0 or count < 0:
        raise Errno(EINVAL)
    if out_start == MAX_FILE_SIZE:
        raise Errno(EFBIG)
    count = max(0, min(count, MAX_RW_COUNT, in_file.inode.size - in_start, MAX_FILE_SIZE - out_start))
    if in_file.inode is out_file.inode and abs(in_start - out_start) < count:
        raise Errno(EINVAL)
    reading = Cursor(in_file, in_offset if source_address != 0 else -1)
    writing = Cursor(out_file, out_offset if target_address != 0 else -1)
    done = -1
    if count > 0 and out_file.can_copy_from(in_file):
        done = _copy_there(reading, in_start, writing, out_start, count)
    if done < 0:
        done = copy_counted(reading, writing, count)
    if source_address != 0:
        user.write_i64(source_address, reading.offset)
    if target_address != 0:
        user.write_i64(target_address, writing.offset)
    return done


def _copy_there(source: Cursor, start: int, target: Cursor, target_start: int, count: int) -> int:
    """Have the server of both files copy. -1 if it cannot, after all."""
    in_file = source.file.acquire()
    out_file = target.file.acquire()
    try:
        if MARKS.guards != 0:
            ask_to_read(in_file)
        bound = KernelBuffer(bytearray(0))
        bound.remaining = count
        prepare_write(out_file, bound, target_start)
        done = out_file.copy_from(in_file, start, target_start, bound.remaining)
        source.move(start + done)  # fits: the whole range does
        target.move(target_start + done)  # fits: the whole range does
        tell_read(in_file, done)
        tell_written(out_file, done)
        task = current()
        task.counts.read_calls += 1
        task.counts.write_calls += 1
        task.counts.read_bytes += done
        task.counts.written_bytes += done
        return done
    except Errno as error:
        if error.code not in (EOPNOTSUPP, EXDEV):
            raise
        return -1
    finally:
        in_file.release()
        out_file.release()


def _wraps(offset: int, count: int) -> bool:
    """Whether offset + count leaves 64 bits, both taken as unsigned numbers, as Linux adds them here."""
    return offset < 0 and count != 0 and (count < 0 or offset + count >= 0)
