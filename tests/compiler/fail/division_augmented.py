"""/= makes a float."""


def half(value: int) -> None:
    rest: float = value
    rest /= 2
