"""What is known of the ranges of locals everywhere in a loop, from all that the loop writes: in each of the ways in
which a local may be written, one turn writes a number that nothing else does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

from kernel.lang import Array, Errno, noinline, u8, u32

LEAST = -(1 << 63)
MOST = (1 << 63) - 1


class Table:
    keys: Array[u32, Literal[16]]


def row(numbers: list[int]) -> str:
    return " ".join([str(number) for number in numbers])


@noinline
def search(table: Table, count: int, key: int) -> int:
    low = 0
    high = count
    while low < high:
        middle = (low + high) >> 1
        if table.keys[middle] <= key:
            low = middle + 1
        else:
            high = middle
    return low - 1


@noinline
def probe(table: Table, key: int) -> int:
    place = key & 15
    turns = 0
    while table.keys[place] != key and turns < 16:
        place = (place + 5) & 15
        turns += 1
    return place * 100 + turns


@noinline
def below_by_subtraction(numbers: list[int]) -> int:
    state = 0
    below = 0
    for number in numbers:
        if state < 0:
            below += 1
        state = (number & 7) - 2
    return below


@noinline
def by_tuple(turns: int) -> int:
    a = 5
    b = 3
    below = 0
    for _ in range(turns):
        if a < 0:
            below += 1
        a, b = b, a - b
    return below * 100 + a


@noinline
def by_inner_loop(turns: int) -> int:
    left = 10
    below = 0
    for _ in range(turns):
        if left < 0:
            below += 1
        for _ in range(3):
            left -= 2
        else:
            left += 1
    return below * 100 + left


@noinline
def by_cleanup(turns: int) -> int:
    state = 4
    below = 0
    for turn in range(turns):
        try:
            if state < 0:
                below += 1
                continue
            state = turn & 3
            if state == 2:
                continue
            if state == 3:
                break
        finally:
            state = turn - 2
    return below * 100 + state


@noinline
def by_handler(codes: list[int]) -> int:
    state = 0
    below = 0
    for code in codes:
        try:
            if state < 0:
                below += 1
            state = 1
            if code != 0:
                raise Errno(code)
        except Errno as error:
            state = error.code
    return below


@noinline
def by_walrus(numbers: list[int]) -> int:
    seen = 1
    below = 0
    place = 0
    while place < len(numbers) and (seen >= 0 or (below := below + 1) > 0) and (seen := numbers[place]) != 99:
        place += 1
    return below * 100 + place


@noinline
def by_match(numbers: list[int]) -> int:
    state = 3
    below = 0
    for number in numbers:
        if state < 0:
            below += 1
        match number:
            case 1:
                state = 1
            case 2:
                state = -1
            case other:
                state = other
    return below


def runs(numbers: list[int]) -> Iterator[int]:
    state = 0
    for number in numbers:
        if state < 0:
            yield -1
        yield state
        state = number


@noinline
def by_generator(numbers: list[int]) -> int:
    state = 2
    below = 0
    for number in runs(numbers):
        if state < 0:
            below += 1
        state = number
    return below


def repeated(count: int, step: Callable[[int], int]) -> int:
    state = 0
    below = 0
    while count > 0:
        count -= 1
        if state < 0:
            below += 1
        state = step(state)
    return below


@noinline
def by_target() -> int:
    below = 0
    place = 7
    for _ in range(2):
        if place < 0:
            below += 1
        for place in range(3, -3, -2):
            below += 10 if place < 0 else 0
    return below * 10 + place


@noinline
def never_taken(limit: int) -> int:
    number = 10
    for _ in range(limit):
        if number < 5:
            number = number + 20
        if number > 40:
            number = -number
    return number


@noinline
def after_break(numbers: list[int]) -> int:
    last = 0
    while True:
        for number in numbers:
            if number == 7:
                last = -number
                break
            last = number & 3
        if last < 0:
            return last
        numbers.append(7)


@noinline
def wide(start: int, step: int) -> int:
    number = start
    turns = 0
    while turns < 4:
        turns += 1
        if step < 0 and number < LEAST - step:
            number = MOST
        elif step > 0 and number > MOST - step:
            number = LEAST
        else:
            number += step
    return number


@noinline
def narrow(data: list[int]) -> int:
    total = 0
    last: u8 = u8(0)
    for number in data:
        total = total * 2 + (1 if last > 127 else 0)
        last = u8(number)
    return total


@noinline
def empty(count: int) -> int:
    state = 5
    for _ in range(count):
        state = -1
    while count > 100:
        state = -2
        count -= 1
    return state if state >= 0 else state * 10


def main() -> None:
    table = Table()
    for place in range(16):
        table.keys[place] = place * 3
    print(row([search(table, count, key) for count in (0, 1, 15, 16) for key in (-1, 0, 4, 44, 45, 99)]))
    print(row([probe(table, key) for key in (0, 9, 15, 44, 45, -1)]))
    print(below_by_subtraction([1, 0, 9, 4]), by_tuple(2), by_tuple(7), by_inner_loop(4), by_inner_loop(0))
    print(by_cleanup(0), by_cleanup(1), by_cleanup(2), by_cleanup(9), by_handler([0, -4, 4, -1, 0]), by_handler([]))
    print(by_walrus([1, -1, 2, -5, 3, 99]), by_walrus([]), by_match([1, 2, 3, -8, 2]), by_generator([1, -2, 3]))
    print(repeated(5, lambda state: 1 - state * 2), repeated(3, lambda state: state - 1), repeated(-2, lambda _: -1))
    print(by_target(), never_taken(9), never_taken(0), after_break([1, 2]), after_break([7]))
    print(wide(0, 1 << 62), wide(5, LEAST), wide(LEAST, -1), narrow([1, 200, 300, 400]), empty(0), empty(3), empty(102))


if __name__ == "__main__":
    main()
