"""Floats are out."""


def main() -> None:
    delay = 0.5
    print(int(delay))
