"""Spin locks: taken and given back on every way out of the block."""

from typing import Final, Literal

from kernel.lang import EIO, Array, Errno, Span, SpinLock, final, guarded_by, holds, ranked, span_of, struct, u8, u32


@ranked(10)
@final
class LowLock(SpinLock):
    """Taken first."""


@ranked(20)
@final
class HighLock(SpinLock):
    """Taken second."""


@struct
class Place:
    line: u32
    column: u32


@final
@guarded_by("lock")
class Counter:
    """A few numbers and what they are made of."""

    place: Place
    table: Array[u32, Literal[4]]

    def __init__(self, limit: int) -> None:
        self.lock = LowLock()
        self.limit = limit
        self.count = 0
        self.data = bytearray(4)

    @holds("self.lock")
    def _add(self, amount: int) -> None:
        if self.count + amount > self.limit:
            raise Errno(EIO)
        self.count += amount

    def add(self, amount: int) -> int:
        with self.lock:
            self._add(amount)
            if amount == 2:
                return -1
            self.place.line += 1
            self.table[1] += 2
            self.data[3] = amount
        return self.read()

    def read(self) -> int:
        with self.lock:
            return self.count + self.place.line + self.table[1] + self.data[3] + sum_of(span_of(self.data))

    def add_until(self, end: int) -> int:
        turns = 0
        while True:
            with self.lock:
                turns += 1
                if self.count % 2 == 1:
                    self.count += 1
                    continue
                if self.count >= end:
                    break
                self.count += 3
        return turns


@final
@guarded_by("high", "both")
class Pair:
    """Two locks: the inner one guards a field of this class, the outer one another object."""

    def __init__(self) -> None:
        self.counter = Counter(100)
        self.high = HighLock()
        self.both = 0

    def gather(self) -> int:
        counter = self.counter
        with counter.lock, self.high:
            counter.count += 1
            self.both += counter.count
            return self.both


COUNTER: Final = Counter(10)


def sum_of(data: Span[u8]) -> int:
    total = 0
    for byte in data:
        total += byte
    return total


def refused(amount: int) -> bool:
    try:
        COUNTER.add(amount)
    except Errno as error:
        return error.code == EIO
    return False


def main() -> None:
    print(COUNTER.add(5), COUNTER.add(2), COUNTER.read())
    print(refused(4), COUNTER.read(), refused(4))
    print(COUNTER.add(3), COUNTER.read())
    counter = Counter(0)
    print(counter.add_until(10), counter.read())
    pair = Pair()
    print(pair.gather(), pair.gather(), pair.gather())
