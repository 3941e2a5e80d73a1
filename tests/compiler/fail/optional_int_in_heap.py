"""Heap fields hold one word."""


class Box:
    limit: int | None

    def __init__(self) -> None:
        self.limit = None


def main() -> None:
    limit: int | None = None
    limits: list[int | None] = [1, None]
    print(limit is None, len(limits))
