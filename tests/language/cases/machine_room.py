from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import IntEnum, IntFlag
from typing import Generic, NewType, Protocol, TypeVar

from kernel.lang import (
    KernelError,
    Weak,
    final,
    u64,
    weak,
)

Pid = NewType("Pid", int)


class Sized(Protocol):
    def size(self) -> int: ...


S = TypeVar("S", bound=Sized)
K = TypeVar("K")
V = TypeVar("V")


class File:
    def __init__(self, n: int) -> None:
        self.n = n

    def size(self) -> int:
        return self.n


class Dir:
    def __init__(self, files: list[File]) -> None:
        self.files = files

    def size(self) -> int:
        return sum([f.size() for f in self.files])


def biggest(items: list[S]) -> S:
    best = items[0]
    for item in items[1:]:
        if item.size() > best.size():
            best = item
    return best


class Cache(Generic[K, V]):
    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.data: dict[K, V] = {}
        self.order: deque[K] = deque()
        self.hits = 0

    def get(self, key: K, make: Callable[[K], V]) -> V:
        found = self.data.get(key)
        if found is not None:
            self.hits += 1
            return found
        value = make(key)
        self.data[key] = value
        self.order.append(key)
        if len(self.order) > self.limit:
            del self.data[self.order.popleft()]
        return value


class P(IntFlag):
    R = 4
    W = 2
    X = 1
    ALL = 7


class Op(IntEnum):
    PUSH = 0
    ADD = 1
    MUL = 2
    JNZ = 3
    DEC = 4
    HALT = 5


class VmError(KernelError):
    def __init__(self, code: int) -> None:
        self.code = code


def execute(program: list[int], limit: int) -> int:
    stack: list[int] = []
    pc = 0
    steps = 0
    while True:
        steps += 1
        if steps > limit:
            raise VmError(pc)
        op = Op(program[pc])
        match op:
            case Op.PUSH:
                stack.append(program[pc + 1])
                pc += 2
            case Op.ADD | Op.MUL:
                b = stack.pop()
                a = stack.pop()
                stack.append(a + b if op == Op.ADD else a * b)
                pc += 1
            case Op.DEC:
                stack[-1] -= 1
                pc += 1
            case Op.JNZ:
                pc = program[pc + 1] if stack[-1] != 0 else pc + 2
            case Op.HALT:
                return stack[-1]


def rwx(p: P) -> str:
    text = ""
    for flag, letter in ((P.R, "r"), (P.W, "w"), (P.X, "x")):
        text += letter if flag in p else "-"
    return text


def fib(cache: dict[int, u64], n: int) -> u64:
    if n < 2:
        return u64(n)
    known = cache.get(n)
    if known is not None:
        return known
    value = fib(cache, n - 1) + fib(cache, n - 2)
    cache[n] = value
    return value


@final
class Tree:
    def __init__(self, key: int) -> None:
        self.key = key
        self.left: Tree | None = None
        self.right: Tree | None = None

    def insert(self, key: int) -> None:
        if key < self.key:
            if self.left is None:
                self.left = Tree(key)
            else:
                self.left.insert(key)
        elif key > self.key:
            if self.right is None:
                self.right = Tree(key)
            else:
                self.right.insert(key)

    def walk(self, visit: Callable[[int], None]) -> None:
        if self.left is not None:
            self.left.walk(visit)
        visit(self.key)
        if self.right is not None:
            self.right.walk(visit)


def show(key: int) -> None:
    print(f"key {key:>3}")


def words(text: bytes) -> dict[bytes, int]:
    counts: dict[bytes, int] = {}
    for word in text.split():
        counts[word] = counts.get(word, 0) + 1
    return counts


def main() -> None:
    d = Dir([File(3), File(9)])
    print(biggest([File(2), File(8), File(5)]).size(), biggest([d]).size())
    c: Cache[int, str] = Cache(2)
    for key in (1, 2, 1, 3, 1):
        print(c.get(key, lambda k: f"value {k}"), c.hits, len(c.data))
    print(rwx(P.ALL), rwx(P.R | P.X), rwx(P(0)), int(P.ALL & ~P.W), P.W in P.ALL)
    print(execute([0, 2, 0, 3, 1, 0, 4, 2, 5], 100), execute([0, 5, 4, 3, 2, 5], 100))
    try:
        execute([0, 1, 3, 0], 50)
    except VmError as e:
        print("vm", e.code)
    memo: dict[int, u64] = {}
    print(fib(memo, 90), len(memo))
    t = Tree(50)
    for key in (30, 70, 20, 40, 60, 80, 30):
        t.insert(key)
    t.walk(show)
    for word, count in words(b"the cat the dog  a cat the end").items():
        print(word, count)
    pid = Pid(7)
    print(pid + 1, pid == 7)
    w: Weak[Tree] = weak(t)
    got = w.get()
    print(got is t)
    q: deque[int] = deque()
    for i in range(10):
        q.append(i)
        if len(q) > 4:
            q.popleft()
    q.appendleft(-1)
    q.remove(8)
    print(len(q), q[0], q[-1], sum([x for x in q]), 9 in q, 8 in q)
    grid: list[list[int]] = [[0] * 4 for _ in range(3)]
    grid[1][2] = 5
    grid[2][-1] += 7
    for row in grid:
        print(row[0], row[1], row[2], row[3])
    nested: dict[str, dict[int, list[str]]] = {"a": {1: ["x", "y"]}}
    nested["a"].setdefault(2, []).append("z")
    nested.setdefault("b", {})[9] = ["w"]
    for outer, inner in nested.items():
        for number, texts in inner.items():
            print(outer, number, "/".join(texts))
    values = [5, 3, 9, 1]
    values.sort()
    values.insert(1, 42)
    values.remove(9)
    values.extend([7, 7])
    values.reverse()
    print(values.index(42), values.count(7), values[1:4][0], values.pop(0), values[-2], len(values[:-1]), sorted(values)[0])
    del values[0]
    del values[1:3]
    print(len(values), values[0])


if __name__ == "__main__":
    main()
