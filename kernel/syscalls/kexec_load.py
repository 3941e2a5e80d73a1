"""Loading another kernel, as a program lays it out: kexec_load(2). reboot(2) starts it."""

from typing import Final

from kernel.doors.table import syscall
from kernel.lang import (
    EADDRNOTAVAIL,
    EBUSY,
    EINVAL,
    EPERM,
    Errno,
    Span,
    UserAddr,
    final,
    span_of,
    u8,
)
from kernel.lib import user
from kernel.lib.capabilities import CAP_SYS_BOOT
from kernel.lib.settings import SystemSetting
from kernel.mm.frames import PAGE_MASK, PAGE_SHIFT, total_frame_count
from kernel.mm.next_kernel import LOADED, NextKernel
from kernel.task.task import current
from kernel.task.words import load_i64

_ON_CRASH: Final = 1
_UPDATE_HEADER: Final = 4
_LOAD_FLAGS: Final = _ON_CRASH | _UPDATE_HEADER
_ARCHITECTURE: Final = 0xFFFF_0000
_THIS_ARCHITECTURE: Final = 62 << 16
_MOST_SEGMENTS: Final = 16
_SEGMENT_SIZE: Final = 32
_MEMORY_LIMIT: Final = (1 << 46) - 1


@final
class DisabledSetting(SystemSetting):
    """Once set it stays: no kernel is loaded until the machine restarts."""

    def store(self, numbers: list[int]) -> None:
        if numbers[0] < self.values[0]:
            raise Errno(EINVAL)
        self.values[0] = numbers[0]


@final
class LimitSetting(SystemSetting):
    """How many more kernels may be loaded; -1: unlimited. It only ever falls."""

    def store(self, numbers: list[int]) -> None:
        wanted = numbers[0]
        present = self.values[0]
        if wanted < 0 or (present != -1 and wanted > present):
            raise Errno(EINVAL)
        self.values[0] = wanted

    def count(self) -> None:
        """Count a load. Raises EPERM."""
        if self.values[0] == 0:
            raise Errno(EPERM)
        if self.values[0] > 0:
            self.values[0] -= 1


_DISABLED: Final = DisabledSetting(b"kernel/kexec_load_disabled", [0], 0, 1)
_LIMIT_REBOOT: Final = LimitSetting(b"kernel/kexec_load_limit_reboot", [-1], -1, 0x7FFF_FFFF)
_LIMIT_PANIC: Final = LimitSetting(b"kernel/kexec_load_limit_panic", [-1], -1, 0x7FFF_FFFF)


@final
class Turn:
    """In a `with` statement: no one else loads, unloads or starts a kernel. EBUSY if someone does."""

    def __enter__(self) -> "Turn":
        if LOADED.is_busy:
            raise Errno(EBUSY)
        LOADED.is_busy = True
        return self

    def __exit__(self, kind: object, value: object, traceback: object) -> None:
        LOADED.is_busy = False


def check_permission(is_for_crash: bool) -> None:
    """Raise EPERM unless the running program may load a kernel, or one for after a crash."""
    if not current().credentials.capable(CAP_SYS_BOOT) or _DISABLED.value != 0:
        raise Errno(EPERM)
    if is_for_crash:
        _LIMIT_PANIC.count()
    else:
        _LIMIT_REBOOT.count()


def replace(kernel: NextKernel | None) -> None:
    """Load this kernel, or none, in place of the loaded one."""
    before = LOADED.kernel
    LOADED.kernel = kernel
    if before is not None:
        before.close()


# Segments from a program's memory -------------------------------------------------------------------------------------


@syscall("kexec_load", status="Full", args="address count <kexec_segment[count] flags:1|2|4|0x3e0000",
         notes="No kernel is kept for a crash, as where no memory is reserved for one")  # fmt: skip
def kexec_load(entry: int, count: int, segments: UserAddr, flags: int) -> int:
    """kexec_load(2)."""
    check_permission(flags & _ON_CRASH != 0)
    if flags & ~_ARCHITECTURE & ~_LOAD_FLAGS != 0 or count < 0 or count > _MOST_SEGMENTS:
        raise Errno(EINVAL)
    if flags & _ARCHITECTURE != 0 and flags & _ARCHITECTURE != _THIS_ARCHITECTURE:
        raise Errno(EINVAL)
    table = user.read_bytes(segments, count * _SEGMENT_SIZE)
    with Turn():
        if count == 0:
            if flags & _ON_CRASH == 0:
                replace(None)
            return 0
        if flags & _ON_CRASH != 0:
            raise Errno(EADDRNOTAVAIL)
        kernel = NextKernel(entry, is_narrow=False, argument=0)
        done = False
        try:
            _load_segments(kernel, span_of(table), count)
            done = True
        finally:
            if not done:
                kernel.close()
        replace(kernel)
    return 0


def _load_segments(kernel: NextKernel, table: Span[u8], count: int) -> None:
    """Raises EADDRNOTAVAIL, EINVAL, EFAULT, ENOMEM."""
    starts: list[int] = []
    ends: list[int] = []
    for i in range(count):
        start = load_i64(table, i * _SEGMENT_SIZE + 16)
        size = load_i64(table, i * _SEGMENT_SIZE + 24)
        if start < 0 or size < 0 or start > _MEMORY_LIMIT or size > _MEMORY_LIMIT - start:
            raise Errno(EADDRNOTAVAIL)
        if (start | size) & PAGE_MASK != 0 or start + size >= _MEMORY_LIMIT:
            raise Errno(EADDRNOTAVAIL)
        starts.append(start)
        ends.append(start + size)
    for i in range(count):
        for j in range(i):
            if ends[i] > starts[j] and starts[i] < ends[j]:
                raise Errno(EINVAL)
    total = 0
    for i in range(count):
        filled = load_i64(table, i * _SEGMENT_SIZE + 8)
        if filled < 0 or filled > ends[i] - starts[i]:
            raise Errno(EINVAL)
    for i in range(count):
        pages = ends[i] - starts[i] >> PAGE_SHIFT
        total += pages
        if pages > total_frame_count() // 2:
            raise Errno(EINVAL)
    if total > total_frame_count() // 2:
        raise Errno(EINVAL)
    for i in range(count):
        kernel.add(starts[i], ends[i] - starts[i], load_i64(table, i * _SEGMENT_SIZE + 8))
    kernel.find_room()
    for i in range(count):
        filled = load_i64(table, i * _SEGMENT_SIZE + 8)
        kernel.fill_from_user(kernel.segments[i], UserAddr(load_i64(table, i * _SEGMENT_SIZE)), filled)
    kernel.complete()
