"""A trap: a u64 that is no int."""

# traps: OverflowError at line 12

from __future__ import annotations

from kernel.lang import noinline, u64


@noinline
def convert(value: u64) -> int:
    return int(value)


def main() -> None:
    print(convert(u64(9223372036854775807)))
    print(convert(u64(9223372036854775808)))


if __name__ == "__main__":
    main()
