"""What is known of the ranges of locals: names in several scopes, bodies that stand in several places, and the edges of
numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from kernel.lang import Errno, Span, noinline, span_of, struct, u8, u64

LEAST = -(1 << 63)
MOST = (1 << 63) - 1


def far_and_near() -> Iterator[int]:
    yield 1 << 40
    yield 5
    yield -2


@noinline
def repeated_body(least: int) -> int:
    total = 0
    for limit in far_and_near():
        number = least
        step = 1
        while number < limit:
            number += step
            step += step
        total += number
    return total


@noinline
def doubled(limit: int) -> int:
    place = 0
    turns = 0
    while place < limit:
        place += 1
        limit -= 2 if place % 2 == 0 else 0
        turns += place
    return turns * 100 + limit


@noinline
def skipped(numbers: list[int]) -> int:
    last = 0
    below = 0
    place = 0
    while place < len(numbers):
        number = numbers[place]
        place += 1
        if last < 0:
            below += 1
        if number == 7:
            last = -number
            continue
        if number == 8:
            last = number - 9
            break
        last = number & 3
    return below * 100 + last


@noinline
def ended(numbers: list[int]) -> int:
    seen = 0
    negative = 0
    while True:
        if seen < 0:
            negative += 1
        try:
            if numbers[seen if seen >= 0 else 0] == 3:
                raise Errno(3)
            seen += 1
        except Errno as error:
            seen = -error.code
        finally:
            negative += 10 if seen < 0 else 0
        if seen < 0 or seen + 1 >= len(numbers):
            break
    return seen * 1000 + negative


@noinline
def hidden(numbers: list[int]) -> int:
    number = 3
    places = [number for number in numbers if number < 0]
    kept = sum(number for number in numbers)
    if number < 0:
        return -1
    return number * 1000 + len(places) * 100 + kept


def applied(count: int, change: Callable[[int], int]) -> int:
    number = 0
    below = 0
    while number < count:
        number += 1
        if change(number) < 0:
            below += 1
    return below


@noinline
def enclosed(base: int) -> int:
    number = base if base >= 0 else 0

    def lower(amount: int) -> int:
        number = amount - 3
        return number - base

    return applied(6, lambda number: number - 4) * 100 + applied(5, lower) * 10 + number


@noinline
def assigned_inside(values: list[int]) -> int:
    kept = 0
    below = 0
    for value in values:
        if kept < 0:
            below += 1
        if (kept := value) > 2 and (kept := kept - 9) < -4:
            below += 100
    return below


@noinline
def captured(values: list[int]) -> int:
    found = 0
    below = 0
    for value in values:
        if found < 0:
            below += 1
        match value:
            case 4:
                found = 1
            case found if found < -1:
                below += 10
            case _:
                found = 2
    return below * 10 + found


@noinline
def forgotten(values: list[int]) -> int:
    total = 0
    for value in values:
        size = value
        if size < 0:
            total += 1
        del size
        size = 5
        total += size
    return total


@noinline
def never(start: int) -> int:
    place = start
    for place in range(start, 0, -1):
        if place == 2:
            break
    while place > 9:
        place -= 100
    return place


@noinline
def downwards(first: int, last: int) -> int:
    total = 0
    for place in range(first, last, -3):
        total = total * 10 + (1 if place < 0 else 2)
    for _ in range(5, 9, -1):
        total = -1
    return total


@noinline
def edges(number: int) -> str:
    text = ""
    if number < LEAST + 1:
        text += f"least {number + MOST}"
    if number > MOST - 1:
        text += f"most {number - MOST}"
    if number - 1 >= 0 if number > LEAST else False:
        text += f" {number - 1}"
    if LEAST < number <= 0:
        text += f" {-number}"
    return text


@noinline
def shifted(number: int, by: int) -> int:
    if by < 0:
        return number >> by if by < -99 else number << -by
    if by > 63:
        return number << by if by > 99 else number >> (by - 64)
    return number << by


@noinline
def wrapped(number: int) -> int:
    size = u64(number)
    half = int(u64(size - u64(1 << 62)) >> 2)
    if half < 100:
        return number
    return number % 1000 if number < 0 else half % 1000


@noinline
def numbered(data: Span[u8], first: int) -> int:
    total = 0
    if first >= 0:
        for number, byte in enumerate(data, first):
            total += (number - first + 1) * byte
    return total


@struct
class Window:
    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first


@noinline
def length_of(window: Window) -> int:
    size = len(window)
    while size > 3:
        size = len(window) // 2
        window.last = window.first + size
    return size


@noinline
def both(a: int, b: int) -> int:
    if (a >= 3 and a < 9 and b > a and b < 20) or (a == 0 and b == 0):
        return a * 100 + b
    if not (a < 0 or b < 0 or a + 5 > b):
        return b - a - 5
    return -1 if a < 0 else -2


@noinline
def swapped(a: int, b: int) -> int:
    turns = 0
    while b != 0:
        a, b = b, a % b
        turns += 1
    return a * 100 + turns


@noinline
def counted_out(data: Span[u8]) -> int:
    total = 0
    left = len(data)
    while left > 0:
        left -= 1
        total = total * 2 + data[left]
        if data[left] == 9:
            left -= 1
    return total * 10 + left


def main() -> None:
    print(repeated_body(0), repeated_body(3), repeated_body(-7))
    print(doubled(9), doubled(0), doubled(-4))
    print(skipped([1, 7, 2, 7, 7, 1, 8, 4]), skipped([7]), skipped([]))
    print(ended([1, 2, 3, 4]), ended([1, 1]), ended([3]))
    print(hidden([-4, 5, -6]), hidden([]))
    print(enclosed(2), enclosed(-1))
    print(assigned_inside([1, 3, 12, 2, 4, 5]))
    print(captured([4, -5, 3, -2, -1, 9]))
    print(forgotten([3, -3, 0]))
    print(never(5), never(0), never(-3), never(120))
    print(downwards(7, -8), downwards(3, 4))
    print(edges(LEAST), edges(LEAST + 1), edges(MOST), edges(0), edges(3), edges(-3))
    print(shifted(-5, -3), shifted(5, 2), shifted(1 << 40, 70))
    print(wrapped(-5), wrapped(1 << 62), wrapped(7), wrapped(LEAST))
    print(numbered(span_of(b"\x01\x02\x03"), 4), numbered(span_of(b"\x01\x02\x03"), MOST - 2))
    print(length_of(Window(first=9, last=9)), length_of(Window(first=2, last=40)))
    print(both(3, 4), both(8, 19), both(0, 0), both(9, 14), both(-1, 2), both(5, 4), both(0, 5))
    print(swapped(48, 18), swapped(-48, 18), swapped(7, -3), swapped(0, 0))
    print(counted_out(span_of(b"\x01\x09\x03\x09")), counted_out(span_of(b"\x09")), counted_out(span_of(b"")))


if __name__ == "__main__":
    main()
