"""Each diagnostic has a code, a sentence and a hint: its own, or that of its code in compiler/hints.py."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from compiler.diagnostics import render, type_error
from compiler.hints import HINTS
from compiler.tree import Diagnostic, Loc

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "language" / "diagnostics.md"
CODE = re.compile(r"KP\d{3}")
CODES = sorted(set(re.findall(r"^(?:### |\| )(KP\d{3})", PAGE.read_text(encoding="utf-8"), re.MULTILINE)))
LONGEST = 110
# The functions that make a diagnostic, and how many arguments they have if the last one is the hint.
MAKERS = {"Diagnostic": 4, "error": 3, "fail": 4, "_fail": 4, "_error": 4}


@cache
def made() -> list[tuple[str, str, bool]]:
    """Each place in the compiler that makes a diagnostic of a known code: code, place, whether a hint is given."""
    return list(_made())


def _made() -> Iterator[tuple[str, str, bool]]:
    for path in sorted((ROOT / "compiler").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            codes = [a.value for a in node.args if isinstance(a, ast.Constant) and CODE.fullmatch(str(a.value))]
            if not codes or name not in MAKERS:
                continue
            given = node.args[MAKERS[name] - 1 :] + [k.value for k in node.keywords if k.arg == "hint"]
            hinted = any(not (isinstance(a, ast.Constant) and a.value == "") for a in given)
            yield str(codes[0]), f"{path.relative_to(ROOT)}:{node.lineno}", hinted


def test_what_has_no_hint_of_its_own_has_that_of_its_code() -> None:
    places = made()
    assert len(places) > 200
    assert [f"{place} ({code})" for code, place, hinted in places if not hinted and code not in HINTS] == []


@pytest.mark.parametrize("code", CODES)
def test_each_code_of_the_page_has_a_hint(code: str) -> None:
    hinted = {found for found, _, has in made() if has}
    assert code in HINTS or code in hinted or code in {"KP190", "KP999"} | _of_types()


def _of_types() -> set[str]:
    """The codes of what the type checker finds that have a hint."""
    kinds = ("union-attr", "import-not-found", "name-defined", "no-untyped-def", "no-any-return", "var-annotated",
             "type-arg", "return", "override")  # fmt: skip
    return {d.code for kind in kinds if (d := type_error(f"words  [{kind}]", Loc("", 0))).hint}


@pytest.mark.parametrize("code", sorted(HINTS))
def test_a_hint_is_one_short_clause(code: str) -> None:
    hint = HINTS[code]
    assert code in CODES
    assert len(hint) <= LONGEST
    assert not hint.endswith(".")
    assert hint[0] == hint[0].lower()


def test_the_hint_of_a_code_is_shown() -> None:
    shown = render(Diagnostic("KP930", Loc("", 0), "int cannot become object"))
    assert shown.splitlines()[-1] == f"  hint: {HINTS['KP930']}"
    own = render(Diagnostic("KP930", Loc("", 0), "int cannot become object", "do this"))
    assert own.splitlines()[-1] == "  hint: do this"
