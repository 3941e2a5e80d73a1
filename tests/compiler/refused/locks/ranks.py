"""Locks out of rank."""

from kernel.lang import SpinLock, final, guarded_by, holds, ranked


@ranked(10)
@final
class LowLock(SpinLock):
    pass


@ranked(20)
@final
class HighLock(SpinLock):
    pass


@final
@guarded_by("low", "a")
@guarded_by("high", "b")
class Both:
    def __init__(self) -> None:
        self.low = LowLock()
        self.high = HighLock()
        self.a = 0
        self.b = 0

    def right(self) -> None:
        with self.low, self.high:
            self.a = self.b

    def wrong(self) -> None:
        with self.high:
            with self.low:
                self.a = self.b

    def by_call(self) -> None:
        with self.high:
            self.outer()

    def outer(self) -> None:
        self.right()

    @holds("self.high")
    def promised(self) -> None:
        self.outer()

    def twice(self) -> None:
        with self.low:
            self.right()


def make() -> Both:
    return Both()


def two_of_one_rank(one: Both, other: Both) -> None:
    with one.low, other.low:
        one.a = other.a
