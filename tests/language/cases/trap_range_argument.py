"""A trap: of all calls of a method, one passes a place before the first, through a class that is found late."""

# traps: IndexError at line 28

from __future__ import annotations

from kernel.lang import Span, noinline, span_of, u8


class Reader:
    def __init__(self, base: int) -> None:
        self.base = base

    def read(self, data: Span[u8], place: int) -> int:
        return self.base


class Whole(Reader):
    def read(self, data: Span[u8], place: int) -> int:
        return self.step(data, place - 1)

    def step(self, data: Span[u8], place: int) -> int:
        return 0


class Part(Whole):
    def step(self, data: Span[u8], place: int) -> int:
        return data[place]


@noinline
def all_of(readers: list[Reader], data: Span[u8], place: int) -> int:
    total = 0
    for reader in readers:
        total = total * 10 + reader.read(data, place)
    return total


@noinline
def one_of(part: Part, data: Span[u8], place: int) -> int:
    return part.step(data, place)


def main() -> None:
    data = span_of(b"\x03\x04")
    print(one_of(Part(1), data, 0), one_of(Part(1), data, 1))
    readers: list[Reader] = [Reader(5), Whole(6), Part(7)]
    print(all_of(readers, data, 1), all_of(readers, data, 2))
    print(all_of(readers, data, 0))


if __name__ == "__main__":
    main()
