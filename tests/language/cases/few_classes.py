"""Virtual calls that may reach a few short methods: by class, through bases, with arguments, of no object at all."""

from __future__ import annotations

from kernel.lang import noinline, u8


class Shape:
    size: int

    def __init__(self, size: int) -> None:
        self.size = size

    def area(self) -> int:
        return self.size

    def is_round(self) -> bool:
        return False

    def grow(self, by: int) -> None:
        self.size += by

    def part(self) -> u8:
        return u8(self.size)

    def other(self) -> Shape | None:
        return None


class Square(Shape):
    def area(self) -> int:
        return self.size * self.size

    def other(self) -> Shape | None:
        return self


class Strip(Shape):
    def area(self) -> int:
        return self.size * 3

    def grow(self, by: int) -> None:
        self.size -= by


class Narrow(Strip):
    """Has the method of its base, and others of its own."""

    def is_round(self) -> bool:
        return self.size > 4

    def part(self) -> u8:
        return u8(self.size + 200)


class Dot(Square):
    """Is compared before its base, or after it."""

    def grow(self, by: int) -> None:
        pass


@noinline
def areas(shapes: list[Shape]) -> int:
    total = 0
    for shape in shapes:
        total = total * 10 + shape.area()
    return total


@noinline
def rounds(shapes: list[Shape]) -> int:
    return len([shape for shape in shapes if shape.is_round()])


@noinline
def grown(shapes: list[Shape], by: int) -> int:
    total = 0
    for shape in shapes:
        shape.grow(by)
        total = total * 10 + shape.size
    return total


@noinline
def parts(shapes: list[Shape]) -> int:
    total = 0
    for shape in shapes:
        total = total * 256 + shape.part()
    return total


@noinline
def others(shapes: list[Shape]) -> int:
    total = 0
    for shape in shapes:
        other = shape.other()
        total = total * 10 + (other.area() if other is not None else 1)
    return total


@noinline
def of_squares(squares: list[Square]) -> int:
    return sum([square.area() for square in squares])


def main() -> None:
    shapes: list[Shape] = [Shape(1), Square(2), Strip(3), Narrow(5), Dot(2), Narrow(2), Shape(7)]
    print(areas(shapes), rounds(shapes), parts(shapes), others(shapes))
    print(grown(shapes, 1), grown(shapes, -1), areas(shapes))
    print(of_squares([Dot(3), Square(4), Dot(0)]), of_squares([]), areas([]))


if __name__ == "__main__":
    main()
