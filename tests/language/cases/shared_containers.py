"""Containers of several classes, whose code is shared; what they hold is kept apart, and so are types in tests."""

from __future__ import annotations


class Point:
    def __init__(self, place: int) -> None:
        self.place = place


class Label:
    def __init__(self, text: str) -> None:
        self.text = text


class Box:
    def __init__(self) -> None:
        self.points: list[Point] = []
        self.labels: list[Label] = []
        self.by_number: dict[int, Point] = {}
        self.by_name: dict[str, Label] = {}
        self.numbers: list[int] = []

    def fill(self, count: int) -> None:
        for number in range(count):
            self.points.append(Point(number))
            self.labels.append(Label(str(number * 3)))
            self.by_number[number] = self.points[number]
            self.by_name[self.labels[number].text] = self.labels[number]
            self.numbers.append(number)

    def total(self) -> int:
        return sum([point.place for point in self.by_number.values()]) + sum(
            [int(label.text) for label in self.by_name.values()]
        )


Some = list[Point] | Label
Other = list[Label] | Point


def some(value: Some) -> int:
    return len(value) if isinstance(value, list) else -int(value.text)


def other(value: Other) -> int:
    return value.place if isinstance(value, Point) else len(value)


def parted(count: int) -> tuple[list[Point], list[Label]]:
    """Lists that live in the heap and those of the frame, side by side."""
    points = [Point(number) for number in range(count) if number % 3 != 0]
    labels = [Label(f"n{number}") for number in range(count)]
    short = [Label("a"), Label("b")]
    short.append(labels[count - 1])
    labels.extend(short)
    return points, labels


def main() -> None:
    box = Box()
    box.fill(2000)
    print(box.total(), len(box.points), len(box.labels), len(box.numbers))
    for number in range(0, 2000, 2):
        del box.by_number[number]
        del box.by_name[str(number * 3)]
    print(box.total(), len(box.by_number), len(box.by_name))
    print(some(box.points), some(Label("7")), other(box.labels), other(Point(9)))
    points, labels = parted(100)
    print(len(points), points[-1].place, len(labels), labels[-1].text, labels[-3].text)
    copies = box.points[10:20]
    copies.reverse()
    print(" ".join([str(point.place) for point in copies]), " ".join([label.text for label in box.labels[3:6]]))


if __name__ == "__main__":
    main()
