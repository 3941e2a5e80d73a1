"""Structs in structs, spans, rings of all widths, byte strings."""

from __future__ import annotations

from typing import Literal

from kernel.lang import Array, Span, bytes_of, i8, i16, i32, span_of, struct, u8, u32, u64


@struct
class Point:
    x: i32
    y: i32

    def manhattan(self) -> int:
        return abs(self.x) + abs(self.y)


@struct
class Rect:
    a: Point
    b: Point
    flags: u8
    tag: Array[u8, Literal[4]]

    @property
    def width(self) -> int:
        return self.b.x - self.a.x


def grow(r: Rect, by: int) -> None:
    r.b.x += by
    r.b.y += by


def fresh(n: int) -> Point:
    return Point(x=n, y=-n)


def fill(s: Span[u8], v: int) -> None:
    for i in range(len(s)):
        s[i] = u8(v + i)


def parse(s: Span[u8]) -> int:
    kind = s[0]
    if kind == 1:
        return s.load_u16(1)
    elif kind == 2:
        return s.load_be32(1)
    return int(s.load_u64(1) & 0xFFFF)


def main() -> None:
    r = Rect()
    r.a = fresh(1)
    r.b = fresh(10)
    grow(r, 5)
    print(r.a.x, r.a.y, r.b.x, r.b.y, r.width, r.b.manhattan())
    q = r.copy()
    q.a.x = 99
    print(r.a.x, q.a.x)
    r.b.x = 77
    print(r.b.x)
    r.tag[1] = 200
    print(bytes(bytes_of(r)))
    buf = bytearray(16)
    s = span_of(buf)
    fill(s[4:8], 250)
    print(bytes(buf))
    s.store_u32(0, 0xDEADBEEF)
    s.store_u16(8, 0x1234)
    print(bytes(buf), s.load_be16(0), s.load_u32(0), s.load_u64(0))
    s[8:12].copy_from(s[0:4])
    print(bytes(buf))
    s[12:].fill(0xAA)
    print(buf[15], len(s[12:]), len(s[:4]))
    print(parse(span_of(b"\x01\x02\x03")), parse(span_of(b"\x02\0\0\1\0")), parse(span_of(b"\x03\xff\xee\0\0\0\0\0\0")))
    x = u32(0xFFFFFFFF + 2)
    print(x, u8(300), i8(200), i16(40000), u64(-1), int(u64(5)), i32(2**31))
    h = 5381
    for c in b"hello world":
        h = u32(h * 33 + c)
    print(h)
    z: u64 = u64(1) << 63
    print(z, z >> 62, z | 1, z ^ z, ~0, f"{z:x}")
    acc = u64(14695981039346656037)
    for c in b"fnv":
        acc = u64((acc ^ c) * 1099511628211)
    print(acc)
    a: Array[Point, Literal[3]] = Array()
    a[1].x = 5
    a[2] = fresh(3)
    print(a[0].x, a[1].x, a[2].y, len(a))
    total = 0
    for pt in a:
        total += pt.x
    print(total)
    b = bytearray(b"abc")
    b[0] = 65
    b.extend(bytearray(b"xyz"))
    b += b"!"
    print(bytes(b), b.pop(), len(b), 65 in b, b[-1])
    del b[:2]
    b.clear()
    print(len(b), bytes(3), bytes([1, 2, 3]), b"abc"[1], b"abc"[-1], b"abcdef"[2:4], b"a" + b"b" * 3)
    print(b"a.b.c".find(b"."), b"a.b.c".rfind(b"."), b"abc".startswith(b"ab"), b"abc".endswith(b"bc"), b"bc" in b"abc", 97 in b"abc")
    print(b"x=1".split(b"=")[1], b"".join([b"a", b"b"]), b"abc" < b"abd", b"abc".decode(), b"abc")
    print((1234).to_bytes(4, "little"), int.from_bytes(b"\x01\x02", "big"), (5).bit_length(), (255).bit_count())


if __name__ == "__main__":
    main()
