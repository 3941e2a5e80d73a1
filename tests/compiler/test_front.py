"""The front end: sources whose typed trees are compared with expected texts, all loaded in one build.

`KRAIT_UPDATE=1 pytest tests/compiler/test_front.py` writes the expected texts anew: read the difference.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from compiler.diagnostics import internal_error, render, render_all
from compiler.front.dump import dump_module
from compiler.front.program import SourceErrors, load
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


def test_a_cache_keeps_python_s_library_alone(tmp_path: Path) -> None:
    file, cache = tmp_path / "half.py", tmp_path / "cache"
    file.write_text("def half(number: int) -> int:\n    return number // 2\n")
    first, second = (load([], [str(file)], str(ROOT), cache=cache) for _ in range(2))
    assert second.functions.keys() == first.functions.keys() > {"half.half"}
    kept = {path.relative_to(cache / "3.11").parts[0].partition(".")[0] for path in cache.glob("3.11/**/*")}
    assert "builtins" in kept and not kept & {"kernel", "arch", "half"}


def test_a_call_of_python_s_library_is_refused_with_a_cache_too(tmp_path: Path) -> None:
    file, cache = tmp_path / "root.py", tmp_path / "cache"
    file.write_text("import math\n\n\ndef root(number: int) -> int:\n    return math.isqrt(number)\n")
    load([], [str(file)], str(ROOT), cache=cache)
    errors = load([], [str(file)], str(ROOT), cache=cache).functions["root.root"].errors
    assert [error.code for error in errors] == ["KP910"]


def test_a_file_that_was_kept_as_a_library_is_read_again(tmp_path: Path) -> None:
    user, library, cache = tmp_path / "user" / "user.py", tmp_path / "library.py", tmp_path / "cache"
    user.parent.mkdir()
    library.write_text("def as_number(flag: bool) -> int:\n    return flag\n")
    user.write_text("from library import as_number\n\n\ndef act() -> int:\n    return as_number(True)\n")
    for package in ("kernel", "compiler"):
        (tmp_path / package).symlink_to(ROOT / package)  # … of this root
    load([], [str(user)], str(tmp_path), cache=cache)
    assert [*cache.glob("3.11/library.*")] != []
    program = load([], [str(library)], str(tmp_path), cache=cache)
    assert [error.code for error in program.functions["library.as_number"].errors] == ["KP184"]


def test_a_function_of_another_file_is_judged_when_it_is_reached(tmp_path: Path) -> None:
    here, other = tmp_path / "here.py", tmp_path / "other.py"
    other.write_text("def as_number(flag: bool) -> int:\n    return flag\n")
    here.write_text("from other import as_number\n\n\ndef act() -> int:\n    return as_number(True)\n")
    program = load([], [str(other), str(here)], str(ROOT), judged={str(here)})
    function = program.functions["other.as_number"]
    assert function.errors == []
    for _ in range(2):
        program.judge(function)
        assert [error.code for error in function.errors] == ["KP184"]


@pytest.mark.parametrize("start", ["", "if TYPE_CHECKING:\n    pass\nelse:\n    ", "assert not TYPE_CHECKING\n"])
@pytest.mark.parametrize(("name", "code"), [("unsafe", "KP251"), ("*", "KP250")])
def test_imports_that_mypy_does_not_follow_are_judged(tmp_path: Path, start: str, name: str, code: str) -> None:
    file = tmp_path / "late.py"
    file.write_text(f"from typing import TYPE_CHECKING\n\n{start}from kernel.lang import {name}\n")
    with pytest.raises(SourceErrors) as caught:
        load([], [str(file)], str(ROOT))
    assert [error.code for error in caught.value.diagnostics] == [code]


def test_what_is_forgotten_before_lowering(tmp_path: Path) -> None:
    """mypy's trees are twice as large as ours. One diagnostic that knows where it was raised would hold them all."""
    program = tmp_path / "program.py"
    program.write_text("def refused() -> object:\n    return {1, 2}\n\n\ndef main() -> None:\n    pass\n")
    script = f"""
import gc
from pathlib import Path
from compiler.driver import load
from compiler.front.program import forget_mypy
program = load(["kernel.mm.host"], [Path({str(program)!r})])
assert any(function.errors for function in program.functions.values())
forget_mypy()
gc.unfreeze()
print(sum(type(thing).__module__ == "mypy.nodes" for thing in gc.get_objects()))
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 100
