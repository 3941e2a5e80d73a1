"""Loops: else, try and finally inside, ranges at the ends of int, floor division and remainders."""

from __future__ import annotations

from collections.abc import Callable

from kernel.lang import noinline


@noinline
def n(x: int) -> int:
    return x


@noinline
def tf(x: int) -> int:
    for i in range(5):
        try:
            if i == x:
                break
            if i == x + 1:
                continue
            print("body", i)
        finally:
            print("fin", i)
    else:
        return -1
    return i


def call(f: Callable[[], int]) -> int:
    return f()


@noinline
def early(x: int) -> int:
    r = x
    try:
        return r
    finally:
        r = 99
        print("r", r)


def loops() -> None:
    print(tf(2), tf(9))
    for i in range(n(3)):
        i += 10
        print(i, "in")
    print("i")
    for i in range(n(5), n(0), n(-2)):
        print(i, "in")
    for i in range(n(3), n(3)):
        print("no")
    else:
        print("else")
    total = 0
    for i in range(3):
        total += call(lambda: i * 10)
    print(total)

    def later() -> int:
        return i * 100
    i = 7
    print(call(later))
    i = 8
    print(later())
    items = [1, 2, 3, 4]
    for x in items:
        if x == 2:
            items.remove(x)
        print(x)
    for x in items:
        if len(items) < 8:
            items.append(x)
    print(len(items))
    for k, x in enumerate(items, n(-1)):
        items = [0]
        print(k, x)
    for p, q in zip([1, 2, 3], [4, 5]):
        print(p, q)
    for x in reversed([1, 2, 3]):
        print(x)
    for x in reversed(range(0, 10, 3)):
        print(x)
    while True:
        try:
            break
        finally:
            print("out")
    w = 3
    while w:
        w -= 1
        if w == 5:
            break
    else:
        print("while else", w)
    print(early(4))


@noinline
def n_far_ranges(x: int) -> int:
    return x


M = 9223372036854775807


def far_ranges() -> None:
    for i in range(n_far_ranges(M - 2), n_far_ranges(M)):
        print(i)
    for i in range(n_far_ranges(M - 3), n_far_ranges(M), n_far_ranges(2)):
        print(i)
    for i in range(n_far_ranges(M - 3), n_far_ranges(M), 2):
        print(i)
    for i in range(n_far_ranges(-M), n_far_ranges(M), n_far_ranges(1 << 62)):
        print(i)
    for i in range(n_far_ranges(-M - 1), n_far_ranges(M), 1 << 62):
        print(i)
    for i in range(n_far_ranges(-M + 3), n_far_ranges(-M - 1), -2):
        print(i)
    for i in range(n_far_ranges(-M + 3), n_far_ranges(-M - 1), n_far_ranges(-2)):
        print(i)
    for i in reversed(range(n_far_ranges(M - 2), n_far_ranges(M))):
        print(i)
    for i in reversed(range(n_far_ranges(-M - 1), n_far_ranges(-M + 1))):
        print(i)
    print(n_far_ranges(3) in range(n_far_ranges(1), n_far_ranges(3)), n_far_ranges(-1) in range(n_far_ranges(5)), n_far_ranges(M) in range(n_far_ranges(M)))
    s = b"abc"
    print(s[0:n_far_ranges(M)], s[n_far_ranges(-M):n_far_ranges(M)], s[n_far_ranges(-M - 1):], s[:n_far_ranges(-M - 1)])
    items = [1, 2, 3]
    print(len(items[n_far_ranges(-M - 1):n_far_ranges(M)]), len(items[: n_far_ranges(-M - 1)]))
    for k, x in enumerate(items, n_far_ranges(M - 2)):
        print(k, x)


@noinline
def n_divisions(x: int) -> int:
    return x


def divisions() -> None:
    for x in (7, -7, 8, -8, 1, -1, 0, 15, -16, -17):
        y = n_divisions(x)
        print(y // 8, y % 8, y // -8, y % -8, -y // 8, y // 2, y % 2, y >> 3, y & 7, (y + 100) // 8, (y - 100) % 8, y // 3, y % 3, y // -3, y % -3, y // 1, y % 1, y // -1, y % -1)
        for i in range(-3, 4):
            print((i * y) // 4, (i * y) % 4, i // 2, i % 2, end_(i))


@noinline
def end_(i: int) -> int:
    return -i // 2 + -i % 2


def main() -> None:
    loops()
    far_ranges()
    divisions()


if __name__ == "__main__":
    main()
