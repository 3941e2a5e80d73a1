"""mypy's types to ours."""

from __future__ import annotations

from collections.abc import Iterable

import mypy.types as mt
from mypy.nodes import TypeInfo

from compiler.tree import CallBuiltin, CallMethod, Diagnostic, Expr, Loc
from compiler.types import (
    BOOL,
    BYTES,
    CONTAINERS,
    INT,
    NEVER,
    NONE,
    STORAGE_INTS,
    STR,
    U64,
    ArrayType,
    BytesType,
    ClassType,
    EnumType,
    FunctionType,
    IntType,
    NeverType,
    NoneType,
    OptionalType,
    RawArrayType,
    SpanType,
    StructType,
    TupleType,
    Type,
    TypeObject,
    TypeVariable,
    UnionType,
    WeakType,
    show,
)

KERNEL_ERROR = "kernel.lang.errors.KernelError"
MEMORY_ERROR = "builtins.MemoryError"
LIST = f"{CONTAINERS}List"
DICT = f"{CONTAINERS}Dict"
DEQUE = f"{CONTAINERS}Deque"
BYTE_ARRAY = f"{CONTAINERS}ByteArray"

_CONTAINERS = {
    "builtins.list": LIST,
    "builtins.dict": DICT,
    "collections.deque": DEQUE,
    "builtins.bytearray": BYTE_ARRAY,
}
_SIMPLE: dict[str, Type] = {
    "builtins.int": INT,
    "builtins.bool": BOOL,
    "builtins.str": STR,
    "builtins.bytes": BYTES,
}


class TypeConverter:
    """Converts types; knows which classes are structs."""

    def __init__(self, structs: set[str]) -> None:
        self.structs = structs
        self._plain: dict[TypeInfo, Type] = {}  # of classes without type arguments, which are most

    def convert(self, t: mt.Type | None, loc: Loc) -> Type:
        """Our type for mypy's; raises a Diagnostic for what the language does not have."""
        if isinstance(t, mt.Instance) and not t.args:
            known = self._plain.get(t.type)
            if known is None:
                known = self._plain[t.type] = self._instance(t, loc)
            return known
        if t is None:
            raise Diagnostic("KP110", loc, "the type is not known here", "annotate the variable")
        if isinstance(t, mt.TypeAliasType) and t.is_recursive:
            raise Diagnostic("KP112", loc, "Kernel Python has no type that contains itself", "write a class")
        t = mt.get_proper_type(t)
        match t:
            case mt.NoneType():
                return NONE
            case mt.UninhabitedType():
                return NEVER
            case mt.AnyType():
                raise Diagnostic("KP111", loc, "this has the type Any", "annotate it; Kernel Python has no Any")
            case mt.LiteralType():
                return self.convert(t.fallback, loc)
            case mt.Instance():
                return self._instance(t, loc)
            case mt.TupleType():
                self._refuse_exceptions(t.items, "a tuple", loc)
                return TupleType(tuple(self.convert(i, loc) for i in t.items))
            case mt.UnionType():
                return self._checked_union(t, loc)
            case mt.CallableType():
                if t.is_type_obj():
                    return TypeObject(self.convert(t.ret_type, loc))
                return FunctionType(tuple(self.convert(a, loc) for a in t.arg_types), self.convert(t.ret_type, loc))
            case mt.Overloaded():
                return self.convert(t.items[0], loc)
            case mt.TypeVarType() if t.id.is_self():
                raise Diagnostic("KP112", loc, "Kernel Python has no Self", "name the class")
            case mt.TypeVarType() if t.values:
                hint = "write a function or a class for each, or give the variable a bound"
                raise Diagnostic("KP112", loc, f"{t.name} stands for one of a few types", hint)
            case mt.TypeVarType():
                owner = t.id.namespace or t.fullname.rsplit(".", 1)[0]
                return TypeVariable(f"{owner}.{t.name}")
            case mt.TypeType():
                return TypeObject(self.convert(t.item, loc))
            case _:
                raise Diagnostic("KP112", loc, f"Kernel Python has no type {t}", "")

    def _instance(self, t: mt.Instance, loc: Loc) -> Type:
        info = t.type
        name = info.fullname
        if name in _SIMPLE:
            return _SIMPLE[name]
        self._refuse_exceptions(t.args, f"the items of {info.name}", loc)
        if name in _CONTAINERS:
            return ClassType(_CONTAINERS[name], tuple(self.convert(a, loc) for a in t.args))
        if name.startswith("kernel.lang."):
            special = self._prelude(t, name.rsplit(".", 1)[-1], loc)
            if special is not None:
                return special
        if name == "builtins.float" or name == "builtins.complex":
            raise Diagnostic(
                "KP113", loc, "the kernel has no floats", "use an int in a smaller unit (ns, bytes, 1/1000)"
            )
        if name in ("builtins.set", "builtins.frozenset"):
            raise Diagnostic("KP114", loc, "Kernel Python has no sets", "use dict[K, bool]")
        if info.is_newtype:
            return self.convert(info.bases[0], loc)
        if is_opaque_int(info):
            return INT
        if info.is_enum:
            return EnumType(name)
        args = tuple(self.convert(a, loc) for a in t.args)
        if name in self.structs:
            return StructType(name, args)
        if name == "builtins.tuple":
            raise Diagnostic("KP115", loc, "a tuple whose length is not known", "use a list")
        return ClassType(name, args)

    def _prelude(self, t: mt.Instance, short: str, loc: Loc) -> Type | None:
        if ".runtime." in t.type.fullname:
            return None
        if short == "u64":
            return U64
        if short in STORAGE_INTS:
            return STORAGE_INTS[short]
        if short == "Span":
            return SpanType(self.convert(t.args[0], loc))
        if short == "Weak":
            return WeakType(self.convert(t.args[0], loc))
        if short == "RawArray":
            return RawArrayType(self.convert(t.args[0], loc))
        if short == "Array":
            length = mt.get_proper_type(t.args[1])
            if isinstance(length, mt.LiteralType) and isinstance(length.value, int):
                return ArrayType(self.convert(t.args[0], loc), length.value)
            raise Diagnostic("KP116", loc, "an Array needs its length in its type", "write Array[u8, Literal[64]]")
        return None

    def _checked_union(self, t: mt.UnionType, loc: Loc) -> Type:
        """A union as it is written or inferred: of classes, but for None."""
        whole = self.union([self.convert(i, loc) for i in t.items])
        inner = whole.inner if isinstance(whole, OptionalType) else whole
        if not all(is_error(i) for i in t.items):
            self._refuse_exceptions(t.items, "a union with what is no exception", loc)
        if isinstance(inner, UnionType) and not all(isinstance(i, ClassType) for i in inner.items):
            raise Diagnostic(
                "KP236", loc, f"a union of values: {show(inner)}", "a union is of classes; derive classes for the cases"
            )
        return whole

    def _refuse_exceptions(self, items: Iterable[mt.Type], holder: str, loc: Loc) -> None:
        """An exception is a class and a code, and no object: only locals, parameters and results hold it."""
        if any(map(is_error, items)):
            raise Diagnostic("KP278", loc, f"an exception in {holder}", "keep its code, or a value of an enum")

    def union(self, items: list[Type]) -> Type:
        """A union, with None split off as Optional, duplicates and numeric mixtures merged."""
        optional = any(isinstance(i, NoneType) for i in items)
        kept: list[Type] = []
        for item in items:
            if isinstance(item, OptionalType):
                optional = True
                item = item.inner
            parts = item.items if isinstance(item, UnionType) else (item,)
            for part in parts:
                if not isinstance(part, NoneType | NeverType) and part not in kept:
                    kept.append(part)
        if (
            len(kept) > 1
            and all(isinstance(k, IntType | EnumType) for k in kept)
            and any(isinstance(k, IntType) for k in kept)
        ):
            kept = [U64 if U64 in kept else INT]
        if not kept:
            return NONE if optional else NEVER
        whole = kept[0] if len(kept) == 1 else UnionType(tuple(kept))
        return OptionalType(whole) if optional else whole


def is_opaque_int(info: TypeInfo) -> bool:
    """Whether a class is an int that mypy takes for none (kernel/lang/opaque.py)."""
    return any(base.type.fullname == "kernel.lang.opaque.OpaqueInt" for base in info.bases)


def is_error(t: mt.Type) -> bool:
    """Whether a type is of exceptions that a program may raise and catch."""
    t = mt.get_proper_type(t)
    if isinstance(t, mt.UnionType):
        return any(map(is_error, t.items))
    return isinstance(t, mt.Instance) and any(base.fullname in (KERNEL_ERROR, MEMORY_ERROR) for base in t.type.mro)


def short_name(name: str) -> str:
    """The last part of a full name."""
    return name.rsplit(".", 1)[-1]


def type_info(t: mt.Type | None) -> TypeInfo | None:
    """The class of a value's type (for a type variable: of its bound), if it is one."""
    if t is None:
        return None
    t = mt.get_proper_type(t)
    match t:
        case mt.Instance():
            return t.type
        case mt.LiteralType():
            return t.fallback.type
        case mt.TypeVarType():
            return type_info(t.upper_bound)
        case mt.UnionType():
            kept = [i for i in t.items if not isinstance(mt.get_proper_type(i), mt.NoneType)]
            return type_info(kept[0]) if kept else None
        case mt.TupleType():
            return t.partial_fallback.type
        case _:
            return None


def element_type(iterable: Expr) -> Type | None:
    """What `for` takes from an iterable, where that is known without mypy."""
    t = iterable.type
    match iterable:
        case CallBuiltin(name="range"):
            return INT
        case CallBuiltin(name="enumerate", args=[inner, *_]):
            item = element_type(inner)
            return TupleType((INT, item)) if item is not None else None
        case CallBuiltin(name="zip", args=parts):
            items = [element_type(p) for p in parts]
            return TupleType(tuple(i for i in items if i is not None)) if None not in items else None
        case CallBuiltin(name="reversed", args=[inner]):
            return element_type(inner)
        case CallMethod(owner=owner, method=method, receiver=receiver) if owner == DICT and isinstance(
            receiver.type, ClassType
        ):
            key, value = receiver.type.args
            return {"keys": key, "values": value, "items": TupleType((key, value))}.get(method)
    match t:
        case ClassType(name, args) if name in (LIST, DEQUE, DICT):
            return args[0]
        case BytesType() | ClassType(name="kernel.lang.runtime.containers.ByteArray"):
            return INT
        case SpanType(element) | ArrayType(element):
            return element
        case ClassType(name, args) if name.startswith(("typing.", "collections.abc.")) and args:
            return args[0]
        case _:
            return None


def unify(formal: Type, actual: Type, env: dict[str, Type]) -> None:
    """Bind the type variables of `formal` so that it fits `actual`; what is bound already stays."""
    match formal, actual:
        case TypeVariable(name), _:
            if name not in env and not isinstance(actual, NoneType | NeverType):
                env[name] = actual
        case OptionalType(inner), OptionalType(other):
            unify(inner, other, env)
        case OptionalType(inner), _:
            unify(inner, actual, env)
        case ClassType(_, args), ClassType(_, others) | StructType(_, others) if len(args) == len(others):
            for a, b in zip(args, others, strict=True):
                unify(a, b, env)
        case StructType(_, args), StructType(_, others):
            for a, b in zip(args, others, strict=True):
                unify(a, b, env)
        case ArrayType(element, _), ArrayType(other, _):
            unify(element, other, env)
        case SpanType(element), SpanType(other):
            unify(element, other, env)
        case RawArrayType(element), RawArrayType(other):
            unify(element, other, env)
        case WeakType(element), WeakType(other):
            unify(element, other, env)
        case TypeObject(element), TypeObject(other):
            unify(element, other, env)
        case TupleType(items), TupleType(others) if len(items) == len(others):
            for a, b in zip(items, others, strict=True):
                unify(a, b, env)
        case FunctionType(params, result), FunctionType(others, other):
            for a, b in zip(params, others, strict=False):
                unify(a, b, env)
            unify(result, other, env)
        case _:
            pass
