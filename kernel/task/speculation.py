"""What a program may choose about the processor's speculation (prctl(2), PR_SET_SPECULATION_CTRL).

A processor that runs ahead of a store, or of a branch, may leave traces by which others learn what they must not. Linux
lets a thread do without such speculation where the processor has a switch for that. This kernel uses no switch, on any
processor, so it answers what Linux answers where there is none: the speculation goes on, and cannot be chosen. What is
the same for all threads is not inherited, and no filter of seccomp(2) changes it.

Source: prctl(2); Linux's document userspace-api/spec_ctrl.
"""

from typing import Final

from arch import may_bypass_stores
from kernel.lang import ENODEV, ENXIO, EPERM, ERANGE, Errno

STORE_BYPASS: Final = 0  # a load runs ahead of a store to the same place
INDIRECT_BRANCH: Final = 1
_L1D_FLUSH: Final = 2  # not a speculation: whether the thread leaves an empty cache behind

_NOT_AFFECTED: Final = 0
_ENABLE: Final = 2
_DISABLE: Final = 4
_FORCE_DISABLE: Final = 8


def speculation_state(kind: int) -> int:
    """PR_SPEC_* of a kind, for every thread. Raises ENODEV for an unknown one."""
    if kind == STORE_BYPASS:
        return _ENABLE if may_bypass_stores() else _NOT_AFFECTED
    if kind == INDIRECT_BRANCH:
        return _ENABLE
    if kind == _L1D_FLUSH:
        return _FORCE_DISABLE
    raise Errno(ENODEV)


def choose_speculation(kind: int, choice: int) -> None:
    """A thread wants PR_SPEC_*: it gets what holds anyway. Raises ENODEV, ENXIO, EPERM, ERANGE."""
    if kind == STORE_BYPASS:
        raise Errno(ENXIO)
    if kind == _L1D_FLUSH:
        raise Errno(EPERM)
    if kind != INDIRECT_BRANCH:
        raise Errno(ENODEV)
    if choice == _DISABLE or choice == _FORCE_DISABLE:
        raise Errno(EPERM)
    if choice != _ENABLE:
        raise Errno(ERANGE)


def speculation_lines() -> str:
    """What /proc/PID/status says of it."""
    stores = "vulnerable" if speculation_state(STORE_BYPASS) == _ENABLE else "not vulnerable"
    return f"Speculation_Store_Bypass:\t{stores}\nSpeculationIndirectBranch:\talways enabled\n"
