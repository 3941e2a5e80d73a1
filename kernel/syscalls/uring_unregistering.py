"""The end of a table of registered files or buffers: IORING_UNREGISTER_FILES, IORING_UNREGISTER_BUFFERS.

The call waits for requests that use either, as on Linux 6.12, without the ring's lock: they may need it. The table is
withdrawn meanwhile. The order of checks is Linux's.
"""

from kernel.lang import ENXIO, Errno
from kernel.task.send import update_interrupted
from kernel.task.task import Task
from kernel.uring.perform import work_of
from kernel.uring.retirement import begin_withdrawal
from kernel.uring.ring import Ring
from kernel.uring.waiting import wait_for_users


def unregister_files(ring: Ring, task: Task) -> int:
    """IORING_UNREGISTER_FILES. Raises ENXIO, EINTR, ERESTARTSYS, EIO, MemoryError, and they are still registered."""
    files = ring.registered.files
    ring.lock()
    try:
        if not files.exists or files.is_withdrawn:
            raise Errno(ENXIO)
        is_used = begin_withdrawal(ring)
        files.withdraw()
    finally:
        ring.submitting.release()
    done = not is_used
    try:
        if is_used:
            _wait(ring, task)
        done = True
    finally:
        if not done:
            files.put_back()
    ring.drop_files()
    return 0


def unregister_buffers(ring: Ring, task: Task) -> int:
    """IORING_UNREGISTER_BUFFERS. Raises ENXIO, EINTR, ERESTARTSYS, EIO, MemoryError, and they are still registered."""
    buffers = ring.registered.buffers
    ring.lock()
    try:
        if not buffers.exists or buffers.is_withdrawn:
            raise Errno(ENXIO)
        is_used = begin_withdrawal(ring)
        buffers.withdraw()
    finally:
        ring.submitting.release()
    done = not is_used
    try:
        if is_used:
            _wait(ring, task)
        done = True
    finally:
        if not done:
            buffers.put_back()
    buffers.drop()
    return 0


def _wait(ring: Ring, task: Task) -> None:
    """Until those requests have ended, of which some may be the caller's own. Raises EINTR, MemoryError."""
    work = work_of(task)
    work.is_at_work = True
    try:
        update_interrupted(task)
        wait_for_users(ring, work)
    finally:
        work.is_at_work = False
        update_interrupted(task)
