"""A trap: what a clean-up stores in pairs, for which a processor has wide registers that no call keeps."""

# traps: IndexError at line 29

from __future__ import annotations

from kernel.lang import Span, noinline, span_of, u8, u64


class Pair:
    first: u64
    second: u64
    third: u64
    fourth: u64

    def __init__(self, first: int, second: int) -> None:
        self.first = u64(first)
        self.second = u64(second)
        self.third = u64(first + second)
        self.fourth = u64(first * second)


@noinline
def mixed(source: Pair, target: Pair, data: Span[u8], place: int) -> int:
    first, second, third, fourth = source.first, source.second, source.third, source.fourth
    value = 0
    try:
        for step in range(4):
            value += data[place + step * 3]
    finally:
        target.first = first ^ u64(0x1234)
        target.second = second ^ u64(0x1234)
        target.third = third ^ u64(0x1234)
        target.fourth = fourth ^ u64(0x1234)
    return value


def main() -> None:
    source, target = Pair(1000, 2000), Pair(1, 2)
    data = span_of(b"some bytes")
    print(mixed(source, target, data, 0), target.first, target.second, target.third, target.fourth)
    try:
        print(mixed(Pair(5, 6), target, data, 1))
    finally:
        print(target.first, target.second, target.third, target.fourth)


if __name__ == "__main__":
    main()
