"""Unions of classes, narrowed by isinstance."""

from __future__ import annotations

from typing import final


@final
class Circle:
    radius: int

    def __init__(self, radius: int) -> None:
        self.radius = radius


@final
class Box:
    side: int

    def __init__(self, side: int) -> None:
        self.side = side


Figure = Circle | Box


class Drawing:
    figure: Circle | Box | None

    def __init__(self) -> None:
        self.figure = None


def size(figure: Figure) -> int:
    if isinstance(figure, Circle):
        return figure.radius * 2
    return figure.side


def kind(drawing: Drawing) -> str:
    figure = drawing.figure
    if figure is None:
        return "empty"
    match figure:
        case Circle():
            return f"circle {figure.radius}"
        case Box():
            return f"box {figure.side}"


def main() -> None:
    figures: list[Circle | Box] = [Circle(2), Box(3), Circle(5)]
    total = 0
    for figure in figures:
        total += size(figure)
    print(total)
    drawing = Drawing()
    print(kind(drawing))
    drawing.figure = figures[1]
    print(kind(drawing))
    drawing.figure = Circle(9)
    print(kind(drawing))


if __name__ == "__main__":
    main()
