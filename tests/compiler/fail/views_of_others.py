"""Views of bytearrays that the import made, and views over a `yield` and the end of a `with`."""

from __future__ import annotations

from collections.abc import Iterator

from kernel.lang import Span, span_of, u8

DATA = bytearray(b"hello")
MANY = [bytearray(b"hello")]


class Buffer:
    def __init__(self) -> None:
        self.data = bytearray(b"hello")

    def __enter__(self) -> Span[u8]:
        return span_of(self.data)

    def __exit__(self, kind: object, value: object, traceback: object) -> None:
        self.data.clear()

    def items(self) -> Iterator[int]:
        view = span_of(self.data)
        for at in range(3):
            yield view[at]

    def grow(self) -> None:
        self.data.extend(bytearray(4096))


def grow_global() -> None:
    DATA.extend(bytearray(4096))
    MANY[0].extend(bytearray(4096))


def of_a_global() -> int:
    view = span_of(DATA)
    grow_global()
    return view[0]


def of_an_element() -> int:
    view = span_of(MANY[0])
    grow_global()
    return view[0]


def over_a_yield(buffer: Buffer) -> int:
    total = 0
    for item in buffer.items():
        total += item
        buffer.grow()
    return total


def over_the_end(buffer: Buffer) -> int:
    with buffer as view:
        first = view[0]
    return first + view[1]


def main() -> None:
    print(of_a_global(), of_an_element(), over_a_yield(Buffer()), over_the_end(Buffer()))
