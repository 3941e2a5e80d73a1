"""Containers: what syntax and overloaded methods become in the run-time library's classes."""

from __future__ import annotations

from collections import deque

from kernel.lang import Span, span_of, u8


def lists(values: list[int]) -> list[int]:
    values.append(values[0] + values[-1])
    values[1] = 2
    values[2] += 3
    del values[0], values[1:2]
    values += [4, 5]
    values.pop()
    part = values[1:] + values[:2] * 2
    return [value * 2 for value in part if value > 1]


def dicts(table: dict[bytes, int]) -> int:
    table[b"a"] = 1
    table[b"a"] += 1
    found = table.get(b"b")
    sure = table.get(b"b", 0)
    table.pop(b"c", None)
    for key, value in table.items():
        print(len(key), value)
    for key in table:
        print(len(key))
    if b"d" in table and b"e" not in table:
        del table[b"d"]
    return sure if found is None else found


def deques(queue: deque[int]) -> int:
    queue.append(1)
    return queue.popleft() + len(queue)


def byte_arrays(buffer: bytearray, data: bytes, span: Span[u8]) -> bytes:
    buffer.extend(data)
    buffer += b"x"
    buffer.extend(span)
    del buffer[:2]
    return bytes(buffer) + bytes(buffer[1:3])


def byte_strings(data: bytes) -> int:
    for value in data:
        print(value)
    print(data.find(b"x"), data[1:], data[-2], len(data.split(b"/")), data.startswith(b"a"))
    return data[0]


def spans(buffer: bytearray) -> int:
    span = span_of(buffer)
    span[0] = 1
    span[2:4].copy_from(span[0:2])
    span.store_u32(4, 5)
    return span[1] + span.load_u16(2) + len(span)


def loops(values: list[int]) -> None:
    for i in range(0, 10, 2):
        print(i)
    for place, value in enumerate(values):
        print(place, value)
    for a, b in zip(values, values, strict=False):
        print(a, b)
    for value in reversed(values):
        print(value)
    for _ in range(3):
        continue
    else:
        print(any(value > 1 for value in values), sum(value for value in values))
