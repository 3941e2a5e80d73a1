"""** is only for constants."""


def square(value: int) -> int:
    fine = 2**12
    return fine + abs(value**2)
