"""Virtual calls over a mixed list of objects."""

from __future__ import annotations

from kernel.lang import noinline


class Shape:
    size: int

    def __init__(self, size: int) -> None:
        self.size = size

    def area(self) -> int:
        return 0


class Square(Shape):
    def area(self) -> int:
        return self.size * self.size


class Strip(Shape):
    def area(self) -> int:
        return self.size * 3


class Dot(Shape):
    def area(self) -> int:
        return 1


@noinline
def total_area(shapes: list[Shape]) -> int:
    total = 0
    for shape in shapes:
        total += shape.area()
    return total


@noinline
def run(rounds: int) -> int:
    shapes: list[Shape] = []
    for number in range(100):
        if number % 3 == 0:
            shapes.append(Square(number))
        elif number % 3 == 1:
            shapes.append(Strip(number))
        else:
            shapes.append(Dot(number))
    total = 0
    for _ in range(rounds):
        total += total_area(shapes)
    return total


def main() -> None:
    print(run(500))


if __name__ == "__main__":
    main()
