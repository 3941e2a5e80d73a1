"""The front end: sources whose typed trees are compared with expected texts, all loaded in one build.

`KRAIT_UPDATE=1 pytest tests/compiler/test_front.py` writes the expected texts anew: read the difference.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from compiler.diagnostics import internal_error, render, render_all
from compiler.front.dump import dump_module
from compiler.front.program import load
from compiler.tree import Diagnostic, Loc, Program

ROOT = Path(__file__).resolve().parents[2]
CASES = sorted((ROOT / "tests" / "compiler" / "trees").glob("*.py"))


@pytest.fixture(scope="module")
def program() -> Program:
    return load([], [str(case) for case in CASES], str(ROOT))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_tree(case: Path, program: Program) -> None:
    text = dump_module(program, str(case))
    expected = case.with_suffix(".expected")
    if os.environ.get("KRAIT_UPDATE"):
        expected.write_text(text, encoding="utf-8")
    assert text == expected.read_text(encoding="utf-8")


def test_no_errors(program: Program) -> None:
    cases = {str(case) for case in CASES}
    errors = [
        e for d in (*program.functions.values(), *program.classes.values()) if d.loc.path in cases for e in d.errors
    ]
    assert render_all(errors, program.sources) == "0 errors\n"


def test_run_time_library_obeys_the_rules(program: Program) -> None:
    errors = [
        e
        for d in (*program.functions.values(), *program.classes.values())
        for e in d.errors
        if d.name.startswith("kernel.")
    ]
    assert render_all(errors, program.sources) == "0 errors\n"


def test_render_shows_caret_hint_and_note() -> None:
    loc = Loc("a.py", 1, 4, 1, 7)
    note = (Loc("b.py", 3), "declared here")
    text = render(Diagnostic("KP001", loc, "no", "yes", [note]), {"a.py": ["x = abc"]})
    assert (
        text
        == "a.py:1:5: error KP001: no\n    1 | x = abc\n      |     ^^^\n  hint: yes\n  note: b.py:3:1: declared here"
    )


def test_render_keeps_tabs() -> None:
    text = render(Diagnostic("KP001", Loc("a.py", 1, 1, 1, 2), "no"), {"a.py": ["\tx"]})
    assert text.splitlines()[2] == "      | \t^"


def test_internal_errors_are_diagnostics() -> None:
    try:
        raise KeyError("x")
    except KeyError as error:
        found = internal_error(error, Loc("a.py", 3))
    assert found.code == "KP999" and "test_front.py" in found.message and "KeyError" in found.message
