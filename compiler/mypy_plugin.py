"""What mypy must be told about Kernel Python.

- Fixed-width integers (kernel/lang/ints.pyi): storage types and `int` stand for one another; an `int` stands for a
`u64`.
- `@struct` classes: a constructor with optional keyword arguments, and `copy`.
- What a call may change: mypy believes that a field which was set to None is None until the function sets it again.
  Others may have set it in a call. So a call makes it forget that a field, a global or an element is None, or one
  certain value. (That it is of a class is not forgotten: compiled code checks it again at each use.)
"""

from __future__ import annotations

from collections.abc import Callable

from mypy.binder import ConditionalTypeBinder
from mypy.checker import TypeChecker
from mypy.literals import Key
from mypy.nodes import ARG_NAMED_OPT, Argument, Var
from mypy.plugin import ClassDefContext, FunctionContext, MethodContext, Plugin
from mypy.plugins.common import add_method_to_class
from mypy.types import Instance, LiteralType, NoneType, ProperType, Type, UnionType, get_proper_type
from mypy.typevars import fill_typevars

from compiler.front.narrowing import type_of_attribute, type_of_element

FIXED_WIDTH = "kernel.lang.ints.fixed_width"
STRUCT = "kernel.lang.structs.struct"


class KraitPlugin(Plugin):
    """The plugin: see the module's description."""

    def get_class_decorator_hook(self, fullname: str) -> Callable[[ClassDefContext], None] | None:
        return promote_fixed_width if fullname == FIXED_WIDTH else None

    def get_class_decorator_hook_2(self, fullname: str) -> Callable[[ClassDefContext], bool] | None:
        return add_struct_methods if fullname == STRUCT else None

    def get_function_hook(self, fullname: str) -> Callable[[FunctionContext], Type] | None:
        return None if fullname.startswith("builtins.") else forget_values

    def get_method_hook(self, fullname: str) -> Callable[[MethodContext], Type] | None:
        # Numbers and tuples change nothing, and mypy's own plugin knows more of their operators.
        return None if fullname.startswith(("builtins.int.", "builtins.tuple.")) else forget_values


def forget_values(context: FunctionContext | MethodContext) -> Type:
    """Forget of each place that others can change that it is None, or one of some values."""
    checker = context.api
    assert isinstance(checker, TypeChecker)
    binder = checker.binder
    seen: set[Key] = set()
    for frame in reversed(binder.frames):
        if not frame.types:
            continue  # most of the thousands that a long chain of tests has
        for key, known in list(frame.types.items()):
            if key in seen:
                continue
            seen.add(key)
            if is_value(get_proper_type(known.type)) and is_shared(key):
                declared = declared_type(key, binder)
                if declared is None:
                    binder._cleanse_key(key)
                else:
                    binder._put(key, declared, from_assignment=True)
    return context.default_return_type


def declared_type(key: Key, binder: ConditionalTypeBinder) -> Type | None:
    """What a place with such a key in mypy's binder may hold, by its declaration; None if that is not known."""
    if key[0] == "Var":
        return key[1].type if isinstance(key[1], Var) else None
    base = key[1]
    if not isinstance(base, tuple):
        return None
    known = binder._get(base)
    container = known.type if known is not None else declared_type(base, binder)
    if key[0] == "Index":
        return type_of_element(container)
    return type_of_attribute(container, str(key[2]))


def is_value(t: ProperType) -> bool:
    """Whether a type has some values only, which a test can tell apart: None, members of enums, True, numbers."""
    if isinstance(t, UnionType):
        return any(isinstance(get_proper_type(item), LiteralType) for item in t.items)
    return isinstance(t, NoneType | LiteralType)


def is_shared(key: Key) -> bool:
    """Whether the place with such a key in mypy's binder is a global, or lies in an object or a container."""
    if key[0] == "Var" and isinstance(key[1], Var):
        return key[1].fullname != key[1].name
    return key[0] in ("Member", "Index")


def promote_fixed_width(context: ClassDefContext) -> None:
    """Let an int stand for a fixed-width integer, and a storage type for an int."""
    info = context.cls.info
    int_type = context.api.named_type("builtins.int")
    if not any(isinstance(p, Instance) and p.type is info for p in int_type.type._promote):
        int_type.type._promote.append(Instance(info, []))
    if info.name != "u64":
        info.alt_promote = Instance(int_type.type, [])


def add_struct_methods(context: ClassDefContext) -> bool:
    """Give a struct its `__init__` and `copy`; False while a field's type is not known yet."""
    info = context.cls.info
    arguments: list[Argument] = []
    for base in reversed(info.mro[:-1]):
        for name, symbol in base.names.items():
            node = symbol.node
            if isinstance(node, Var) and not node.is_classvar and not node.is_property and node.line >= 0:
                if node.type is None:
                    return False
                arguments.append(Argument(Var(name, node.type), node.type, None, ARG_NAMED_OPT))
    add_method_to_class(context.api, context.cls, "__init__", arguments, NoneType())
    add_method_to_class(context.api, context.cls, "copy", [], fill_typevars(info))
    return True


def plugin(version: str) -> type[Plugin]:
    """mypy's entry point."""
    return KraitPlugin
