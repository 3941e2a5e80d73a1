"""A trap: an index beyond the end of a byte string."""

# traps: IndexError at line 12

from __future__ import annotations

from kernel.lang import noinline


@noinline
def get(data: bytes, index: int) -> int:
    return data[index]


def main() -> None:
    print(get(b"abc", 2))
    print(get(b"", 0))


if __name__ == "__main__":
    main()
