"""Types of Kernel Python as the compiler sees them: immutable values, compared by content.

The front end makes them from mypy's types; the back end substitutes type variables (`substitute`) when it
monomorphises. NewTypes are erased to what they wrap; `Final`, `ClassVar` and `Literal` to the underlying type.
"""

from __future__ import annotations

from dataclasses import dataclass

CONTAINERS = "kernel.lang.runtime.containers."  # what the names of the classes behind list, dict … begin with


class Type:
    """Base of all types."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class IntType(Type):
    """`int` (64 bits, signed, checked), `u64`, or a storage type. `big_endian` only in struct fields."""

    name: str  # "int" "u8" "u16" "u32" "u64" "i8" "i16" "i32" "be16" "be32" "be64"
    bits: int
    signed: bool
    big_endian: bool = False


INT = IntType("int", 64, signed=True)
U64 = IntType("u64", 64, signed=False)
STORAGE_INTS: dict[str, IntType] = {
    "u8": IntType("u8", 8, signed=False),
    "u16": IntType("u16", 16, signed=False),
    "u32": IntType("u32", 32, signed=False),
    "i8": IntType("i8", 8, signed=True),
    "i16": IntType("i16", 16, signed=True),
    "i32": IntType("i32", 32, signed=True),
    "be16": IntType("be16", 16, signed=False, big_endian=True),
    "be32": IntType("be32", 32, signed=False, big_endian=True),
    "be64": IntType("be64", 64, signed=False, big_endian=True),
}


@dataclass(frozen=True, slots=True)
class BoolType(Type):
    """`bool`."""


@dataclass(frozen=True, slots=True)
class NoneType(Type):
    """`None`; also the result of functions that return nothing."""


@dataclass(frozen=True, slots=True)
class NeverType(Type):
    """The type of an expression that does not return."""


@dataclass(frozen=True, slots=True)
class StrType(Type):
    """`str`: immutable UTF-8 text on the heap."""


@dataclass(frozen=True, slots=True)
class BytesType(Type):
    """`bytes`: immutable bytes on the heap."""


@dataclass(frozen=True, slots=True)
class ClassType(Type):
    """A heap class by its full name ("kernel.fs.inode.Inode"), with type arguments where generic.

    The containers are classes of the run-time library: list is "kernel.lang.runtime.containers.List", dict
    "….Dict", deque "….Deque", bytearray "….ByteArray"; the front end maps the builtins to them, so that the back end
    knows no containers beyond literals, comprehensions and iteration.
    """

    name: str
    args: tuple[Type, ...] = ()


@dataclass(frozen=True, slots=True)
class StructType(Type):
    """A value type with C layout, by full name."""

    name: str
    args: tuple[Type, ...] = ()


@dataclass(frozen=True, slots=True)
class EnumType(Type):
    """An enum by full name; its values are i64."""

    name: str


@dataclass(frozen=True, slots=True)
class ArrayType(Type):
    """`Array[T, Literal[n]]`: n elements in place."""

    element: Type
    length: int


@dataclass(frozen=True, slots=True)
class SpanType(Type):
    """`Span[T]`: pointer and length; never in the heap."""

    element: Type


@dataclass(frozen=True, slots=True)
class RawArrayType(Type):
    """`RawArray[T]` (run-time library only): a heap block of T whose length is its header's `count` field, not
    bounds-checked.
    """

    element: Type


@dataclass(frozen=True, slots=True)
class WeakType(Type):
    """`Weak[T]`."""

    target: Type


@dataclass(frozen=True, slots=True)
class TupleType(Type):
    """A tuple value."""

    items: tuple[Type, ...]


@dataclass(frozen=True, slots=True)
class OptionalType(Type):
    """`T | None`: a null pointer where T is a reference, else a value and a flag."""

    inner: Type


@dataclass(frozen=True, slots=True)
class UnionType(Type):
    """A union of classes (two or more, no None inside: that is Optional around it)."""

    items: tuple[Type, ...]


@dataclass(frozen=True, slots=True)
class FunctionType(Type):
    """A function value: a code pointer."""

    params: tuple[Type, ...]
    result: Type


@dataclass(frozen=True, slots=True)
class TypeObject(Type):
    """A class used as a value, as in `sizeof(S)` or `object_at(C, a)`."""

    instance: Type


@dataclass(frozen=True, slots=True)
class ModuleType(Type):
    """A module used as a value (only as the left side of a dot)."""

    name: str


@dataclass(frozen=True, slots=True)
class TypeVariable(Type):
    """A type variable, named with its owner ("kernel.lang.runtime.containers.List.T") so that owners never mix."""

    name: str


BOOL = BoolType()
NONE = NoneType()
NEVER = NeverType()
STR = StrType()
BYTES = BytesType()


def substitute(t: Type, env: dict[str, Type]) -> Type:
    """Replace type variables by what `env` binds them to."""
    if not env:
        return t
    match t:
        case TypeVariable(name):
            return env.get(name, t)
        case ClassType(name, args) if args:
            return ClassType(name, tuple(substitute(a, env) for a in args))
        case StructType(name, args) if args:
            return StructType(name, tuple(substitute(a, env) for a in args))
        case ArrayType(element, length):
            return ArrayType(substitute(element, env), length)
        case SpanType(element):
            return SpanType(substitute(element, env))
        case RawArrayType(element):
            return RawArrayType(substitute(element, env))
        case WeakType(target):
            return WeakType(substitute(target, env))
        case TupleType(items):
            return TupleType(tuple(substitute(i, env) for i in items))
        case OptionalType(inner):
            new = substitute(inner, env)
            return new if isinstance(new, OptionalType) else OptionalType(new)
        case UnionType(items):
            return UnionType(tuple(substitute(i, env) for i in items))
        case FunctionType(params, result):
            return FunctionType(tuple(substitute(p, env) for p in params), substitute(result, env))
        case TypeObject(instance):
            return TypeObject(substitute(instance, env))
        case _:
            return t


_REFERENCES = (ClassType, StrType, BytesType, RawArrayType, UnionType, WeakType)


def is_reference(t: Type) -> bool:
    """Whether values of `t` are one counted heap reference (or null)."""
    while isinstance(t, OptionalType):
        t = t.inner
    return isinstance(t, _REFERENCES)


def shape(t: Type) -> object:
    """How values of `t` are passed: types of one shape may stand for one another in a signature."""
    match t:
        case IntType(name=name):
            return name
        case EnumType():
            return "int"
        case BoolType():
            return "bool"
        case NoneType() | NeverType():
            return "nothing"
        case OptionalType(inner):
            known = is_reference(inner) or isinstance(inner, FunctionType)
            return "reference" if known else ("optional", shape(inner))
        case TupleType(items):
            return ("tuple", *(shape(item) for item in items))
        case StructType() | ArrayType() | TypeVariable():
            return t
        case SpanType(element):
            return ("span", shape(element))
        case _:
            return "reference"


def type_size(t: Type) -> int:
    """How many types a type is made of."""
    match t:
        case ClassType(_, args) | StructType(_, args):
            return 1 + sum(map(type_size, args))
        case OptionalType(inner) | SpanType(inner) | ArrayType(inner, _) | WeakType(inner) | RawArrayType(inner):
            return 1 + type_size(inner)
        case TupleType(items) | UnionType(items):
            return 1 + sum(map(type_size, items))
        case FunctionType(params, result):
            return 1 + sum(map(type_size, (*params, result)))
        case _:
            return 1


def has_variable(t: Type) -> bool:
    """Whether a type mentions a type variable."""
    match t:
        case TypeVariable():
            return True
        case ClassType(_, args) | StructType(_, args):
            return any(has_variable(a) for a in args)
        case OptionalType(inner) | SpanType(inner) | ArrayType(inner, _) | WeakType(inner) | RawArrayType(inner):
            return has_variable(inner)
        case TupleType(items) | UnionType(items):
            return any(has_variable(i) for i in items)
        case FunctionType(params, result):
            return any(has_variable(p) for p in (*params, result))
        case _:
            return False


_BUILTIN_NAMES = {
    f"{CONTAINERS}{ours}": pythons
    for ours, pythons in (("List", "list"), ("Dict", "dict"), ("Deque", "deque"), ("ByteArray", "bytearray"))
}


def show(t: Type) -> str:
    """The type as a programmer writes it, for messages."""
    match t:
        case IntType(name=name):
            return name
        case BoolType():
            return "bool"
        case NoneType():
            return "None"
        case NeverType():
            return "Never"
        case StrType():
            return "str"
        case BytesType():
            return "bytes"
        case ClassType(name, args) | StructType(name, args):
            short = _BUILTIN_NAMES.get(name) or name.rsplit(".", 1)[-1]
            return f"{short}[{', '.join(show(a) for a in args)}]" if args else short
        case EnumType(name) | TypeVariable(name) | ModuleType(name):
            return name.rsplit(".", 1)[-1]
        case ArrayType(element, length):
            return f"Array[{show(element)}, {length}]"
        case SpanType(element):
            return f"Span[{show(element)}]"
        case RawArrayType(element):
            return f"RawArray[{show(element)}]"
        case WeakType(target):
            return f"Weak[{show(target)}]"
        case TupleType(items):
            return f"tuple[{', '.join(show(i) for i in items)}]"
        case OptionalType(inner):
            return f"{show(inner)} | None"
        case UnionType(items):
            return " | ".join(show(i) for i in items)
        case FunctionType(params, result):
            return f"Callable[[{', '.join(show(p) for p in params)}], {show(result)}]"
        case TypeObject(instance):
            return f"type[{show(instance)}]"
        case _:
            return type(t).__name__


def a_type(t: Type) -> str:
    """A type with its article."""
    name = show(t)
    return f"{'an' if name[0] in 'aeiAEI' or name.startswith('u8') else 'a'} {name}"
