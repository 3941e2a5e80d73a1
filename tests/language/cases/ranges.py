"""What is known of the ranges of locals: loops, jumps, clean-up and generators that could make it wrong."""

from __future__ import annotations

from collections.abc import Iterator

from kernel.lang import Errno, Span, noinline, span_of, u8


@noinline
def below_zero(start: int) -> int:
    count = start
    turns = 0
    while count > -3:
        count -= 1
        turns += 1
    return count * 100 + turns


@noinline
def sign_of_next(numbers: list[int]) -> int:
    place = 0
    found = 0
    for number in numbers:
        if place < 0:
            found += 1
        place = number
    return found * 1000 + (place if place >= 0 else 0)


@noinline
def copied(numbers: list[int]) -> int:
    one = 0
    two = 0
    three = 0
    negative = 0
    for number in numbers:
        if one < 0:
            negative += 1
        one = two
        two = three
        three = number
    return negative


@noinline
def left_by_break(text: Span[u8], step: int) -> int:
    place = 0
    while place < len(text):
        if text[place] == 120:
            place -= 100
            break
        place += step
    else:
        place += 1000
    return place


@noinline
def cleaned_up(values: list[int]) -> int:
    level = 5
    total = 0
    for value in values:
        try:
            while level > 0:
                if value == level:
                    raise Errno(value)
                level -= 1
            total += 1
        except Errno as error:
            total += error.code * 10
            level = -7
        finally:
            rest = level
            while rest < 0:
                total += 100
                rest += 3
            level = 5 if rest > 0 else rest
    return total * 10 + level


@noinline
def returned_through(values: list[int]) -> int:
    kept = 3
    seen = 0
    try:
        for value in values:
            if value == 9:
                return seen + kept
            seen += value
    finally:
        kept = -1
        try:
            if seen > 3:
                raise Errno(1)
        except Errno:
            seen = 1 if kept < 0 else 2
        print("left with", seen, kept)
    return seen


def counted(limit: int) -> Iterator[int]:
    number = 0
    while number < limit:
        yield number
        number += 2


@noinline
def consumed(limit: int) -> int:
    least = 0
    for number in counted(limit):
        if least < 0:
            return least * 100 + number
        least = 3 - number
    return least


@noinline
def both_ends(text: Span[u8]) -> int:
    low = 0
    high = len(text) - 1
    while low <= high and text[low] == text[high]:
        low += 1
        high -= 1
    return low * 100 + high


@noinline
def stepped(first: int, last: int) -> int:
    total = 0
    for up in range(first, last, 3):
        total += up
    for down in range(last, first, -4):
        total -= down * 2
    for one in range(last, first):
        total += one * 1000
    return total


@noinline
def chained(a: int, b: int) -> int:
    if not (0 <= a < 10 and b >= a):
        return -a if a < 0 else a + 1
    while a < b or a < 3:
        a += 4
        if a > 20:
            a -= 50
            break
    return a * b


@noinline
def greatest(last: int) -> int:
    number = last - 3
    turns = 0
    while number <= last:
        turns += 1
        if number == last:
            break
        number += 1
    return turns


@noinline
def halves(high: int) -> int:
    low = 0
    total = 0
    while low < high:
        middle = (low + high) // 2
        total += middle
        if middle % 3 == 0:
            low = middle + 1
        else:
            high = middle - 1
    return total * 1000 + low - high


def main() -> None:
    print(below_zero(4), below_zero(-3))
    print(sign_of_next([4, -1, 3, -2, 5]), sign_of_next([-4]))
    print(copied([-1, 2, -3, 4, 5, 6]))
    text = span_of(b"abcxdef")
    print(left_by_break(text, 1), left_by_break(text, 2), left_by_break(text, 9))
    print(cleaned_up([3, 9, 2, 5]))
    print(returned_through([1, 2, 3, 9]), returned_through([1]))
    print(consumed(3), consumed(12), consumed(0))
    print(both_ends(span_of(b"abcba")), both_ends(span_of(b"abca")), both_ends(span_of(b"")))
    print(stepped(-7, 9), stepped(5, 5), stepped(3, -20))
    print(chained(2, 7), chained(-3, 1), chained(9, 30), chained(12, 1), chained(0, 0))
    print(greatest(0x7FFF_FFFF_FFFF_FFFF), greatest(0))
    print(halves(100), halves(0), halves(-5))


if __name__ == "__main__":
    main()
