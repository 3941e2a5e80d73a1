"""How much memory has been promised to programs, and how much may be (proc_sys_vm(5), vm.overcommit_memory).

A private writable mapping is promised as a whole when it is created (`Area.is_promised`):
its pages come when they are touched. Shared memory without a file is promised with its object. vm.overcommit_memory
says what is refused: 0 (the default), a single mapping larger than all memory and swap areas; 1, nothing; 2, whatever
would raise the total beyond swap areas and a part of memory. In mode 2 no promise is broken, except by what the kernel
itself takes.

Deviation from Linux: files in a tmpfs are not counted.

Context: any; allocates nothing.
Source: proc_sys_vm(5); mmap(2), MAP_NORESERVE.
"""

from typing import Final

from kernel.lang import ENOMEM, Errno, final
from kernel.lib.capabilities import CAP_SYS_ADMIN
from kernel.lib.credentials import caller_credentials
from kernel.lib.settings import NO_BOUND, SystemSetting
from kernel.mm.frames import PAGE_SHIFT, total_frame_count
from kernel.mm.huge_pool import pooled_frames
from kernel.mm.swap_slots import SWAP

ALWAYS: Final = 1
NEVER: Final = 2
_INT_MOST: Final = 0x7FFF_FFFF
_MOST_PAGES: Final = NO_BOUND >> PAGE_SHIFT
_KIB_SHIFT: Final = 2  # KiB of a page
_USUAL_RATIO: Final = 50
_RESERVE_PART: Final = 5  # a thirty-second of free memory, as a power of two
_MOST_RESERVED: Final = 8192  # KiB for administrators
_MOST_FOR_USER: Final = 131_072  # KiB

MODE: Final = SystemSetting(b"vm/overcommit_memory", [0], 0, NEVER)


@final
class _Share(SystemSetting):
    """How much may be promised in mode 2: hundredths of memory, or KiB. Setting one clears the other."""

    def store(self, numbers: list[int]) -> None:
        RATIO.values[0] = 0
        AMOUNT.values[0] = 0
        self.values[0] = numbers[0]


@final
class _Reserve(SystemSetting):
    """What mode 2 holds back for somebody, in KiB."""

    def __init__(self, path: bytes, most: int) -> None:
        super().__init__(path, [-1], 0, NO_BOUND)
        self.usual_most: int = most

    def prepare(self) -> None:
        if self.values[0] < 0:
            self.values[0] = min(total_frame_count() << _KIB_SHIFT >> _RESERVE_PART, self.usual_most)


RATIO: Final = _Share(b"vm/overcommit_ratio", [_USUAL_RATIO], -_INT_MOST - 1, _INT_MOST)
AMOUNT: Final = _Share(b"vm/overcommit_kbytes", [0], 0, NO_BOUND)
ADMIN_RESERVE: Final = _Reserve(b"vm/admin_reserve_kbytes", _MOST_RESERVED)
USER_RESERVE: Final = _Reserve(b"vm/user_reserve_kbytes", _MOST_FOR_USER)


@final
class Promises:
    """What is promised at present."""

    def __init__(self) -> None:
        self.pages: int = 0


PROMISES: Final = Promises()


def promise_limit() -> int:
    """How many pages may be promised in mode 2."""
    if AMOUNT.value != 0:
        return min(AMOUNT.value >> _KIB_SHIFT, _MOST_PAGES) + SWAP.total()
    if RATIO.value < 0:
        return _MOST_PAGES  # as Linux reads it, a very large part
    memory = total_frame_count() - pooled_frames()
    return min(memory * RATIO.value // 100, _MOST_PAGES) + SWAP.total()


def promise(size_bytes: int, mapped_bytes: int) -> None:
    """Promise `size_bytes` to a program that has mapped `mapped_bytes`. Raises ENOMEM."""
    pages = size_bytes >> PAGE_SHIFT
    if MODE.value != ALWAYS:
        if MODE.value == NEVER:
            _check_limit(pages, mapped_bytes >> PAGE_SHIFT)
        elif pages > total_frame_count() and pages > total_frame_count() + SWAP.total():
            raise Errno(ENOMEM)
    PROMISES.pages += pages


def _check_limit(pages: int, mapped_pages: int) -> None:
    limit = promise_limit()
    who = caller_credentials()
    if who is not None and not who.capable(CAP_SYS_ADMIN):
        ADMIN_RESERVE.prepare()
        limit -= ADMIN_RESERVE.value >> _KIB_SHIFT
    if who is not None:
        USER_RESERVE.prepare()
        limit -= min(mapped_pages >> _RESERVE_PART, USER_RESERVE.value >> _KIB_SHIFT)
    if PROMISES.pages + pages >= limit:
        raise Errno(ENOMEM)


def take_back(size_bytes: int) -> None:
    """Release a promise that is no longer needed."""
    PROMISES.pages -= size_bytes >> PAGE_SHIFT
