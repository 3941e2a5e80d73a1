"""A trap: a number that is no byte is looked for in a bytearray."""

# traps: ValueError at line 12

from __future__ import annotations

from kernel.lang import noinline


@noinline
def has(data: bytearray, value: int) -> bool:
    return value in data


def main() -> None:
    data = bytearray(b"abc")
    print(has(data, 97), has(data, 255))
    print(has(data, 256))


if __name__ == "__main__":
    main()
