"""Classes: fields, methods, inheritance, virtual calls, properties, static methods, class constants, identity."""

from __future__ import annotations

from typing import ClassVar, final


class Shape:
    SIDES: ClassVar[int] = 0
    name: str

    def __init__(self, name: str) -> None:
        self.name = name
        self.scale: int = 1

    def area(self) -> int:
        return 0

    def describe(self) -> str:
        return f"{self.name} of area {self.area() * self.scale}"

    @property
    def sides(self) -> int:
        return Shape.SIDES

    @staticmethod
    def unit() -> int:
        return 7


class Rectangle(Shape):
    SIDES: ClassVar[int] = 4

    def __init__(self, width: int, height: int) -> None:
        super().__init__("rectangle")
        self.width = width
        self.height = height

    def area(self) -> int:
        return self.width * self.height

    @property
    def sides(self) -> int:
        return self.SIDES


@final
class Square(Rectangle):
    def __init__(self, side: int) -> None:
        super().__init__(side, side)
        self.name = "square"

    def describe(self) -> str:
        return "a " + super().describe()


class Point:
    x: int
    y: int

    def __init__(self, x: int = 0, y: int = 0) -> None:
        self.x = x
        self.y = y

    def moved(self, dx: int, dy: int) -> Point:
        return Point(self.x + dx, self.y + dy)

    @property
    def manhattan(self) -> int:
        return abs(self.x) + abs(self.y)

    @manhattan.setter
    def manhattan(self, value: int) -> None:
        self.x = value
        self.y = 0


def show(shape: Shape) -> None:
    print(shape.describe(), shape.sides, isinstance(shape, Rectangle), isinstance(shape, Square))


def main() -> None:
    shape = Shape("thing")
    rectangle = Rectangle(3, 4)
    square = Square(5)
    rectangle.scale = 2
    show(shape)
    show(rectangle)
    show(square)
    print(Shape.unit(), square.unit(), Rectangle.SIDES)
    point = Point(3, -4)
    other = point.moved(1, 1)
    alias = point
    print(point.manhattan, other.manhattan, Point().manhattan)
    alias.manhattan = 10
    print(point.x, point.y, point is alias, point is other, point is not other, point == alias, point == other)


if __name__ == "__main__":
    main()
