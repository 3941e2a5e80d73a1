"""User addresses are a type: who follows them, and where sums of them are made. mypy sees to the rest."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
OWNER = ROOT / "kernel" / "lib" / "user.py"  # checks, follows, and adds to them
FOLLOWS = {OWNER, ROOT / "arch" / "__init__.py", ROOT / "arch" / "contract.py"}
SUMS = ast.Add | ast.Sub


def modules(word: str) -> Iterator[tuple[Path, ast.Module]]:
    """Those in which a word stands."""
    for folder in ("kernel", "arch"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            if word in (text := path.read_text()):
                yield path, ast.parse(text)


def sums_in(tree: ast.AST) -> list[int]:
    """Lines on which a sum is called a user address."""
    return [
        call.lineno
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "UserAddr"
        if any(isinstance(part, ast.BinOp) and isinstance(part.op, SUMS) for part in ast.walk(call.args[0]))
    ]


def test_sums_are_made_in_one_place() -> None:
    """`user.at`, which raises EFAULT where no user address can lie, as an overflow would trap; and `user.within`, which
    relies on an earlier check.
    """
    assert sums_in(ast.parse("UserAddr(a + 8)\nUserAddr(x)\nUserAddr((a - b) & ~15)")) == [1, 3]
    found = {str(path): lines for path, tree in modules("UserAddr") if path != OWNER and (lines := sums_in(tree))}
    assert found == {}


def test_one_module_follows_them() -> None:
    """The processor's copy functions take any number. Its own FPU state is the exception: it has no length to check."""
    found = {
        path
        for path, tree in modules("usercopy")
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and any(alias.name == "usercopy" for alias in node.names)
    }
    assert found - FOLLOWS <= set((ROOT / "arch").rglob("*.py")), found
