"""A trap: the clean-up reads locals that no call came in between to keep, as they were when it happened."""

# traps: IndexError at line 20

from __future__ import annotations

from kernel.lang import Span, noinline, span_of, u8


@noinline
def walk(data: Span[u8], start: int, step: int, count: int) -> int:
    """All of it in registers: the trap is the only thing that may leave the loop."""
    turns = 0
    place = start
    total = 0
    other = step * 3
    third = count ^ step
    try:
        while turns < count:
            total += data[place] * other
            place += step
            third += total ^ place
            other ^= turns
            turns += 1
    finally:
        print(turns, place, total, other, third)
    return total


def main() -> None:
    data = span_of(bytearray(b"some bytes that are added up"))
    print(walk(data, 0, 3, 9), walk(data, 5, 1, 12))
    walk(data, 1, 4, 50)


if __name__ == "__main__":
    main()
