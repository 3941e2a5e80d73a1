"""Structs: layout, keyword construction, copies, nesting, packed, big-endian fields, methods, views of bytes."""

from __future__ import annotations

from typing import Literal

from kernel.lang import Array, be16, be32, bytes_of, offsetof, sizeof, span_of, struct, struct_at, u8, u16, u32, u64


@struct
class Point:
    x: int
    y: int

    def manhattan(self) -> int:
        return abs(self.x) + abs(self.y)


@struct
class Mixed:
    flag: u8
    count: u32
    kind: u16
    large: u64
    where: Point
    tail: Array[u8, Literal[3]]


@struct(packed=True)
class Packed:
    flag: u8
    count: u32
    kind: u16


@struct
class Header:
    source: be16
    target: be16
    length: be32


class Holder:
    point: Point
    number: int

    def __init__(self) -> None:
        self.number = 1


def move(point: Point, dx: int) -> None:
    point.x += dx


def make(x: int) -> Point:
    return Point(x=x, y=-x)


def main() -> None:
    point = Point(x=3, y=-4)
    move(point, 10)
    print(point.x, point.y, point.manhattan())
    other = point.copy()
    other.x = 100
    print(point.x, other.x, make(6).manhattan())
    print(sizeof(Point), sizeof(Mixed), sizeof(Packed), sizeof(Header))
    print(offsetof(Mixed, "count"), offsetof(Mixed, "kind"), offsetof(Mixed, "large"), offsetof(Mixed, "tail"))
    print(offsetof(Packed, "count"), offsetof(Packed, "kind"))
    mixed = Mixed()
    mixed.where.x = 5
    mixed.where = point
    point.x = 0
    mixed.tail[2] = 9
    mixed.count = 4000000000
    print(mixed.where.x, mixed.tail[2], mixed.flag, mixed.count)
    holder = Holder()
    holder.point.x = 77
    holder.point.y += 1
    print(holder.point.x, holder.point.y, holder.point.manhattan())
    buffer = bytearray(b"\x00\x50\x01\xbb\x00\x00\x05\xdc")
    header = struct_at(Header, span_of(buffer), 0)
    print(header.source, header.target, header.length)
    header.target = 8080
    print(buffer[2], buffer[3])
    raw = bytes_of(header)
    print(len(raw), raw[0], raw[1])


if __name__ == "__main__":
    main()
