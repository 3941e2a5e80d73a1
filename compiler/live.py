"""What was imported is what is compiled: live functions and classes are compared with their source.

The compiler takes functions from the source and objects from the import. A decorator that puts another function in the
place of its own, an assignment to a class or to a function's defaults would silently make the two differ. So each
function that is reached is looked up where its name says, and its code object must be the one that its source compiles
to, with the defaults that stand there.
"""

from __future__ import annotations

import ast
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from pathlib import Path

from compiler.tree import ClassDecl, Diagnostic, Function, Program


@dataclass
class Compiled:
    """A file as Python compiles it. Functions have qualified names and the lines of their `def`."""

    data: bytes
    code: types.CodeType
    functions: dict[tuple[str, int], types.CodeType]
    arguments: dict[tuple[str, int], ast.arguments]


HINT = "import must leave functions and classes as their source says"

_kept: dict[str, Compiled] = {}  # by path


def keep_compiled(path: str) -> None:
    """Compile a file now, for child processes that import and compare it if it is still the same then."""
    data = Path(path).read_bytes()
    if path not in _kept or _kept[path].data != data:
        _kept.pop(path, None)
        _kept[path] = compiled(path)


def take_compiled() -> None:
    """Let the imports of this process take what is kept compiled, and no bytecode that lies beside the sources: that
    may be of another text of the same length and second.
    """
    read_code = SourceFileLoader.get_code

    def get_code(loader: SourceFileLoader, name: str) -> types.CodeType | None:
        path = loader.get_filename(name)
        known = _kept.get(path)
        return known.code if known is not None and known.data == loader.get_data(path) else read_code(loader, name)

    setattr(SourceFileLoader, "get_code", get_code)  # noqa: B010  (a type checker knows that it is a method)


def compiled(path: str) -> Compiled:
    """What a file is compiled to."""
    data = Path(path).read_bytes()
    known = _kept.get(path)
    if known is not None and known.data == data:
        return known
    lines: dict[tuple[str, int], int] = {}  # name and first line, decorators included -> line of `def`
    found = Compiled(data, compile(data, path, "exec", dont_inherit=True), {}, {})
    for name, node in _definitions(ast.parse(data), ""):
        first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
        lines[name, first] = node.lineno
        found.arguments[name, node.lineno] = node.args
    for code in _code_objects(found.code):
        line = lines.get((code.co_qualname, code.co_firstlineno))
        if line is not None:
            found.functions[code.co_qualname, line] = code
    return found


class LiveComparison:
    """Compares live objects with sources, which are compiled once a file."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.module_of = {path: name for name, path in program.modules.items()}
        self.compiled: dict[str, Compiled] = {}  # by path

    def function(self, function: Function) -> Diagnostic | None:
        """What is wrong with the live function of a name, if anything is."""
        path = function.loc.path
        module = self.module_of.get(path)
        if module is None or module not in sys.modules or "<" in function.name:
            return None
        name = function.name.removeprefix(module + ".")
        setter = name.endswith(".setter")
        live = _find(sys.modules[module], name.removesuffix(".setter"), is_setter=setter)
        short = name.rpartition(".")[2]
        if not isinstance(live, types.FunctionType):
            return Diagnostic("KP198", function.loc, f"{short} is not a function after the import", HINT)
        if path not in self.compiled:
            self.compiled[path] = compiled(path)
        expected = self.compiled[path].functions.get((name.removesuffix(".setter"), function.loc.line))
        if expected is None or not same_code(live.__code__, expected):
            message = f"after the import, {short} is {live.__module__}.{live.__qualname__}, and not what stands here"
            return Diagnostic("KP198", function.loc, message, HINT)
        if live.__code__.co_freevars not in ((), ("__class__",)):
            return Diagnostic("KP198", function.loc, f"{short} has variables of a function around it", HINT)
        if live.__globals__ is not vars(sys.modules[module]):
            return Diagnostic("KP198", function.loc, f"{short} has other globals than its module", HINT)
        return _defaults(function, live, self.compiled[path].arguments[name.removesuffix(".setter"), function.loc.line])

    def forget(self) -> None:
        """All functions were compared: what was compiled for that is not needed any longer."""
        self.compiled.clear()

    def cls(self, decl: ClassDecl) -> Diagnostic | None:
        """What is wrong with the live class of a declaration, if anything is."""
        module = self.module_of.get(decl.loc.path)
        if module is None or module not in sys.modules or decl.kind == "protocol":
            return None
        live = _find(sys.modules[module], decl.name.removeprefix(module + "."), is_setter=False)
        short = decl.name.rpartition(".")[2]
        if not isinstance(live, type) or live.__qualname__ != decl.name.removeprefix(module + "."):
            return Diagnostic("KP198", decl.loc, f"after the import, {short} is another class", HINT)
        if decl.kind == "class":
            declared = {name.removeprefix(decl.name + ".").removesuffix(".setter") for name in decl.methods}
            kinds = (types.FunctionType, property, staticmethod, classmethod)
            for name, value in vars(live).items():
                if isinstance(value, kinds) and name not in declared:
                    message = f"the import gave {short} the method {name}, which does not stand here"
                    return Diagnostic("KP198", decl.loc, message, HINT)
        return None


def _defaults(function: Function, live: types.FunctionType, declared: ast.arguments) -> Diagnostic | None:
    """What is wrong with the defaults of a live function."""
    written = [*declared.defaults, *(d for d in declared.kw_defaults if d is not None)]
    given = [*(live.__defaults__ or ()), *(live.__kwdefaults__ or {}).values()]
    same = len(written) == len(given)
    for node, value in zip(written, given, strict=False):
        same = same and _same_default(node, value, live.__globals__)
    if same:
        return None
    short = function.name.rpartition(".")[2]
    return Diagnostic("KP198", function.loc, f"the defaults of {short} were changed by the import", HINT)


def _find(module: object, name: str, *, is_setter: bool) -> object:
    """A module's function or class, or a class's method as it lies in the class."""
    value: object = module
    for part in name.split("."):
        value = vars(value).get(part) if isinstance(value, type | types.ModuleType) else None
    if isinstance(value, property):
        return value.fset if is_setter else value.fget
    return value.__func__ if isinstance(value, staticmethod) else value


def _definitions(tree: ast.AST, prefix: str) -> Iterator[tuple[str, ast.FunctionDef]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef):
            yield prefix + node.name, node
        elif isinstance(node, ast.ClassDef):
            yield from _definitions(node, f"{prefix}{node.name}.")
        elif isinstance(node, ast.If | ast.Try | ast.With):
            yield from _definitions(node, prefix)


def _code_objects(code: types.CodeType) -> Iterator[types.CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield constant
            yield from _code_objects(constant)


def same_code(a: types.CodeType, b: types.CodeType) -> bool:
    """Whether two code objects come from the same source."""
    if a is b:
        return True
    plain = (
        "co_code", "co_names", "co_varnames", "co_freevars", "co_cellvars", "co_flags", "co_argcount",
        "co_kwonlyargcount", "co_posonlyargcount", "co_firstlineno", "co_qualname",
    )  # fmt: skip
    if any(getattr(a, name) != getattr(b, name) for name in plain) or len(a.co_consts) != len(b.co_consts):
        return False
    for x, y in zip(a.co_consts, b.co_consts, strict=True):
        if isinstance(x, types.CodeType) and isinstance(y, types.CodeType):
            if not same_code(x, y):
                return False
        elif type(x) is not type(y) or x != y:
            return False
    return True


def _same_default(node: ast.expr, value: object, scope: dict[str, object]) -> bool:
    """Whether a default has the value that its expression has now. More than names and literals is not asked."""
    if not all(isinstance(n, ast.Name | ast.Attribute | ast.Constant | ast.UnaryOp | ast.BinOp | ast.expr_context
                      | ast.operator | ast.unaryop) for n in ast.walk(node)):  # fmt: skip
        return True
    try:
        now = eval(compile(ast.Expression(node), "<default>", "eval"), scope)
    except Exception:
        return False
    return type(now) is type(value) and (now is value or now == value)


