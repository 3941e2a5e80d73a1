"""Patterns are values, enums and classes."""


def main(values: list[int]) -> None:
    match values:
        case [first, second]:
            print(first, second)
        case _:
            pass
