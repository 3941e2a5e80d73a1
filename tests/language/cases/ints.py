"""Arithmetic on int: floor division, modulo, shifts, bit operations, comparisons, at the edges of 64 bits."""

from __future__ import annotations

from kernel.lang import noinline

MAX = 9223372036854775807


@noinline
def same(value: int) -> int:
    return value


def divisions(a: int, b: int) -> None:
    print(f"{a} // {b} = {a // b}, {a} % {b} = {a % b}")
    print(f"{divmod(a, b)[0]} {divmod(a, b)[1]}")


def bits(a: int, b: int) -> None:
    print(f"{a & b} {a | b} {a ^ b} {~a} {-b}")


def comparisons(a: int, b: int) -> None:
    print(f"{a < b} {a <= b} {a > b} {a >= b} {a == b} {a != b} {a < b < 100} {0 <= a == b}")


def main() -> None:
    for a in (7, -7, 0, 1, -1, MAX, -MAX - 1):
        for b in (2, -2, 3, -3, 7):
            divisions(same(a), same(b))
    bits(same(12), same(10))
    bits(same(-12), same(10))
    bits(same(0), same(MAX))
    comparisons(same(1), same(2))
    comparisons(same(2), same(2))
    comparisons(same(-1), same(1))
    print(same(MAX) - same(1) + same(1))
    print(same(-MAX) - 1)
    print(same(1) << same(62))
    print(same(-1) << same(63))
    print(same(-5) >> same(1))
    print(same(-5) >> same(63))
    print(same(MAX) >> same(62))
    print(abs(same(-3)) + abs(same(3)))
    print(min(same(3), same(-3)), max(same(3), same(-3)), min(4, same(2), 3), max(4, same(9), 3))
    total = 0
    total += same(5)
    total -= 2
    total *= same(7)
    total //= 2
    total %= 7
    total <<= 3
    total >>= 1
    total |= 64
    total &= ~1
    total ^= same(255)
    print(total)
    if same(3):
        print("three is true")
    print("zero" if not same(0) else "not zero")
    print(same(4) and same(5) or 6, bool(same(0)), bool(same(2)))
    print(int(same(3) > 2) + int(same(3) > 4))


if __name__ == "__main__":
    main()
