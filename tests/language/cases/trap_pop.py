"""A trap: pop from an empty list."""

# traps: IndexError at line 11

from __future__ import annotations


def main() -> None:
    values = [1]
    print(values.pop())
    print(values.pop())


if __name__ == "__main__":
    main()
