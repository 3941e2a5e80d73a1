"""Live Python objects to data of the image: what the entry module's import built is laid out as the run-time would
have built it.

The lowering asks for the symbol of an object that a function mentions (`Freezer.symbol_for`); everything reachable
from it is frozen with it. Shared references stay shared, cycles stay cycles. Containers become the objects of
`kernel.lang.runtime.containers`, with their `RawArray`s. Afterwards `modules` writes LLVM IR: one module of data a
package, children before parents, every name derived from the global through which the object was found
("krait.object.kernel.mm.heap.TABLE.entries"), so that two runs give the same bytes.

An object that has no representation (a float in a list, an int too large for its field) is a Diagnostic that names
the way from the global to it.

Everything lies in `.data`, strings too: storing a reference counts it in the object's header.
"""

from __future__ import annotations

import enum
import hashlib
import re
import sys
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from types import FunctionType as LiveFunction
from types import MethodType, ModuleType
from typing import Any

from compiler.lower.interfaces import BYTE_ARRAY, DEQUE, DICT, LIST, WorldHooks
from compiler.lower.layout import FROZEN_COUNT
from compiler.tree import Diagnostic, Loc, Program
from compiler.types import (
    CONTAINERS,
    STORAGE_INTS,
    ArrayType,
    BoolType,
    BytesType,
    ClassType,
    EnumType,
    FunctionType,
    IntType,
    NoneType,
    OptionalType,
    RawArrayType,
    StrType,
    StructType,
    Type,
    TypeVariable,
    UnionType,
    WeakType,
    is_reference,
    show,
    substitute,
)

HASHING = "kernel.lang.runtime.hashing"
TEXT_MODULE = "krait.data.text"
NOWHERE = Loc("<frozen data>", 0)
LIVE_HINT = "import must leave functions, classes and methods as their source says"
HINT_FIELDS = "the heap holds ints, bools, enums, functions, structs, Arrays, strings, containers and class instances"


@dataclass
class Constant:
    """A value in memory: LLVM's type and constant, and its size."""

    type: str
    text: str
    size: int


@dataclass(slots=True)
class Datum:
    """One frozen object: its symbol, and the text of its definition once it is known."""

    symbol: str
    module: str
    path: str  # how the program reaches it, for messages and for the names of what it holds
    value: object
    fill: Callable[[Datum], list[Constant]]
    align: int = 8
    pieces: list[Constant] = field(default_factory=list)
    references: list[str] = field(default_factory=list)


class Freezer:
    """Freezes the objects that one program mentions. `target` is "kernel" or "host": where the image is linked."""

    def __init__(self, program: Program, hooks: WorldHooks, target: str = "host") -> None:
        self.program = program
        self.hooks = hooks
        self.layouts = hooks.layouts
        self.target = target
        self._by_identity: dict[int, Datum] = {}
        self._by_symbol: dict[str, Datum] = {}
        self._waiting: deque[Datum] = deque()
        self._filling = False
        self._globals: dict[int, str] | None = None
        self._current: Datum | None = None
        self._named: dict[int, set[str]] = {}  # containers by identity: the places that refer to them
        self._guarded: dict[int, str] = {}  # of these, what a spin lock guards: the field

    # What the lowering calls ------------------------------------------------------------------------------------------

    def symbol_for(self, obj: object, t: Type) -> str:
        """The symbol of the frozen copy of `obj`, whose declared type is `t`."""
        if isinstance(t, OptionalType):
            t = t.inner
        symbol = self._reference(obj, t, None)
        if not self._filling:
            self._filling = True
            try:
                while self._waiting:
                    self._fill(self._waiting.popleft())
            finally:
                self._filling = False
                self._current = None
        return symbol

    def modules(self) -> dict[str, str]:
        """IR text of all frozen data, by module name."""
        members: dict[str, list[Datum]] = {}
        for datum in reversed(self._by_symbol.values()):  # found from parents to children
            members.setdefault(datum.module, []).append(datum)
        return {name: module_text(members[name]) for name in sorted(members)}

    def shared(self) -> list[Diagnostic]:
        """Containers that a spin lock guards in one object, and that the program reaches otherwise as well."""
        hint = "give each guarded field a container of its own"
        return [
            self._error("KP737", path, "a spin lock guards this container, and it is known elsewhere", hint)
            for identity, path in self._guarded.items()
            if len(self._named[identity]) > 1
        ]

    def is_shared(self, identity: int) -> bool:
        """Whether a container is also referred to by an object, and not only by globals."""
        return self._named.get(identity, set()) != {""}

    # Objects ----------------------------------------------------------------------------------------------------------

    def _reference(self, obj: object, t: Type, path: str | None) -> str:
        """The symbol of an object; a new one is put on the list of those to fill. `path` None: find the global."""
        match t:
            case StrType():
                if type(obj) is not str or any("\ud800" <= character <= "\udfff" for character in obj):
                    raise self._mismatch(obj, t, path)
                return self._text(obj, t, obj.encode(), path)
            case BytesType():
                if type(obj) is not bytes:
                    raise self._mismatch(obj, t, path)
                return self._text(obj, t, bytes(obj), path)
        if isinstance(obj, list | dict | deque | bytearray):
            self._named.setdefault(id(obj), set()).add(path or "")
        known = self._by_identity.get(id(obj))
        if known is not None:
            return known.symbol
        where = path or self._global_path(obj) or f"anonymous.{type(obj).__name__}.{len(self._by_identity)}"
        exact = self._exact_type(obj, t, where)
        align = 8
        fill: Callable[[Datum], list[Constant]]
        match exact:
            case StructType():
                align = self.layouts.instance(exact).align
                fill = lambda datum: self._struct(exact, obj, datum.path).pieces  # noqa: E731
            case ArrayType(element):
                align = self.layouts.size_align(element)[1]
                fill = lambda datum: [self._value(exact, obj, datum.path)]  # noqa: E731
            case WeakType(target):
                fill = lambda datum: self._weak(exact, target, obj, datum.path)  # noqa: E731
            case ClassType():
                fill = lambda datum: self._instance(exact, obj, datum.path)  # noqa: E731
            case _:
                raise self._mismatch(obj, t, where)
        return self._enter(obj, where, fill, align).symbol

    def _enter(self, obj: object, path: str, fill: Callable[[Datum], list[Constant]], align: int = 8) -> Datum:
        symbol = unique(f"krait.object.{path}", self._by_symbol)
        datum = Datum(symbol, self._module_of(path), path, obj, fill, align)
        self._by_identity[id(obj)] = datum  # the datum keeps obj alive, so that its id stays its own
        self._by_symbol[symbol] = datum
        self._waiting.append(datum)
        return datum

    def _fill(self, datum: Datum) -> None:
        self._current = datum
        datum.pieces = datum.fill(datum)

    def _text(self, obj: object, t: Type, data: bytes, path: str | None) -> str:
        """A str or bytes: one datum for each content."""
        kind = "str" if isinstance(t, StrType) else "bytes"
        symbol = f"krait.{kind}.{hashlib.sha256(data).hexdigest()[:16]}"
        if symbol not in self._by_symbol:
            def fill(datum: Datum) -> list[Constant]:
                text = Constant(f"[{len(data) + 1} x i8]", byte_text(data + b"\0"), len(data) + 1)
                return [*self._header(t), Constant("i64", str(len(data)), 8), text]

            datum = Datum(symbol, TEXT_MODULE, path or symbol, obj, fill)
            self._by_symbol[symbol] = datum
            self._waiting.append(datum)
        return symbol

    def _exact_type(self, obj: object, t: Type, path: str) -> Type:
        """The type of the object itself where `t` is declared, which may be a base class or a union."""
        match t:
            case ClassType(name="kernel.lang.runtime.containers.List"):
                fits = type(obj) is list
            case ClassType(name="kernel.lang.runtime.containers.Dict"):
                fits = type(obj) is dict
            case ClassType(name="kernel.lang.runtime.containers.Deque"):
                fits = type(obj) is deque and obj.maxlen is None
            case ClassType(name="kernel.lang.runtime.containers.ByteArray"):
                fits = type(obj) is bytearray
            case ArrayType():
                fits = any(class_name(cls) == "kernel.lang.spans.Array" for cls in type(obj).__mro__)
            case WeakType():
                fits = class_name(type(obj)) == "kernel.lang.weak.Weak"
            case UnionType(items):
                for item in items:
                    name = getattr(item, "name", "")
                    if any(class_name(cls) == name for cls in type(obj).__mro__):
                        return self._exact_type(obj, item, path)
                fits = False
            case ClassType() | StructType():
                return self._class_of(obj, t, path)
            case _:
                fits = False
        if not fits:
            raise self._mismatch(obj, t, path)
        return t

    def _class_of(self, obj: object, t: ClassType | StructType, path: str) -> Type:
        """`t` or the class below it that `obj` is an instance of, its type arguments found from those of `t`."""
        name = class_name(type(obj))
        if name == t.name:
            return t
        decl = self.program.classes.get(name)
        if decl is None:
            raise self._mismatch(obj, t, path)
        own = tuple(TypeVariable(v) for v in decl.type_params)
        candidate: ClassType | StructType = ClassType(name, own) if isinstance(t, ClassType) else StructType(name, own)
        for ancestor in self.layouts.ancestry(candidate):
            if ancestor.name == t.name:
                bound = {a.name: b for a, b in zip(ancestor.args, t.args, strict=False) if isinstance(a, TypeVariable)}
                return substitute(candidate, bound)
        above = self.program.classes.get(t.name)
        if above is not None and above.kind == "protocol":
            return candidate
        raise self._mismatch(obj, t, path)

    # Contents ---------------------------------------------------------------------------------------------------------

    def _header(self, t: Type) -> list[Constant]:
        return [Constant("i32", str(FROZEN_COUNT), 4), self._type_word(self.hooks.require_class(t))]

    def _type_word(self, descriptor: str) -> Constant:
        """The low half of a descriptor's address.

        In the kernel the linker would refuse it, since R_X86_64_32 wants an address below 4 GiB. So 2**32 is added,
        which brings the sum there and does not change its low half.
        """
        address = f"ptrtoint (ptr {quoted(descriptor)} to i64)"
        if self.target == "kernel":
            address = f"add (i64 {address}, i64 4294967296)"
        self._refer(descriptor)
        return Constant("i32", f"trunc (i64 {address} to i32)", 4)

    def _refer(self, symbol: str) -> None:
        assert self._current is not None
        self._current.references.append(symbol)

    def _pointer(self, obj: object, t: Type, path: str) -> Constant:
        """A reference to an object, or null."""
        if obj is None:
            return Constant("ptr", "null", 8)
        symbol = self._reference(obj, t, path)
        self._refer(symbol)
        return Constant("ptr", quoted(symbol), 8)

    def _instance(self, t: ClassType, obj: Any, path: str) -> list[Constant]:  # noqa: ANN401
        """A class instance, containers included: header, then fields with padding."""
        layout = self.layouts.instance(t)
        fields: dict[str, object] = {}
        if t.name.startswith(CONTAINERS):
            fields = self._container_fields(t, obj, path)
        else:
            for name in getattr(obj, "__dict__", {}):
                if name not in layout.fields and hasattr(type(obj), name):
                    message = f"the import gave this {show(t)} a {name} of its own, in place of its class's"
                    raise self._error("KP198", path, message, LIVE_HINT)
            for name in layout.fields:
                fields[name] = self._attribute(obj, name, t, path)
                if isinstance(fields[name], list | dict | deque | bytearray) and self.hooks.is_guarded(t, name):
                    self._guarded[id(fields[name])] = f"{path}.{name}"
        pieces = self._header(t)
        return self._padded(pieces, 8, layout.size, [
            (offset, self._member(field_type, fields[name], f"{path}.{name}", self.hooks.field_place(t, name)))
            for name, (offset, field_type) in layout.fields.items()
        ])  # fmt: skip

    def _attribute(self, obj: object, name: str, t: Type, path: str) -> object:
        """A field of a live object."""
        try:
            return getattr(obj, name)
        except AttributeError:
            raise self._error("KP801", path, f"field {name} of this {show(t)} has no value",
                              f"assign self.{name} in __init__") from None

    def _member(self, t: Type, value: object, path: str, place: object) -> Constant:
        """The constant of the field `place`; a container's RawArray was frozen by `_container_fields` already."""
        if isinstance(value, Constant):
            return value
        if isinstance(t, FunctionType) or (isinstance(t, OptionalType) and isinstance(t.inner, FunctionType)):
            return self._function(t, value, path, place)
        return self._value(t, value, path)

    def _padded(
        self, pieces: list[Constant], end: int, size: int, members: list[tuple[int, Constant]]
    ) -> list[Constant]:
        """Pieces with zero bytes between members, and after the last."""
        for offset, constant in sorted(members, key=lambda member: member[0]):
            if constant.size == 0:
                continue
            if offset > end:
                pieces.append(zeros(offset - end))
            pieces.append(constant)
            end = offset + constant.size
        if size > end:
            pieces.append(zeros(size - end))
        return pieces

    def _value(self, t: Type, value: Any, path: str) -> Constant:  # noqa: ANN401
        """The constant of a field or element of type `t`."""
        match t:
            case BoolType():
                if not isinstance(value, bool):
                    raise self._mismatch(value, t, path)
                return Constant("i8", str(int(value)), 1)
            case IntType():
                return self._integer(t, value, path)
            case EnumType():
                if class_name(type(value)) != t.name or not isinstance(value, enum.Enum):
                    raise self._mismatch(value, t, path)
                return self._integer(INT64, value.value, path)
            case NoneType():
                return Constant("[0 x i8]", "zeroinitializer", 0)
            case FunctionType() | OptionalType(FunctionType()):
                return self._function(t, value, path)
            case StructType():
                return self._struct(t, value, path)
            case ArrayType(element, length):
                if not hasattr(value, "__len__") or len(value) != length:
                    raise self._mismatch(value, t, path)
                return self._elements(element, list(value), path)
            case OptionalType(inner) if is_reference(inner):
                return self._pointer(value, inner, path)
            case _ if is_reference(t):
                if value is None:
                    raise self._mismatch(value, t, path)
                return self._pointer(value, t, path)
        raise self._mismatch(value, t, path)

    def _integer(self, t: IntType, value: object, path: str) -> Constant:
        if isinstance(value, enum.Enum):
            value = value.value
        if isinstance(value, bool | float | str | bytes) or not hasattr(value, "__index__"):
            raise self._mismatch(value, t, path)
        number = int(value)
        low, high = (-(1 << (t.bits - 1)), (1 << (t.bits - 1)) - 1) if t.signed else (0, (1 << t.bits) - 1)
        if not low <= number <= high:
            raise self._error("KP802", path, f"{number} does not fit {t.name}", f"{t.name} holds {low} to {high}")
        if t.big_endian:
            number = int.from_bytes(number.to_bytes(t.bits // 8, "big"), "little")
        return Constant(f"i{t.bits}", str(number), t.bits // 8)

    def _function(self, t: Type, value: object, path: str, place: object = None) -> Constant:
        if value is None:
            return Constant("ptr", "null", 8)
        if isinstance(value, MethodType):
            raise self._error("KP803", path, "a bound method has no representation in the image",
                              "store a top-level function, and the object in a field of its own")
        target = value if isinstance(value, LiveFunction) else getattr(value, "__wrapped__", None)
        if not isinstance(target, LiveFunction):
            raise self._mismatch(value, t, path)
        if "<locals>" in target.__qualname__:
            raise self._error("KP803", path, f"{target.__qualname__} is defined in a function, and may use its locals",
                              "store a top-level function")
        inner = t.inner if isinstance(t, OptionalType) else t
        symbol = self.hooks.require_function(value, inner, place)
        self._refer(symbol)
        return Constant("ptr", quoted(symbol), 8)

    def _struct(self, t: StructType, value: object, path: str) -> StructConstant:
        if class_name(type(value)) != t.name:
            raise self._mismatch(value, t, path)
        layout = self.layouts.instance(t)
        members = [
            (offset, self._member(field_type, self._attribute(value, name, t, path), f"{path}.{name}",
                                  self.hooks.field_place(t, name)))
            for name, (offset, field_type) in layout.fields.items()
        ]
        return StructConstant.of(self._padded([], 0, layout.size, members), layout.size)

    def _elements(self, element: Type, values: Sequence[object], path: str) -> Constant:
        """Elements of an Array or RawArray."""
        size, _ = self.layouts.size_align(element)
        constants = [self._value(element, value, f"{path}[{i}]") for i, value in enumerate(values)]
        total = size * len(constants)
        item = constants[0].type if constants else f"[{size} x i8]"
        if all(constant.text in ("0", "null", "zeroinitializer") for constant in constants):
            return Constant(f"[{len(constants)} x {item}]", "zeroinitializer", total)
        if item == "i8":
            return Constant(f"[{len(constants)} x i8]", byte_text(bytes(int(c.text) & 255 for c in constants)), total)
        if len({constant.type for constant in constants}) > 1:
            return StructConstant.of(constants, total)
        texts = ", ".join(f"{c.type} {c.text}" for c in constants)
        return Constant(f"[{len(constants)} x {item}]", f"[{texts}]", total)

    def _weak(self, t: WeakType, target: Type, obj: Any, path: str) -> list[Constant]:  # noqa: ANN401
        return [*self._header(t), self._pointer(obj.get(), target, f"{path}.get()"), Constant("i64", "0", 8)]

    # Containers -------------------------------------------------------------------------------------------------------

    def _raw_array(self, element: Type, values: Sequence[object], capacity: int, path: str) -> Constant:
        """A RawArray for a container's storage: `values`, then null or zero up to `capacity`. Null if that is 0."""
        if capacity == 0:
            return Constant("ptr", "null", 8)
        t = RawArrayType(element)

        def fill(datum: Datum) -> list[Constant]:
            pieces = [*self._header(t), Constant("i64", str(capacity), 8), self._elements(element, values, datum.path)]
            rest = (capacity - len(values)) * self.layouts.size_align(element)[0]
            return [*pieces, zeros(rest)] if rest else pieces

        datum = self._enter(StorageOf(path), path, fill)
        self._refer(datum.symbol)
        return Constant("ptr", quoted(datum.symbol), 8)

    def _container_fields(self, t: ClassType, obj: Any, path: str) -> dict[str, object]:  # noqa: ANN401
        """What the fields of a run-time container hold for a live one."""
        match t.name:
            case name if name == LIST:
                return {"_items": self._raw_array(t.args[0], obj, len(obj), path + ".items"),
                        "_length": len(obj), "_capacity": len(obj)}  # fmt: skip
            case name if name == DEQUE:
                capacity = 0 if not obj else max(4, 1 << (len(obj) - 1).bit_length())
                return {"_items": self._raw_array(t.args[0], list(obj), capacity, path + ".items"),
                        "_length": len(obj), "_capacity": capacity, "_head": 0, "version": 0}  # fmt: skip
            case name if name == BYTE_ARRAY:
                return {"_items": self._raw_array(STORAGE_INTS["u8"], obj, len(obj), path + ".items"),
                        "_start": 0, "_length": len(obj), "_capacity": len(obj)}  # fmt: skip
            case name if name == DICT:
                return self._dict_fields(t, obj, path)
        raise self._mismatch(obj, t, path)

    def _dict_fields(self, t: ClassType, obj: dict[object, object], path: str) -> dict[str, object]:
        key_type, value_type = t.args
        stale = is_reference(key_type) and not isinstance(key_type, StrType | BytesType)
        runtime = sys.modules[CONTAINERS.removesuffix(".")]
        table: list[int] = []
        if obj:
            table = runtime.table_of([0] * len(obj)) if stale else runtime.table_of(list(map(hash_of, obj)))
        capacity = runtime.capacity_for(len(obj)) if obj else 0
        return {
            "_keys": self._raw_array(key_type, list(obj.keys()), capacity, path + ".keys"),
            "_values": self._raw_array(value_type, list(obj.values()), capacity, path + ".values"),
            "_table": self._raw_array(STORAGE_INTS["i32"], table, len(table), path + ".table"),
            "_capacity": capacity, "_used": len(obj), "_live": len(obj), "_gone": 0, "version": 0,
            "_kind": runtime.STALE if stale and obj else runtime.IN_ARRAYS, "_large": None,
        }  # fmt: skip

    # Names and errors -------------------------------------------------------------------------------------------------

    def _module_of(self, path: str) -> str:
        """The data module of an object: one for each package."""
        parts = path.split(".")
        for count in range(len(parts) - 1, 0, -1):
            name = ".".join(parts[:count])
            if name in self.program.modules:
                return "krait.data." + (name.rsplit(".", 1)[0] if "." in name else name)
        return "krait.data.other"

    def _global_path(self, obj: object) -> str | None:
        """The full name of the global or class constant that holds an object: where it is defined, not imported."""
        if self._globals is None:
            self._globals = {}
            for defining in (True, False):
                for module in sorted(self.program.modules):
                    self._collect_globals(module, defining)
        return self._globals.get(id(obj))

    def _collect_globals(self, module: str, defining: bool) -> None:
        assert self._globals is not None
        live = sys.modules.get(module)
        if live is None:
            return
        lines = self.program.sources.get(self.program.modules[module], ())
        own = {match[1] for line in lines if (match := re.match(r"([A-Za-z_]\w*)\s*(?::|=(?!=))", line))}
        for name, value in vars(live).items():
            if isinstance(value, type) and value.__module__ == module:
                for inner, constant in vars(value).items():
                    if not inner.startswith("__") and may_be_frozen(constant):
                        self._globals.setdefault(id(constant), f"{class_name(value)}.{inner}")
            elif (name in own or not defining) and may_be_frozen(value):
                self._globals.setdefault(id(value), f"{module}.{name}")

    def _mismatch(self, value: object, t: Type, path: str | None) -> Diagnostic:
        """An object that does not fit the declared type, or has no representation at all."""
        where = path or self._global_path(value) or ""
        what = "None" if value is None else f"{type(value).__name__} {shortened(value)}"
        if isinstance(value, tuple):
            message = f"a tuple cannot live in the heap (declared {show(t)})"
            return self._error("KP804", where, message, "write a class with fields")
        return self._error("KP800", where, f"{what} cannot be frozen as {show(t)}", HINT_FIELDS)

    def _error(self, code: str, path: str, message: str, hint: str) -> Diagnostic:
        loc = self._location(path)
        return Diagnostic(code, loc, f"{path}: {message}" if path else message, hint)

    def _location(self, path: str) -> Loc:
        """Where the global is defined from which `path` starts."""
        parts = re.split(r"[.\[]", path)
        for count in range(len(parts) - 1, 0, -1):
            module = ".".join(parts[:count])
            source = self.program.modules.get(module)
            if source is None:
                continue
            name = parts[count]
            for number, line in enumerate(self.program.sources.get(source, ()), 1):
                if re.match(rf"{re.escape(name)}\s*(?::|=(?!=))|class {re.escape(name)}\b", line):
                    return Loc(source, number, 0, number, len(name))
            return Loc(source, 1)
        return NOWHERE


class StructConstant(Constant):
    """A packed LLVM struct of pieces."""

    pieces: list[Constant]

    @classmethod
    def of(cls, pieces: list[Constant], size: int) -> StructConstant:
        types = ", ".join(piece.type for piece in pieces)
        values = ", ".join(f"{piece.type} {piece.text}" for piece in pieces)
        zero = all(piece.text in ("0", "null", "zeroinitializer") for piece in pieces)
        constant = cls(f"<{{ {types} }}>", "zeroinitializer" if zero else f"<{{ {values} }}>", size)
        constant.pieces = pieces
        return constant


@dataclass
class StorageOf:
    """Stands for a container's storage, which is no Python object, in the table of frozen objects."""

    path: str


INT64 = IntType("int", 64, signed=True)


def hash_of(key: object) -> int:
    """The run-time's hash of a dictionary key."""
    hashing = sys.modules[HASHING]
    if isinstance(key, enum.Enum):
        key = key.value
    if isinstance(key, str):
        return int(hashing.hash_str(key))
    if isinstance(key, bytes):
        return int(hashing.hash_bytes(key))
    return int(hashing.hash_int(int(key)))  # type: ignore[call-overload]  # checked when the key is frozen


def class_name(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def may_be_frozen(value: object) -> bool:
    """Whether a global of this value may be an object of its own in the image."""
    plain = (int, str, bytes, float, type, ModuleType, LiveFunction, staticmethod, classmethod, property, enum.Enum)
    return value is not None and not isinstance(value, plain)


def shortened(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def unique(symbol: str, taken: dict[str, Datum]) -> str:
    """The symbol, with a number after it if it is taken."""
    if symbol not in taken:
        return symbol
    number = 2
    while f"{symbol}.{number}" in taken:
        number += 1
    return f"{symbol}.{number}"


# Text of IR -----------------------------------------------------------------------------------------------------------


def quoted(symbol: str) -> str:
    """A global's name in IR."""
    return '@"' + symbol.replace("\\", "\\5C").replace('"', "\\22") + '"'


PLAIN_BYTES = frozenset(range(32, 127)) - {ord('"'), ord("\\")}


def byte_text(data: bytes) -> str:
    """An array of bytes as an LLVM string."""
    if not any(data):
        return "zeroinitializer"
    return 'c"' + "".join(chr(b) if b in PLAIN_BYTES else f"\\{b:02X}" for b in data) + '"'


def zeros(count: int) -> Constant:
    return Constant(f"[{count} x i8]", "zeroinitializer", count)


def definition(datum: Datum) -> str:
    types = ", ".join(piece.type for piece in datum.pieces)
    values = ", ".join(f"{piece.type} {piece.text}" for piece in datum.pieces)
    return f"{quoted(datum.symbol)} = dso_local global <{{ {types} }}> <{{ {values} }}>, align {datum.align}"


def module_text(data: Iterable[Datum]) -> str:
    """A module that defines these data, and declares what they refer to elsewhere."""
    members = list(data)
    own = {datum.symbol for datum in members}
    outside = sorted({symbol for datum in members for symbol in datum.references} - own)
    lines = [f"{quoted(symbol)} = external dso_local global i8" for symbol in outside]
    lines += [definition(datum) for datum in members]
    return "\n".join(lines) + "\n"


