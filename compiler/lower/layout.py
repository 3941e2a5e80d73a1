"""Where values live: layouts of classes and structs, LLVM's names of types, and symbols of type descriptors.

The rules are those of docs/compiler-abi.md. Layouts depend on nothing but the declarations, so that the freezer and the
lowering can ask at any time.
"""

from __future__ import annotations

import enum
import sys
from dataclasses import dataclass
from typing import SupportsInt

from compiler.tree import ClassDecl, Diagnostic, Loc, Program
from compiler.types import (
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
    RawArrayType,
    SpanType,
    StrType,
    StructType,
    TupleType,
    Type,
    TypeObject,
    TypeVariable,
    UnionType,
    WeakType,
    is_reference,
    show,
    substitute,
)

HEADER_BYTES = 8  # u32 count, u32 type
TEXT_DATA_OFFSET = 16  # bytes, str and RawArray: header, i64 length, data
VTABLE_OFFSET = 40  # in a type descriptor
FROZEN_COUNT = 1 << 30

NOWHERE = Loc("<compiler>", 0)


@dataclass(frozen=True)
class Layout:
    """The storage of a class's instance (header included) or of a struct."""

    size: int
    align: int
    fields: dict[str, tuple[int, Type]]  # name -> offset and type, base class's first
    pointer_offsets: tuple[int, ...]  # of counted references


class Layouts:
    """Layouts of all classes and structs of a program, computed on demand."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._layouts: dict[Type, Layout] = {}

    def declaration(self, t: ClassType | StructType) -> ClassDecl:
        """The declaration of a class or struct."""
        decl = self.program.classes.get(t.name)
        if decl is None:
            raise Diagnostic("KP900", NOWHERE, f"class {t.name} is not known to the compiler")
        return decl

    def mentioned(self) -> set[str]:
        """The full names of all classes and structs whose layout somebody asked for."""
        return {t.name for t in self._layouts if isinstance(t, ClassType | StructType)}

    def binding(self, t: ClassType | StructType) -> dict[str, Type]:
        """What the class's type variables stand for in `t`."""
        return dict(zip(self.declaration(t).type_params, t.args, strict=False))

    def base(self, t: ClassType | StructType) -> ClassType | StructType | None:
        """The base class of `t`, with its type arguments; None above the classes of the program."""
        if t.name not in self.program.classes:
            return None
        base = self.declaration(t).base
        if base is None:
            return None
        base = substitute(base, self.binding(t))
        if isinstance(base, ClassType | StructType) and base.name in self.program.classes:
            return base
        return None

    def ancestry(self, t: ClassType | StructType) -> list[ClassType | StructType]:
        """`t` and its base classes, `t` first."""
        chain = [t]
        while (base := self.base(chain[-1])) is not None:
            chain.append(base)
        return chain

    def is_exception(self, t: Type) -> bool:
        """Whether values of `t` are exceptions, or one of several: not heap objects, but error words."""
        if isinstance(t, UnionType):
            return all(self.is_exception(item) for item in t.items)
        if not isinstance(t, ClassType):
            return False
        decl = self.program.classes.get(t.name)
        return decl.kind == "exception" if decl is not None else t.name in BUILTIN_EXCEPTIONS

    def is_polymorphic_root(self, t: ClassType) -> bool:
        """Whether `t` is a protocol: its methods are found in whatever class an instance has."""
        decl = self.program.classes.get(t.name)
        return decl is not None and decl.kind == "protocol"

    def instance(self, t: Type) -> Layout:
        """The layout of an instance of a class (header included) or of a struct."""
        known = self._layouts.get(t)
        if known is not None:
            return known
        if not isinstance(t, ClassType | StructType):
            raise Diagnostic("KP901", NOWHERE, f"{show(t)} has no fields")
        decl = self.declaration(t)
        base = self.base(t)
        packed = decl.packed
        if base is not None:
            inherited = self.instance(base)
            size, align = self._end_of_fields(inherited, isinstance(t, ClassType)), inherited.align
            fields = dict(inherited.fields)
        elif isinstance(t, ClassType):
            size, align, fields = HEADER_BYTES, 8, {}
        else:
            size, align, fields = 0, 1, {}
        binding = self.binding(t)
        for declared in decl.fields:
            field_type = substitute(declared.type, binding)
            if declared.name in fields:  # a subclass narrows the type of an inherited field: same place
                fields[declared.name] = (fields[declared.name][0], field_type)
                continue
            field_size, field_align = self.size_align(field_type)
            if packed:
                field_align = 1
            size = _round_up(size, field_align)
            fields[declared.name] = (size, field_type)
            size += field_size
            align = max(align, field_align)
        layout = Layout(_round_up(size, align), align, fields, self._pointer_offsets(fields))
        self._layouts[t] = layout
        return layout

    def _end_of_fields(self, layout: Layout, of_class: bool) -> int:
        """Where a subclass may put its first field: right after the base's last one, as C++ does and C does not."""
        end = HEADER_BYTES if of_class else 0
        for offset, t in layout.fields.values():
            end = max(end, offset + self.size_align(t)[0])
        return end

    def _pointer_offsets(self, fields: dict[str, tuple[int, Type]]) -> tuple[int, ...]:
        offsets: list[int] = []
        for offset, t in fields.values():
            if is_reference(t):
                offsets.append(offset)
            elif isinstance(t, ArrayType) and is_reference(t.element):
                offsets.extend(offset + 8 * i for i in range(t.length))
        return tuple(sorted(offsets))

    def field(self, t: ClassType | StructType, name: str) -> tuple[int, Type]:
        """Offset and type of a field."""
        return self.instance(t).fields[name]

    def size_align(self, t: Type) -> tuple[int, int]:
        """Size and alignment of a value of `t` in memory (a field, an element)."""
        match t:
            case IntType(bits=bits):
                return bits // 8, bits // 8
            case BoolType():
                return 1, 1
            case EnumType() | FunctionType():
                return 8, 8
            case StructType():
                layout = self.instance(t)
                return layout.size, layout.align
            case ArrayType(element, length):
                size, align = self.size_align(element)
                return size * length, align
            case OptionalType(FunctionType()):
                return 8, 8
            case NoneType():
                return 0, 1
            case _ if is_reference(t):
                return 8, 8
        raise Diagnostic(
            "KP902",
            NOWHERE,
            f"{show(t)} cannot live in a field or an element",
            "heap fields hold ints, bools, enums, functions, structs, Arrays and references; write a class",
        )

    def descriptor(self, t: Type) -> DescriptorFacts:
        """The numbers in the type descriptor of `t`, all but the class interval."""
        match t:
            case StrType() | BytesType():
                return DescriptorFacts(1, TEXT_DATA_OFFSET, 1, ())
            case RawArrayType(element):
                size, _ = self.size_align(element)
                return DescriptorFacts(3 if is_reference(element) else 2, TEXT_DATA_OFFSET, size, ())
            case WeakType():
                return DescriptorFacts(4, 16, 0, ())
        layout = self.instance(t)
        return DescriptorFacts(0, layout.size, 0, layout.pointer_offsets)


@dataclass(frozen=True)
class DescriptorFacts:
    """`kind`, `size`, `element_size` and pointer offsets of a type descriptor."""

    kind: int
    size: int
    element_size: int
    pointers: tuple[int, ...]


# The builtin exceptions that compiled code knows; all others are KernelErrors. They have no declaration of ours.
BUILTIN_EXCEPTIONS = ("builtins.BaseException", "builtins.Exception", "builtins.MemoryError")


def _round_up(value: int, align: int) -> int:
    return -(-value // align) * align


def storage_type(t: Type) -> Type:
    """Strip what does not change representation: a reference that may be None is stored as the reference."""
    return (
        t.inner if isinstance(t, OptionalType) and (is_reference(t.inner) or isinstance(t.inner, FunctionType)) else t
    )


# These questions are asked a million times, and a tuple that is there is a quarter of the time of a union made anew.
_BY_ADDRESS = (StructType, ArrayType)
# A class as a value is a parameter of `__exit__` only: always None, but it needs a form.
_POINTERS = (FunctionType, StructType, ArrayType, TypeObject)
# `register_type` of kinds of types that all have the same.
_PLAIN: dict[type[Type], str] = {
    **dict.fromkeys((IntType, EnumType), "i64"),
    **dict.fromkeys((*_POINTERS, ClassType, StrType, BytesType, RawArrayType, UnionType, WeakType), "ptr"),
    BoolType: "i1",
    NoneType: "void",
    NeverType: "void",
    SpanType: "{ ptr, i64 }",
}


def by_address(t: Type) -> bool:
    """Whether a value of `t` is represented by the address of its storage."""
    return isinstance(t, _BY_ADDRESS)


def is_pointer(t: Type) -> bool:
    """Whether the register form of `t` is one pointer (references, functions, structs; None is null)."""
    inner = t.inner if isinstance(t, OptionalType) else t
    return is_reference(inner) or isinstance(inner, _POINTERS)


def register_type(t: Type) -> str:
    """LLVM's type of a value of `t` in a register, a local or a signature."""
    plain = _PLAIN.get(type(t))
    if plain is not None:
        return plain
    if is_pointer(t):
        return "ptr"
    match t:
        case IntType() | EnumType():
            return "i64"
        case BoolType():
            return "i1"
        case NoneType() | NeverType():
            return "void"
        case SpanType():
            return "{ ptr, i64 }"
        case TupleType(items):
            return "{ " + ", ".join(register_type(i) if not isinstance(i, NoneType) else "i1" for i in items) + " }"
        case OptionalType(inner):
            return f"{{ {register_type(inner)}, i1 }}"
        case TypeVariable():
            raise Diagnostic("KP903", NOWHERE, f"type variable {t.name} is not bound")
    raise Diagnostic("KP904", NOWHERE, f"{show(t)} is not a type of run-time values")


def memory_type(t: Type) -> str:
    """LLVM's type of a value of `t` in a field or an element."""
    match t:
        case IntType(bits=bits):
            return f"i{bits}"
        case BoolType():
            return "i8"
        case _:
            return register_type(t)


def type_symbol(t: Type) -> str:
    """A name of `t` for symbols: unlike `show`, with full names of classes, so that two types never share it."""
    match t:
        case ClassType(name, args) | StructType(name, args):
            return f"{name}[{','.join(type_symbol(a) for a in args)}]" if args else name
        case EnumType(name) | TypeVariable(name):
            return name
        case ArrayType(element, length):
            return f"Array[{type_symbol(element)},{length}]"
        case SpanType(element):
            return f"Span[{type_symbol(element)}]"
        case RawArrayType(element):
            return f"RawArray[{type_symbol(element)}]"
        case WeakType(target):
            return f"Weak[{type_symbol(target)}]"
        case TupleType(items):
            return f"tuple[{','.join(type_symbol(i) for i in items)}]"
        case OptionalType(inner):
            return f"{type_symbol(inner)}|None"
        case UnionType(items):
            return "|".join(type_symbol(i) for i in items)
        case FunctionType(params, result):
            return f"Callable[[{','.join(type_symbol(p) for p in params)}],{type_symbol(result)}]"
        case TypeObject(instance):
            return f"type[{type_symbol(instance)}]"
        case _:
            return show(t)


def descriptor_symbol(t: Type) -> str:
    """The symbol of the type descriptor of a class, str, bytes, a RawArray or Weak."""
    match t:
        case WeakType():
            return "krait.type.Weak"
        case OptionalType(inner):
            return descriptor_symbol(inner)
        case _:
            return "krait.type." + type_symbol(t)


def module_of(program: Program, full_name: str) -> str:
    """The module that defines a function or class: the longest prefix of its full name that is a module."""
    parts = full_name.split(".")
    for count in range(len(parts) - 1, 0, -1):
        prefix = ".".join(parts[:count])
        if prefix in program.modules or prefix in sys.modules:
            return prefix
    return parts[0]


def is_int_enum(program: Program, full_name: str) -> bool:
    """Whether the members of an enum are ints."""
    live = live_object(program, full_name)
    return isinstance(live, type) and issubclass(live, int)


def is_flag(program: Program, full_name: str) -> bool:
    """Whether the members of an enum are flags, which are combined."""
    live = live_object(program, full_name)
    return isinstance(live, type) and issubclass(live, enum.Flag)


def number_of(live: object) -> int:
    """A live number, or the value of a member of an enum."""
    value = live.value if isinstance(live, enum.Enum) else live
    if not isinstance(value, SupportsInt):
        raise TypeError(f"{value!r} is not a number")
    return int(value)


def live_object(program: Program, full_name: str) -> object:
    """The live function or class of a full name (static methods unwrapped by attribute access)."""
    module = module_of(program, full_name)
    value: object = sys.modules[module]
    for part in full_name[len(module) + 1 :].split("."):
        value = getattr(value, part)
    return value
