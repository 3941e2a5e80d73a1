"""A trap: digits in a base that there is not."""

# traps: ValueError at line 12

from __future__ import annotations

from kernel.lang import noinline


@noinline
def parse(text: str, base: int) -> int:
    return int(text, base)


def main() -> None:
    print(parse("z", 36), parse("0", 2))
    print(parse("0", 1))


if __name__ == "__main__":
    main()
