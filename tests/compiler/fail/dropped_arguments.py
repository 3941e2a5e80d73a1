"""Arguments that the type checker accepts, and a compiled call would not look at."""

from collections import deque


def total(values: list[int]) -> int:
    return sum(values, 5)


def total_of_some(values: list[int]) -> int:
    return sum((value for value in values if value > 0), 5)


def place(values: list[int]) -> int:
    return values.index(1, 1)


def text(data: bytes) -> str:
    return str(data, "utf-8")


def encoded(text: str) -> bytes:
    return bytes(text, "utf-8")


def bounded(values: list[int]) -> int:
    last: deque[int] = deque(values, 3)
    return len(last)


def set_default(values: dict[int, bytes | None]) -> bool:
    return values.setdefault(1) is None
