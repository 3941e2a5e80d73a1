"""A trap: find of a number that is no byte."""

# traps: ValueError at line 10

from __future__ import annotations


def main() -> None:
    print(b"abc".find(97), b"abc".find(97, -2))
    print(b"abc".find(353))


if __name__ == "__main__":
    main()
