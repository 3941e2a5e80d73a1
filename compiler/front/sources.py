"""Whether a source file can be read at all: before the type checker sees it, since some files bring it down."""

from __future__ import annotations

import ast
import io
import tokenize
from pathlib import Path

from compiler.tree import Diagnostic, Loc

MOST_LINES = 50_000
MOST_BYTES = 4 << 20
# Levels of brackets, operators and blocks. Operands of one `and`, `or` or comparison, alternatives of a pattern,
# managers of a `with`, and clauses of a comprehension count as levels.
DEEPEST = 300
MOST_BRANCHES = 1000  # of an `if` with its `elif`s: each lies inside the one before
MOST_ANCESTORS = 100  # of a class: the type checker's time grows with the square of their number, at least


def unreadable(path: Path) -> Diagnostic | None:
    """Why a file can't be compiled: it is no Python, is too long, or is nested too deep. Type errors are for later."""
    try:
        data = path.read_bytes()
    except OSError as error:
        return Diagnostic("KP100", Loc(str(path), 0), f"{path.name} can't be read: {error.strerror}")
    lines = data.count(b"\n") + data.count(b"\r") - data.count(b"\r\n") + 1
    if lines > MOST_LINES or len(data) > MOST_BYTES:
        size = f"{lines:,} lines" if lines > MOST_LINES else f"{len(data):,} bytes"
        hint = f"split it into modules; a file has at most {MOST_LINES:,} lines and {MOST_BYTES >> 20} MiB"
        return Diagnostic("KP100", Loc(str(path), 1), f"a file of {size}", hint)
    hint = "give the parts names, or write functions"
    try:
        tree = ast.parse(data)
    except SyntaxError as error:
        loc = Loc(str(path), max(error.lineno or 1, 1), max((error.offset or 1) - 1, 0))
        if "too many nested" in error.msg:
            return Diagnostic("KP100", loc, error.msg, hint)
        if b"\0" in data:
            line = data[: data.index(b"\0")].count(b"\n") + 1
            return Diagnostic("KP100", Loc(str(path), line), "this is no text: it has a byte of value 0")
        return None  # the type checker's message is as good, and not the first error only
    except ValueError as error:
        return Diagnostic("KP100", Loc(str(path), 1), str(error))
    except (MemoryError, RecursionError):
        return Diagnostic("KP100", Loc(str(path), 1), "this file is nested too deep to be read", hint)
    deepest = too_deep(tree)
    if deepest is not None:
        line, column = getattr(deepest, "lineno", 1), getattr(deepest, "col_offset", 0)
        message = f"this is nested more than {DEEPEST} levels deep"
        return Diagnostic("KP100", Loc(str(path), line, column), message, hint)
    chain = too_long_chain(tree)
    if chain is not None:
        message = f"an if of more than {MOST_BRANCHES:,} branches"
        return Diagnostic("KP100", Loc(str(path), chain.lineno, chain.col_offset), message, "look it up in a dict")
    descendant = too_far_down(tree)
    if descendant is not None:
        message = f"{descendant.name} has more than {MOST_ANCESTORS} base classes above it"
        loc = Loc(str(path), descendant.lineno, descendant.col_offset)
        return Diagnostic("KP100", loc, message, "give classes a field instead of a base class")
    return None


def source_lines(path: Path) -> list[str]:
    """A file's lines, in whatever encoding it declares."""
    return lines_of(path.read_bytes())


def lines_of(data: bytes) -> list[str]:
    """The lines of a source."""
    encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
    return io.TextIOWrapper(io.BytesIO(data), encoding).read().splitlines()


def too_deep(tree: ast.AST) -> ast.AST | None:
    """A node that lies deeper than DEEPEST, if there is one. The branches of an `elif` lie side by side."""
    level: list[ast.AST] = [tree]
    for _ in range(DEEPEST):
        following: list[ast.AST] = []
        for node in level:
            if _operands(node) > DEEPEST:
                return node
            following += _below(node)
        if not following:
            return None
        level = following
    return next((node for node in level if hasattr(node, "lineno")), None)


def too_long_chain(tree: ast.AST) -> ast.If | None:
    """The start of an `if` with too many branches, if there is one."""
    counted: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and node not in counted:
            first, count = node, 1
            while len(node.orelse) == 1 and isinstance(node.orelse[0], ast.If):
                node, count = node.orelse[0], count + 1
                counted.add(node)
            if count > MOST_BRANCHES:
                return first
    return None


def too_far_down(tree: ast.AST) -> ast.ClassDef | None:
    """A class with too many base classes, each above the one before, in the order of the file."""
    depths: dict[str, int] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            bases = [base.value if isinstance(base, ast.Subscript) else base for base in node.bases]
            depths[node.name] = 1 + max((depths.get(b.id, 0) for b in bases if isinstance(b, ast.Name)), default=0)
            if depths[node.name] > MOST_ANCESTORS + 1:
                return node
    return None


def _operands(node: ast.AST) -> int:
    """How many levels the type checker or lowering makes of what is one here."""
    match node:
        case ast.BoolOp(values=values) | ast.Compare(comparators=values):
            return len(values)
        case ast.MatchOr(patterns=patterns):
            return len(patterns)
        case ast.With(items=items):
            return len(items)
        case ast.ListComp(generators=clauses) | ast.GeneratorExp(generators=clauses):
            return len(clauses)
        case _:
            return 0


def _below(node: ast.AST) -> list[ast.AST]:
    found: list[ast.AST] = []
    while isinstance(node, ast.If) and len(node.orelse) == 1 and isinstance(node.orelse[0], ast.If):
        found += [node.test, *node.body]
        node = node.orelse[0]
    return found + list(ast.iter_child_nodes(node))
