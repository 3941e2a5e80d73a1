"""Quick forms of system calls that need the kernel lock, allocate, or sleep."""

from kernel.doors.quick import TAKE_LOCK, quick
from kernel.doors.table import SYSCALLS, syscall
from kernel.lang import atomic, final, inline, sleeps


@final
@atomic("first")
class Numbers:
    def __init__(self) -> None:
        self.first = 1
        self.second = 2

    def change(self) -> None:
        self.first += 1
        self.second += 1


NUMBERS = Numbers()


@syscall("getpid")
def getpid() -> int:
    NUMBERS.change()
    return NUMBERS.second


@quick("getpid")
def quick_getpid() -> int:
    return NUMBERS.first if NUMBERS.first > 0 else TAKE_LOCK


@syscall("getppid")
def getppid() -> int:
    return NUMBERS.second


@quick("getppid")
def quick_getppid() -> int:
    return NUMBERS.second


@syscall("gettid")
def gettid() -> int:
    return NUMBERS.second


@quick("gettid")
def quick_gettid() -> int:
    return len([NUMBERS.first])


@sleeps
@inline
def wait() -> None:
    pass


@syscall("getuid")
def getuid() -> int:
    return NUMBERS.second


@quick("getuid")
def quick_getuid() -> int:
    wait()
    return 0


def call(number: int) -> int:
    row = SYSCALLS[number]
    return 0 if row is None else row.handler(1, 2, 3, 4, 5, 6)
