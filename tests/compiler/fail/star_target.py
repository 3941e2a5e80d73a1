"""What mypy gives no type has a message all the same."""

from __future__ import annotations

from typing import Self


class Chain:
    def __init__(self) -> None:
        self.length = 0

    def longer(self) -> Self:
        self.length += 1
        return self


def main() -> None:
    first, *rest = [1, 2, 3]
    print(first, len(rest), Chain().longer().length)
