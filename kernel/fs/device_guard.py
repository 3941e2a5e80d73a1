"""Whether the running thread's control group may use a device at all (programs of bpf(2) for devices).

Asked where a device file is opened or its access checked, after its mode permitted it, where one is created, and where
a file system on a block device is mounted. The caller holds no locks on names, and keeps references to what it uses
afterwards.

Context: may sleep; raises EPERM, MemoryError.
"""

from typing import Final

from kernel.fs.constants import MAY_READ, MAY_WRITE, S_IFBLK, S_IFCHR, S_IFMT
from kernel.lang import EPERM, Errno, final, noinline

MAKE: Final = 1  # accesses: mknod(2)
READ: Final = 2
WRITE: Final = 4
BLOCK: Final = 1  # kinds
CHARACTERS: Final = 2


class DeviceJudge:
    """Decides on accesses. The base class permits everything."""

    def permits(self, kind: int, access: int, number: int) -> bool:
        """Whether the running thread may do that to the device. May sleep. Raises MemoryError."""
        return True


@final
class _Guard:
    """Holds the current judge."""

    def __init__(self) -> None:
        self.judge: DeviceJudge = DeviceJudge()


GUARD: Final = _Guard()


@noinline
def check_device(mode: int, number: int, mask: int) -> None:
    """Called before a device is opened or its access checked: MAY_READ, MAY_WRITE; 0 to look for it. Raises EPERM."""
    if number == 0:
        return  # no device has it
    access = (READ if mask & MAY_READ != 0 else 0) | (WRITE if mask & MAY_WRITE != 0 else 0)
    _ask(mode, number, access)


@noinline
def check_making(mode: int, number: int) -> None:
    """Called before a device file is created. Raises EPERM."""
    if mode & S_IFMT == S_IFCHR and number == 0:
        return  # a whiteout
    _ask(mode, number, MAKE)


def _ask(mode: int, number: int, access: int) -> None:
    kind = mode & S_IFMT
    if kind != S_IFCHR and kind != S_IFBLK:
        return
    if not GUARD.judge.permits(CHARACTERS if kind == S_IFCHR else BLOCK, access, number):
        raise Errno(EPERM)
