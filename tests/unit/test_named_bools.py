"""A call says what True or False means: `queue.sleep(interruptible=False)`, not `queue.sleep(False)`.

Allowed are two forms that read well without: the only argument of a call that sets one thing and says so
(`set_carrier(True)`, `flag.set(False)`), and what CPython takes by position alone: the default of `getattr`, and that
of a dictionary's `get` and `pop`; the value of `setattr`, and that of a socket's `setblocking`.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tools.paths import ROOT

FILES = sorted(path for top in ("kernel", "arch", "compiler", "tools") for path in (ROOT / top).rglob("*.py"))
BY_POSITION = {"getattr": 3, "get": 2, "pop": 2, "setattr": 3, "setblocking": 1}
"""Calls whose last argument, the default or the new value, has no name; and how many arguments there are then."""


def is_bare(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, bool)


def name_of(function: ast.expr) -> str:
    """The last part of what is called."""
    return function.attr if isinstance(function, ast.Attribute) else ast.unparse(function)


def unnamed(source: str) -> list[int]:
    """The lines of calls with a Boolean that nothing explains."""
    found: list[int] = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or not any(is_bare(argument) for argument in node.args):
            continue
        name, count = name_of(node.func), len(node.args) + len(node.keywords)
        if name == "set" or name.startswith("set_"):
            allowed = count == 1
        else:
            allowed = BY_POSITION.get(name) == count and not any(is_bare(argument) for argument in node.args[:-1])
        if not allowed:
            found.append(node.lineno)
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_booleans_are_named(path: Path) -> None:
    assert unnamed(path.read_text()) == []


@pytest.mark.parametrize(
    ("call", "is_found"),
    [
        ("queue.sleep(True)", True),
        ("queue.sleep(interruptible=True)", False),
        ("set_carrier(device, True)", True),
        ("set_carrier(True)", False),
        ("flag.set(False)", False),
        ("known.get(key, False)", False),
        ("known.get(False, False)", True),
        ("getattr(module, name, False)", False),
        ("port.setblocking(False)", False),
        ("f(g(True))", True),
    ],
)
def test_what_is_found(call: str, is_found: bool) -> None:
    assert unnamed(call) == ([1] if is_found else [])
