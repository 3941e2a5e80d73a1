"""Algorithms over lists: quicksort, merge, binary search, sieve, permutations, eight queens."""

from __future__ import annotations


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
            values[i], values[j] = values[j], values[i]
            i += 1
            j -= 1
    quicksort(values, low, j)
    quicksort(values, i, high)


def search(values: list[int], wanted: int) -> int:
    low = 0
    high = len(values)
    while low < high:
        middle = (low + high) // 2
        if values[middle] < wanted:
            low = middle + 1
        else:
            high = middle
    return low


def primes(limit: int) -> list[int]:
    composite = [False] * (limit + 1)
    result: list[int] = []
    for candidate in range(2, limit + 1):
        if not composite[candidate]:
            result.append(candidate)
            for multiple in range(candidate * candidate, limit + 1, candidate):
                composite[multiple] = True
    return result


def queens(row: int, columns: list[int], size: int) -> int:
    if row == size:
        return 1
    found = 0
    for column in range(size):
        safe = True
        for earlier in range(row):
            if columns[earlier] == column or abs(columns[earlier] - column) == row - earlier:
                safe = False
                break
        if safe:
            columns.append(column)
            found += queens(row + 1, columns, size)
            columns.pop()
    return found


def main() -> None:
    state = 42
    values: list[int] = []
    for _ in range(300):
        state = (state * 1664525 + 1013904223) % 4294967296
        values.append(state % 1000 - 500)
    expected = sorted(values)
    quicksort(values, 0, len(values) - 1)
    same = True
    for place, value in enumerate(values):
        if value != expected[place]:
            same = False
    print(same, values[0], values[150], values[299], search(values, 0))
    found = primes(200)
    print(len(found), found[-1], sum(found))
    print(queens(0, [], 6))


if __name__ == "__main__":
    main()
