"""DWARF debug information of one IR module, as LLVM metadata.

Two readers: gdb (`break kernel/fs/vfs.py:120`, `info locals`, `p *inode`), and `compiler/lines.py`, which makes
the table for Python tracebacks. The language is declared as C11, since gdb then evaluates expressions such as
`inode->size`.

How Kernel Python's types look in gdb: a class instance is a pointer to `struct Inode` with its fields (base class
first) after `ref_count` and `type_id`; str and bytes are pointers to a struct with `length` and `text`; `list`
and the other containers show their fields, and `l->_items->items[0]@l->_length` prints elements. A local struct or
Array is a pointer to its storage.

Paths inside the checkout are relative to it, with "." as the compilation directory: the same bytes wherever the
checkout lies, and gdb, started there, finds the sources.

LLVM drops invalid metadata without an error; `compiler/backend.py` checks that some of it arrived.
"""

from __future__ import annotations

import enum
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from compiler.lower.layout import HEADER_BYTES, TEXT_DATA_OFFSET, Layouts, is_pointer, live_object, module_of, number_of
from compiler.tree import Diagnostic, Function, Loc
from compiler.types import (
    INT,
    STORAGE_INTS,
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
    UnionType,
    WeakType,
    is_reference,
    show,
)

ROOT = str(Path(__file__).resolve().parent.parent.parent)
PRODUCER = "Krait Kernel Python compiler"
COMPILE_UNIT = 0  # its number in every module
_NUMBER = re.compile(r"!(\d+)")
LAST_COLUMN = 0xFFFF


class DebugInfo:
    """The metadata of one module; see `compiler.lower.interfaces.DebugInfo`."""

    def __init__(self, module_name: str, layouts: Layouts) -> None:
        self.layouts = layouts
        self._nodes: list[str] = [""]
        self._known: dict[object, int] = {}
        self._locations: dict[tuple[int, int, int, int | None], int] = {}
        file = self._file_node(module_name.replace(".", "/"))
        self._nodes[COMPILE_UNIT] = (
            f"distinct !DICompileUnit(language: DW_LANG_C11, file: !{file}, producer: {text(PRODUCER)}, "
            "isOptimized: false, emissionKind: FullDebug, nameTableKind: None)"
        )

    # What the lowering calls ------------------------------------------------------------------------------------------

    def subprogram(self, function: Function, symbol: str) -> int:
        """The DISubprogram of a function: defined in this module, or inlined into one that is."""
        key = ("subprogram", symbol)
        known = self._known.get(key)
        if known is not None:
            return known
        file = self._file(function.loc.path)
        signature = self._shared("!DISubroutineType(types: !{})")
        line = max(function.loc.line, 0)
        return self._keep(key, (
            f"distinct !DISubprogram(name: {text(self.short_name(function))}, linkageName: {text(symbol)}, "
            f"scope: !{file}, file: !{file}, line: {line}, scopeLine: {line}, type: !{signature}, "
            f"flags: DIFlagPrototyped, spFlags: DISPFlagDefinition, unit: !{COMPILE_UNIT})"
        ))  # fmt: skip

    def short_name(self, function: Function) -> str:
        """A function's name inside its module: "walk", "Inode.lookup"."""
        if function.is_lambda:
            return "<lambda>"
        module = module_of(self.layouts.program, function.name)
        return function.name.removeprefix(module + ".")

    def location(self, loc: Loc, scope: int, inlined_at: int | None = None) -> int:
        """A DILocation in a subprogram."""
        key = (loc.line, loc.column, scope, inlined_at)  # asked for at each step, and rarely new
        known = self._locations.get(key)
        if known is None:
            column = min(max(loc.column, 0) + 1, LAST_COLUMN)
            at = f", inlinedAt: !{inlined_at}" if inlined_at is not None and inlined_at >= 0 else ""
            known = self._shared(f"!DILocation(line: {max(loc.line, 0)}, column: {column}, scope: !{scope}{at})")
            self._locations[key] = known
        return known

    def local(self, name: str, t: Type, loc: Loc, scope: int, argument: int = 0) -> int:
        """A DILocalVariable; its slot has the register form of `t`. -1 for a name that is not the source's."""
        if not name.isidentifier():
            return -1
        arg = f"arg: {argument}, " if argument else ""
        file = self._file(loc.path)
        return self._shared(
            f"!DILocalVariable(name: {text(name)}, {arg}scope: !{scope}, file: !{file}, line: {max(loc.line, 0)}, "
            f"type: !{self._register_type(t)})"
        )

    def nodes(self) -> list[str]:
        """All nodes, by their numbers."""
        return self._nodes

    def restore(self, nodes: list[str]) -> None:
        """Take the nodes of a module that is complete: no more can be added."""
        self._nodes = nodes

    def text(self, users: Iterable[str] | None = None) -> str:
        """All metadata of the module; or no more than what these texts, and it itself, refer to."""
        flags = ['!{i32 2, !"Debug Info Version", i32 3}', '!{i32 7, !"Dwarf Version", i32 5}']
        first = len(self._nodes)
        lines = [f"!llvm.dbg.cu = !{{!{COMPILE_UNIT}}}", f"!llvm.module.flags = !{{!{first}, !{first + 1}}}"]
        nodes = [*self._nodes, *flags]
        numbers = range(len(nodes)) if users is None else sorted({*self._used(users), first, first + 1})
        lines += [f"!{number} = {nodes[number]}" for number in numbers]
        return "\n".join(lines)

    def _used(self, users: Iterable[str]) -> set[int]:
        """The numbers of the nodes that texts, or other such nodes, refer to."""
        found: set[int] = set()
        todo = [str(COMPILE_UNIT), *(number for text in users for number in _NUMBER.findall(text))]
        while todo:
            number = int(todo.pop())
            if number < len(self._nodes) and number not in found:
                found.add(number)
                todo += _NUMBER.findall(self._nodes[number])
        return found

    # Nodes ------------------------------------------------------------------------------------------------------------

    def _keep(self, key: object, node: str) -> int:
        """Add a node under a key."""
        self._nodes.append(node)
        number = len(self._nodes) - 1
        self._known[key] = number
        return number

    def _shared(self, node: str) -> int:
        """A node by its content: one for all callers."""
        known = self._known.get(node)
        return known if known is not None else self._keep(node, node)

    def _reserve(self, key: object) -> int:
        """A number for a node that is written later, so that types may mention each other."""
        return self._keep(key, "")

    def _list(self, items: Iterable[int]) -> int:
        return self._shared("!{" + ", ".join(f"!{item}" for item in items) + "}")

    def _file(self, path: str) -> int:
        known = self._known.get(("file", path))
        return known if known is not None else self._file_node(path)

    def _file_node(self, path: str) -> int:
        """A DIFile. A path below the checkout is relative to it."""
        shown = os.path.normpath(path)
        if os.path.isabs(shown) and (shown + os.sep).startswith(ROOT + os.sep):
            shown = os.path.relpath(shown, ROOT)
        directory = "/" if os.path.isabs(shown) else "."
        return self._keep(("file", path), f"!DIFile(filename: {text(shown)}, directory: {text(directory)})")

    # Types ------------------------------------------------------------------------------------------------------------

    def _register_type(self, t: Type) -> int:
        """The type of a local's slot: storage ints are widened, what lives by address is a pointer."""
        match t:
            case IntType(name="u64") | BoolType():
                return self._type(t)
            case IntType():
                return self._type(INT)
            case StructType() | ArrayType() | OptionalType(StructType()) | OptionalType(ArrayType()):
                return self._pointer(self._type(t.inner if isinstance(t, OptionalType) else t))
        return self._type(t)

    def _type(self, t: Type) -> int:
        """The type of a field, element or slot."""
        known = self._known.get(t)
        if known is not None:
            return known
        match t:
            case IntType(name=name, bits=bits, signed=signed):
                order = ", flags: DIFlagBigEndian" if t.big_endian else ""
                encoding = "DW_ATE_signed" if signed else "DW_ATE_unsigned"
                return self._keep(t, f"!DIBasicType(name: {text(name)}, size: {bits}, encoding: {encoding}{order})")
            case BoolType():
                return self._keep(t, '!DIBasicType(name: "bool", size: 8, encoding: DW_ATE_boolean)')
            case EnumType(name):
                return self._keep(t, self._enum(name))
            case OptionalType(inner) if is_reference(inner) or isinstance(inner, FunctionType):
                return self._type(inner)
            case FunctionType():
                code = self._shared("!DISubroutineType(types: !{null})")
                return self._keep(t, f"!DIDerivedType(tag: DW_TAG_pointer_type, baseType: !{code}, size: 64)")
            case ArrayType(element, length):
                size, align = self.layouts.size_align(element)
                return self._keep(t, self._array(self._type(element), f"count: {length}", size * length, align))
            case _ if is_reference(t):
                target = self._reserve(("object", t))
                pointer = self._keep(t, f"!DIDerivedType(tag: DW_TAG_pointer_type, baseType: !{target}, size: 64)")
                self._nodes[target] = self._object(t, target)
                return pointer
            case StructType():
                number = self._reserve(t)
                layout = self.layouts.instance(t)
                members = [(name, offset, self._type(ft)) for name, (offset, ft) in layout.fields.items()]
                sizes = [self.layouts.size_align(ft)[0] for _, ft in layout.fields.values()]
                self._nodes[number] = self._struct(show(t), layout.size, members, sizes, number)
                return number
            case _:
                number = self._reserve(t)
                self._nodes[number] = self._value_struct(t, number)
                return number

    def _pointer(self, target: int) -> int:
        return self._shared(f"!DIDerivedType(tag: DW_TAG_pointer_type, baseType: !{target}, size: 64)")

    def _array(self, element: int, extent: str, size: int, align: int) -> str:
        extents = self._list([self._shared(f"!DISubrange({extent})")])
        return (f"!DICompositeType(tag: DW_TAG_array_type, baseType: !{element}, size: {size * 8}, align: {align * 8}, "
                f"elements: !{extents})")  # fmt: skip

    def _enum(self, name: str) -> str:
        base = self._type(INT)
        members: list[int] = []
        try:
            live = live_object(self.layouts.program, name)
            members_of: Mapping[str, enum.Enum] = live.__members__ if isinstance(live, enum.EnumMeta) else {}
            values = {key: number_of(member) for key, member in members_of.items()}
        except (AttributeError, KeyError, TypeError, ValueError):
            values = {}
        for key, value in values.items():
            if -(1 << 63) <= value < 1 << 63:
                members.append(self._shared(f"!DIEnumerator(name: {text(key)}, value: {value})"))
        return (f"!DICompositeType(tag: DW_TAG_enumeration_type, name: {text(short(name))}, baseType: !{base}, "
                f"size: 64, elements: !{self._list(members)})")  # fmt: skip

    def _struct(
        self, name: str, size: int, members: list[tuple[str, int, int]], sizes: list[int], own: int
    ) -> str:
        """A structure: members are name, offset and type; `own` is its number."""
        nodes = [
            self._shared(f"!DIDerivedType(tag: DW_TAG_member, name: {text(member)}, scope: !{own}, baseType: !{t}, "
                         f"size: {bytes_ * 8}, offset: {offset * 8})")
            for (member, offset, t), bytes_ in zip(members, sizes, strict=True)
        ]  # fmt: skip
        return (f"distinct !DICompositeType(tag: DW_TAG_structure_type, name: {text(name)}, size: {size * 8}, "
                f"elements: !{self._list(nodes)})")  # fmt: skip

    def _object(self, t: Type, own: int) -> str:
        """What a reference points to."""
        u32 = self._type(STORAGE_INTS["u32"])
        integer = self._type(INT)
        members = [("ref_count", 0, u32), ("type_id", 4, u32)]
        sizes = [4, 4]
        size = HEADER_BYTES
        match t:
            case StrType() | BytesType():
                char = self._shared('!DIBasicType(name: "char", size: 8, encoding: DW_ATE_signed_char)')
                array = self._shared(self._array(char, "count: -1", 0, 1))
                members += [("length", 8, integer), ("text", TEXT_DATA_OFFSET, array)]
                sizes += [8, 0]
                size = TEXT_DATA_OFFSET
            case RawArrayType(element):
                align = self.layouts.size_align(element)[1]
                array = self._shared(self._array(self._type(element), "count: -1", 0, align))
                members += [("count", 8, integer), ("items", TEXT_DATA_OFFSET, array)]
                sizes += [8, 0]
                size = TEXT_DATA_OFFSET
            case WeakType(target):
                members += [("target", 8, self._type(target)), ("next", 16, integer)]
                sizes += [8, 8]
                size = 24
            case ClassType():
                try:
                    layout = self.layouts.instance(t)
                except Diagnostic:  # a class outside the program: no more than a header
                    return self._struct(show(t), size, members, sizes, own)
                for name, (offset, field_type) in layout.fields.items():
                    members.append((name, offset, self._type(field_type)))
                    sizes.append(self.layouts.size_align(field_type)[0])
                size = layout.size
            case UnionType():
                pass
        return self._struct(show(t), size, members, sizes, own)

    def _value_struct(self, t: Type, own: int) -> str:
        """Spans, tuples and optional values: LLVM structs of their parts. `own` is the node's number."""
        parts: list[tuple[str, Type | None]]
        match t:
            case SpanType(element):
                pointer = self._pointer(self._type(element))
                return self._struct(
                    show(t), 16, [("data", 0, pointer), ("length", 8, self._type(INT))], [8, 8], own
                )
            case TupleType(items):
                parts = [(f"item{i}", item) for i, item in enumerate(items)]
            case OptionalType(inner):
                parts = [("value", inner), ("is_set", BoolType())]
            case NoneType() | NeverType():
                return '!DIBasicType(tag: DW_TAG_unspecified_type, name: "None")'
            case _:
                raise Diagnostic("KP905", Loc("<compiler>", 0), f"no debug information for {show(t)}")
        members: list[tuple[str, int, int]] = []
        sizes: list[int] = []
        end = 0
        whole_align = 1
        for name, part in parts:
            size, align = self._register_size(part)
            end = -(-end // align) * align
            whole_align = max(whole_align, align)
            if size:
                members.append((name, end, self._register_type(part) if part is not None else self._type(BoolType())))
                sizes.append(size)
            end += size
        end = -(-end // whole_align) * whole_align
        return self._struct(show(t), end, members, sizes, own)

    def _register_size(self, t: Type | None) -> tuple[int, int]:
        """Size and alignment of a value's register form inside an LLVM struct."""
        match t:
            case BoolType() | NoneType() | None:
                return 1, 1
            case SpanType():
                return 16, 8
            case TupleType(items):
                return self._sum([self._register_size(item) for item in items])
            case OptionalType(inner) if not is_pointer(inner):
                return self._sum([self._register_size(inner), (1, 1)])
        return 8, 8

    def _sum(self, parts: list[tuple[int, int]]) -> tuple[int, int]:
        end, whole = 0, 1
        for size, align in parts:
            end = -(-end // align) * align + size
            whole = max(whole, align)
        return -(-end // whole) * whole, whole


def short(name: str) -> str:
    return name.rsplit(".", 1)[-1]


def text(value: str) -> str:
    """A string in metadata."""
    if value.isascii() and value.isprintable() and '"' not in value and "\\" not in value:
        return f'"{value}"'
    data = value.encode()
    return '"' + "".join(chr(b) if 32 <= b < 127 and b not in b'"\\' else f"\\{b:02X}" for b in data) + '"'

