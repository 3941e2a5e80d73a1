"""A generic function that calls itself for ever larger types."""

from __future__ import annotations

from typing import TypeVar

T = TypeVar("T")


def deepen(value: T, count: int) -> int:
    return count if count == 0 else deepen([value], count - 1)


def use() -> int:
    return deepen(1, 3)
