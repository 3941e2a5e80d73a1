"""Generators: ended early, nested, with exceptions, over what changes meanwhile."""

from __future__ import annotations

from collections.abc import Iterator

from kernel.lang import noinline
from kernel.lang.errors import KernelError


def count(n: int) -> Iterator[int]:
    print("start", n)
    i = 0
    while i < n:
        yield i
        i += 1
    print("end", n)


def pairs(items: list[int]) -> Iterator[tuple[int, int]]:
    for k, x in enumerate(items):
        if x < 0:
            return
        yield k, x


def nested(n: int) -> Iterator[int]:
    for i in count(n):
        for j in count(i):
            yield i * 10 + j


def some(limit: int) -> Iterator[int]:
    for i in range(100):
        if i % 3 == 0:
            continue
        if i > limit:
            break
        yield i
    else:
        yield -1
    yield -2


@noinline
def first(n: int) -> int:
    for x in count(n):
        if x == 2:
            return x * 100
    else:
        return -1
    return -5


def shadow(i: int) -> Iterator[int]:
    for k in range(i):
        i += 1
        yield i + k


def plain() -> None:
    i = 50
    for x in count(3):
        print(x)
    for x in count(0):
        print("no")
    else:
        print("else")
    for k, v in pairs([1, 2, -1, 4]):
        print(k, v)
        if k == 0:
            continue
        print("second")
    for x in nested(3):
        print(x)
        if x == 20:
            break
    for x in some(4):
        print(x)
    print(first(5), first(1))
    for k in shadow(3):
        print(k, i)
        k = 100
        i += 1
    n = 2
    for x in count(n):
        n = 10
        print(x, n)
    items = [1, 2]
    for k, v in pairs(items):
        if len(items) < 4:
            items.append(v + 5)
        print(k, v)
    print(sum(x for x in count(4)), [x for x in some(7)][1], any(x == 1 for x in count(5)))


class C:
    def __init__(self) -> None:
        self.items = [1, 2, 3]

    def each(self) -> Iterator[int]:
        for x in self.items:
            yield x
            self.items = [9]

    def both(self, other: C) -> Iterator[int]:
        for x in self.each():
            yield x
        for x in other.each():
            yield -x


def of_objects() -> None:
    c = C()
    d = C()
    for x in c.both(d):
        print(x)
        if x == 2:
            c = C()
    print(len(c.items), len(d.items))
    for x in c.each():
        try:
            if x == 2:
                continue
            print("try", x)
        finally:
            print("fin", x)


class Bad(KernelError):
    def __init__(self, code: int) -> None:
        self.code = code


def gen(n: int) -> Iterator[int]:
    for i in range(n):
        if i == 3:
            raise Bad(i)
        yield i


def use() -> int:
    total = 0
    try:
        for x in gen(5):
            total += x
            if total > 100:
                raise Bad(7)
    except Bad as e:
        return total * 10 + e.code
    return total


def use2() -> int:
    for x in gen(2):
        try:
            raise Bad(x)
        except Bad as e:
            print("in body", e.code)
    return 1


def raising() -> None:
    print(use(), use2())


def main() -> None:
    plain()
    of_objects()
    raising()


if __name__ == "__main__":
    main()
