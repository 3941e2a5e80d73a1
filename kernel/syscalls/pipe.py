"""pipe(2)."""

from typing import Final

from kernel.doors.table import syscall
from kernel.fs.constants import O_CLOEXEC, O_DIRECT, O_EXCL, O_NONBLOCK
from kernel.ipc.pipe import make_pipe
from kernel.lang import EINVAL, ENOPKG, Errno, UserAddr, i32
from kernel.lib import user
from kernel.task import current

_O_NOTIFICATION_PIPE: Final = O_EXCL


@syscall("pipe", status="Full", args=">fd:pipe[2]")
def pipe(address: UserAddr) -> int:
    return pipe2(address, 0)


@syscall("pipe2", status="Full", args=">fd:pipe[2] flags:O_CLOEXEC|O_NONBLOCK|O_DIRECT")
def pipe2(address: UserAddr, flags: i32) -> int:
    if flags & ~(O_CLOEXEC | O_NONBLOCK | O_DIRECT | _O_NOTIFICATION_PIPE) != 0:
        raise Errno(EINVAL)
    if flags & _O_NOTIFICATION_PIPE != 0:
        raise Errno(ENOPKG)  # as Linux without CONFIG_WATCH_QUEUE, which Debian's is
    task = current()
    files = task.files
    cloexec = flags & O_CLOEXEC != 0
    ends = make_pipe(task.credentials, flags & (O_NONBLOCK | O_DIRECT))
    try:
        reader = files.install(ends.reader, cloexec)
    except (Errno, MemoryError):
        ends.writer.release()
        raise
    try:
        writer = files.install(ends.writer, cloexec)
    except (Errno, MemoryError):
        files.take_back(reader, ends.reader)
        raise
    try:
        user.write_i32(address, reader)
        user.write_i32(user.at(address, 4), writer)
    except Errno:
        files.take_back(reader, ends.reader)
        files.take_back(writer, ends.writer)
        raise
    return 0
