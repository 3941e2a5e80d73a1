"""Quicksort of a list of ints."""

from __future__ import annotations

from kernel.lang import noinline


@noinline
def quicksort(values: list[int], low: int, high: int) -> None:
    if low >= high:
        return
    pivot = values[(low + high) // 2]
    i = low
    j = high
    while i <= j:
        while values[i] < pivot:
            i += 1
        while values[j] > pivot:
            j -= 1
        if i <= j:
            kept = values[i]
            values[i] = values[j]
            values[j] = kept
            i += 1
            j -= 1
    quicksort(values, low, j)
    quicksort(values, i, high)


@noinline
def run(rounds: int) -> int:
    values = [0] * 1000
    result = 0
    state = 1
    for _ in range(rounds):
        for place in range(1000):
            state = (state * 1103515245 + 12345) & 0x7FFFFFFF
            values[place] = state
        quicksort(values, 0, 999)
        result ^= values[500]
    return result


def main() -> None:
    print(run(10))


if __name__ == "__main__":
    main()
