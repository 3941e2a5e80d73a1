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
from operator import is_
from types import CodeType, FrameType, ModuleType
from typing import Any

from tests.unit.scarcity import takes_memory
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
    """Lines of a file that allocate. A line that may has code: for what would grow or be copied, which a queue does by
    the links of its elements, or for a dictionary and the key that it may have already.
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
                container = node.func.value
                is_called = any(isinstance(each, ast.Call) for each in ast.walk(container))  # it may not be repeated
                found.setdefault(node.lineno, []).append(None if is_called else compiled(container))
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


_PLACES: dict[int, tuple[CodeType, dict[int, list[CodeType | None]]]] = {}
"""What `_places` knows, by the identity of code: to compare code takes long."""


def _places(code: CodeType) -> dict[int, list[CodeType | None]]:
    """Those lines of a function that allocate; none if it is not the network's."""
    known = _PLACES.get(id(code))
    if known is None:
        found = _allocating(code.co_filename) if code.co_filename.startswith(_PREFIX) else {}
        lines = {line for _, _, line in code.co_lines()}
        known = _PLACES[id(code)] = (code, {line: pairs for line, pairs in found.items() if line in lines})
    return known[1]


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
        return self._step if _places(frame.f_code) and self._is_armed() else None

    def _is_armed(self) -> bool:
        return self.left > 0 or self.lasts

    def _step(self, frame: FrameType, event: str, _argument: object) -> Callable[..., Any] | None:
        if event == "line" and self._is_armed():
            for pair in _places(frame.f_code).get(frame.f_lineno, ()):
                if pair is None or takes_memory(pair, frame):
                    self.left -= 1
                    if self.left <= 0:
                        where = f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_name}"
                        self.where = self.where or where
                        raise MemoryError
                    break
        return self._step


class State:
    """All objects that modules of the network lead to: where each field is, and what it holds."""

    def __init__(self) -> None:
        kept: list[object] = [vars(module) for _, module in _modules()]
        self._texts = _texts(kept)
        self._parts = [(value, _parts(value)) for value in kept]
        self._count = len(_modules())

    def differences(self) -> list[str]:
        """What is not the same now, in words. As long as everything is where it was, there is nothing to write."""
        if len(_modules()) == self._count and all(_is_same(_parts(value), parts) for value, parts in self._parts):
            return []
        before, after = self._texts, _texts([])
        return [
            f"{name}: {before.get(name)} is now {after.get(name)}"
            for name in sorted(set(before) | set(after))
            if before.get(name) != after.get(name)
        ]


def _modules() -> list[tuple[str, ModuleType]]:
    return [(name, module) for name, module in sorted(sys.modules.items()) if name.startswith("kernel.net")]


def _parts(value: object) -> list[object]:
    """What is in a container, or in the fields of an object, with keys and names."""
    if isinstance(value, dict):
        return [*value, *value.values()]
    if isinstance(value, list | deque):
        return [*value]
    if isinstance(value, bytearray):
        return [bytes(value)]
    fields = vars(value)
    names = [name for name in fields if name not in _HARMLESS]
    return [*names, *map(fields.__getitem__, names)]


def _is_same(now: list[object], before: list[object]) -> bool:
    """Whether two lists have the same objects, or numbers and texts of the same types that are equal."""
    if len(now) != len(before):
        return False
    return all(map(is_, now, before)) or all(
        one is other or (type(one) is type(other) and isinstance(one, int | str | bytes | float) and one == other)
        for one, other in zip(now, before, strict=True)
    )


def _texts(kept: list[object]) -> dict[str, str]:
    """The state in words. What can change, and was looked at, is added to `kept`."""
    found: dict[str, str] = {}
    names: dict[int, str] = {}
    seen: list[object] = []
    waiting: deque[tuple[str, object]] = deque()
    for name, module in _modules():
        for key, value in vars(module).items():
            if type(value).__module__.startswith("kernel.net") and not isinstance(value, type):
                waiting.append((f"{name}.{key}", value))
            elif isinstance(value, list | dict | deque) and not key.startswith("__"):
                waiting.append((f"{name}.{key}", value))
    while waiting:
        name, value = waiting.popleft()
        if isinstance(value, int | str | bytes | bytearray | float | None):
            found[name] = repr(value)
            if isinstance(value, bytearray):
                kept.append(value)
            continue
        if id(value) in names:
            found[name] = "-> " + names[id(value)]
            continue
        names[id(value)] = name
        seen.append(value)
        if isinstance(value, dict):
            kept.append(value)
            found[name] = f"{len(value)} keys"
            for i, (key, each) in enumerate(value.items()):
                waiting.append((f"{name}[{i}]", each))
                waiting.append((f"{name}<{i}>", key))
        elif isinstance(value, list | tuple | deque):
            if not isinstance(value, tuple):
                kept.append(value)
            if set(map(type, value)) <= {int, bytes, type(None)}:
                found[name] = f"{hash(tuple(value))} as a whole"
                continue
            found[name] = f"{len(value)} long"
            waiting.extend((f"{name}[{i}]", each) for i, each in enumerate(value))
        elif type(value).__module__.startswith("kernel.") and not callable(value):
            found[name] = type(value).__name__
            if hasattr(value, "__dict__"):
                kept.append(value)
                waiting.extend((f"{name}.{key}", each) for key, each in vars(value).items() if key not in _HARMLESS)
    return found
