"""Each exercise of docs/teaching.md has a solution that passes its tests and that the compiler takes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tools.paths import ROOT
from tools.project import FILE, KINDS, make_project, read_project

HERE = Path(__file__).parent
EXERCISES = sorted(path.parent for path in HERE.glob("*/krait.toml"))


def run(module: str, *arguments: str, **variables: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments], check=False, cwd=HERE, env=environment, capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_solutions_are_right(tmp_path: Path) -> None:
    """Each passes its tests, with all of them in one kernel: so that one is booted, rather than ten."""
    modules = [str(module) for each in EXERCISES for module in read_project(each).modules]
    (tmp_path / FILE).write_text(f"[project]\nname = 'all'\nmodules = {modules!r}\n")
    shown = run("pytest", "-vv", "-p", "tools.project_tests", "-p", "no:cacheprovider", "--import-mode=importlib",
                "--noconftest", f"--rootdir={HERE}", *(each.name for each in EXERCISES),
                KRAIT_PROJECT=str(tmp_path), KRAIT_KERNEL="-")  # fmt: skip
    for each in EXERCISES:
        assert f"{each.name}/test_{each.name}.py::" in shown


def test_the_compiler_takes_them_all(tmp_path: Path) -> None:
    """Also what `krait new` makes."""
    modules = [module for each in EXERCISES for module in read_project(each).modules]
    for kind in KINDS:
        make_project(tmp_path / f"my{kind}", kind)
        modules += read_project(tmp_path / f"my{kind}").modules
    run("compiler", "check", "--alone", *map(str, modules))


def test_the_page_has_them_all() -> None:
    page = (ROOT / "docs" / "teaching.md").read_text()
    assert len(EXERCISES) == 10
    for exercise in EXERCISES:
        assert f"tests/exercises/{exercise.name}/{exercise.name}.py" in page
        assert f"tests/exercises/{exercise.name}/test_{exercise.name}.py" in page
