"""Containers and parts of guarded objects that outlive the guard."""

from typing import Literal

from kernel.lang import Array, Span, SpinLock, final, guarded_by, ranked, span_of, struct, u8, u32


@struct
class Header:
    size: u32


@ranked(10)
@final
class RingLock(SpinLock):
    pass


def checksum(data: Span[u8]) -> int:
    return data[0] + data[1]


def first_of(data: Span[u8]) -> Span[u8]:
    return data[0:1]


def first_item(items: list[int]) -> int:
    return items[0]


@final
@guarded_by("lock")
class Ring:
    header: Header
    words: Array[u32, Literal[4]]

    def __init__(self, shared: bytearray) -> None:
        self.lock = RingLock()
        self.data = bytearray(16)
        self.items = [1, 2]
        self.shared = shared  # known to the caller as well

    def right(self) -> int:
        with self.lock:
            self.header.size = 3
            self.words[0] += 1
            total = self.header.size + self.words[0] + self.items[1] + len(self.data)
            for byte in self.data:
                total += byte
            if self.items:
                total += checksum(span_of(self.data)[2:4])
            return total

    def kept_in_a_variable(self) -> int:
        with self.lock:
            items = self.items
        return items[0]

    def returned(self) -> bytearray:
        with self.lock:
            return self.data

    def view_in_a_variable(self) -> int:
        with self.lock:
            view = span_of(self.data)
        return view[0]

    def view_that_comes_back(self) -> int:
        with self.lock:
            return first_of(span_of(self.data))[0]

    def passed(self) -> int:
        with self.lock:
            return first_item(self.items)

    def exchanged(self, data: bytearray) -> None:
        self.data, self.items = data, [3]


COMMON = [1]


@final
@guarded_by("lock")
class Holder:
    def __init__(self) -> None:
        self.lock = RingLock()
        self.items: list[int] = []

    def first(self) -> int:
        with self.lock:
            return self.items[0]


def holder_of(items: list[int]) -> Holder:
    holder = Holder()
    vars(holder)["items"] = items
    return holder


FIRST = Holder()
SECOND = holder_of(COMMON)


def read() -> int:
    return FIRST.first() + SECOND.first() + COMMON[0]
