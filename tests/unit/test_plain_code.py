"""What a byte of text is says its character, `byte == ord("/")`, and a handler for two errors is written once."""

from __future__ import annotations

import ast
from functools import lru_cache
from pathlib import Path

import pytest

from tools.paths import ROOT

FILES = sorted(path for top in ("kernel", "arch") for path in (ROOT / top).rglob("*.py"))
BYTES = {"byte", "digit", "octet", "letter", "lower"}
TEXTS = {"text", "word", "words", "line", "head"}
ADDERS = {"append", "add_byte"}
DIGITS = {48, 55, 87}
"""What leads from a digit to its value: decimal, and hexadecimal in both cases."""


def is_of_text(node: ast.expr) -> bool:
    """Whether an expression is a byte of text, by its name; `byte | 0x20` is one."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        node = node.left
    if isinstance(node, ast.Subscript):
        if isinstance(node.slice, ast.Slice):
            return False
        while isinstance(node, ast.Subscript):
            node = node.value
        return isinstance(node, ast.Name | ast.Attribute) and ast.unparse(node).split(".")[-1] in TEXTS
    return isinstance(node, ast.Name) and node.id in BYTES


def is_character(node: ast.expr, least: int) -> bool:
    """Whether it is a number that is an ASCII character, from `least` on, or a white one."""
    if isinstance(node, ast.Tuple):
        return any(is_character(each, least) for each in node.elts)
    return isinstance(node, ast.Constant) and type(node.value) is int and least <= node.value < 127


@lru_cache(maxsize=1)
def nodes(source: str) -> list[ast.AST]:
    return list(ast.walk(ast.parse(source)))


def numbers(source: str) -> list[int]:
    """The lines where a number stands for a character."""
    found: list[int] = []
    for node in nodes(source):
        match node:
            case ast.Compare():
                sides = [node.left, *node.comparators]
                least = 32 if any(isinstance(side, ast.Name) and side.id == "digit" for side in sides) else 9
                is_one = any(map(is_of_text, sides)) and any(is_character(side, least) for side in sides)
            case ast.BinOp(left, ast.Add() | ast.Sub(), ast.Constant(value)):
                last = left.right if isinstance(left, ast.BinOp) and isinstance(left.op, ast.Add) else left
                is_one = value in DIGITS and is_of_text(last)
            case ast.Call(ast.Attribute(attr=name), [argument]) if name in ADDERS:
                is_one = is_character(argument, 32) or (isinstance(argument, ast.Constant) and argument.value == 10)
            case _:
                is_one = False
        if is_one and isinstance(node, ast.expr):
            found.append(node.lineno)
    return found


def twins(source: str) -> list[int]:
    """The lines of handlers that do what the one before does: `except (Errno, MemoryError)` says it once."""
    found: list[int] = []
    for node in nodes(source):
        if isinstance(node, ast.Try):
            for first, second in zip(node.handlers, node.handlers[1:], strict=False):
                if [ast.dump(each) for each in first.body] == [ast.dump(each) for each in second.body]:
                    found.append(second.lineno)
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_code_is_plain(path: Path) -> None:
    source = path.read_text()
    assert numbers(source) == [], "write ord(…)"
    assert twins(source) == [], "name both errors in one handler"


@pytest.mark.parametrize(
    ("line", "is_found"),
    [
        ("byte == 47", True),
        ("47 != text[0]", True),
        ("48 <= words[1][0] <= 57", True),
        ("byte in (9, 10)", True),
        ("byte | 32 == 120", True),
        ("value = value * 10 + digit - 48", True),
        ("digit - 48", True),
        ("out.append(32)", True),
        ("byte == ord('/')", False),
        ("byte == 0", False),
        ("digit > 9", False),
        ("text[:8] == 40", False),
        ("counts.append(3)", False),
    ],
)
def test_what_is_found(line: str, is_found: bool) -> None:
    assert numbers(line) == ([1] if is_found else [])


def test_twins_are_found() -> None:
    assert twins("try:\n    f()\nexcept Errno:\n    g()\nexcept MemoryError:\n    g()\n") == [5]
    assert twins("try:\n    f()\nexcept Errno:\n    g()\nexcept MemoryError:\n    h()\n") == []
