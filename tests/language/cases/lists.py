"""list: every operation, of ints, references and storage types."""

from __future__ import annotations

from kernel.lang import u8


class Item:
    number: int

    def __init__(self, number: int) -> None:
        self.number = number


def show(values: list[int]) -> None:
    text = ""
    for value in values:
        text += f"{value},"
    print(f"{len(values)}: {text}")


def main() -> None:
    values = [3, 1, 2]
    show(values)
    print(any([n > 2 for n in values]), all([n > 2 for n in values]), any([len(values) == 3, False]))
    values.append(5)
    values.insert(0, 9)
    values.insert(2, 8)
    values.insert(100, 7)
    show(values)
    print(values.pop(), values.pop(0), values.pop(1))
    show(values)
    values.remove(1)
    values.extend([4, 4, 6])
    values += [1, 0]
    show(values)
    values.reverse()
    show(values)
    values.sort()
    show(values)
    show(sorted([5, -1, 3]))
    print(values.index(4), values.count(4), 6 in values, 60 in values, 60 not in values)
    del values[1]
    show(values)
    show(values[1:3])
    show(values[2:])
    show(values[:2])
    show(values[:])
    show(values[1:100])
    show(values[-2:])
    show(values[:-1])
    print(values[-1], values[-2])
    values[0] = 100
    values[-1] = 200
    values[1] += 5
    show(values)
    show([0] * 4)
    show(values + [1])
    show([value * value for value in range(6) if value % 2 == 1])
    show([a * b for a in range(3) for b in range(3)])
    copied = values.copy()
    copied.clear()
    show(copied)
    show(values)
    items = [Item(n) for n in range(4)]
    items.insert(1, Item(50))
    first = items[0]
    print(first in items, Item(0) in items, items.index(items[2]))
    items.remove(first)
    for item in items:
        print(item.number)
    names = ["b", "a"]
    names.append("c")
    print(names[0] + names[1], len(names), "c" in names)
    grid = [[0] * 3 for _ in range(2)]
    grid[1][2] = 7
    show(grid[0])
    show(grid[1])
    small: list[u8] = [u8(1), u8(255)]
    small.append(u8(300))
    print(small[0] + small[1] + small[2])
    many: list[int] = []
    for value in range(1000):
        many.append(value * 7 % 1000)
    many.sort()
    print(many[0], many[500], many[999], len(many))
    while many:
        many.pop()
    print(len(many), not many)
    for value in values:
        if value == 100:
            values.append(300)
    show(values)


if __name__ == "__main__":
    main()
