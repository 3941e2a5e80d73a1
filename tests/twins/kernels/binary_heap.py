"""A binary heap in an array: a priority queue of deadlines."""

from __future__ import annotations

from typing import Literal

from kernel.lang import Array, noinline


class Heap:
    count: int
    keys: Array[int, Literal[1024]]

    def __init__(self) -> None:
        self.count = 0


@noinline
def push(heap: Heap, key: int) -> None:
    place = heap.count
    heap.count += 1
    while place > 0:
        parent = (place - 1) >> 1
        if heap.keys[parent] <= key:
            break
        heap.keys[place] = heap.keys[parent]
        place = parent
    heap.keys[place] = key


@noinline
def pop(heap: Heap) -> int:
    least = heap.keys[0]
    heap.count -= 1
    count = heap.count
    key = heap.keys[count]
    place = 0
    while True:
        child = place * 2 + 1
        if child >= count:
            break
        if child + 1 < count and heap.keys[child + 1] < heap.keys[child]:
            child += 1
        if key <= heap.keys[child]:
            break
        heap.keys[place] = heap.keys[child]
        place = child
    heap.keys[place] = key
    return least


@noinline
def run(rounds: int) -> int:
    heap = Heap()
    total = 0
    state = 1
    for _ in range(rounds):
        for _ in range(500):
            state = (state * 1103515245 + 12345) & 0x7FFFFFFF
            push(heap, state)
        for number in range(500):
            total ^= pop(heap) + number
    return total


def main() -> None:
    print(run(10))


if __name__ == "__main__":
    main()
