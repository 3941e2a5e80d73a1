"""A trap: a missing key."""

# traps: KeyError at line 11

from __future__ import annotations


def main() -> None:
    counts = {b"a": 1}
    print(counts[b"a"])
    print(counts[b"b"])


if __name__ == "__main__":
    main()
