"""/dev/userfaultfd: tasks that may open it may create files that serve the kernel's faults too (userfaultfd(2)).

Context: sleeps.
"""

from typing import Final

from kernel.fs.constants import O_CLOEXEC, O_NONBLOCK
from kernel.fs.devices.filesystem import register_char_device
from kernel.fs.file import File
from kernel.fs.path import Path
from kernel.lang import EINVAL, ESRCH, Errno, final
from kernel.task.task import current
from kernel.task.userfault import FaultContext
from kernel.task.userfault_commands import ServedFaults

USER_MODE_ONLY: Final = 1  # UFFD_USER_MODE_ONLY

_NEW: Final = 0xAA00  # USERFAULTFD_IOC_NEW
_MISC_MAJOR: Final = 10
_MINOR: Final = 257  # any free one above 255, as on Linux


def new_fault_file(flags: int) -> int:
    """The descriptor of a new file. Raises EINVAL, EMFILE, MemoryError."""
    if flags & ~(O_CLOEXEC | O_NONBLOCK | USER_MODE_ONLY) != 0:
        raise Errno(EINVAL)
    task = current()
    space = task.memory
    if space is None:
        raise Errno(ESRCH)
    file = ServedFaults(FaultContext(space, flags & USER_MODE_ONLY != 0, flags), flags & O_NONBLOCK)
    return task.files.install(file, flags & O_CLOEXEC != 0)


@final
class FaultDevice(File):
    """The device, open."""

    def ioctl(self, command: int, argument: int) -> int:
        if command != _NEW:
            raise Errno(EINVAL)
        return new_fault_file(argument & 0xFFFF_FFFF)


def _open(path: Path, flags: int) -> File:
    return FaultDevice(path, flags)


register_char_device(_MISC_MAJOR, _MINOR, b"userfaultfd", _open)
