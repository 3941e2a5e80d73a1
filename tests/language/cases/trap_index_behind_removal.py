"""A trap: an index that was inside until elements were removed; a negative one is none of a list, however it is cut."""

# traps: IndexError at line 12

from __future__ import annotations

from kernel.lang import noinline


@noinline
def item(values: list[int], index: int) -> int:
    return values[index]


def main() -> None:
    values = [0, 1, 2, 3, 4, 5, 6, 7, 8]
    print(item(values, 8), item(values, 0), len(values))
    del values[2:5]
    print(item(values, 5), item(values, 2), len(values))
    del values[4:2]
    del values[-1:]
    values.remove(0)
    print(item(values, 3), item(values, 0), len(values))
    part = values[1:1]
    part += values[3:1]
    print(len(part), len(values[-2:]), len(values[:-9]), len(values[9:]))
    part.append(5)
    print(item(part, 0))
    print(part.pop(0), len(part))
    part.insert(0, 6)
    print(item(part, 0))
    part.clear()
    values.pop()
    print(item(values, 2), len(values))
    print(item(values, 3))


if __name__ == "__main__":
    main()
