"""What is computed first: operands, arguments, keys and values, both sides of `in`."""

from __future__ import annotations

from kernel.lang import noinline


@noinline
def f(x: int) -> int:
    print("f", x)
    return x


@noinline
def fb(x: bytes) -> bytes:
    print("fb", x)
    return x


@noinline
def fl(x: int) -> list[int]:
    print("fl", x)
    return [x, x + 1, x + 2]


@noinline
def fd(x: int) -> dict[int, int]:
    print("fd", x)
    return {x: x}


class C:
    def __init__(self) -> None:
        self.v = 1
        self.items = [1, 2, 3]


@noinline
def fc(c: C) -> C:
    print("fc", c.v)
    return c


def v1() -> None:
    print(f(1) in fl(1), f(1) not in fl(2), f(5) in fd(5), fb(b"a") in fb(b"abc"), f(97) in fb(b"abc"))
    print(f(2) in (f(1), f(2), f(3)))
    print(f(2) in range(f(1), f(5)))
    print(f(1) < f(2) < f(1) < f(9))
    print(f(1) == f(1) != f(2))
    c = C()
    fc(c).v += f(4)
    fc(c).items[f(0)] += f(10)
    fl(7)[f(1)] = f(3)
    fd(1)[f(2)] = f(3)
    fd(1)[f(1)] += f(3)
    fc(c).v = f(20)
    x, c.v = f(1), f(2)
    print(x, c.v, c.items[0])
    c.items[f(0)], c.items[f(1)] = f(8), f(9)
    print(c.items[0], c.items[1])
    i = 0
    i, c.items[i] = 2, 77
    print(i, c.items[2], c.items[0])
    a = c.items[f(1)] = i = f(1)
    print(a, i)
    print(f(1) + f(2) * f(3) - f(4) // f(5))
    print(f(1) if f(0) else f(2))
    print(f(0) or f(3), f(0) and f(3), f(2) and f(0) or f(9))
    print(fl(f(1))[f(0):f(2)][f(1)])
    y = 5
    print(y + (y := 6) + y)
    print([y, (y := 7), y][0])
    print(fb(b"a") + fb(b"b") + fb(b"c"))
    print({f(1): f(2), f(3): f(4)}[f(3)])
    del fl(1)[f(0)]
    print(f"{f(1)} {f(2)}")
    assert f(1), f"no {f(2)}"


G = 1


@noinline
def bump() -> int:
    global G
    G += 10
    return G


class Changing:
    def __init__(self) -> None:
        self.v = 1


@noinline
def up(c: Changing) -> int:
    c.v += 10
    return c.v


@noinline
def three(a: int, b: int, c: int) -> int:
    return a * 10000 + b * 100 + c


@noinline
def push(items: list[int]) -> int:
    items.append(5)
    return len(items)


def v2() -> None:
    global G
    print(G + bump() + G)
    print(three(G, bump(), G))
    c = Changing()
    print(c.v + up(c) + c.v)
    print(three(c.v, up(c), c.v))
    items = [1]
    print(items[-1] + push(items) + items[-1], len(items) + push(items))
    c.v = c.v + up(c)
    print(c.v)
    c.v += up(c)
    print(c.v)
    G += bump()
    print(G)
    items[0] += push(items)
    print(items[0], len(items))
    print(c.v < up(c), c.v == up(c))
    print([c.v, up(c), c.v][0], (c.v, up(c))[0])
    print(f"{c.v} {up(c)} {c.v}")
    a, b = c.v, up(c)
    print(a, b)
    print(c.v and up(c))
    print(c.v in [up(c), c.v])
    print(c.v if up(c) > 0 else 0)


def main() -> None:
    v1()
    v2()


if __name__ == "__main__":
    main()
