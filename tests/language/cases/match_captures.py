"""match: names are bound when the whole pattern fits, and not before."""

from __future__ import annotations

from enum import Enum, IntEnum

from kernel.lang import noinline


class A:
    def __init__(self, x: int, y: int) -> None:
        self.x = x
        self.y = y


class B(A):
    pass


@noinline
def f(a: A) -> int:
    v = -1
    match a:
        case A(x=v, y=2):
            return v
        case A(x=1, y=w):
            return v * 10 + w
        case A(x=v) if v > 5:
            return 100 + v
        case _:
            return v


@noinline
def g(n: int) -> int:
    k = 0
    match n:
        case k if k > 5:
            return k
        case 1 | 2:
            return k * 100
        case _:
            return k + 1


@noinline
def h(n: int) -> int:
    match n:
        case (1 | 2) as k:
            return k
        case k:
            return -k


def m1() -> None:
    print(f(A(1, 2)), f(A(1, 3)), f(A(7, 3)), f(A(3, 3)), f(B(1, 9)))
    print(g(6), g(1), g(3))
    print(h(1), h(4))


class Left:
    def __init__(self, x: int, y: int) -> None:
        self.x = x
        self.y = y


class Right:
    def __init__(self, x: int, z: int) -> None:
        self.x = x
        self.z = z


class H:
    def __init__(self, n: int, of: Left | Right) -> None:
        self.n = n
        self.of = of


@noinline
def of_both(h: H) -> int:
    v = w = -5
    match h:
        case H(of=Left(x=v, y=w) | Right(z=w, x=v), n=2):
            return v * 10 + w
        case H(of=(Left(x=1) | Right(z=1)) as k):
            return 1000 if isinstance(k, Left) else 2000
    return v + w


@noinline
def of_either(n: int) -> int:
    k = 7
    match n:
        case (1 as k) | (2 as k):
            return k
        case _:
            return k


def m10() -> None:
    print(of_both(H(2, Left(1, 2))), of_both(H(2, Right(3, 4))), of_both(H(1, Left(1, 2))), of_both(H(1, Right(1, 1))), of_both(H(1, Right(1, 2))))
    print(of_either(1), of_either(2), of_either(3))


class AM8:
    def __init__(self, x: int) -> None:
        self.x = x


class Holder:
    def __init__(self) -> None:
        self.a: AM8 | None = AM8(1)


@noinline
def change(h: Holder) -> bool:
    h.a = None
    return True


def m8() -> None:
    h = Holder()
    match h.a:
        case AM8(x=v) if change(h) and v == 2:
            print("two")
        case AM8(x=v):
            print("A", v)
        case None:
            print("none")


@noinline
def k(x: int | None) -> str:
    match x:
        case None:
            return "none"
        case 0:
            return "zero"
        case int():
            return "int"


@noinline
def b(x: bool) -> str:
    match x:
        case True:
            return "T"
        case False:
            return "F"


@noinline
def i(x: int) -> str:
    match x:
        case True:
            return "T"
        case 1:
            return "1"
        case _:
            return "other"


@noinline
def bi(x: bool) -> str:
    match x:
        case 1:
            return "1"
        case _:
            return "other"


@noinline
def by(x: bytes) -> str:
    match x:
        case b"a" | b"b":
            return "ab"
        case b"":
            return "empty"
        case _:
            return "other"


@noinline
def st(x: str) -> str:
    match x:
        case "a" | "b":
            return "ab"
        case "":
            return "empty"
        case y if len(y) > 3:
            return y
        case _:
            return "other"


def m3() -> None:
    print(k(None), k(0), k(4))
    print(b(True), b(False))
    print(i(1), i(2), bi(True), bi(False))
    print(by(b"a"), by(b""), by(b"c"), st("a"), st(""), st("long"), st("x"))


class C(IntEnum):
    R = 1
    G = 2


class D(Enum):
    R = 1
    G = 2


def of_int_enum(c: C) -> str:
    match c:
        case C.R:
            return "r"
        case 2:
            return "two"
        case _:
            return "?"


def of_enum(c: D) -> str:
    match c:
        case D.R:
            return "r"
        case D.G:
            return "g"


def of_int(c: int) -> str:
    match c:
        case C.R:
            return "r"
        case C.G:
            return "g"
        case _:
            return "?"


def m9() -> None:
    print(of_int_enum(C.R), of_int_enum(C.G), of_enum(D.R), of_enum(D.G), of_int(1), of_int(2), of_int(3))


def main() -> None:
    m1()
    m10()
    m8()
    m3()
    m9()


if __name__ == "__main__":
    main()
