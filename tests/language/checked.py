"""Kernel Python under CPython with the compiler's checks: what compiled code must do, without the compiler.

A source file is parsed, its arithmetic, indexing and stores are rewritten into calls of the functions below, and the
result runs as an ordinary module. Added to Python's own behaviour are exactly the rules of docs/language.md:

- the result of `+ - * //`, unary `-`, `<<`, `abs` and `sum` on ints must fit in 64 bits, signed; shift counts lie in
  0…63;
- under a cast such as `u32(…)` ring operators are exact, since they wrap;
- a negative index traps, unless it is a literal;
- a store to a place declared with a storage type (annotated local, parameter, result, field) must be in its range.

The rewriting knows no types: the functions look at the values.
"""

# ruff: noqa: ANN401  (the values of a program under test are of any type)

from __future__ import annotations

import ast
import operator
import sys
import types
from pathlib import Path
from typing import Any

INT_MIN = -(1 << 63)
INT_MAX = (1 << 63) - 1

RANGES: dict[str, tuple[int, int]] = {
    **{f"u{bits}": (0, (1 << bits) - 1) for bits in (8, 16, 32)},
    **{f"i{bits}": (-(1 << bits - 1), (1 << bits - 1) - 1) for bits in (8, 16, 32)},
    "u64": (0, (1 << 64) - 1),
    "int": (INT_MIN, INT_MAX),
}
CASTS = {"u8", "u16", "u32", "u64", "i8", "i16", "i32"}
RING = (ast.Add, ast.Sub, ast.Mult, ast.LShift, ast.BitAnd, ast.BitOr, ast.BitXor)


class NarrowingError(Exception):
    """A value out of the range of the storage type that it was stored to."""


class ShiftCountError(Exception):
    """A shift count outside 0…63."""


class U64(int):
    """A value of type u64, so that its arithmetic is known from that of int. (The prelude's `u64(x)` gives a plain
    int.)"""


# What rewritten code calls
# ----------------------------------------------------------------------------------------------

OPERATORS: dict[str, Any] = {
    "Add": operator.add, "Sub": operator.sub, "Mult": operator.mul, "FloorDiv": operator.floordiv, "Mod": operator.mod,
    "LShift": operator.lshift, "RShift": operator.rshift,
    "BitAnd": operator.and_, "BitOr": operator.or_, "BitXor": operator.xor, "Pow": operator.pow,
}  # fmt: skip
IN_PLACE: dict[str, Any] = {"Add": operator.iadd, "Mult": operator.imul}


def fit(value: Any) -> Any:
    """Trap if an int does not fit in 64 bits. Values of other types pass."""
    if type(value) is int and not INT_MIN <= value <= INT_MAX:
        raise OverflowError("integer overflow")
    return value


def unsigned(value: Any) -> U64:
    """A value that must be a u64 already."""
    if not 0 <= value < 1 << 64:
        raise OverflowError("integer overflow")
    return U64(value)


def wrapped_unsigned(value: Any) -> U64:
    """The cast `u64(…)`."""
    return U64(int(value) & ((1 << 64) - 1))


def to_int(value: Any, *base: Any) -> Any:
    """The cast `int(…)`."""
    return fit(int(value, *base))


def binary(name: str, left: Any, right: Any) -> Any:
    if name in ("LShift", "RShift") and not 0 <= int(right) <= 63:
        raise ShiftCountError(f"shift by {right}")
    result = OPERATORS[name](left, right)
    if type(left) is U64 or (type(right) is U64 and name not in ("LShift", "RShift")):
        return unsigned(result)
    return fit(result)


def augmented(name: str, left: Any, right: Any) -> Any:
    if isinstance(left, (list, bytearray)):
        return IN_PLACE[name](left, right)
    return binary(name, left, right)


def negate(value: Any) -> Any:
    return fit(-value)


def checked_abs(value: Any) -> Any:
    return fit(abs(value))


def checked_sum(values: Any) -> Any:
    total = 0
    for value in values:
        total = fit(total + value)
    return total


def index(container: Any, place: Any) -> Any:
    """The index to use, which may not be negative in a sequence."""
    if type(place) is int and place < 0 and not isinstance(container, dict):
        raise IndexError(f"negative index {place}")
    return place


def narrow(type_name: str, value: Any) -> Any:
    """A value to be stored to a place of a storage type."""
    if type_name == "u64":
        return unsigned(value)
    low, high = RANGES[type_name]
    if not low <= int(value) <= high:
        raise NarrowingError(f"{value} does not fit in {type_name}")
    return value


def narrow_field(owner: Any, field: str, value: Any) -> Any:
    """A value to be stored to a field, whose declaration is looked up by the owner's class."""
    for cls in type(owner).__mro__:
        declared = FIELDS.get((cls.__module__, cls.__qualname__, field))
        if declared is not None:
            return narrow(declared, value)
    return value


FIELDS: dict[tuple[str, str, str], str] = {}

SUPPORT = {
    "krait__binary": binary, "krait__augmented": augmented, "krait__negate": negate, "krait__abs": checked_abs,
    "krait__sum": checked_sum, "krait__index": index, "krait__narrow": narrow, "krait__narrow_field": narrow_field,
    "krait__u64": wrapped_unsigned, "krait__int": to_int,
}  # fmt: skip


# Rewriting
# --------------------------------------------------------------------------------------------------------------


def call(function: str, *args: ast.expr) -> ast.Call:
    return ast.Call(ast.Name(function, ast.Load()), list(args), [])


def read_again(node: ast.expr) -> ast.expr:
    """A copy of a target or operand that reads it, at the same place in the source."""
    copy = ast.parse(ast.unparse(node), mode="eval").body
    for inner in ast.walk(copy):
        ast.copy_location(inner, node)
    return copy


def storage_name(annotation: ast.expr | None) -> str | None:
    """The storage type that an annotation names, if it names one."""
    if isinstance(annotation, ast.Constant) and annotation.value in CASTS:
        return str(annotation.value)
    if isinstance(annotation, ast.Name) and annotation.id in CASTS:
        return annotation.id
    return None


def literal_index(node: ast.expr) -> bool:
    """Whether an index is written as a literal, and so may be negative; slices are Python's anyway."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        node = node.operand
    return isinstance(node, (ast.Constant, ast.Slice))


class Rewriter(ast.NodeTransformer):
    """Rewrites function bodies; module level and annotations stay, since they are build time."""

    def __init__(self, module: str) -> None:
        self.module = module
        self.classes: list[str] = []
        self.locals: list[dict[str, str]] = []
        self.results: list[str | None] = []
        self.temporaries = 0

    # Declarations

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        self.classes.append(node.name)
        for statement in node.body:
            if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                self.declare_field(statement.target.id, statement.annotation)
        node.body = [self.visit(s) if isinstance(s, ast.FunctionDef) else s for s in node.body]
        self.classes.pop()
        return node

    def declare_field(self, name: str, annotation: ast.expr) -> None:
        declared = storage_name(annotation)
        if declared is not None:
            FIELDS[self.module, ".".join(self.classes), name] = declared

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        outer_classes, self.classes = self.classes, self.classes[-1:]
        declared: dict[str, str] = {}
        entry: list[ast.stmt] = []
        for parameter in (*node.args.args, *node.args.kwonlyargs):
            name = storage_name(parameter.annotation)
            if name is not None:
                declared[parameter.arg] = name
                value = call("krait__narrow", ast.Constant(name), ast.Name(parameter.arg, ast.Load()))
                entry.append(ast.Assign([ast.Name(parameter.arg, ast.Store())], value))
        for inner in ast.walk(node):
            if isinstance(inner, ast.AnnAssign) and isinstance(inner.target, ast.Name):
                name = storage_name(inner.annotation)
                if name is not None:
                    declared[inner.target.id] = name
        self.locals.append(declared)
        self.results.append(storage_name(node.returns))
        body = self.block(node.body)
        if body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
            body[1:1] = entry
        else:
            body[:0] = entry
        node.body = body
        self.locals.pop()
        self.results.pop()
        self.classes = outer_classes
        return node

    def block(self, body: list[ast.stmt]) -> list[ast.stmt]:
        result: list[ast.stmt] = []
        for statement in body:
            new = self.visit(statement)
            if isinstance(new, list):
                result.extend(new)
            else:
                result.append(new)
        return result

    # Stores

    def stored(self, target: ast.expr, value: ast.expr) -> ast.expr:
        """The value as it is stored to a target (already visited)."""
        if isinstance(target, ast.Name) and self.locals and target.id in self.locals[-1]:
            return call("krait__narrow", ast.Constant(self.locals[-1][target.id]), value)
        if isinstance(target, ast.Attribute):
            owner = read_again(target.value)
            return call("krait__narrow_field", owner, ast.Constant(target.attr), value)
        return value

    def visit_Assign(self, node: ast.Assign) -> ast.AST | list[ast.stmt]:
        match node.targets:
            case [ast.Attribute(value=owner) as field] if any(isinstance(part, ast.Call) for part in ast.walk(owner)):
                before: list[ast.stmt] = []
                value = self.hold(node.value, before)
                node.targets = [ast.Attribute(self.hold(owner, before), field.attr, ast.Store())]
                node.value = self.stored(node.targets[0], value)
                return [ast.fix_missing_locations(ast.copy_location(part, node)) for part in (*before, node)]
        node.value = self.visit(node.value)
        node.targets = [self.visit(t) for t in node.targets]
        if self.locals and len(node.targets) == 1:
            node.value = self.stored(node.targets[0], node.value)
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        if isinstance(node.target, ast.Attribute) and self.classes:
            self.declare_field(node.target.attr, node.annotation)
        if node.value is not None and self.locals:
            node.value = self.stored(node.target, self.visit(node.value))
        return node

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST | list[ast.stmt]:
        value = self.visit(node.value)
        operation = ast.Constant(type(node.op).__name__)
        before: list[ast.stmt] = []
        target = node.target
        if isinstance(target, ast.Attribute):
            target = ast.Attribute(self.hold(target.value, before), target.attr, ast.Store())
        elif isinstance(target, ast.Subscript):
            container = self.hold(target.value, before)
            place: ast.expr = target.slice
            if not literal_index(place):
                place = self.hold(place, before)
                place = call("krait__index", container, place)
            target = ast.Subscript(container, place, ast.Store())
        ast.copy_location(target, node)
        read = read_again(ast.fix_missing_locations(target))
        result = call("krait__augmented", operation, read, value)
        statements = [*before, ast.Assign([target], self.stored(target, result))]
        for statement in statements:
            ast.copy_location(statement, node)
            ast.fix_missing_locations(statement)
        return statements

    def hold(self, node: ast.expr, before: list[ast.stmt]) -> ast.expr:
        """Evaluate an expression once, into a temporary."""
        if isinstance(node, ast.Name):
            return ast.Name(node.id, ast.Load())
        self.temporaries += 1
        name = f"krait__{self.temporaries}"
        before.append(ast.Assign([ast.Name(name, ast.Store())], self.visit(node)))
        return ast.Name(name, ast.Load())

    def visit_Return(self, node: ast.Return) -> ast.AST:
        if node.value is not None:
            node.value = self.visit(node.value)
            if self.results and self.results[-1] is not None:
                node.value = call("krait__narrow", ast.Constant(self.results[-1]), node.value)
        return node

    # Expressions

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        left, right = self.visit(node.left), self.visit(node.right)
        return call("krait__binary", ast.Constant(type(node.op).__name__), left, right)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        if isinstance(node.op, ast.USub) and not isinstance(node.operand, ast.Constant):
            return call("krait__negate", self.visit(node.operand))
        return self.generic_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        node.value = self.visit(node.value)
        node.slice = self.visit(node.slice)
        if not literal_index(node.slice):
            container = read_again(node.value)
            if isinstance(node.value, (ast.Name, ast.Attribute)):
                node.slice = call("krait__index", container, node.slice)
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if isinstance(node.func, ast.Name):
            if node.func.id in CASTS and len(node.args) == 1:
                node.args = [self.exact(node.args[0])]
                if node.func.id == "u64":
                    node.func = ast.Name("krait__u64", ast.Load())
                return node
            if node.func.id in ("abs", "sum", "int"):
                node.func = ast.Name(f"krait__{node.func.id}", ast.Load())
        return self.generic_visit(node)

    def exact(self, node: ast.expr) -> ast.expr:
        """What stands directly under a wrapping cast: its ring operators are left alone."""
        if isinstance(node, ast.BinOp) and isinstance(node.op, RING):
            node.left = self.exact(node.left)
            node.right = self.visit(node.right) if isinstance(node.op, ast.LShift) else self.exact(node.right)
            return node
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.Invert)):
            node.operand = self.exact(node.operand)
            return node
        result: ast.expr = self.visit(node)
        return result

    def visit_arguments(self, node: ast.arguments) -> ast.AST:
        return node  # defaults are build time


def load(path: Path, name: str, checked: bool) -> types.ModuleType:
    """Import a file as a module of a name, with checks or plainly. Its `main` has not run."""
    source = path.read_text()
    tree = ast.parse(source, str(path))
    module = types.ModuleType(name)
    module.__file__ = str(path)
    if checked:
        rewriter = Rewriter(name)
        tree.body = [
            rewriter.visit(node) if isinstance(node, (ast.FunctionDef, ast.ClassDef)) else node for node in tree.body
        ]
        ast.fix_missing_locations(tree)
        vars(module).update(SUPPORT)
    sys.modules[name] = module
    exec(compile(tree, str(path), "exec"), vars(module))
    return module
