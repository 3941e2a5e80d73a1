"""`==`, `in`, index, count and remove with classes that have an __eq__: identity first, no more calls than in Python."""

from __future__ import annotations

from collections import deque


class Loud:
    def __init__(self, n: int) -> None:
        self.n = n

    def __eq__(self, other: object) -> bool:
        print("eq", self.n, other.n if isinstance(other, Loud) else -1)
        return isinstance(other, Loud) and self.n == other.n


class Odd:
    def __init__(self, n: int) -> None:
        self.n = n

    def __eq__(self, other: object) -> bool:
        return False


def b1() -> None:
    a, b, c = Loud(1), Loud(2), Loud(2)
    print(c in [a, b], a in [a, b])
    print(c in (a, b), a in (a, b))
    print([a, b].index(c), [a, b, c].count(c))
    o = Odd(1)
    print(o in [o], o in (o,), o == o, o != o, [o].count(o), [o].index(o))
    items = [o]
    items.remove(o)
    print(len(items))


class Queued:
    def __init__(self, n: int) -> None:
        self.n = n

    def __eq__(self, other: object) -> bool:
        print("eq", self.n)
        return False


def b1q() -> None:
    o = Queued(1)
    p = Queued(2)
    d: deque[Queued] = deque()
    d.append(o)
    print(o in d, p in d)
    d.remove(o)
    print(len(d))


class Paired:
    def __init__(self, n: int) -> None:
        self.n = n

    def __eq__(self, other: object) -> bool:
        print("eq", self.n)
        return False


def pair(o: Paired, p: Paired) -> tuple[Paired, Paired]:
    return o, p


def b1t() -> None:
    o = Paired(1)
    p = Paired(2)
    print((o, p) == (o, p))
    print((1, p) == (2, o))
    print(pair(o, p) == pair(p, o))
    print(pair(o, p) != pair(p, o))


class C:
    def __init__(self, n: int) -> None:
        self.n = n

    def __eq__(self, other: object) -> bool:
        print("eq", self.n)
        return isinstance(other, C) and self.n == other.n

    def __lt__(self, other: C) -> bool:
        return self.n < other.n

    def __add__(self, other: int) -> int:
        return self.n + other

    def __getitem__(self, i: int) -> int:
        return self.n * i

    def __len__(self) -> int:
        return self.n

    def __contains__(self, x: int) -> bool:
        return x == self.n


def o5() -> None:
    a, b = C(1), C(1)
    print(a == b, a != b, a < b, a + 5, a[7], len(a), 1 in a, 2 not in a, not a, bool(C(0)))
    items = [a]
    print(b in items, items.index(b), a in (b, a))
    if C(0):
        print("no")


def main() -> None:
    b1()
    b1q()
    b1t()
    o5()


if __name__ == "__main__":
    main()
