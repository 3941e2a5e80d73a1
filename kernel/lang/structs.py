"""`@struct` under CPython: values with C layout, each a place in a buffer. Types for the checker: `structs.pyi` and
the plugin.

A nested struct or Array is read as a view of the same buffer, and assigning to it copies. A store out of a field's
range raises OverflowError.
"""

# ruff: noqa: ANN401  (this is a simulation of memory: its values have any type)

from __future__ import annotations

import sys
from typing import Any

from kernel.lang.ints import u8
from kernel.lang.places import REFERENCE, PlaceType, place_of
from kernel.lang.spans import Span


class Struct:
    """Mixed into every struct."""

    __size__: int
    __align__: int
    __fields__: dict[str, StructField]
    __place__: tuple[Any, int]

    def __init__(self, **fields: Any) -> None:
        self.__place__ = (bytearray(self.__size__), 0)
        for name, value in fields.items():
            if name not in self.__fields__:
                raise TypeError(f"{type(self).__name__} has no field {name}")
            setattr(self, name, value)

    @classmethod
    def __view__(cls, buffer: Any, offset: int) -> Any:
        """The struct that lies at an offset of a buffer."""
        view = object.__new__(cls)
        view.__place__ = (buffer, offset)
        return view

    def __setattr__(self, name: str, value: Any) -> None:
        if name != "__place__" and not hasattr(type(self), name):
            raise AttributeError(f"{type(self).__name__} has no field {name}")
        object.__setattr__(self, name, value)

    def copy(self) -> Any:
        """A struct of its own with the same bytes."""
        buffer, start = self.__place__
        return self.__view__(bytearray(buffer[start : start + self.__size__]), 0)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{n}={getattr(self, n)!r}' for n in self.__fields__)})"


class StructField:
    """A field: a place type at an offset."""

    def __init__(self, offset: int, place: PlaceType) -> None:
        self.offset = offset
        self.place = place

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is None:
            return self
        buffer, start = instance.__place__
        return self.place.read(buffer, start + self.offset)

    def __set__(self, instance: Any, value: Any) -> None:
        buffer, start = instance.__place__
        self.place.write(buffer, start + self.offset, value)


def struct(cls: Any = None, /, *, packed: bool = False) -> Any:
    """Make a class a value type with C layout."""
    if cls is None:
        return lambda decorated: _make_struct(decorated, packed)
    return _make_struct(cls, packed)


def _make_struct(cls: Any, packed: bool) -> Any:
    namespace = vars(sys.modules[cls.__module__]) if cls.__module__ in sys.modules else {}
    base_fields = dict(getattr(cls, "__fields__", {}))
    size = max((f.offset + f.place.size for f in base_fields.values()), default=0)
    align = getattr(cls, "__align__", 1)
    fields: dict[str, StructField] = base_fields
    members = dict(vars(cls))
    for name, annotation in members.pop("__annotations__", {}).items():
        if isinstance(annotation, str):
            if annotation.split("[")[0].split(".")[-1] == "ClassVar":
                continue
            annotation = eval(annotation, namespace, members)
        if str(annotation).startswith("typing.ClassVar"):
            continue
        place = place_of(annotation)
        default = members.get(name)
        if place is REFERENCE or not (default is None or hasattr(default, "in_place_kind")):
            raise TypeError(
                f"{cls.__name__}.{name}: a struct field is an int, bool, struct or Array, without a default"
            )
        field_align = 1 if packed else place.align
        offset = -(-size // field_align) * field_align
        fields[name] = members[name] = StructField(offset, place)
        size = offset + place.size
        align = max(align, field_align)
    for unwanted in ("__dict__", "__weakref__"):
        members.pop(unwanted, None)
    bases = cls.__bases__ if issubclass(cls, Struct) else (Struct,)
    members |= {"__fields__": fields, "__size__": -(-size // align) * align, "__align__": align}
    return type(cls.__name__, bases, members)


def sizeof(cls: Any) -> int:
    """The size of a struct in bytes, padding included."""
    if place_of(cls) is REFERENCE:
        raise TypeError(f"{cls} has no size")
    return place_of(cls).size


def offsetof(cls: Any, field: str) -> int:
    """Where a field lies in a struct, in bytes."""
    return int(cls.__fields__[field].offset)


def struct_at(cls: Any, span: Span, offset: int = 0) -> Any:
    """A view of bytes of a span as a struct."""
    if not 0 <= offset <= len(span) - cls.__size__:
        raise IndexError(f"{cls.__size__} bytes at {offset} of {len(span)}")
    return cls.__view__(span._buffer, span._start + offset)


def bytes_of(value: Any) -> Span:
    """A view of a struct's bytes."""
    buffer, start = value.__place__
    return Span(buffer, start, value.__size__, place_of(u8))
