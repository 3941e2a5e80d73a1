"""Loops whose places are known to lie inside before they begin, and loops that look like these."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from kernel.lang import Array, Errno, Span, noinline, span_of, u8

LEAST = -(1 << 63)
MOST = (1 << 63) - 1


class Table:
    bytes: Array[u8, Literal[8]]


def text(data: Span[u8]) -> str:
    return " ".join([str(byte) for byte in data])


@noinline
def copy(out: Span[u8], to: int, data: Span[u8], place: int, count: int) -> int:
    for _ in range(count):
        out[to] = data[place]
        to += 1
        place += 1
    return to % 1000 * 1000 + place % 1000


@noinline
def match(out: Span[u8], used: int, back: int, length: int) -> int:
    for _ in range(length):
        out[used] = out[used - back]
        used += 1
    return used


@noinline
def some(out: Span[u8], data: Span[u8], count: int) -> int:
    used = 0
    for place in range(count):
        if data[place] & 1 == 0:
            continue
        if data[place] == 99:
            break
        out[used] = data[place]
        used += 1
    else:
        used += 100
    return used


@noinline
def until(data: Span[u8], start: int, stop: int) -> int:
    total = 0
    for place in range(start, stop):
        if data[place] == 0:
            return total
        total = total * 3 + data[place]
    return -total


@noinline
def until_error(data: Span[u8], base: int, count: int) -> int:
    total = 0
    try:
        for number in range(count):
            total += data[base + number]
            if total > 20:
                raise Errno(total)
    except Errno as error:
        return -error.code
    return total


@noinline
def twice(data: Span[u8], count: int) -> int:
    place = 0
    total = 0
    for _ in range(count):
        total = total * 2 + data[place]
        place += 1
        if total % 2 == 0:
            place += 1
    return total


@noinline
def counted_before(data: Span[u8], count: int) -> int:
    place = -1
    total = 0
    for _ in range(count):
        place += 1
        total = total * 3 + data[place]
    return total


@noinline
def other_span(data: Span[u8], other: Span[u8], count: int) -> int:
    total = 0
    for place in range(count):
        if place == 2:
            data = other
        total = total * 3 + data[place]
    return total


@noinline
def other_number(data: Span[u8], count: int) -> int:
    total = 0
    base = 0
    for place in range(count):
        total = total * 3 + data[base + place]
        base = 1 - base
    return total


@noinline
def assigned_target(data: Span[u8], count: int) -> int:
    total = 0
    for place in range(count):
        if place == 1:
            place = 0
        total = total * 3 + data[place]
    return total


@noinline
def inner(data: Span[u8], count: int) -> int:
    place = 0
    total = 0
    for _ in range(count):
        for _ in range(2):
            total = total * 2 + data[place]
            place += 1
    return total


@noinline
def hidden(data: Span[u8], count: int) -> int:
    total = 0
    place = 1
    for _ in range(count):
        total += sum([data[place] for place in range(len(data))]) * data[place]
        place += 1
    return total


@noinline
def in_table(table: Table, base: int, count: int) -> int:
    total = 0
    for number in range(count):
        table.bytes[base + number] += 1
        total = total * 2 + table.bytes[number]
    return total


@noinline
def far(data: Span[u8], base: int, start: int, stop: int) -> int:
    total = 0
    for number in range(start, stop):
        if number - base >= 0:
            total += data[number - base]
        if number - start > 3:
            break
    return total


@noinline
def narrow(data: Span[u8], count: int) -> int:
    place = u8(254)
    total = 0
    for _ in range(count):
        total += data[place - 254]
        place = u8(place + 1)
        if place == 0:
            break
    return total * 10 + place


def spread(data: Span[u8], count: int) -> Iterator[int]:
    place = 0
    for number in range(count):
        total = data[place] + data[number]
        place += 1
        if total > 0:
            yield total


@noinline
def gathered(data: Span[u8], count: int) -> int:
    total = 0
    for number in spread(data, count):
        for place in range(2):
            total = total * 2 + number * data[place]
    return total


def main() -> None:
    data = span_of(b"\x01\x02\x03\x04\x05\x06\x07\x08")
    out = span_of(bytearray(8))
    print(copy(out, 2, data, 3, 5), copy(out, 0, data, 7, 1), copy(out, 5, data, -4, 0), copy(out, 99, data, 99, -3))
    print(copy(out, 8, data, 8, 0), copy(out, LEAST, data, MOST, LEAST), text(out))
    print(match(out, 2, 1, 4), match(out, 7, 7, 1), match(out, 0, 1, 0), match(out, 8, -5, -1), text(out))
    print(some(out, data, 8), text(out), some(out, span_of(b"\x01\x63\x01"), 9), some(out, data, 0))
    print(until(data, 0, 8), until(data, 6, 3), until(span_of(b"\x01\x00"), 0, 50), until(data, MOST, LEAST))
    print(until_error(data, 2, 4), until_error(data, 5, 99), until_error(data, MOST, 0), until_error(data, 4, 9))
    print(twice(data, 3), twice(data, 0), counted_before(data, 8), counted_before(data, -1))
    print(other_span(span_of(b"\x01\x02"), data, 5), other_number(data, 7), assigned_target(data, 4), inner(data, 4))
    print(hidden(data, 3), hidden(data, 7), far(data, MOST - 3, MOST - 1, MOST), far(data, LEAST + 9, LEAST, LEAST + 1))
    table = Table()
    print(in_table(table, 3, 5), in_table(table, 0, 8), in_table(table, -1, 0), text(table.bytes.span()))
    print(narrow(data, 2), narrow(data, 1), narrow(data, 9), gathered(data, 5), gathered(data, 0))


if __name__ == "__main__":
    main()
