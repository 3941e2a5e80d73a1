"""Generators: functions that for inlines."""

from __future__ import annotations

from collections.abc import Iterator


def count(end: int) -> Iterator[int]:
    place = 0
    while place < end:
        yield place
        place += 1


def pairs(values: list[int]) -> Iterator[tuple[int, bytes]]:
    for value in values:
        yield value, b"x"


def main() -> int:
    total = 0
    for number in count(5):
        total += number
    for number, text in pairs([n for n in count(3)]):
        total += number + len(text)
    return total
