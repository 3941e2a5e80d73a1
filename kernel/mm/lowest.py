"""The lowest address that a program can map: vm.mmap_min_addr (proc_sys_vm(5)).

If the kernel follows a null pointer by mistake, it must not find data that a program has put there. A program with
CAP_SYS_RAWIO may map below. But hints are moved up to HARD_LOWEST at least, and stacks never grow below that, whatever
the setting and the program's rights.
"""

from typing import Final

from kernel.lang import EPERM, Errno
from kernel.lib.capabilities import CAP_SYS_RAWIO
from kernel.lib.credentials import caller_credentials
from kernel.lib.settings import NO_BOUND, SystemSetting

HARD_LOWEST: Final = 0x1_0000
LOWEST: Final = SystemSetting(b"vm/mmap_min_addr", [HARD_LOWEST], 0, NO_BOUND)
LOWEST.guard = CAP_SYS_RAWIO


def _is_raw() -> bool:
    who = caller_credentials()
    return who is None or who.capable(CAP_SYS_RAWIO)


def effective_lowest() -> int:
    """The lowest address at which the kernel places mappings itself."""
    return max(LOWEST.value, HARD_LOWEST)


def check_lowest(address: int) -> None:
    """Whether the running program may choose this address itself. Raises EPERM."""
    if address < LOWEST.value and not _is_raw():
        raise Errno(EPERM)
