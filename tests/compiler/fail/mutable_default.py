"""Defaults don't change."""


def add(value: int, values: list[int] = []) -> None:
    values.append(value)


def main() -> None:
    add(1)
