"""*args and **kwargs are out."""


def total(*values: int) -> int:
    return 0


def show(**options: int) -> None:
    pass


def plain(a: int, b: int) -> int:
    return a + b


def main() -> None:
    both = (1, 2)
    plain(*both)
