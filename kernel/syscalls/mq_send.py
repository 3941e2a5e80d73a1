"""Sending to and receiving from POSIX queues: mq_send(3), mq_receive(3)."""

from kernel.doors.table import syscall
from kernel.ipc.posix_queues import PRIORITIES, QueuedMessage
from kernel.lang import EBADF, EINVAL, EMSGSIZE, Errno, UserAddr, i32, u32
from kernel.lib import user
from kernel.syscalls.descriptor_arguments import file_at
from kernel.syscalls.mq_open import queue_file
from kernel.syscalls.timeouts import timespec_ns
from kernel.task.task import current
from kernel.task.wall_clock import monotonic_deadline
from kernel.time.timers import FOREVER_NS


def _deadline(address: UserAddr) -> int:
    """A time of the wall clock, converted to the monotonic clock. Raises EINVAL, EFAULT."""
    task = current()
    task.calls.waits_by_wall_clock = False
    if address == 0:
        return FOREVER_NS
    return max(1, monotonic_deadline(task, timespec_ns(address)))


@syscall("mq_timedsend", status="Full", args="fd:mq <bytes[length] size int <timespec?")
def mq_timedsend(descriptor: i32, address: UserAddr, length: int, priority: u32, timeout: UserAddr) -> int:
    """mq_timedsend(3)."""
    deadline_ns = _deadline(timeout)
    if priority >= PRIORITIES:
        raise Errno(EINVAL)
    task = current()
    file = queue_file(file_at(descriptor))
    if not file.writable:
        raise Errno(EBADF)
    if length < 0 or length > file.queue.attributes.message_size:
        raise Errno(EMSGSIZE)
    message = QueuedMessage(priority, user.read_bytes(address, length))
    file.queue.send(message, deadline_ns, file.waits(), task.pid, task.credentials.uid)
    return 0


@syscall("mq_timedreceive", status="Full", args="fd:mq >bytes[length] size >int? <timespec?")
def mq_timedreceive(
    descriptor: i32, address: UserAddr, length: int, priority_address: UserAddr, timeout: UserAddr
) -> int:
    """mq_timedreceive(3)."""
    deadline_ns = _deadline(timeout)
    file = queue_file(file_at(descriptor))
    if not file.readable:
        raise Errno(EBADF)
    if 0 <= length < file.queue.attributes.message_size:
        raise Errno(EMSGSIZE)
    message = file.queue.receive(deadline_ns, file.waits())
    if priority_address != 0:
        user.write_u32(priority_address, message.priority)
    user.write_bytes(address, message.data)
    return len(message.data)
