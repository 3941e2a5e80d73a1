"""A packet header with bit-fields, generators, deque, formats, rings."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Literal

from kernel.lang import (
    Array,
    Span,
    be16,
    be32,
    bytes_of,
    offsetof,
    sizeof,
    span_of,
    struct,
    struct_at,
    u8,
    u32,
    u64,
)


@struct(packed=True)
class Header:
    version_ihl: u8
    tos: u8
    length: be16
    ident: be16
    flags: be16
    source: be32
    rest: Array[u8, Literal[6]]

    @property
    def version(self) -> int:
        return self.version_ihl >> 4

    @property
    def ihl(self) -> int:
        return self.version_ihl & 15

    @ihl.setter
    def ihl(self, value: int) -> None:
        self.version_ihl = u8(self.version_ihl & 0xF0 | value)


def evens(n: int) -> Iterator[int]:
    i = 0
    while i < n:
        if i % 2 == 0:
            yield i
        i += 1


def pairs(n: int) -> Iterator[tuple[int, str]]:
    for i in evens(n):
        yield i, f"<{i}>"


def checksum(s: Span[u8]) -> int:
    total = 0
    for i in range(0, len(s), 2):
        total += s.load_be16(i)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def rotl(x: u64, n: int) -> u64:
    return u64(x << n) | (x >> (64 - n))


def main() -> None:
    h = Header()
    h.version_ihl = 0x45
    h.length = 20
    h.source = 0xC0A80001
    h.ihl = 6
    print(h.version, h.ihl, h.length, sizeof(Header), offsetof(Header, "source"))
    print(checksum(bytes_of(h)))
    data = bytearray(b"\x45\x00\x00\x54" + b"\0" * 14)
    view = struct_at(Header, span_of(data), 0)
    view.ident = 0xBEEF
    print(data[4], data[5], view.length)
    print(sum([e for e in evens(9)]))
    for i, t in pairs(5):
        print(i, t)
    d: deque[int] = deque()
    d.append(1)
    d.appendleft(0)
    d.append(2)
    print(len(d), d[0], d[2], d.popleft(), d.pop())
    for x in d:
        print(x)
    y: u64 = u64(0x123456789ABCDEF0)
    print(rotl(y, 13), f"{y:#x} {y:016X} {int(y & 0xFF):b}")
    print(f"{42:5d}|{42:<5}|{42:>5}|{42:05}|{255:#04x}|{7:#b}|{8:o}")
    print(f"{'ab':>5}|{'ab':<5}|{'ab'!r}|{b'ab'!r}|{True}")
    b = bytearray()
    b += b"hello"
    b.append(33)
    b.extend(b" world")
    print(len(b), bytes(b), bytes(b[1:3]), b[0])
    del b[:2]
    print(bytes(b).find(b"wor"), len(b"a,b,c".split(b",")), b" x ".strip(), b"/".join([b"a", b"b"]))
    print(1 << 40, -17 // 5, -17 % 5, -17 >> 2, 5 & -2, ~5)
    a: Array[u32, Literal[4]] = Array()
    a[2] = 7
    for v in a:
        print(v)
    print()


if __name__ == "__main__":
    main()
