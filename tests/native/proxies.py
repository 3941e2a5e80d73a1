"""Compiled functions, classes and objects as Python's.

A proxy refers to an object of the compiled modules' heap, and counts as one reference to it. Ints, texts and enums are
copied; lists, dictionaries and bytearrays of the heap have proxies too, and those of Python that a call takes are
copied into the heap before it, and back after it. What a test cannot do with compiled code (replace a function, derive
from a class that nothing overrides) raises `NotNative`.
"""

from __future__ import annotations

import bisect
import importlib
import inspect
import operator
import pickle
import sys
import types
import weakref
from collections.abc import Callable, Iterator, MutableSequence, Sequence
from enum import Enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from compiler.lower.layout import type_symbol
from compiler.tree import ClassDecl
from compiler.types import (
    BYTES,
    INT,
    STR,
    ArrayType,
    BoolType,
    BytesType,
    ClassType,
    EnumType,
    FunctionType,
    IntType,
    NeverType,
    NoneType,
    OptionalType,
    SpanType,
    StrType,
    StructType,
    TupleType,
    Type,
    UnionType,
    WeakType,
    is_reference,
    show,
)
from kernel.lang import Errno, Panic, Span, u8
from kernel.lang.places import place_of
from kernel.lang.spans import Array
from tests.native.build import BYTE_ARRAY, DEQUE, DICT, LIST, PYTHON, Code, Interface

if TYPE_CHECKING:
    from tests.native import bridge
else:
    from tests.native.loader import load

    bridge = load()

HEAP_BYTES = 256 << 20
MASK = (1 << 64) - 1
FAULT = 200
KINDS: dict[int, type[Exception]] = {
    1: OverflowError, 2: IndexError, 3: AttributeError, 4: ZeroDivisionError, 5: AssertionError, 6: KeyError,
    8: OverflowError, 9: ValueError, 10: Panic, 12: ValueError, 13: RuntimeError,
}  # fmt: skip
TEXT = 16  # where the data of bytes and str begins


class Place(Protocol):
    """How the prelude under CPython reads a value of some type."""

    size: int


class Viewed(Protocol):
    """A Span of the prelude under CPython."""

    _buffer: memoryview | bytearray | bytes
    _start: int
    _count: int
    _element: Place


class Placed(Protocol):
    """A struct or Array of the prelude under CPython."""

    __place__: tuple[memoryview | bytearray, int]
    __size__: int


class PlacedClass(Protocol):
    """The class of such."""

    __size__: int

    def __call__(self) -> Placed: ...

    def __view__(self, buffer: memoryview, offset: int) -> object: ...


if TYPE_CHECKING:

    class NativeSpan:
        """See below."""

        def __init__(self, buffer: memoryview, start: int, count: int, element: object) -> None: ...

else:

    class NativeSpan(Span):
        """A span of bytes of the heap. Its bytes are copied as whole, as those of a bytearray are."""

        __slots__ = ()

        def _are_bytes(self) -> bool:
            return True

        def _part(self, part: slice) -> NativeSpan:
            found = super()._part(part)
            return NativeSpan(found._buffer, found._start, found._count, found._element)


class NotNative(Exception):
    """A test does with compiled code what only Python's can."""


class Words:
    """The words of a call's arguments, and what is to be done after it."""

    def __init__(self) -> None:
        self.words: list[int] = []
        self.held: list[int] = []  # objects that are only there for this call
        self.kept: list[object] = []
        self.after: list[Callable[[], None]] = []


class Machine:
    """An image that is mapped into this process."""

    def __init__(self, image: Path) -> None:
        self.interface: Interface = pickle.loads(image.with_suffix(".interface").read_bytes())
        self.symbols = self.interface.symbols
        self.places = sorted((address, name) for name, address in self.symbols.items() if address)
        self.classes: dict[str, type[NativeObject]] = {}
        self.types: dict[int, Type] = {}  # by the low half of the descriptor's address, as in a header
        self.proxies: weakref.WeakValueDictionary[int, NativeObject] = weakref.WeakValueDictionary()
        self.frozen: dict[int, tuple[object, int]] = {}  # live objects by identity: what they became
        self.kept: dict[int, NativeObject] = {}  # objects of Python's classes
        self.numbers = {name: number for number, name in self.interface.exceptions.items()}  # of exceptions
        self.pending: BaseException | None = None
        self.calls = 0
        bridge.load(
            str(image).encode(), self.symbols["krait_native_table"], self.symbols[".eh_frame"],
            self.symbols["krait_host_start"], HEAP_BYTES, self.symbols["krait_allocate"],
            self.symbols["krait_count_is_zero"], self.upcall,
        )  # fmt: skip
        for t, symbol in self.interface.descriptors.items():
            if symbol in self.symbols:
                self.types[self.symbols[symbol]] = t
        for (module, name), (symbol, _) in self.interface.globals.items():
            if symbol in self.symbols:
                live = vars(sys.modules[module])[name]
                self.frozen[id(live)] = live, self.symbols[symbol]

    def upcall(self, handle: int, number: int, arguments: int, results: int) -> int:
        """Compiled code calls a method that a class of Python overrides: the error word. Nothing leaves by an
        exception: one that compiled code does not know is raised by the call that led here.
        """
        method = self.interface.upcalls[number]
        try:
            receiver = self.proxies[handle]
            count = sum(map(width, method.parameters[1:]))
            words = iter([bridge.peek(arguments + 8 * at, 64, True) for at in range(count)])
            values = [self.take(t, words, receiver) for t in method.parameters[1:]]
            answer = getattr(receiver, method.name)(*values)
            put = Words()
            self.put(method.result, answer, put)
            assert not put.after, "a list of Python as a result"
            for at, word in enumerate(put.words):
                bridge.poke(results + 8 * at, 64, word)
            for address in put.held:
                bridge.release(address)  # the caller's frame holds it
        except (Errno, MemoryError) as error:
            if method.raises:
                return self.word_of(error)
            self.pending = error
        except BaseException as error:
            self.pending = self.pending or error
        return 0

    def word_of(self, error: Errno | MemoryError) -> int:
        """An exception as a word beside a result."""
        if isinstance(error, MemoryError):
            return int(self.numbers["builtins.MemoryError"]) << 32
        return int(self.numbers["kernel.lang.errors.Errno"]) << 32 | error.code & 0xFFFF_FFFF

    # Calls --------------------------------------------------------------------------------------------------------

    def call(self, code: Code, values: Sequence[object]) -> object:
        """Call a function with all its arguments."""
        words = Words()
        self.calls += 1
        result = code.result
        if isinstance(result, StructType) and not code.view:
            return self.struct_result(code, values)
        for t, value in zip(code.parameters, values, strict=True):
            self.put(t, value, words)
        count = 1 + width(result)
        trap, results = bridge.call(self.symbols[code.glue], words.words, count)
        try:
            if self.pending is not None:
                pending, self.pending = self.pending, None
                raise pending
            if trap:
                raise self.exception_of(trap)
            if code.raises:
                word = results[width(result)]
                if word:
                    raise self.raised(word)
            return self.take(result, iter(results), words)
        finally:
            for step in words.after:
                step()
            for address in words.held:
                bridge.release(address)

    def struct_result(self, code: Code, values: Sequence[object]) -> object:
        """Call a function that puts its result where its first argument says."""
        made = placed_class(code.result)()
        pointer = Code(code.glue, (code.result, *code.parameters), NoneType(), code.raises, False)
        self.call(pointer, (made, *values))
        return made

    def exception_of(self, trap: int) -> Exception:
        """A trap as the exception that CPython would have raised."""
        at = bridge.trap_address()
        number = bisect.bisect(self.places, (at, "\x7f")) - 1
        where = f"in {self.places[number][1]}" if number >= 0 else f"at {at:#x}"
        if trap >= FAULT:
            return NotNative(f"signal {trap - FAULT} {where}: an access, or an instruction, of the processor's")
        text = bridge.message() if trap in (5, 10) else None
        return KINDS.get(trap, Panic)(text.decode() if text is not None else f"trap {trap} {where}")

    def raised(self, word: int) -> Exception:
        name = self.interface.exceptions[(word & MASK) >> 32]
        module, _, short = name.rpartition(".")
        kind = vars(importlib.import_module(module))[short]
        low = word & 0xFFFF_FFFF
        code = low - (1 << 32) if low >> 31 else low
        return cast(Exception, kind(code) if issubclass(kind, Errno.__mro__[1]) else kind())

    # Values to words ----------------------------------------------------------------------------------------------

    def put(self, t: Type, value: object, words: Words) -> None:
        """Append the words of a value."""
        match t:
            case IntType():
                words.words.append(signed_word(checked(t, value)))
            case BoolType():
                words.words.append(int(bool(value)))
            case EnumType():
                number = value.value if isinstance(value, Enum) else value
                words.words.append(operator.index(cast(int, number)))
            case NoneType():
                pass
            case OptionalType(inner) if not is_reference(inner) and not isinstance(inner, FunctionType):
                if value is None:
                    words.words += [0] * (width(inner) + 1)
                else:
                    self.put(inner, value, words)
                    words.words.append(1)
            case OptionalType(inner):
                if value is None:
                    words.words.append(0)
                else:
                    self.put(inner, value, words)
            case TupleType(items):
                assert isinstance(value, tuple)
                for item, part in zip(items, value, strict=True):
                    self.put(item, part, words)
            case SpanType():
                self.put_span(value, words)
            case StructType() | ArrayType():
                self.put_struct(value, words)
            case _ if is_reference(t):
                words.words.append(self.reference(t, value, words))
            case _:
                raise NotNative(f"{show(t)} as an argument")

    def put_span(self, value: object, words: Words) -> None:
        """An address and a number of elements. The bytes of Python are copied, and back."""
        assert isinstance(value, Span)
        view = cast(Viewed, value)
        buffer, start, size = view._buffer, view._start, view._count * view._element.size
        if isinstance(buffer, memoryview):
            words.words += [bridge.address_of(buffer[start:]) if size else 0, view._count]
            words.kept.append(buffer)
            return
        address = self.new_bytes(BYTES, bytes(buffer[start : start + size]), words)
        words.words += [address + TEXT, view._count]
        if isinstance(buffer, bytearray):
            words.after.append(partial(copy_back, buffer, start, address, size))

    def put_struct(self, value: object, words: Words) -> None:
        buffer, start = cast(Placed, value).__place__
        size = cast(Placed, value).__size__
        if isinstance(buffer, memoryview):
            words.words.append(bridge.address_of(buffer[start:]))
            words.kept.append(buffer)
            return
        address = self.new_bytes(BYTES, bytes(buffer[start : start + size]), words)
        words.words.append(address + TEXT)
        words.after.append(partial(copy_back, buffer, start, address, size))

    def new_bytes(self, t: Type, data: bytes, words: Words) -> int:
        """A bytes or str object, which lives until the call has ended."""
        address = bridge.allocate(self.descriptor(t), TEXT + len(data) + 1)
        bridge.hold(address)
        words.held.append(address)
        bridge.poke(address + 8, 64, len(data))
        bridge.write(address + TEXT, data)
        return address

    def descriptor(self, t: Type) -> int:
        symbol = self.interface.descriptors.get(t)
        if symbol is None:
            raise NotNative(f"no {show(t)} is made in the compiled modules")
        return int(self.symbols[symbol])

    def reference(self, t: Type, value: object, words: Words) -> int:
        """The address of the object that a value is, or becomes."""
        if isinstance(value, NativeObject):
            words.kept.append(value)
            return value._address
        known = self.frozen.get(id(value))
        if known is not None:
            return known[1]
        match t:
            case BytesType():
                assert isinstance(value, bytes), f"{value!r} is no bytes"
                return self.new_bytes(t, value, words)
            case StrType():
                assert isinstance(value, str)
                return self.new_bytes(t, value.encode(), words)
            case ClassType(name=name):
                if name == LIST and isinstance(value, list):
                    return self.copied_list(t, value, words)
                if name == BYTE_ARRAY and isinstance(value, bytearray):
                    return self.copied_byte_array(value, words)
        raise NotNative(f"{type(value).__name__} as {show(t)}")

    def copied_list(self, t: ClassType, values: list[object], words: Words) -> int:
        """A list that is there for a call; what the call did to it is done to the list of Python."""
        made = cast(NativeList, self.new_container(t))
        for value in values:
            made.append(value)
        words.kept.append(made)

        def copy_back() -> None:
            values[:] = list(made)

        words.after.append(copy_back)
        return made._address

    def copied_byte_array(self, data: bytearray, words: Words) -> int:
        """The same of a bytearray."""
        made = cast(NativeByteArray, self.new_container(ClassType(BYTE_ARRAY)))
        made.extend(bytes(data))
        words.kept.append(made)

        def copy_back() -> None:
            data[:] = bytes(made)

        words.after.append(copy_back)
        return made._address

    def new_container(self, t: ClassType) -> NativeObject:
        address = bridge.allocate(self.descriptor(t), self.interface.layouts[t].size)
        made = self.wrap(address)
        assert made is not None
        if t.name != BYTE_ARRAY:
            self.call(self.method(t, "__init__"), (made,))
        else:
            self.call(self.method(t, "__init__"), (made, 0))
        return made

    def method(self, t: ClassType, name: str) -> Code:
        """A method of a container."""
        suffix = f"[{','.join(type_symbol(a) for a in t.args)}]" if t.args else ""
        code = self.interface.codes.get(f"{t.name}.{name}{suffix}")
        if code is None:
            raise NotNative(f"{show(t)}.{name} is not compiled")
        return code

    # Words to values ----------------------------------------------------------------------------------------------

    def take(self, t: Type, words: Iterator[int], owner: object) -> object:
        """The value that the next words are."""
        match t:
            case NoneType() | NeverType():
                return None
            case IntType(bits=64, signed=False):
                return next(words) & MASK
            case IntType():
                return next(words)
            case BoolType():
                return next(words) & 1 != 0
            case EnumType():
                return live_enum(t)(next(words))
            case OptionalType(inner) if not is_reference(inner) and not isinstance(inner, FunctionType):
                value = self.take(inner, words, owner)
                return value if next(words) & 1 else None
            case OptionalType(inner):
                return self.take(inner, words, owner)
            case StrType():
                return self.text_at(next(words))
            case TupleType(items):
                return tuple([self.take(item, words, owner) for item in items])
            case SpanType(element):
                address, count = next(words), next(words)
                place = place_of(u8) if element.bits == 8 and not element.signed else None  # type: ignore[attr-defined]
                if place is None:
                    raise NotNative(f"{show(t)} as a result")
                return NativeSpan(memoryview(bridge.Memory(address, count, owner)), 0, count, place)
            case StructType():
                kind = placed_class(t)
                return kind.__view__(memoryview(bridge.Memory(next(words), kind.__size__, owner)), 0)
            case _ if is_reference(t):
                return self.object_at(next(words))
        raise NotNative(f"{show(t)} as a result")

    def object_at(self, address: int) -> object:
        """The value that a reference leads to."""
        if address == 0:
            return None
        if self.types.get(bridge.peek(address + 4, 32, False)) in (BYTES, STR):
            return bridge.read(address + TEXT, bridge.peek(address + 8, 64, True))
        return self.wrap(address)

    def text_at(self, address: int) -> str | None:
        """The str that a reference leads to. Its class does not say so where it was made of bytes."""
        data = self.object_at(address)
        return cast(bytes, data).decode() if data is not None else None

    def wrap(self, address: int) -> NativeObject | None:
        """The proxy of an object."""
        if address == 0:
            return None
        known = self.proxies.get(address)
        if known is not None:
            return known
        t = self.types.get(bridge.peek(address + 4, 32, False))
        if not isinstance(t, ClassType):
            raise NotNative(f"an object of {show(t) if t is not None else 'an unknown class'}")
        kind = self.class_of(t)
        made = object.__new__(kind)
        made._enter(self, address, t)
        return made

    # Fields -------------------------------------------------------------------------------------------------------

    def load(self, owner: object, address: int, t: Type) -> object:
        """The value of a field or an element."""
        match t:
            case IntType(bits=bits, signed=signed, big_endian=False):
                return bridge.peek(address, bits, signed)
            case BoolType():
                return bridge.peek(address, 8, False) != 0
            case EnumType():
                return live_enum(t)(bridge.peek(address, 64, True))
            case OptionalType(inner) if is_reference(inner):
                return self.load(owner, address, inner)
            case StrType():
                return self.text_at(bridge.peek(address, 64, False))
            case StructType():
                kind = placed_class(t)
                return kind.__view__(memoryview(bridge.Memory(address, kind.__size__, owner)), 0)
            case ArrayType(element, length) if not is_reference(element):
                kind = cast("dict[object, PlacedClass]", Array)[live_type(element), length]
                return kind.__view__(memoryview(bridge.Memory(address, kind.__size__, owner)), 0)
            case _ if is_reference(t):
                return self.object_at(bridge.peek(address, 64, False))
        raise NotNative(f"a field of type {show(t)}")

    def store(self, address: int, t: Type, value: object) -> None:
        """Set a field."""
        match t:
            case IntType(bits=bits, big_endian=False):
                bridge.poke(address, bits, checked(t, value))
            case BoolType():
                bridge.poke(address, 8, int(bool(value)))
            case EnumType():
                bridge.poke(address, 64, cast(int, cast(Enum, value).value))
            case _ if is_reference(t):
                words = Words()
                inner = t.inner if isinstance(t, OptionalType) else t
                new = 0 if value is None and isinstance(t, OptionalType) else self.reference(inner, value, words)
                if new:
                    bridge.hold(new)
                old = bridge.peek(address, 64, False)
                bridge.poke(address, 64, new)
                for held in (*([old] if old else []), *words.held):
                    bridge.release(held)
            case _:
                raise NotNative(f"a field of type {show(t)}")

    # Classes ------------------------------------------------------------------------------------------------------

    def class_of(self, t: ClassType) -> type[NativeObject]:
        if t.name == LIST:
            return NativeList
        if t.name == DICT:
            return NativeDict
        if t.name == DEQUE:
            return NativeDeque
        if t.name == BYTE_ARRAY:
            return NativeByteArray
        return self.class_named(t.name, t)

    def class_named(self, name: str, exact: ClassType | None = None) -> type[NativeObject]:
        """The proxies' class of a class, for generic ones as `exact` says."""
        t = exact or ClassType(name)
        known = self.classes.get(type_symbol(t))
        if known is not None:
            return known
        decl = self.interface.classes[name]
        base: type[NativeObject] = NativeObject
        if isinstance(decl.base, ClassType) and decl.base.name in self.interface.classes:
            base = self.class_named(decl.base.name)
        live = live_class(t)
        members: dict[str, object] = {
            key: value for key, value in vars(live).items()
            if not key.startswith("__") and isinstance(value, int | bytes | str | tuple | Enum)
        }  # fmt: skip
        members |= {"__slots__": (), "__module__": live.__module__, "__qualname__": live.__qualname__}
        members |= {"_machine": self, "_type": t}
        if t in self.interface.layouts:
            layout = self.interface.layouts[t]
            for each in decl.fields:
                members[each.name] = field_property(self, *layout.fields[each.name])
        for full in decl.methods:
            self.add_method(members, decl, full, live)
        made = type(live.__name__, (base,), members)
        self.classes[type_symbol(t)] = made
        return made

    def add_method(self, members: dict[str, object], decl: ClassDecl, full: str, live: type) -> None:
        name = full.removeprefix(decl.name + ".")
        code = self.interface.codes.get(full)
        if name.endswith(".setter"):
            name = name.removesuffix(".setter")
            before = members[name]
            assert isinstance(before, property)
            setter = cast(Callable[[object, object], None], self.function(full, code, None))
            members[name] = before.setter(setter)
            return
        plain = vars(live).get(name)
        if isinstance(plain, property):
            members[name] = property(self.function(full, code, None))
        elif isinstance(plain, staticmethod):
            members[name] = staticmethod(self.function(full, code, plain.__func__))
        else:
            members[name] = self.function(full, code, plain if inspect.isfunction(plain) else None)

    def function(
        self, name: str, code: Code | None, live: Callable[..., object] | None
    ) -> Callable[..., object]:
        """A compiled function as one of Python's."""
        if code is None:
            def missing(*_: object, **__: object) -> object:
                raise NotNative(f"{name} is not compiled")

            return missing
        signature = inspect.signature(live) if live is not None else None
        count = len(code.parameters)
        call = self.call

        def native(*values: object, **named: object) -> object:
            if named or len(values) != count:
                assert signature is not None
                bound = signature.bind(*values, **named)
                bound.apply_defaults()
                values = tuple(bound.arguments.values())
            return call(code, values)

        native.__name__ = native.__qualname__ = name
        return native


# Values ---------------------------------------------------------------------------------------------------------------


def width(t: Type) -> int:
    """How many words a value of a type is."""
    match t:
        case NoneType() | NeverType():
            return 0
        case TupleType(items):
            return sum(map(width, items))
        case SpanType():
            return 2
        case OptionalType(inner) if not is_reference(inner) and not isinstance(inner, FunctionType):
            return width(inner) + 1
    return 1


def copy_back(buffer: bytearray, start: int, address: int, size: int) -> None:
    """Copy what compiled code did to its copy of some bytes."""
    buffer[start : start + size] = bridge.read(address + TEXT, size)


def checked(t: IntType, value: object) -> int:
    """An int in the range of its type."""
    number = operator.index(cast(int, value))
    low = -(1 << t.bits - 1) if t.signed else 0
    if not low <= number < low + (1 << t.bits):
        raise OverflowError(f"{number} is no {show(t)}")
    return number


def signed_word(number: int) -> int:
    return number - (1 << 64) if number >> 63 == 1 else number


def live_class(t: Type) -> type:
    """The class of the imported modules."""
    assert isinstance(t, ClassType | StructType | EnumType)
    value: object = LIVE.get(t.name)
    if value is None:
        module, short = t.name, ""
        while module not in sys.modules or short == "":
            module, _, last = module.rpartition(".")
            short = f"{last}.{short}" if short else last
        value = LIVE_MODULES.get(module) or sys.modules[module]
        for part in short.split("."):
            value = getattr(value, part)
        LIVE[t.name] = value
    return cast(type, value)


def placed_class(t: Type) -> PlacedClass:
    """The class of a struct."""
    return cast(PlacedClass, live_class(t))


LIVE: dict[str, object] = {}
LIVE_MODULES: dict[str, types.ModuleType] = {}


def live_enum(t: EnumType) -> type[Enum]:
    return cast(type[Enum], live_class(t))


def live_type(t: Type) -> object:
    """What an element's type is called in Python."""
    if t == INT:
        return int
    if isinstance(t, IntType):
        return getattr(importlib.import_module("kernel.lang"), t.name)
    if isinstance(t, BoolType):
        return bool
    return live_class(t)


def field_property(machine: Machine, offset: int, t: Type) -> property:
    def get(self: NativeObject) -> object:
        return machine.load(self, self._address + offset, t)

    def put(self: NativeObject, value: object) -> None:
        machine.store(self._address + offset, t, value)

    return property(get, put)


class NativeObject:
    """A reference to an object of the heap."""

    __slots__ = ("__weakref__", "_address", "_exact")
    _machine: Machine
    _type: ClassType
    _address: int
    _exact: ClassType

    def __new__(cls, *_: object, **__: object) -> NativeObject:
        machine, t = cls._machine, cls._type
        if machine.classes.get(t.name) is not cls:
            t = ClassType(t.name + PYTHON)
            if t not in machine.interface.layouts:
                raise NotNative(f"{cls.__name__} derives from {cls._type.name} in Python (see DERIVED in subjects.py)")
        address = bridge.allocate(machine.descriptor(t), machine.interface.layouts[t].size)
        made = object.__new__(cls)
        made._enter(machine, address, t)
        if t is not cls._type:
            machine.kept[address] = made
        return made

    def __init__(self) -> None:
        pass

    def _enter(self, machine: Machine, address: int, t: ClassType) -> None:
        self._address = address
        self._exact = t
        bridge.hold(address)
        machine.proxies[address] = self

    def __del__(self, release: Callable[[int], None] = bridge.release) -> None:
        release(self._address)


class NativeSequence(NativeObject):
    """What lists, deques and bytearrays share."""

    __slots__ = ()

    def _call(self, name: str, *values: object) -> object:
        machine = MACHINES[0]
        return machine.call(machine.method(self._exact, name), (self, *values))

    def __len__(self) -> int:
        return cast(int, self._call("__len__"))

    def _index(self, index: int) -> int:
        return index + len(self) if index < 0 else index

    def __getitem__(self, index: int | slice) -> object:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(len(self)))]
        return self._call("__getitem__", self._index(index))

    def __iter__(self) -> Iterator[object]:
        at = 0
        while at < len(self):
            yield self[at]
            at += 1

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence | NativeSequence):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def clear(self) -> None:
        self._call("clear")

    def append(self, value: object) -> None:
        self._call("append", value)

    def __repr__(self) -> str:
        return repr(list(self))


class NativeList(NativeSequence):
    __slots__ = ()

    def __setitem__(self, index: int | slice, value: object) -> None:
        if isinstance(index, slice):
            whole = list(self)
            whole[index] = cast(list[object], value)
            self.clear()
            for each in whole:
                self.append(each)
        else:
            self._call("__setitem__", self._index(index), value)

    def __delitem__(self, index: int) -> None:
        self._call("__delitem__", self._index(index))

    def insert(self, index: int, value: object) -> None:
        self._call("insert", index, value)

    def pop(self, index: int = -1) -> object:
        value = self[index]
        del self[index]
        return value

    def __contains__(self, value: object) -> bool:
        return any(each is value or each == value for each in self)

    def index(self, value: object) -> int:
        return list(self).index(value)

    def count(self, value: object) -> int:
        return list(self).count(value)


class NativeDeque(NativeSequence):
    __slots__ = ()

    def popleft(self) -> object:
        return self._call("popleft")


class NativeByteArray(NativeSequence):
    __slots__ = ()

    def __bytes__(self) -> bytes:
        t = ClassType(BYTE_ARRAY)
        layout = MACHINES[0].interface.layouts[t].fields
        items = bridge.peek(self._address + layout["_items"][0], 64, False)
        start = bridge.peek(self._address + layout["_start"][0], 64, False)
        return bridge.read(items + TEXT + start, len(self)) if len(self) else b""

    def __getitem__(self, index: int | slice) -> object:
        return bytearray(bytes(self))[index]

    def __iter__(self) -> Iterator[object]:
        return iter(bytes(self))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, bytes | bytearray | NativeByteArray) and bytes(self) == bytes(other)

    def __setitem__(self, index: int, value: object) -> None:
        self._call("__setitem__", self._index(index), value)

    def extend(self, data: bytes) -> None:
        self._call("extend_bytes", data)


class NativeDict(NativeSequence):
    __slots__ = ()

    def _keys(self) -> list[object]:
        return list(cast(NativeList, self._call("key_list")))

    def __iter__(self) -> Iterator[object]:
        return iter(self._keys())

    def __contains__(self, key: object) -> bool:
        return key in self._keys()

    def __getitem__(self, key: object) -> object:
        return self._call("__getitem__", key)

    def __setitem__(self, key: object, value: object) -> None:
        self._call("__setitem__", key, value)

    def __delitem__(self, key: object) -> None:
        self._call("__delitem__", key)

    def get(self, key: object, default: object = None) -> object:
        return self[key] if key in self else default

    def keys(self) -> list[object]:
        return self._keys()

    def values(self) -> list[object]:
        return [self[key] for key in self._keys()]

    def items(self) -> list[tuple[object, object]]:
        return [(key, self[key]) for key in self._keys()]

    def __eq__(self, other: object) -> bool:
        return dict(self.items()) == other


MACHINES: list[Machine] = []
MutableSequence.register(NativeList)


# Modules --------------------------------------------------------------------------------------------------------------


class NativeModule(types.ModuleType):
    """A compiled module in the place of its source."""

    def __setattr__(self, name: str, value: object) -> None:
        cells = self.__dict__.get("_cells")
        if cells is None or name.startswith("__"):
            super().__setattr__(name, value)
        elif name in cells:
            MACHINES[0].store(cells[name][0], cells[name][1], value)
        else:
            raise NotNative(f"{self.__name__}.{name} is compiled: nothing can take its place")

    def __getattr__(self, name: str) -> object:
        cell = self.__dict__.get("_cells", {}).get(name)
        if cell is None:
            raise AttributeError(f"module {self.__name__} has no attribute {name}")
        return MACHINES[0].load(None, *cell)


def install(image: Path, names: Sequence[str]) -> Machine:
    """Put compiled modules in the place of imported ones."""
    for name in names:
        LIVE_MODULES[name] = importlib.import_module(name)
    machine = Machine(image)
    MACHINES.append(machine)
    for name in names:
        live = LIVE_MODULES[name]
        module = NativeModule(name, live.__doc__)
        module.__file__ = live.__file__
        cells = {}
        for (owner, cell), (symbol, t) in machine.interface.cells.items():
            if owner == name and symbol in machine.symbols:
                cells[cell] = machine.symbols[symbol], t
        for key, value in vars(live).items():
            if key not in cells and not key.startswith("__"):
                vars(module)[key] = replacement(machine, names, name, key, value)
        vars(module)["_cells"] = cells
        sys.modules[name] = module
        parent, _, last = name.rpartition(".")
        setattr(sys.modules[parent], last, module)
    return machine


def replacement(machine: Machine, names: Sequence[str], module: str, key: str, value: object) -> object:
    """What a name of a compiled module means."""
    if isinstance(value, types.FunctionType) and value.__module__ in names:
        full = f"{value.__module__}.{value.__qualname__}"
        declaration = machine.interface.functions.get(full)
        if declaration is None:
            return value
        return machine.function(full, machine.interface.codes.get(full), value)
    if isinstance(value, type):
        decl = machine.interface.classes.get(f"{value.__module__}.{value.__qualname__}")
        if decl is not None and decl.kind == "class" and value.__module__ in names and not decl.type_params:
            return machine.class_named(decl.name)
        return value
    known = machine.frozen.get(id(value))
    if known is not None and known[0] is value:
        return machine.wrap(known[1])
    decl = machine.interface.classes.get(f"{type(value).__module__}.{type(value).__qualname__}")
    if decl is not None and decl.kind == "class":
        return Missing(f"{module}.{key}")
    return value


class Missing:
    """An object of a module that the image has not: nobody may take Python's for it."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> object:
        raise NotNative(f"{self._name} is not in the image")


__all__ = ["Machine", "NotNative", "UnionType", "WeakType", "install"]
