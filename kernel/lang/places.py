"""How values lie in memory, for the simulation of structs and Arrays under CPython.

A *place type* reads and writes one kind of value at an offset of a buffer: a bytearray (or memoryview, or bytes,
which can't be written) for whatever has a C layout, a list for references.
"""

# ruff: noqa: ANN401  (this is a simulation of memory: its values have any type)

from __future__ import annotations

from struct import Struct as Layout
from struct import error as LayoutError
from typing import Any

from kernel.lang.widths import FixedWidth, i64


class PlaceType:
    """Base: values of `size` bytes at multiples of `align`."""

    size: int
    align: int

    def read(self, buffer: Any, offset: int) -> Any:
        raise NotImplementedError

    def write(self, buffer: Any, offset: int, value: Any) -> None:
        raise NotImplementedError


class IntPlace(PlaceType):
    """A fixed-width integer; a store out of its range raises OverflowError."""

    def __init__(self, kind: type[FixedWidth]) -> None:
        self.kind = kind
        self.size = self.align = kind.bits // 8
        letter = {8: "b", 16: "h", 32: "i", 64: "q"}[kind.bits]
        order = "<" if kind.byte_order == "little" else ">"
        self.layout = Layout(order + (letter if kind.signed else letter.upper()))

    def read(self, buffer: Any, offset: int) -> Any:
        return self.layout.unpack_from(buffer, offset)[0]

    def write(self, buffer: Any, offset: int, value: Any) -> None:
        try:
            self.layout.pack_into(buffer, offset, value)
        except LayoutError:
            buffer[offset : offset + self.size] = self.kind.encode(value)  # raises the error


class BoolPlace(PlaceType):
    size = align = 1

    def read(self, buffer: Any, offset: int) -> Any:
        return buffer[offset] != 0

    def write(self, buffer: Any, offset: int, value: Any) -> None:
        buffer[offset] = 1 if value else 0


class EnumPlace(PlaceType):
    """An enum: eight bytes."""

    size = align = 8

    def __init__(self, kind: Any) -> None:
        self.kind = kind

    def read(self, buffer: Any, offset: int) -> Any:
        return self.kind(i64.decode(buffer[offset : offset + 8]))

    def write(self, buffer: Any, offset: int, value: Any) -> None:
        buffer[offset : offset + 8] = i64.encode(value.value)


class ValuePlace(PlaceType):
    """A struct or Array in place: reading gives a view, writing copies."""

    def __init__(self, kind: Any) -> None:
        self.kind = kind
        self.size, self.align = kind.__size__, kind.__align__

    def read(self, buffer: Any, offset: int) -> Any:
        return self.kind.__view__(buffer, offset)

    def write(self, buffer: Any, offset: int, value: Any) -> None:
        if not isinstance(value, self.kind):
            raise TypeError(f"a {self.kind.__name__} is wanted, not a {type(value).__name__}")
        source, start = value.__place__
        buffer[offset : offset + self.size] = bytes(source[start : start + self.size])


class ReferencePlace(PlaceType):
    """A reference in a list."""

    size = align = 1

    def read(self, buffer: Any, offset: int) -> Any:
        return buffer[offset]

    def write(self, buffer: Any, offset: int, value: Any) -> None:
        buffer[offset] = value


REFERENCE = ReferencePlace()
_known: dict[Any, PlaceType] = {bool: BoolPlace(), int: IntPlace(i64)}


def place_of(annotation: Any) -> PlaceType:
    """The place type of an (evaluated) annotation. A type without a C layout is a reference."""
    while hasattr(annotation, "__supertype__"):  # a NewType
        annotation = annotation.__supertype__
    try:
        known = _known.get(annotation)
    except TypeError:  # not hashable
        return REFERENCE
    if known is None:
        known = REFERENCE
        if isinstance(annotation, type):
            if issubclass(annotation, FixedWidth):
                known = IntPlace(annotation)
            elif hasattr(annotation, "__view__") and getattr(annotation, "__size__", None) is not None:
                known = ValuePlace(annotation)
            elif hasattr(annotation, "__members__"):
                known = EnumPlace(annotation)
        _known[annotation] = known
    return known
