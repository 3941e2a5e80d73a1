"""Views that outlive what they show, or write what can't be written."""

from collections.abc import Callable
from typing import Literal

from kernel.lang import Array, Span, bytes_of, span_of, struct, u8, u32


@struct
class Header:
    size: u32
    kind: u32


def local_storage() -> Span[u8]:
    data: Array[u8, Literal[16]] = Array()
    return data.span()


def part_of_local(size: int) -> Span[u8]:
    data: Array[u8, Literal[16]] = Array()
    view = data.span()
    part = view[2:size]
    return part


def local_struct() -> Span[u8]:
    header = Header(size=u32(1))
    return bytes_of(header)


def first_half(view: Span[u8]) -> Span[u8]:
    return view[: len(view) // 2]


def through_a_call() -> Span[u8]:
    data: Array[u8, Literal[16]] = Array()
    return first_half(data.span())


def half_of(data: bytearray) -> Span[u8]:
    return first_half(span_of(data))


def clear(view: Span[u8]) -> None:
    view.fill(0)


def clear_all(views: int, view: Span[u8]) -> None:
    for _ in range(views):
        clear(view[1:])


def write_bytes(data: bytes) -> None:
    view = span_of(data)
    view[0] = 1


def write_by_call(data: bytes, other: bytearray) -> None:
    clear_all(1, span_of(other))
    clear_all(2, span_of(data))


def chosen(data: bytes, other: bytearray, which: bool) -> None:
    view = span_of(data) if which else span_of(other)
    view.store_u32(0, 5)


def earlier_turn() -> int:
    first: Array[u8, Literal[4]] = Array()
    keep = first.span()
    for i in range(3):
        turn: Array[u8, Literal[4]] = Array()
        turn.fill(i)
        if i == 0:
            keep = turn.span()
    return keep[0]


def same_turn() -> int:
    total = 0
    for i in range(3):
        turn: Array[u8, Literal[4]] = Array()
        turn.fill(i)
        view = turn.span()
        total += view[0]
    return total


def apply(change: Callable[[Span[u8]], None], data: bytes) -> None:
    change(span_of(data))


def by_a_value(data: bytes) -> None:
    apply(clear, data)


def by_a_nested_function(data: bytes) -> None:
    def erase(view: Span[u8], start: int) -> None:
        clear(view[start:])

    erase(span_of(data), 1)
