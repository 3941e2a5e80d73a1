"""A trap: max of an empty list."""

# traps: ValueError at line 11

from __future__ import annotations


def main() -> None:
    values: list[int] = []
    print("before")
    print(max(values))


if __name__ == "__main__":
    main()
