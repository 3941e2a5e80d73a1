"""Dictionaries: order after removals, keys of each kind, defaults."""

from __future__ import annotations

from enum import IntEnum

from kernel.lang import noinline


class K(IntEnum):
    A = 1
    B = 2


class Node:
    def __init__(self, n: int) -> None:
        self.n = n


@noinline
def n(x: int) -> int:
    return x


def keys() -> None:
    d: dict[int, int] = {}
    for i in range(200):
        d[i * 7 % 101] = i
    for i in range(0, 200, 3):
        d.pop(i, None)
    total = 0
    for k, v in d.items():
        total = total * 31 % 1000003 + k * v
    print(len(d), total)
    for i in range(0, 300, 2):
        if i in d:
            del d[i]
        else:
            d[i] = -i
    for k in d:
        total = (total * 31 + k) % 1000003
    print(len(d), total, d.get(1, -1), d.get(2, -2), d.get(n(-5)) is None)
    e = {b"x": 1, b"": 2, b"x" + b"": 3}
    print(len(e), e[b"x"], e[b""], b"y" in e, e.setdefault(b"q", 9), e.setdefault(b"q", 10))
    f = {"ä": 1, "b": 2}
    f["ä"] += 5
    print(f["ä"], list(f)[0], len(f))
    g = {K.A: "a", K.B: "b"}
    print(g[K(1)], K.B in g)
    a, b = Node(1), Node(1)
    h = {a: 1, b: 2}
    print(h[a], h[b], len(h), Node(1) in h)
    for k2, v2 in {3: 4, 1: 2}.items():
        print(k2, v2)
    c = dict(d)
    c.clear()
    print(len(c), len(d) > 0, not c)
    m = {-1: 1, 0: 2, 1 << 62: 3, -(1 << 62): 4}
    print(m[-1], m[0], m[1 << 62], m[-(1 << 62)], m.pop(0), m.pop(0, 7), list(m.values())[1])
    nested: dict[int, dict[int, int]] = {}
    nested.setdefault(1, {})[2] = 3
    nested.setdefault(1, {})[3] = 4
    print(len(nested[1]), nested[1][3])
    for k in list(d):
        if k % 2:
            del d[k]
    print(len(d))


def main() -> None:
    keys()


if __name__ == "__main__":
    main()
