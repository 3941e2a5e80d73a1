"""The operations of `bytes`: the compiler calls `bytes_<operation>` for the method or operator.

Each does what Python's does, or traps. Results are new objects, except that a slice or strip that changes nothing
returns the operand.
"""

from __future__ import annotations

from typing import Final

from kernel.lang import Span, inline, u8
from kernel.lang.raw import RawArray, become_bytes, byte_at, copy_in
from kernel.lang.runtime.containers import List, equal_at, slice_start, slice_stop
from kernel.lang.unsafe import TRAP_INDEX, TRAP_RANGE, trap

NO_LIMIT: Final = -1
SPACES: Final = b" \t\n\r\x0b\x0c"


@inline
def bytes_item(data: bytes, index: int) -> int:
    """`data[index]`."""
    if index < 0 or index >= len(data):
        trap(TRAP_INDEX)
    return byte_at(data, index)


def bytes_from_end(data: bytes, back: int) -> int:
    """`data[-back]` for a literal."""
    return bytes_item(data, len(data) - back)


def bytes_slice(data: bytes, start: int, stop: int) -> bytes:
    """`data[start:stop]`, negative bounds included."""
    first = slice_start(start, len(data))
    return part_of(data, first, slice_stop(stop, first, len(data)) - first)


def part_of(data: bytes, first: int, count: int) -> bytes:
    """`count` bytes from `first`, which lie inside."""
    if count == len(data):
        return data
    array: RawArray[u8] = RawArray(count + 1)
    copy_in(array, 0, data, first, count)
    return become_bytes(array, count)


def bytes_concat(left: bytes, right: bytes) -> bytes:
    """`left + right`."""
    array: RawArray[u8] = RawArray(len(left) + len(right) + 1)
    copy_in(array, 0, left, 0, len(left))
    copy_in(array, len(left), right, 0, len(right))
    return become_bytes(array, len(left) + len(right))


def bytes_repeat(data: bytes, times: int) -> bytes:
    """`data * times`."""
    count = max(times, 0)
    array: RawArray[u8] = RawArray(len(data) * count + 1)
    for i in range(count):
        copy_in(array, i * len(data), data, 0, len(data))
    return become_bytes(array, len(data) * count)


def bytes_zeros(count: int) -> bytes:
    """`bytes(count)`."""
    if count < 0:
        trap(TRAP_RANGE)
    array: RawArray[u8] = RawArray(count + 1)
    return become_bytes(array, count)


def bytes_of_list(values: List[int]) -> bytes:
    """`bytes(values)` of a list of ints, each checked."""
    array: RawArray[u8] = RawArray(len(values) + 1)
    for i in range(len(values)):
        array[i] = u8_checked(values[i])
    return become_bytes(array, len(values))


def u8_checked(value: int) -> u8:
    """The value as a byte; traps if it is none."""
    if value < 0 or value > 255:
        trap(TRAP_RANGE)
    return u8(value)


def bytes_of_span(span: Span[u8]) -> bytes:
    """`span.to_bytes()`."""
    array: RawArray[u8] = RawArray(len(span) + 1)
    for i in range(len(span)):
        array[i] = u8(span[i])
    return become_bytes(array, len(span))


def bytes_equal(left: bytes, right: bytes) -> bool:
    """`left == right`."""
    if left is right:
        return True
    length = len(left)
    return length == len(right) and equal_at(left, 0, right, 0, length)


def bytes_compare(left: bytes, right: bytes) -> int:
    """Below, equal to or above 0 as `left` sorts before, with or after `right`."""
    common = min(len(left), len(right))
    for place in range(common):
        difference = byte_at(left, place) - byte_at(right, place)
        if difference != 0:
            return difference
    return len(left) - len(right)


def bytes_contains(data: bytes, part: bytes) -> bool:
    """`part in data`."""
    return bytes_find(data, part) >= 0


def bytes_contains_byte(data: bytes, value: int) -> bool:
    """`value in data`."""
    return bytes_find_byte(data, u8_checked(value)) >= 0


def bytes_find_byte(data: bytes, value: int, start: int = 0) -> int:
    """The first place of a byte from `start` (not negative) on, or -1."""
    for place in range(start, len(data)):
        if byte_at(data, place) == value:
            return place
    return -1


def bytes_find_value(data: bytes, value: int, start: int = 0) -> int:
    """`data.find(value, start)` of an int, which must be a byte."""
    if start < 0:
        start = max(start + len(data), 0)
    return bytes_find_byte(data, u8_checked(value), start)


def bytes_find(data: bytes, part: bytes, start: int = 0) -> int:
    """`data.find(part, start)`."""
    if start < 0:
        start = max(start + len(data), 0)
    if len(part) == 1:
        return bytes_find_byte(data, byte_at(part, 0), start)
    for place in range(start, len(data) - len(part) + 1):
        if equal_at(data, place, part, 0, len(part)):
            return place
    return -1


def bytes_rfind(data: bytes, part: bytes) -> int:
    """`data.rfind(part)`."""
    for place in range(len(data) - len(part), -1, -1):
        if equal_at(data, place, part, 0, len(part)):
            return place
    return -1


def bytes_count(data: bytes, part: bytes) -> int:
    """`data.count(part)`."""
    if len(part) == 0:
        return len(data) + 1
    found = 0
    place = bytes_find(data, part)
    while place >= 0:
        found += 1
        place = bytes_find(data, part, place + len(part))
    return found


def bytes_startswith(data: bytes, prefix: bytes) -> bool:
    """`data.startswith(prefix)`."""
    return len(prefix) <= len(data) and equal_at(data, 0, prefix, 0, len(prefix))


def bytes_endswith(data: bytes, suffix: bytes) -> bool:
    """`data.endswith(suffix)`."""
    return len(suffix) <= len(data) and equal_at(data, len(data) - len(suffix), suffix, 0, len(suffix))


def bytes_split(data: bytes, separator: bytes | None = None, limit: int = NO_LIMIT) -> List[bytes]:
    """`data.split(separator, limit)`; without a separator, `data.split()`. Traps on an empty separator."""
    if separator is None:
        return bytes_split_spaces(data, limit)
    if len(separator) == 0:
        trap(TRAP_RANGE)
    parts: List[bytes] = List()
    start = 0
    while limit < 0 or len(parts) < limit:
        end = bytes_find(data, separator, start)
        if end < 0:
            break
        parts.append(part_of(data, start, end - start))
        start = end + len(separator)
    parts.append(part_of(data, start, len(data) - start))
    return parts


def bytes_split_spaces(data: bytes, limit: int = NO_LIMIT) -> List[bytes]:
    """`data.split(None, limit)`: at runs of white space, without empty parts."""
    parts: List[bytes] = List()
    place = 0
    while place < len(data):
        while place < len(data) and is_space(byte_at(data, place)):
            place += 1
        start = place
        if len(parts) == limit:
            place = len(data)
        while place < len(data) and not is_space(byte_at(data, place)):
            place += 1
        if place > start:
            parts.append(part_of(data, start, place - start))
    return parts


@inline
def is_space(value: int) -> bool:
    """Whether Python counts a byte as white space."""
    return value == ord(" ") or ord("\t") <= value <= ord("\r")


def bytes_strip(data: bytes, unwanted: bytes = SPACES) -> bytes:
    """`data.strip(unwanted)`."""
    return bytes_lstrip(bytes_rstrip(data, unwanted), unwanted)


def bytes_lstrip(data: bytes, unwanted: bytes = SPACES) -> bytes:
    """`data.lstrip(unwanted)`."""
    first = 0
    while first < len(data) and bytes_find_byte(unwanted, byte_at(data, first)) >= 0:
        first += 1
    return part_of(data, first, len(data) - first)


def bytes_rstrip(data: bytes, unwanted: bytes = SPACES) -> bytes:
    """`data.rstrip(unwanted)`."""
    end = len(data)
    while end > 0 and bytes_find_byte(unwanted, byte_at(data, end - 1)) >= 0:
        end -= 1
    return part_of(data, 0, end)


def bytes_join(separator: bytes, parts: List[bytes]) -> bytes:
    """`separator.join(parts)`."""
    total = len(separator) * max(len(parts) - 1, 0)
    for i in range(len(parts)):
        total += len(parts[i])
    array: RawArray[u8] = RawArray(total + 1)
    at = 0
    for i in range(len(parts)):
        if i > 0:
            copy_in(array, at, separator, 0, len(separator))
            at += len(separator)
        part = parts[i]
        copy_in(array, at, part, 0, len(part))
        at += len(part)
    return become_bytes(array, total)


def bytes_isdigit(data: bytes) -> bool:
    """`data.isdigit()`."""
    for place in range(len(data)):
        if not ord("0") <= byte_at(data, place) <= ord("9"):
            return False
    return len(data) > 0
