"""A trap: a load that crosses the end of a span."""

# traps: IndexError at line 12

from __future__ import annotations

from kernel.lang import Span, noinline, span_of, u8


@noinline
def load(span: Span[u8], offset: int) -> int:
    return int(span.load_u32(offset))


def main() -> None:
    span = span_of(b"abcdefg")
    print(load(span, 3))
    print(load(span, 4))


if __name__ == "__main__":
    main()
