"""Truth and equality are those of the object's own class, which its static type may not show."""

from __future__ import annotations


class Shape:
    def __init__(self) -> None:
        self.sides = 0


class Polygon(Shape):
    def __len__(self) -> int:
        return self.sides


class Circle(Shape):
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Circle)


def there(shape: Shape | None) -> bool:
    if shape:
        return True
    return False


def same(a: Shape, b: Shape) -> bool:
    return a == b


def either(shape: Polygon | Circle) -> bool:
    return bool(shape)


def use() -> None:
    print(there(Polygon()), same(Circle(), Circle()), either(Circle()))
