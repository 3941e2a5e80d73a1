"""What must not happen while a spin lock is held."""

from kernel.lang import SpinLock, extern, final, guarded_by, holds, interrupted_by, ranked, sleeps, unlocked


@ranked(10)
@final
class CountLock(SpinLock):
    pass


class Other:
    def __init__(self) -> None:
        self.number = 0

    def set(self, number: int) -> None:
        self.number = number


@sleeps
def wait() -> None:
    pass


def wait_longer() -> None:
    wait()


@extern("copy_a_byte_from_user")
@interrupted_by("the_fault_handler")
def copy_from_user(address: int) -> int:
    return address


total = 0


def count_globally() -> None:
    global total
    total += 1


@final
@guarded_by("lock")
class Counter:
    def __init__(self) -> None:
        self.lock = CountLock()
        self.count = 0
        self.last: Other | None = None

    def sleep(self) -> None:
        with self.lock:
            wait_longer()

    def allocate(self) -> None:
        with self.lock:
            Other()

    def allocate_deeper(self, names: list[int]) -> None:
        with self.lock:
            names.append(1)

    def copy(self, address: int) -> None:
        with self.lock:
            self.count += copy_from_user(address)

    def touch(self, other: Other) -> None:
        with self.lock:
            other.set(self.count)

    def touch_here(self, other: Other) -> None:
        with self.lock:
            self.count = other.number

    def keep(self, other: Other) -> None:
        with self.lock:
            self.last = other

    @holds("self.lock")
    def promised(self) -> None:
        count_globally()

    @unlocked
    def free(self) -> None:
        with self.lock:
            self.count += 1

    @unlocked
    def bound(self) -> None:
        self.free()
        count_globally()
