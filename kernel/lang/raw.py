"""The building blocks of the run-time library: raw arrays, and the bytes of `bytes` and `str` objects.

Only `kernel.lang.runtime` uses this. Nothing here checks bounds: the containers above check once and then use these.
The compiler knows every name: a method of `RawArray` is the intrinsic "RawArray.<method>" (also "RawArray.__getitem__",
"RawArray.__setitem__", "RawArray.__len__"; `RawArray[T](n)` is a New), a function here the intrinsic "raw.<function>".
The bodies below are their simulation under CPython.

A `RawArray[T]` is a heap block (docs/compiler-abi.md): header, `i64 count` at 8, elements at 16. Elements that are
references are counted when they are stored by `[]`, `fill` and `clear`. `move`, `take` and `forget` copy or zero the
bits and leave the counts alone, so that shifting a list costs one memmove.

`bytes`, `str` and `RawArray[u8]` have one layout, so they convert to one another in place: a byte string is filled as a
`RawArray[u8]` with one byte to spare and then becomes `bytes` permanently (`become_bytes`).
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from kernel.lang import Span, span_of, u8

T = TypeVar("T")


class RawArray(Generic[T]):
    """A block of `count` elements of T, all zero or null at first. `RawArray[T](count)` raises MemoryError."""

    __slots__ = ("_items",)

    def __init__(self, count: int) -> None:
        self._items: Any = [0] * count

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> T:
        """Element `index`. Safety: 0 <= index < len."""
        assert 0 <= index < len(self._items)
        item: T = self._items[index]
        return item

    def __setitem__(self, index: int, value: T) -> None:
        """Store an element, counting references. Safety: 0 <= index < len."""
        assert 0 <= index < len(self._items)
        self._items[index] = value

    def fill(self, start: int, count: int, value: T) -> None:
        """Store `value` in `count` elements from `start`, counting references. Safety: they lie inside."""
        assert 0 <= start and 0 <= count and start + count <= len(self._items)
        for i in range(start, start + count):
            self._items[i] = value

    def clear(self, start: int, count: int) -> None:
        """Make `count` elements from `start` zero or null, dropping the references that they held. Safety: they lie
        inside."""
        assert 0 <= start and 0 <= count and start + count <= len(self._items)
        for i in range(start, start + count):
            self._items[i] = 0

    def move(self, to: int, start: int, count: int) -> None:
        """memmove of elements inside the array, uncounted. Safety: both ranges lie inside; what is overwritten held
        no reference (or was moved away itself), and what was moved away from is overwritten or forgotten before
        anything else happens."""
        assert 0 <= start and 0 <= to and 0 <= count and max(start, to) + count <= len(self._items)
        self._items[to : to + count] = self._items[start : start + count]

    def take(self, to: int, source: RawArray[T], start: int, count: int) -> None:
        """memcpy from another array, uncounted. Safety: as for `move`."""
        assert source is not self and to + count <= len(self._items) and start + count <= len(source._items)
        self._items[to : to + count] = source._items[start : start + count]

    def forget(self, start: int, count: int) -> None:
        """Make elements zero or null without dropping references: their bits were moved elsewhere."""
        assert 0 <= start and 0 <= count and start + count <= len(self._items)
        for i in range(start, start + count):
            self._items[i] = 0


def no_array() -> RawArray[T]:
    """The null array, for a container that has no storage yet. Safety: nothing of it is read, not even its length."""
    return RawArray(0)


def become_bytes(array: RawArray[u8], length: int) -> bytes:
    """Turn the array itself into the byte string of its first `length` elements, and write the NUL after them.

    Safety: length < len(array); the array is fresh (no field holds it) and not used again.
    """
    assert 0 <= length < len(array)
    return bytes(int(item) for item in array._items[:length])


def text_bytes(text: str) -> bytes:
    """The UTF-8 bytes of a text: the same object, seen as bytes."""
    return text.encode()


def bytes_text(data: bytes) -> str:
    """The text whose UTF-8 form is `data`: the same object, seen as a str. Safety: it is valid UTF-8."""
    return data.decode()


def byte_at(data: bytes, index: int) -> int:
    """One byte. Safety: 0 <= index <= len(data) (the byte after the last is 0)."""
    assert 0 <= index <= len(data)
    return data[index] if index < len(data) else 0


def word_at(data: bytes, index: int) -> int:
    """Eight bytes from `index`, little-endian, as a signed int. Safety: 0 <= index, index + 8 <= len(data)."""
    assert 0 <= index and index + 8 <= len(data)
    return int.from_bytes(data[index : index + 8], "little", signed=True)


def copy_in(array: RawArray[u8], to: int, data: bytes, start: int, count: int) -> None:
    """Copy `count` bytes of `data` from `start` into the array at `to`. Safety: both ranges lie inside."""
    assert 0 <= to and to + count <= len(array) and 0 <= start and 0 <= count and start + count <= len(data)
    array._items[to : to + count] = list(data[start : start + count])


def array_span(array: RawArray[u8], start: int, count: int) -> Span[u8]:
    """A view of elements of a byte array. Safety: they lie inside; the caller keeps the array alive and in place."""
    if not isinstance(array._items, bytearray):
        array._items = bytearray(array._items)
    view: Span[u8] = span_of(array._items)[start : start + count]
    return view
