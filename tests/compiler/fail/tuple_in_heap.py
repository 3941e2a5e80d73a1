"""Tuples stay on the stack."""


class Pair:
    both: tuple[int, int]

    def __init__(self) -> None:
        self.both = (1, 2)


def main() -> None:
    pairs: list[tuple[int, int]] = []
    table = {1: (2, 3)}
    print(len(pairs), len(table))
