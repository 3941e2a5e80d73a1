"""Decorators that wrap a function are out."""

from functools import cache


@cache
def slow(value: int) -> int:
    return value


def main() -> int:
    return slow(1)
