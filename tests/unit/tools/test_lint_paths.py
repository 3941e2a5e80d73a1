"""`./krait lint PATH…`: types are checked where the whole lint checks them, and nowhere else."""

from __future__ import annotations

import pytest

from tools.build_commands import TYPED_PACKAGES, typed_part
from tools.paths import ROOT


@pytest.mark.parametrize(("path", "asked"), [
    ("kernel/task/fork.py", ["-m", "kernel.task.fork"]),
    ("arch/__init__.py", ["-m", "arch"]),
    ("kernel/ipc", ["-p", "kernel.ipc"]),
    ("tests/bench", ["-p", "tests.bench"]),
    ("tests/compiler/test_front.py", []),
    ("docs", []),
])  # fmt: skip
def test_what_mypy_is_asked(path: str, asked: list[str]) -> None:
    assert typed_part(ROOT / path) == asked


def test_everything() -> None:
    assert typed_part(ROOT)[1::2] == list(TYPED_PACKAGES)
    assert set(typed_part(ROOT / "tests")[1::2]) == {name for name in TYPED_PACKAGES if name.startswith("tests.")}
    assert typed_part(ROOT.parent) == []
