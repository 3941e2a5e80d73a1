"""`Array` and `Span` under CPython: elements in a shared buffer, with every index checked.

Types for the checker: `spans.pyi`. Here a negative index counts from the end even when it is no literal (compiled
code traps then).
"""

# ruff: noqa: ANN401  (this is a simulation of memory: its values have any type)

from __future__ import annotations

import ast
import linecache
import sys
from collections.abc import Iterator
from functools import cache
from typing import Any, get_args

from kernel.lang.ints import be16, be32, be64, u8, u16, u32, u64
from kernel.lang.places import REFERENCE, PlaceType, place_of
from kernel.lang.simulation import Bytes
from kernel.lang.widths import FixedWidth


def checked_index(index: Any, length: int) -> int:
    """An index inside 0…length-1."""
    place = int(index)
    if place < 0:
        place += length
    if not 0 <= place < length:
        raise IndexError(f"index {index} of {length}")
    return place


BYTE = place_of(u8)


class Elements:
    """What Array and Span share: `count` elements of one place type from an offset of a buffer."""

    __slots__ = ("_buffer", "_count", "_element", "_start")

    def __init__(self, buffer: Any, start: int, count: int, element: PlaceType) -> None:
        self._buffer = buffer
        self._start = start
        self._count = count
        self._element = element

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> Any:
        if type(index) is not int or not 0 <= index < self._count:
            if isinstance(index, slice):
                return self._part(index)
            index = checked_index(index, self._count)
        element = self._element
        return element.read(self._buffer, self._start + index * element.size)

    def __setitem__(self, index: Any, value: Any) -> None:
        if type(index) is not int or not 0 <= index < self._count:
            index = checked_index(index, self._count)
        element = self._element
        element.write(self._buffer, self._start + index * element.size, value)

    def __iter__(self) -> Iterator[Any]:
        element, buffer = self._element, self._buffer
        if element is BYTE:
            for place in range(self._start, self._start + self._count):
                yield buffer[place]
            return
        for place in range(self._start, self._start + self._count * element.size, element.size):
            yield element.read(buffer, place)

    def __contains__(self, value: Any) -> bool:
        return any(item == value for item in self)

    def fill(self, value: Any) -> None:
        if self._are_bytes() and 0 <= value <= 0x7F:
            self._buffer[self._start : self._start + self._count] = bytes([value]) * self._count
            return
        for index in range(self._count):
            self[index] = value

    def _are_bytes(self) -> bool:
        """Whether the elements are single bytes: then slices of the buffer do what a loop would, and quicker."""
        return self._element.size == 1 and isinstance(self._buffer, Bytes)

    def _part(self, part: slice) -> Span:
        start = 0 if part.start is None else int(part.start)
        stop = self._count if part.stop is None else int(part.stop)
        if part.step is not None or not 0 <= start <= stop <= self._count:
            raise IndexError(f"[{part.start}:{part.stop}] of {self._count}")
        return Span(self._buffer, self._start + start * self._element.size, stop - start, self._element)


class Span(Elements):
    """A view of elements that lie elsewhere."""

    __slots__ = ()

    def copy_from(self, other: Elements) -> None:
        """Copy all elements of a span of the same length; the two may overlap."""
        if len(other) != self._count:
            raise IndexError(f"copying {len(other)} elements to {self._count}")
        if self._are_bytes() and other._element is self._element:
            source = other._buffer[other._start : other._start + self._count]
            self._buffer[self._start : self._start + self._count] = bytes(source)
            return
        values = list(other)
        for index, value in enumerate(values):
            self[index] = value

    def to_bytes(self) -> bytes:
        return bytes(self._buffer[self._start : self._start + self._count])

    def _load(self, kind: type[FixedWidth], offset: int) -> int:
        size = kind.bits // 8
        if not 0 <= offset <= self._count - size:
            raise IndexError(f"{size} bytes at {offset} of {self._count}")
        place = self._start + offset
        return kind.decode(self._buffer[place : place + size])

    def _store(self, kind: type[FixedWidth], offset: int, value: int) -> None:
        size = kind.bits // 8
        if not 0 <= offset <= self._count - size:
            raise IndexError(f"{size} bytes at {offset} of {self._count}")
        self._buffer[self._start + offset : self._start + offset + size] = kind.encode(value)

    def load_u8(self, offset: int) -> int:
        return self._load(u8, offset)

    def load_u16(self, offset: int) -> int:
        return self._load(u16, offset)

    def load_u32(self, offset: int) -> int:
        return self._load(u32, offset)

    def load_u64(self, offset: int) -> int:
        return self._load(u64, offset)

    def load_be16(self, offset: int) -> int:
        return self._load(be16, offset)

    def load_be32(self, offset: int) -> int:
        return self._load(be32, offset)

    def load_be64(self, offset: int) -> int:
        return self._load(be64, offset)

    def store_u8(self, offset: int, value: int) -> None:
        self._store(u8, offset, value)

    def store_u16(self, offset: int, value: int) -> None:
        self._store(u16, offset, value)

    def store_u32(self, offset: int, value: int) -> None:
        self._store(u32, offset, value)

    def store_u64(self, offset: int, value: int) -> None:
        self._store(u64, offset, value)

    def store_be16(self, offset: int, value: int) -> None:
        self._store(be16, offset, value)

    def store_be32(self, offset: int, value: int) -> None:
        self._store(be32, offset, value)

    def store_be64(self, offset: int, value: int) -> None:
        self._store(be64, offset, value)

    @classmethod
    def __class_getitem__(cls, item: Any) -> Any:
        return cls


class Array(Elements):
    """Elements in place. `Array[T, Literal[n]]` is a class of its own; bare `Array()` takes the annotation of the
    assignment
    that it stands in."""

    __slots__ = ()
    __size__: int | None = None
    __align__: int
    __element__: Any
    __length__: int

    def __new__(cls) -> Any:
        if cls.__size__ is None:
            cls = _annotated_type(sys._getframe(1))
            return cls()
        return super().__new__(cls)

    def __init__(self) -> None:
        place = place_of(self.__element__)
        buffer: Any = [None] * self.__length__ if place is REFERENCE else bytearray(self.__length__ * place.size)
        super().__init__(buffer, 0, self.__length__, place)

    def __class_getitem__(cls, parameters: Any) -> Any:
        element, length = parameters
        return _array_type(element, int(get_args(length)[0]) if get_args(length) else int(length))

    @classmethod
    def __view__(cls, buffer: Any, offset: int) -> Any:
        """The Array whose elements lie at an offset of a buffer."""
        view = object.__new__(cls)
        Elements.__init__(view, buffer, offset, cls.__length__, place_of(cls.__element__))
        return view

    @property
    def __place__(self) -> tuple[Any, int]:
        return self._buffer, self._start

    def copy(self) -> Any:
        """An Array of its own with the same elements."""
        result = type(self)()
        size = self._count * self._element.size
        result._buffer[0:size] = self._buffer[self._start : self._start + size]
        return result

    def span(self) -> Span:
        return Span(self._buffer, self._start, self._count, self._element)


@cache
def _array_type(element: Any, length: int) -> Any:
    place = place_of(element)
    name = f"Array[{getattr(element, '__name__', element)}, {length}]"
    members = {
        "__slots__": (), "__element__": element, "__length__": length,
        "__size__": length * place.size, "__align__": place.align,
    }  # fmt: skip
    return type(name, (Array,), members)


@cache
def _annotations_by_line(path: str) -> dict[int, ast.expr]:
    """The annotation of each annotated assignment of a file, by the line where the value starts."""
    tree = ast.parse("".join(linecache.getlines(path)))
    return {
        node.value.lineno: node.annotation
        for node in ast.walk(tree)
        if isinstance(node, ast.AnnAssign) and node.value is not None
    }


def _annotated_type(frame: Any) -> Any:
    """The Array type that the running assignment of a frame is annotated with."""
    annotation = _annotations_by_line(frame.f_code.co_filename).get(frame.f_lineno)
    if annotation is None:
        raise TypeError("Array() needs an annotated assignment; write Array[T, Literal[n]]() elsewhere")
    kind = eval(ast.unparse(annotation), frame.f_globals, frame.f_locals)
    if not (isinstance(kind, type) and issubclass(kind, Array) and kind.__size__ is not None):
        raise TypeError(f"Array() is assigned to a {kind}")
    return kind


def span_of(data: Any) -> Span:
    """A view of the bytes of a bytearray or bytes. Those of `bytes` must not be written."""
    return Span(data, 0, len(data), place_of(u8))
