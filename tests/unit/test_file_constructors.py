"""An open description is counted by `File.__init__`: what else its constructor needs memory for comes before that, or
is undone. Otherwise a call that finds no memory leaves a description that nobody can close.
"""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

from tests.unit.scarcity import lines_of
from tools.paths import ROOT

BASE = "File"
CLASS = re.compile(r"^class (\w+)(?:\[[^]]*\])?\(([^)]*)\):", re.MULTILINE)
"""The head of a class with bases: each a name, perhaps with its module and its parameters."""


@functools.cache
def classes() -> list[tuple[Path, str, list[str]]]:
    """The kernel's classes that have bases: file, name, and the names of the bases. Two may have one name."""
    found: list[tuple[Path, str, list[str]]] = []
    for path in sorted((ROOT / "kernel").rglob("*.py")):
        for name, bases in CLASS.findall(path.read_text()):
            plain = re.sub(r"\[.*?\]", "", bases).split(",")
            found.append((path, name, [each.strip().rpartition(".")[2] for each in plain]))
    return found


@functools.cache
def files() -> list[tuple[Path, str]]:
    """The classes of open descriptions: file and name."""
    names: set[str] = {BASE}
    found: list[tuple[Path, str]] = []
    while fresh := [(path, name) for path, name, bases in classes() if names & {*bases} and (path, name) not in found]:
        found += fresh
        names |= {name for _, name in fresh}
    return found


def constructor(path: Path, name: str) -> ast.FunctionDef | None:
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            for each in node.body:
                if isinstance(each, ast.FunctionDef) and each.name == "__init__":
                    return each
    return None


def late_lines(path: Path, function: ast.FunctionDef) -> list[int]:
    """The lines of a constructor that allocate once the base has counted, apart from those in `try`."""
    counted = False
    wrong: list[int] = []
    for statement in function.body:
        if counted and not isinstance(statement, ast.Try):
            allocating = lines_of(str(path)).allocating
            wrong += [line for line in range(statement.lineno, (statement.end_lineno or 0) + 1) if line in allocating]
        counted = counted or "super().__init__(" in ast.unparse(statement)
    return wrong


def test_nothing_allocates_once_it_is_counted() -> None:
    seen: set[str] = set()
    wrong: list[str] = []
    for path, name in files():
        function = constructor(path, name)
        if function is not None:
            seen.add(f"{path.parent.name}/{path.stem}.{name}")
            wrong += [f"{path.relative_to(ROOT)}:{line}: {name}" for line in late_lines(path, function)]
    some = {"sockets/socket.Socket", "datagram/udp_socket.UdpSocket", "tcp/socket.TcpSocket", "ipc/timerfd.TimerFile"}
    assert some | {"ipc/eventfd.EventFile", "perf/file.EventFile", "task/fanotify_file.GroupFile"} <= seen
    assert not wrong
