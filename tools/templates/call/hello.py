"""hello(buffer, size): a system call that writes a greeting to the memory of its caller."""

from kernel.doors.table import syscall
from kernel.lang import ERANGE, Errno, UserAddr
from kernel.lib import user
from kernel.task.task import current


@syscall("hello", number=500, status="Full", args=">bytes[size] size")
def hello(buffer: UserAddr, size: int) -> int:
    """Greet the calling process by its number; how many bytes that took. Raises ERANGE if there is too little room, and
    EFAULT if the memory is not the caller's to write.
    """
    text = f"Hello, process {current().process.pid}\n".encode()
    if len(text) > size:
        raise Errno(ERANGE)
    user.write_bytes(buffer, text)
    return len(text)
