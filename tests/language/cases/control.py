"""Control flow: if, while, for, break, continue, else, conditional expressions, walrus, boolean operators."""

from __future__ import annotations


def collatz(start: int) -> int:
    steps = 0
    value = start
    while value != 1:
        value = value // 2 if value % 2 == 0 else 3 * value + 1
        steps += 1
    return steps


def first_divisor(value: int) -> int:
    for candidate in range(2, value):
        if candidate * candidate > value:
            break
        if value % candidate == 0:
            return candidate
    else:
        return -1
    return value


def grade(points: int) -> str:
    if points >= 90:
        return "A"
    elif points >= 80:
        return "B"
    elif points >= 70:
        return "C"
    return "F"


def sides(label: str, result: bool) -> bool:
    print(label)
    return result


def main() -> None:
    print(collatz(27), collatz(1), collatz(97))
    for value in range(2, 12):
        print(value, first_divisor(value))
    for points in range(60, 101, 13):
        print(grade(points))
    for outer in range(4):
        if outer == 1:
            continue
        for inner in range(4):
            if inner > outer:
                break
            print(outer, inner)
        else:
            print("inner ran out")
    count = 10
    while count > 0:
        count -= 3
        if count == 4:
            continue
        if count < -5:
            break
    else:
        print("while ran out", count)
    print(sides("a", True) and sides("b", False) or sides("c", True))
    print(sides("d", False) and sides("e", True))
    if (half := count + 12) > 5:
        print("half", half)
    while (half := half - 4) > 0:
        print("walrus", half)
    for backwards in range(5, -6, -5):
        print(backwards)
    for never in range(3, 3):
        print("never", never)
    print(not (count == 0), not not True)
    x = y = 5
    x, y = y + 1, x - 1
    print(x, y)


if __name__ == "__main__":
    main()
