"""Dict comprehensions are not there."""


def main() -> None:
    squares = {n: n * n for n in range(3)}
    print(len(squares))
