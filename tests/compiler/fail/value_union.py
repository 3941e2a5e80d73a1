"""Unions are of classes."""


def main(value: int | bytes) -> None:
    if isinstance(value, int):
        print(value)
