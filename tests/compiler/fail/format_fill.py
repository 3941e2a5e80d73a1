"""Formats that would print something else than CPython does."""

from enum import IntEnum


class Level(IntEnum):
    LOW = 1


def main(number: int, text: str, data: bytes, level: Level) -> None:
    print(f"{number:0<5} {number:^5} {number:+} {number:>05} {number:,}")
    print(f"{text:05} {text:^5} {text!r:>5} {text!a}")
    print(f"{data!r:>5} {level!r}")
