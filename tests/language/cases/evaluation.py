from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from kernel.lang import Array, Errno, KernelError, i8, i16, i32, noinline, struct, u8, u16, u32, u64


class Other(KernelError):
    code: int

    def __init__(self, code: int) -> None:
        self.code = code


def note(text: str, value: int) -> int:
    print(text)
    return value


def order() -> None:
    values = [0, 0, 0, 0]
    values[note("index", 1)] = note("value", 5)
    values[note("i2", 2)] += note("v2", 3)
    print(values[1], values[2])
    x = note("a", 1) + note("b", 2) * note("c", 3)
    print(x, note("l", 1) < note("m", 0) < note("never", 3))
    d: dict[int, int] = {note("k1", 1): note("v1", 1), note("k2", 2): note("w2", 2)}
    d[note("key", 1)] -= note("dec", 4)
    print(d[1], d[2])
    a, b = note("p", 1), note("q", 2)
    values[0], values[3] = b, a
    print(values[0], values[3], note("t", 1) if note("cond", 0) else note("e", 2))
    print(note("or1", 0) or note("or2", 7), note("and1", 0) and note("never", 7))


def finals(n: int) -> int:
    for i in range(5):
        try:
            if i == n:
                raise Errno(i + 1)
            if i == n + 1:
                continue
            if i == n + 2:
                return i * 10
        except Errno as e:
            try:
                if e.code == 2:
                    raise Other(77)
                print("code", e.code)
            finally:
                print("inner", i)
        finally:
            print("outer", i)
    return -1


def wrapped(n: int) -> str:
    try:
        return f"ok {finals(n)}"
    except Other as e:
        return f"other {e.code}"


class Lock:
    def __init__(self, name: str, fail: bool = False) -> None:
        self.name = name
        self.fail = fail

    def __enter__(self) -> int:
        print("lock", self.name)
        if self.fail:
            raise Errno(11)
        return len(self.name)

    def __exit__(self, kind: object, value: object, trace: object) -> None:
        print("unlock", self.name)


def withs(fail: bool, leave: bool) -> int:
    try:
        with Lock("a") as a, Lock("bb", fail) as b:
            print(a, b)
            if leave:
                return a + b
            raise Other(a * b)
    except Other as e:
        print("other", e.code)
        return e.code
    except Errno as e:
        print("errno", e.code)
    finally:
        print("done")
    return 0


def countdown(n: int) -> Iterator[int]:
    while n > 0:
        got = n * n
        yield got
        if got == 4:
            return
        n -= 1


def pairs(limit: int) -> Iterator[tuple[int, int]]:
    for x in range(limit):
        for y in countdown(x):
            if y == 9:
                break
            yield x, y


@struct
class Vec:
    x: i16
    y: i16

    def plus(self, other: Vec) -> Vec:
        return Vec(x=self.x + other.x, y=self.y + other.y)

    def scale(self, k: int) -> None:
        self.x *= k
        self.y *= k


@struct
class Body:
    pos: Vec
    vel: Vec
    trail: Array[Vec, Literal[3]]


@noinline
def edge(x: int) -> None:
    print(x // 7, x % 7, x // -7, x % -7, -x // 2, x >> 3, x & 0xFF, x ^ -1, abs(x))


def main() -> None:
    order()
    for n in range(4):
        print(wrapped(n))
    print(withs(False, True), withs(False, False), withs(True, False))
    print(sum([v for v in countdown(5)]), sum([x * y for x, y in pairs(5) if x > 1]))
    for x, y in pairs(4):
        print(x, y)
    b = Body()
    b.vel = Vec(x=2, y=-3)
    for i in range(3):
        b.pos = b.pos.plus(b.vel)
        b.trail[i] = b.pos
    b.trail[1].scale(-2)
    print(b.pos.x, b.pos.y, b.trail[0].x, b.trail[1].y, b.trail[2].x)
    c = b.copy()
    c.trail[0].x = 99
    c.pos = c.trail[0]
    c.trail[0].x = 1
    print(b.trail[0].x, c.pos.x, c.trail[0].x)
    for v in (0, 1, -1, 13, -13, 0x7FFFFFFFFFFFFFFF, -0x7FFFFFFFFFFFFFFF, 1 << 40):
        edge(v)
    total: u8 = 250
    for _ in range(3):
        total = u8(total + 3)
    print(total, i8(total), u16(-1), u32(1 << 35), i32(-5 * 3), u64(1) - u64(1))
    s = "añ€"
    print(len(s), len(s.encode()), s == "añ€", f"{s:>6}|{s!r}", s + s)
    k = 10
    while True:
        k -= 3
        if k < 0:
            break
        if k % 2:
            continue
        print("k", k)
    print(5 in range(0, 10), 10 in range(10), 3 not in [1, 2], 3 not in (1, 2))
    data = bytes([1, 2, 250]) + b"\x00\xff" * 2
    print(data, data[2:5], data[-3:], len(data), data.rfind(b"\xff"), max(data))
    big = 0
    for byte in data:
        big = (big << 8 | byte) & 0xFFFFFFFFFF
    print(f"{big:x} {big:#014x} {big:>15d} {-big:x}")


if __name__ == "__main__":
    main()
