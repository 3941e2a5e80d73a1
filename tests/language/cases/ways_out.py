"""Enums, flags, match, nested try and with, and every way out of them."""

from __future__ import annotations

from enum import Enum, IntEnum, IntFlag

from kernel.lang import Errno


class Color(IntEnum):
    RED = 1
    GREEN = 2
    BLUE = 4


class Mode(IntFlag):
    READ = 1
    WRITE = 2
    EXEC = 4


class State(Enum):
    IDLE = 0
    BUSY = 1


def name_of(c: Color) -> str:
    match c:
        case Color.RED:
            return "red"
        case Color.GREEN:
            return "green"
        case Color.BLUE:
            return "blue"


class Shape: ...


class Circle(Shape):
    __match_args__ = ("r",)
    def __init__(self, r: int) -> None:
        self.r = r


class Square(Shape):
    def __init__(self, side: int) -> None:
        self.side = side


def area(s: Circle | Square) -> int:
    match s:
        case Circle(r=r):
            return 3 * r * r
        case Square(side=x) if x > 10:
            return -1
        case Square(side=x):
            return x * x


def classify(n: int) -> str:
    match n:
        case 0:
            return "zero"
        case 1 | 2 | 3:
            return "few"
        case x if x < 0:
            return f"negative {x}"
        case _:
            return "many"


def nested(n: int) -> int:
    total = 0
    try:
        total += 1
        try:
            if n == 1:
                raise Errno(5)
            if n == 2:
                return total
            total += 10
        except Errno as e:
            total += e.code
            if n == 1:
                raise
        finally:
            total += 100
            print(f"inner finally {total}")
    except Errno as e:
        print("outer", e.code)
        total += 1000
    else:
        print("else")
    finally:
        print(f"outer finally {total}")
    return total


class Guard:
    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> Guard:
        print("enter", self.name)
        return self

    def __exit__(self, kind: object, value: object, trace: object) -> None:
        print("exit", self.name)


def main() -> None:
    for c in (Color.RED, Color.GREEN, Color.BLUE):
        print(name_of(c), c.name, c.value, c == Color.RED)
    m = Mode.READ | Mode.EXEC
    print(Mode.READ in m, Mode.WRITE in m, int(m), bool(m & Mode.WRITE))
    m |= Mode.WRITE
    print(m == Mode(7))
    s = State.IDLE
    print(s is State.IDLE, s.name, s.value)
    print(area(Circle(3)), area(Square(4)), area(Square(11)))
    for n in (0, 2, -4, 99):
        print(classify(n))
    for n in range(4):
        print(nested(n))
    with Guard("a") as a, Guard("b"):
        print("in", a.name)
    for n in range(3):
        with Guard("loop"):
            if n == 1:
                continue
            if n == 2:
                break
        print("after", n)


if __name__ == "__main__":
    main()
