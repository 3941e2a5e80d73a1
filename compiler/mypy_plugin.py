"""What mypy must be told about Kernel Python.

- Fixed-width integers (kernel/lang/ints.pyi): storage types and `int` stand for one another; an `int` stands for a
`u64`.
- `@struct` classes: a constructor with optional keyword arguments, and `copy`.
"""

from __future__ import annotations

from collections.abc import Callable

from mypy.nodes import ARG_NAMED_OPT, Argument, Var
from mypy.plugin import ClassDefContext, Plugin
from mypy.plugins.common import add_method_to_class
from mypy.types import Instance, NoneType
from mypy.typevars import fill_typevars

FIXED_WIDTH = "kernel.lang.ints.fixed_width"
STRUCT = "kernel.lang.structs.struct"


class KraitPlugin(Plugin):
    """The plugin: see the module's description."""

    def get_class_decorator_hook(self, fullname: str) -> Callable[[ClassDefContext], None] | None:
        return promote_fixed_width if fullname == FIXED_WIDTH else None

    def get_class_decorator_hook_2(self, fullname: str) -> Callable[[ClassDefContext], bool] | None:
        return add_struct_methods if fullname == STRUCT else None


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
