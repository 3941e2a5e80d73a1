"""Only tuples are unpacked."""


def main(values: list[int]) -> None:
    a, b = values
    first, *rest = values
    print(a, b, first)
