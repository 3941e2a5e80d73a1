"""Steps before a file grows: RLIMIT_FSIZE, and dropping the file's privileges on a write."""

from kernel.fs.append_bound import SIGNALS, BoundSignal
from kernel.fs.file import File
from kernel.fs.privileges import drop_privileges
from kernel.lang import EFBIG, Errno, final
from kernel.lib.user import Buffer
from kernel.task import current
from kernel.task.limits import RLIMIT_FSIZE
from kernel.task.send import signal_itself
from kernel.task.signals import SIGXFSZ


def prepare_write(file: File, buffer: Buffer, offset: int) -> None:
    """Prepare any write to a file with offsets: check RLIMIT_FSIZE, and drop the file's privileges."""
    inode = file.inode
    if not inode.is_regular() or buffer.remaining == 0:
        return
    task = current()
    limit = task.process.limits.soft[RLIMIT_FSIZE]
    if offset >= limit:
        signal_itself(task, SIGXFSZ)
        raise Errno(EFBIG)
    buffer.remaining = min(buffer.remaining, limit - offset)  # fits: 0 <= offset < limit
    buffer.bound = limit  # others may append before
    if inode.may_have_privileges:
        drop_privileges(inode, file.path.mount.actor(task.credentials))


@final
class _TooLarge(BoundSignal):
    def send(self) -> None:
        signal_itself(current(), SIGXFSZ)


SIGNALS.past_bound = _TooLarge()


def check_size_limit(size: int) -> None:
    """RLIMIT_FSIZE for truncation and allocation."""
    task = current()
    if size > task.process.limits.soft[RLIMIT_FSIZE]:
        signal_itself(task, SIGXFSZ)
        raise Errno(EFBIG)
