"""Enums: aliases, flags, texts, as ints and keys."""

from __future__ import annotations

from enum import Enum, IntEnum, IntFlag, auto


class C(IntEnum):
    R = 1
    G = 2
    RED = 1


class D(Enum):
    R = auto()
    G = auto()


class P(IntFlag):
    A = 1
    B = 2
    C = 4


def members() -> None:
    print(C.R, C.RED.name, C(2).name, C.R + 1, C.R < C.G, C.R == 1, C.G.value)
    print(D.R, D.G.name, D.R == D.R, D.R is D.G, D(2))
    print(f"{C.R} {C.G:5} {D.R}")
    print(P.A | P.B, (P.A | P.B).value, P.A in (P.A | P.B), bool(P.A & P.B), P(5).value, P.A ^ P.C)
    print(C.R in [C.R, C.G], P(0) == 0, P.A | 8)


class CAsInts(IntEnum):
    R = 1
    G = 2


class DAsInts(IntEnum):
    R = 1


def f(c: CAsInts, d: DAsInts) -> bool:
    return c == d


def g(c: CAsInts) -> str:
    return f"{c!r}"


def as_ints() -> None:
    print(f(CAsInts.R, DAsInts.R))
    x: dict[int, int] = {1: 5}
    print(x[CAsInts.R], CAsInts.R in x)
    print(CAsInts.R * 2, -CAsInts.G, CAsInts.R or 5, min(CAsInts.R, CAsInts.G), max(CAsInts.R, 7), sum([CAsInts.R, CAsInts.G]))
    c = CAsInts.R
    print(c)
    y: int = CAsInts.G
    print(y, f"{y:3}")


def main() -> None:
    members()
    as_ints()


if __name__ == "__main__":
    main()
