"""Numbers: casts, divmod, extremes, Arrays and structs with negative literals."""

from __future__ import annotations

from typing import Literal

from kernel.lang import Array, i8, i32, noinline, struct, u8, u16, u32, u64


@noinline
def n(x: int) -> int:
    return x


@noinline
def un(x: int) -> u64:
    return u64(x)


def numbers() -> None:
    for a in (7, -7, 0):
        for b in (3, -3):
            print(n(a) // n(b), n(a) % n(b), n(a) >> 1, ~n(a), n(a) & n(b), n(a) | n(b), n(a) ^ n(b))
    q, r = divmod(n(-7), n(2))
    print(q, r, n(-9223372036854775807) - 1, (n(-5)).bit_length(), n(-5).bit_count(), n(0).bit_length())
    print(u8(n(300)), i32(n(1 << 31)), u32(n(-1)), u64(n(-1)), int(un(5)), un(-1) >> 60, un(-1) % 10, un(-1) // 3)
    print(min(n(3), n(2), n(9)), max([n(3), n(8)]), sum([n(1), n(2)]), sum(i * i for i in range(n(4))), any([n(0), n(0)]), all([n(1), n(0)]))
    print(min([i % 3 for i in range(n(2), n(6))]))


@struct
class P:
    x: u8
    y: i8
    z: u32


@noinline
def fill(p: P, n: int) -> None:
    p.x = u8(n)
    p.y = i8(n)
    p.z = u32(n)


def stored() -> None:
    p = P(x=1, y=-1, z=5)
    q = p.copy()
    fill(p, 300)
    print(p.x, p.y, p.z, q.x, q.y, q.z)
    a: Array[u16, Literal[4]] = Array()
    a[1] = 65535
    a[3] += 7
    a[-1] += 1
    b = a.copy()
    a.fill(3)
    s = 0
    for v in b:
        s = s * 10 + v
    print(a[1], b[1], b[3], s, len(a), 3 in a, 9 in a)
    sp = b.span()
    t = sp[1:3]
    t[0] = 5
    print(b[1], len(t), t[1], sp[-1])


def main() -> None:
    numbers()
    stored()


if __name__ == "__main__":
    main()
