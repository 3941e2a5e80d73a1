"""Pressure files: those of the machine in /proc/pressure, and what they share with those of control groups
(Documentation/accounting/psi.rst in Linux's sources).

Reading shows averages and totals. Writing sets a trigger, one for each open file, for which poll(2) waits. A file
without one is always in error for poll.
"""

from typing import TYPE_CHECKING, Final

from kernel.fs.constants import S_IFREG
from kernel.fs.file import File
from kernel.fs.filesystem import FileSystem
from kernel.fs.inode import Inode
from kernel.fs.path import Path
from kernel.fs.procfs.entries import OpenedText, check_new_size
from kernel.lang import EBUSY, EFAULT, EINVAL, Errno, final
from kernel.lib.capabilities import CAP_SYS_RESOURCE
from kernel.lib.credentials import Credentials
from kernel.lib.user import Buffer
from kernel.sched.pressure import DISK, MACHINE, MEMORY, PROCESSOR, Pressure
from kernel.sched.pressure_trigger import PressureTrigger, parse_trigger
from kernel.sched.strain import keep_pressure
from kernel.task.task import current
from kernel.time.clock import monotonic_ns

if TYPE_CHECKING:
    from kernel.sched import PollWaiter

_POLL_ALWAYS: Final = 0x145  # POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM
_POLLPRI: Final = 0x2
POLL_BROKEN: Final = _POLL_ALWAYS | _POLLPRI | 0x8  # POLLERR
_TRIGGER_LIMIT: Final = 32  # bytes of a trigger of the machine, with a NUL

RESOURCES: Final[list[int]] = [DISK, MEMORY, PROCESSOR]
RESOURCE_NAMES: Final[list[bytes]] = [b"io", b"memory", b"cpu"]


class PressureFile(OpenedText):
    """An open pressure file. Base class of those of groups."""

    def __init__(self, path: Path, flags: int, opener: Credentials, pressure: Pressure, resource: int) -> None:
        keep_pressure()
        super().__init__(path, flags, opener)
        self.pressure: Pressure = pressure
        self.resource: int = resource
        self.trigger: PressureTrigger | None = None

    def make_text(self) -> bytes:
        return self.pressure.text(self.resource, monotonic_ns())

    def can_be_watched(self) -> bool:
        return True

    def take_trigger(self, buffer: Buffer) -> bytes:
        """The text of a trigger. Raises EINVAL, EFAULT."""
        count = buffer.remaining
        if count == 0:
            raise Errno(EINVAL)
        taken = min(count, _TRIGGER_LIMIT)
        text = buffer.take_bytes(taken)
        if len(text) < taken:
            raise Errno(EFAULT)
        return text[: taken - 1]  # the last byte counts as a newline, as on Linux

    def write(self, buffer: Buffer) -> int:
        """Set the trigger. Raises EBUSY if there is one, EINVAL, EFAULT, MemoryError."""
        count = buffer.remaining
        text = self.take_trigger(buffer)
        if self.trigger is not None:
            raise Errno(EBUSY)
        end = text.find(b"\0")
        trigger = parse_trigger(
            text if end < 0 else text[:end],
            self.pressure,
            self.resource,
            is_privileged=self.opener.effective >> CAP_SYS_RESOURCE & 1 != 0,
        )
        self.trigger = trigger
        try:
            trigger.begin()
        except MemoryError:
            self.trigger = None
            raise
        return count

    def poll(self, waiter: "PollWaiter | None") -> int:
        trigger = self.trigger
        if trigger is None:
            return POLL_BROKEN
        if waiter is not None:
            waiter.wait_on(trigger.queue)
        return _POLL_ALWAYS | (_POLLPRI if trigger.take() else 0)

    def close(self) -> None:
        trigger = self.trigger
        if trigger is not None:
            trigger.cancel()


@final
class MachinePressureInode(Inode):
    """A file of /proc/pressure."""

    def __init__(self, file_system: FileSystem, ino: int, resource: int) -> None:
        super().__init__(file_system, ino, S_IFREG | 0o666)
        self.resource: int = resource

    def open(self, path: Path, flags: int) -> File:
        return PressureFile(path, flags, current().credentials, MACHINE, self.resource)

    def truncate(self, size: int) -> None:
        """O_TRUNC, as from the shell's redirection, has no effect here."""
        check_new_size(size)
