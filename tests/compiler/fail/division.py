"""/ makes a float."""


def half(value: int) -> int:
    return int(value / 2)
