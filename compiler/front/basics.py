"""What calls, expressions and statements all need: the declaration of an attribute, the value of a constant."""

from __future__ import annotations

from mypy.nodes import SymbolNode, TypeInfo, Var

from compiler.tree import Diagnostic, Loc


class Unreachable(Exception):
    """mypy did not check this expression because it can't be reached."""


def find_attribute(info: TypeInfo, name: str) -> tuple[str, SymbolNode | None]:
    """The class that declares an attribute, and its node: a Var, a FuncDef, a Decorator or an OverloadedFuncDef."""
    for base in info.mro:
        symbol = base.names.get(name)
        if symbol is not None and symbol.node is not None:
            return base.fullname, symbol.node
    return info.fullname, None


def refuse_protocol_field(symbol: Var, loc: Loc) -> None:
    """A field lies at another place in each class that satisfies a protocol."""
    if symbol.info and symbol.info.is_protocol:
        message = f"{symbol.name} is a field of the protocol {symbol.info.name}"
        raise Diagnostic("KP274", loc, message, "ask for a method or a property, and give the classes one")


def fold(op: str, a: int, b: int) -> int | None:
    """A constant expression's value, if it fits 64 bits."""
    if op in ("<<", ">>") and not 0 <= b < 64:
        return None
    if op in ("//", "%") and b == 0:
        return None
    table = {
        "+": lambda: a + b,
        "-": lambda: a - b,
        "*": lambda: a * b,
        "//": lambda: a // b,
        "%": lambda: a % b,
        "<<": lambda: a << b,
        ">>": lambda: a >> b,
        "&": lambda: a & b,
        "|": lambda: a | b,
        "^": lambda: a ^ b,
    }
    value = table[op]() if op in table else None
    return value if value is not None and -(1 << 63) <= value < 1 << 64 else None
