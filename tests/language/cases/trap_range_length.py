"""A trap: a length that a method says, and that is less than nothing."""

# traps: ValueError at line 34

from __future__ import annotations

from kernel.lang import Span, noinline, span_of, struct, u8


@struct
class Window:
    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first


@noinline
def byte_at(text: Span[u8], window: Window) -> int:
    place = 0
    turns = 0
    while turns < 2:
        if turns == 1:
            place = len(window)
        turns += 1
    return text[place]


def main() -> None:
    text = span_of(b"abcdefgh")[4:]
    print(byte_at(text, Window(first=2, last=4)))
    print(byte_at(text, Window(first=9, last=9)))
    print(byte_at(text, Window(first=4, last=3)))


if __name__ == "__main__":
    main()
