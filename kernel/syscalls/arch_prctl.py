"""arch_prctl(2)."""

from typing import Final

from arch.programs import control_processor
from kernel.doors.table import syscall
from kernel.lang import EEXIST, EINVAL, Errno, i32
from kernel.task.task import current
from kernel.task.vdso import has_vdso, map_vdso_again

_MAP_VDSO_32: Final = 0x2002  # ARCH_…
_MAP_VDSO_64: Final = 0x2003


@syscall(
    "arch_prctl", status="Full", args="one:arch_prctl any",
    notes="Without shadow stacks and tagged addresses",
)  # fmt: skip
def arch_prctl(code: i32, argument: int) -> int:
    """arch_prctl(2)."""
    if code == _MAP_VDSO_32 or code == _MAP_VDSO_64:
        if has_vdso(current().space):
            raise Errno(EEXIST)
        if code == _MAP_VDSO_32:
            raise Errno(EINVAL)  # there are no programs of 32 bits
        return map_vdso_again(current(), argument)
    return control_processor(current().registers, code, argument)
