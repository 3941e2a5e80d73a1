from typing import TypeVar

T = TypeVar("T", int, bytes)


def twice(value: T) -> T:
    return value + value


def main() -> None:
    print(twice(3))
