"""The kernel's numbers of processes are for the kernel: a text shows them only where that is meant.

mypy refuses to return or store a `Pid` as an int, but formatting takes anything. So no formatted value in kernel code
is an attribute that is a `Pid`: it is `pids.shown(...)` for programs, or `int(...)` for the kernel's own log.
"""

import ast

import pytest

from tools.paths import ROOT

PIDS = {"pid", "tid", "pgid", "sid", "session_id", "parent_id", "maker_tid", "named_tracer"}


def findings(source: str) -> list[int]:
    """The lines in which such an attribute is formatted."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FormattedValue) and isinstance(node.value, ast.Attribute) and node.value.attr in PIDS
    ]


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ('f"{task.pid}"', [1]),
        ('\nf"{process.session_id:5d} {lock.pid}"', [2, 2]),
        ('f"{int(task.pid)} {pids.shown(task.pid)} {pid}"', []),
    ],
)
def test_what_is_found(source: str, lines: list[int]) -> None:
    assert findings(source) == lines


def test_texts_show_no_number_of_the_kernel() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in sorted((ROOT / "kernel").rglob("*.py"))
        for line in findings(path.read_text())
    ]
    assert found == []
