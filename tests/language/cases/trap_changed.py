"""A trap: a dictionary that grows while it is walked."""

# traps: RuntimeError at line 10

from __future__ import annotations


def main() -> None:
    counts = {1: 1, 2: 2}
    for key in counts:
        print(key)
        counts[key + 10] = 1


if __name__ == "__main__":
    main()
