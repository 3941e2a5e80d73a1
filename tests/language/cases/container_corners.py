"""Lists, deques, bytearrays, dicts: bounds that are negative or beyond, aliases, unpacking."""

from __future__ import annotations

from collections import deque

from kernel.lang import noinline


@noinline
def n(x: int) -> int:
    return x


def show(items: list[int]) -> None:
    text = ""
    for x in items:
        text += f"{x},"
    print(text)


def sequences() -> None:
    a = [5, 3, 8, 1, 9, 2]
    show(a[n(1):n(4)])
    show(a[n(-2):])
    show(a[:n(-2)])
    show(a[n(4):n(1)])
    show(a[n(-100):n(2)])
    show(a[n(3):n(100)])
    show(a[:])
    b = a
    c = a.copy()
    a.sort()
    show(b)
    show(c)
    a.reverse()
    show(a)
    a.insert(n(100), 7)
    a.insert(n(0), 6)
    a.insert(n(-100), 4)
    show(a)
    del a[n(1):n(3)]
    del a[n(-1):]
    del a[n(5):n(2)]
    show(a)
    a.extend(a)
    show(a)
    print(a.index(5), a.count(5), 5 in a, 100 in a, a.pop(n(0)), a.pop(), len(a))
    a.remove(5)
    show(a)
    show([n(0)] * 3 + [1] * n(0) + [2] * n(-1))
    show(sorted(c))

    rows = [[0]] * 3
    rows[0].append(1)
    print(len(rows[2]), len(rows))
    q: deque[int] = deque()
    for i in range(n(5)):
        q.append(i)
        q.appendleft(-i)
    print(q[0], q[n(3)], q[-1], len(q), 3 in q, q.pop(), q.popleft())
    q.remove(2)
    q[n(0)] = 77
    for x in q:
        print(x)
    q.clear()
    print(len(q), not q)
    d = bytearray(b"hello")
    d.append(33)
    d += b" you"
    d.extend(b"!")
    print(bytes(d), len(d), d[n(0)], d[-1], 104 in d, bytes(d[n(1):n(-1)]), d.pop(), d.pop(n(0)))
    del d[:n(2)]
    d[n(0)] = 65
    print(bytes(d), bytes(bytearray(3)), bytes(d[n(-3):]))
    e = d
    e.clear()
    print(len(d))
    min_l, max_l = min(c), max(c)
    print(min_l, max_l, sum(c), sum([]))
    for x, y, z in zip(c, [7, 8, 9], b"abc"):
        print(x, y, z)
    for i, (x, y) in enumerate(zip(c, c)):
        if i == 2:
            break
        print(i, x, y)
    for x in reversed(c):
        print(x)
        break
    for i in range(10, 0, -3):
        print(i)
    for x in b"ab":
        print(x)
    for x in (1, 2, n(3)):
        print(x)


@noinline
def pair(a: int, b: int) -> tuple[int, int]:
    print("pair", a, b)
    return a, b


@noinline
def n_tuples(x: int) -> int:
    return x


def tuples() -> None:
    a, b = pair(1, 2)
    a, b = b, a
    (a, b), c = pair(a, b), 5
    print(a, b, c)
    x = y = z = n_tuples(4)
    x += 1
    print(x, y, z)
    t = (n_tuples(1), (n_tuples(2), b"x"))
    p, (q, r) = t
    print(p, q, r, t[1][0], t[-1][1])
    print(pair(1, 2) == (1, 2), pair(1, 2) != (2, 1))
    items = [1, 2, 3]
    items[0], items[1], items[2] = items[2], items[0], items[1]
    print(items[0], items[1], items[2])
    i = 0
    items[i], i = 9, 2
    print(items[0], i)
    i, items[i] = 1, 8
    print(items[1], i)
    for k, (u, v) in enumerate(zip([1], [2])):
        print(k, u, v)
    if pair(0, 0):
        print("truthy")
    _, w = pair(3, 4)
    print(w)


def dicts() -> None:
    d = {1: 10, 2: 20, 3: 30}
    del d[2]
    d[2] = 5
    d[1] = 6
    for k, v in d.items():
        print(k, v)
    print(d.pop(3), d.pop(9, -1), len(d), d.setdefault(1, 77), d.setdefault(8, 88), d.get(4) is None, d.get(4, 4))
    for k in d:
        print(k)
    for v in d.values():
        print(v)
    for k in reversed(list(d)):
        print(k)
    e = d.copy()
    e[1] = 0
    print(d[1], list(d.keys())[0], list(d.values())[0])
    d.update({1: 100, 50: 5})
    for k, v in d.items():
        print(k, v)


def main() -> None:
    sequences()
    tuples()
    dicts()


if __name__ == "__main__":
    main()
