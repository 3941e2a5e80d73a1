"""/dev/mailbox: room for one message. Readers wait for a message, writers until the last one was read."""

from typing import Final

from kernel.fs.constants import O_NONBLOCK
from kernel.fs.devices.filesystem import register_char_device
from kernel.fs.file import File
from kernel.fs.path import Path
from kernel.lang import EAGAIN, EMSGSIZE, Errno, final
from kernel.lib.user import Buffer
from kernel.sched import WaitQueue

_MAJOR_LOCAL: Final = 240
_LONGEST: Final = 256  # bytes of a message


@final
class Mailbox:
    """The message, if there is one, and those who wait for it to come or to go."""

    def __init__(self) -> None:
        self.message: bytes | None = None
        self.changed: WaitQueue = WaitQueue()

    def wait(self, flags: int) -> None:
        """Sleep until something has changed. Raises EAGAIN for a file that must not wait, ERESTARTSYS for a signal."""
        if flags & O_NONBLOCK != 0:
            raise Errno(EAGAIN)
        self.changed.sleep()


BOX: Final = Mailbox()


@final
class MailboxFile(File):
    """An open /dev/mailbox."""

    def read(self, buffer: Buffer) -> int:
        message = BOX.message
        while message is None:  # somebody else may have been quicker: look again after each sleep
            BOX.wait(self.flags)
            message = BOX.message
        if len(message) > buffer.remaining:
            raise Errno(EMSGSIZE)
        BOX.message = None
        BOX.changed.wake_all()
        return buffer.put_bytes(message)

    def write(self, buffer: Buffer) -> int:
        if buffer.remaining > _LONGEST:
            raise Errno(EMSGSIZE)
        message = buffer.take_bytes(_LONGEST)
        while BOX.message is not None:
            BOX.wait(self.flags)
        BOX.message = message
        BOX.changed.wake_all()
        return len(message)


def _open(path: Path, flags: int) -> File:
    return MailboxFile(path, flags)


register_char_device(_MAJOR_LOCAL, 3, b"mailbox", _open)
