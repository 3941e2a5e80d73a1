"""Quick forms of system calls that need the kernel lock, allocate, sleep, or are no section for another reason."""

from kernel.doors.quick import TAKE_LOCK, quick
from kernel.doors.table import SYSCALLS, syscall
from kernel.lang import SpinLock, atomic, final, inline, ranked, sleeps, unlocked


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


@final
@atomic("next")
class Stage:
    def __init__(self) -> None:
        self.number = 3
        self.next: Stage | None = None

    def lead_to(self, following: "Stage | None") -> None:
        self.next = following


STAGE = Stage()


@syscall("geteuid")
def geteuid() -> int:
    STAGE.lead_to(STAGE)
    return NUMBERS.second


@quick("geteuid")
def quick_geteuid() -> int:
    return STAGE.next.number if STAGE.next is not None else TAKE_LOCK  # another processor may store None in between


@syscall("getgid")
def getgid() -> int:
    return NUMBERS.second


@quick("getgid")
def quick_getgid() -> int:
    assert NUMBERS.first > 0, f"it is {NUMBERS.first}"
    return 0


@syscall("getegid")
def getegid() -> int:
    return NUMBERS.second


@inline
def level() -> int:
    while NUMBERS.first == 0:
        pass
    return NUMBERS.first


@quick("getegid")
def quick_getegid() -> int:
    return level()


@ranked(10)
class CountLock(SpinLock):
    pass


class Counter:
    def __init__(self) -> None:
        self.lock = CountLock()


COUNTER = Counter()


@syscall("sched_yield")
@unlocked
def sched_yield() -> int:
    counter = COUNTER
    with counter.lock:
        return 1


def call(number: int) -> int:
    row = SYSCALLS[number]
    return 0 if row is None else row.handler(1, 2, 3, 4, 5, 6)
