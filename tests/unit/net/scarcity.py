"""Memory that fails at one place after the other, and the whole state of the network to compare before and after.

Under CPython nothing runs out of memory. So a trace function looks at each line of `kernel/net` that allocates in the
compiled kernel (it constructs an object, a list or bytes, or makes a container longer) and raises MemoryError in front
of one of them. Lines of functions that never raise do not count: the compiler sees to those.
"""

from __future__ import annotations

import ast
import functools
import sys
from collections import deque
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any

from tools.paths import ROOT

_PREFIX = str(ROOT / "kernel" / "net")
_GROWING = ("append", "appendleft", "insert", "extend", "to_bytes", "copy", "encode")
_MAKING = ("bytes", "bytearray", "list")
_KEPT_APART = ("Errno", "Final")  # they are not allocated
_HARMLESS = (
    "next_index", "last", "generation", "last_handle", "last_table", "next_anonymous", "has_changed", "checked_for",
    "checked_depth", "prepared_for", "heap", "deadline_ns", "announced_ns", "position", "queued_ns", "collector",
    "shares", "next_place",
)  # fmt: skip
"""Fields that may only ever grow, or say what was looked at last; those of timers, which may expire without effect, as
may a set's collector, which passes over elements that are gone; and the order of a set's elements, which has gaps.
"""


@functools.cache
def _allocating(path: str) -> dict[int, list[CodeType | None]]:
    """Lines of a file that allocate. A line that does so only where a dictionary has no such key yet has code for the
    dictionary and the key.
    """
    with open(path) as file:
        tree = ast.parse(file.read())
    found: dict[int, list[CodeType | None]] = {}

    def compiled(expression: ast.expr) -> CodeType:
        return compile(ast.Expression(expression), path, "eval")

    def look(node: ast.AST) -> None:
        if isinstance(node, ast.FunctionDef):
            if any(isinstance(each, ast.Name) and each.id == "noraise" for each in node.decorator_list):
                return
            for statement in node.body:
                look(statement)
            return
        if isinstance(node, ast.Call):
            name = node.func.id if isinstance(node.func, ast.Name) else ""
            if isinstance(node.func, ast.Attribute) and node.func.attr in _GROWING:
                found.setdefault(node.lineno, []).append(None)
            elif name in _MAKING or (name[:1].isupper() and not name.isupper() and name not in _KEPT_APART):
                found.setdefault(node.lineno, []).append(None)
        elif isinstance(node, ast.List | ast.Dict | ast.ListComp | ast.JoinedStr):
            found.setdefault(node.lineno, []).append(None)
        elif isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice) and isinstance(node.ctx, ast.Load):
            found.setdefault(node.lineno, []).append(None)
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
            target = node.targets[0]
            pair = ast.Tuple([target.value, target.slice], ast.Load())
            if not isinstance(target.slice, ast.Slice):
                found.setdefault(node.lineno, []).append(compiled(ast.fix_missing_locations(pair)))
        if isinstance(node, ast.AnnAssign):
            if node.value is not None:
                look(node.value)
            return
        for child in ast.iter_child_nodes(node):
            look(child)

    for statement in tree.body:
        if isinstance(statement, ast.FunctionDef):
            look(statement)
        elif isinstance(statement, ast.ClassDef):
            for each in statement.body:
                look(each)
    return found


class Scarcity:
    """Lets allocation number `nth`, from 1, of what runs inside `with` find no memory; if it lasts, all others too."""

    def __init__(self, nth: int, *, lasts: bool = False) -> None:
        self.left = nth
        self.lasts = lasts
        self.where = ""  # it failed first

    def __enter__(self) -> Scarcity:
        if self.lasts:
            sys.setprofile(self._resume)
        sys.settrace(self._enter)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)
        sys.settrace(None)

    def _resume(self, frame: FrameType, _event: str, _argument: object) -> None:
        """CPython traces no more once the function has raised: go on, in all frames."""
        if sys.gettrace() is None:
            sys.settrace(self._enter)
            each: FrameType | None = frame
            while each is not None:
                each.f_trace = self._enter(each, "", None)
                each = each.f_back

    def _enter(self, frame: FrameType, _event: str, _argument: object) -> Callable[..., Any] | None:
        return self._step if frame.f_code.co_filename.startswith(_PREFIX) and self._is_armed() else None

    def _is_armed(self) -> bool:
        return self.left > 0 or self.lasts

    def _step(self, frame: FrameType, event: str, _argument: object) -> Callable[..., Any] | None:
        if event == "line" and self._is_armed():
            for pair in _allocating(frame.f_code.co_filename).get(frame.f_lineno, ()):
                if pair is None or _is_longer(pair, frame):
                    self.left -= 1
                    if self.left <= 0:
                        where = f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_name}"
                        self.where = self.where or where
                        raise MemoryError
                    break
        return self._step


def _is_longer(pair: CodeType, frame: FrameType) -> bool:
    """Whether an assignment makes a dictionary longer."""
    container, key = eval(pair, frame.f_globals, frame.f_locals)
    return isinstance(container, dict) and key not in container


def state() -> dict[str, str]:
    """All objects that modules of the network lead to: where each field is, and what it holds."""
    found: dict[str, str] = {}
    names: dict[int, str] = {}
    kept: list[object] = []
    waiting: deque[tuple[str, object]] = deque()
    for name in sorted(sys.modules):
        if name.startswith("kernel.net"):
            for key, value in vars(sys.modules[name]).items():
                if type(value).__module__.startswith("kernel.net") and not isinstance(value, type):
                    waiting.append((f"{name}.{key}", value))
                elif isinstance(value, list | dict | deque) and not key.startswith("__"):
                    waiting.append((f"{name}.{key}", value))
    while waiting:
        name, value = waiting.popleft()
        if isinstance(value, int | str | bytes | bytearray | float | None):
            found[name] = repr(value)
            continue
        if id(value) in names:
            found[name] = "-> " + names[id(value)]
            continue
        names[id(value)] = name
        kept.append(value)
        if isinstance(value, dict):
            found[name] = f"{len(value)} keys"
            for i, (key, each) in enumerate(value.items()):
                waiting.append((f"{name}[{i}]", each))
                waiting.append((f"{name}<{i}>", key))
        elif isinstance(value, list | tuple | deque):
            if set(map(type, value)) <= {int, bytes, type(None)}:
                found[name] = f"{hash(tuple(value))} as a whole"
                continue
            found[name] = f"{len(value)} long"
            waiting.extend((f"{name}[{i}]", each) for i, each in enumerate(value))
        elif type(value).__module__.startswith("kernel.") and not callable(value):
            found[name] = type(value).__name__
            fields = dict(vars(value)) if hasattr(value, "__dict__") else {}
            for key, each in fields.items():
                if key not in _HARMLESS:
                    waiting.append((f"{name}.{key}", each))
    return found


def differences(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """What is not the same, in words."""
    return [
        f"{name}: {before.get(name)} is now {after.get(name)}"
        for name in sorted(set(before) | set(after))
        if before.get(name) != after.get(name)
    ]
