"""Formats are known at compile time."""


def main(width: int) -> None:
    print(f"{width:{width}}")
