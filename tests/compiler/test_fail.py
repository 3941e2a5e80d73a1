"""Programs that must be refused: each file of fail/ with the exact text of its diagnostics in a .expected file
beside it.

All files are checked in one process. `KRAIT_UPDATE=1 pytest tests/compiler/test_fail.py` writes the expected texts
anew: read the difference.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from compiler.diagnostics import render_all
from compiler.front.check import check_files
from compiler.tree import Diagnostic

ROOT = Path(__file__).resolve().parents[2]
CASES = sorted((ROOT / "tests" / "compiler" / "fail").glob("*.py"))


@pytest.fixture(scope="module")
def found(request: pytest.FixtureRequest) -> tuple[list[Diagnostic], dict[str, list[str]]]:
    """The diagnostics of all cases."""
    return check_files([str(case) for case in CASES], str(ROOT))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_fail(
    case: Path, found: tuple[list[Diagnostic], dict[str, list[str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(case.parent)
    diagnostics, sources = found
    own = [d for d in diagnostics if d.loc.path == str(case)]
    text = render_all(own, sources)
    assert "KP999" not in text
    expected = case.with_suffix(".expected")
    if os.environ.get("KRAIT_UPDATE"):
        expected.write_text(text, encoding="utf-8")
    assert text == expected.read_text(encoding="utf-8")


def test_nothing_elsewhere(found: tuple[list[Diagnostic], dict[str, list[str]]]) -> None:
    cases = {str(case) for case in CASES}
    assert [d for d in found[0] if d.loc.path not in cases] == []
