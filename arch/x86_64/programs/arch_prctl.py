"""The switches of a program that only this processor has (arch_prctl(2)).

Context: sleeps (user memory).
"""

from typing import Final

from arch.x86_64.fpu import XSAVE_SSE, XSAVE_X87, enabled_mask
from arch.x86_64.layout import USER_END
from arch.x86_64.programs.processor_state import FS, GS, ProcessorState
from kernel.lang import EINVAL, ENODEV, EOPNOTSUPP, EPERM, Errno, UserAddr
from kernel.lib import user

_ARCH_SET_GS: Final = 0x1001
_ARCH_SET_FS: Final = 0x1002
_ARCH_GET_FS: Final = 0x1003
_ARCH_GET_GS: Final = 0x1004
_ARCH_GET_CPUID: Final = 0x1011
_ARCH_SET_CPUID: Final = 0x1012
_ARCH_GET_XCOMP_SUPP: Final = 0x1021
_ARCH_GET_XCOMP_PERM: Final = 0x1022
_ARCH_REQ_XCOMP_PERM: Final = 0x1023
_ARCH_GET_XCOMP_GUEST_PERM: Final = 0x1024
_ARCH_REQ_XCOMP_GUEST_PERM: Final = 0x1025
_XCOMP_COUNT: Final = 19  # numbers of XSAVE's components that Linux knows


def control_processor(registers: ProcessorState, code: int, argument: int) -> int:
    """arch_prctl(2) of the running task."""
    if code == _ARCH_SET_FS or code == _ARCH_SET_GS:
        if argument < 0 or argument >= USER_END:
            raise Errno(EPERM)
        if code == _ARCH_SET_FS:
            registers.set_fs_base(argument)
        else:
            registers.set_gs_base(argument)
    elif code == _ARCH_GET_FS or code == _ARCH_GET_GS:
        registers.save()
        user.check(argument, 8)
        user.write_i64(UserAddr(argument), registers.bases.fs if code == _ARCH_GET_FS else registers.bases.gs)
    elif code == _ARCH_GET_CPUID:
        return 1
    elif code == _ARCH_SET_CPUID:
        raise Errno(ENODEV)  # the instruction cannot be made to trap
    elif code in (_ARCH_GET_XCOMP_SUPP, _ARCH_GET_XCOMP_PERM, _ARCH_GET_XCOMP_GUEST_PERM):
        user.check(argument, 8)
        user.write_i64(UserAddr(argument), enabled_mask() | XSAVE_X87 | XSAVE_SSE)
    elif code == _ARCH_REQ_XCOMP_PERM or code == _ARCH_REQ_XCOMP_GUEST_PERM:
        # All existing components may be used without asking.
        raise Errno(EOPNOTSUPP if 0 <= argument < _XCOMP_COUNT else EINVAL)
    else:
        raise Errno(EINVAL)
    return 0


def control_stopped(registers: ProcessorState, code: int, argument: int) -> None:
    """PTRACE_ARCH_PRCTL: the bases of a task that does not run. Raises EPERM, EINVAL, EFAULT."""
    if code == _ARCH_SET_FS or code == _ARCH_SET_GS:
        if argument < 0 or argument >= USER_END:
            raise Errno(EPERM)
        registers.set_stopped_base(FS if code == _ARCH_SET_FS else GS, argument)
    elif code == _ARCH_GET_FS or code == _ARCH_GET_GS:
        user.write_i64(UserAddr(argument), registers.bases.fs if code == _ARCH_GET_FS else registers.bases.gs)
    else:
        raise Errno(EINVAL)
