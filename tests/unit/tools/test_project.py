"""Projects: what `krait new` makes works, what a krait.toml may say, names that are refused; numbers of one's own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from arch import name_own_call
from tools.errors import KraitError, UsageError
from tools.paths import ROOT
from tools.project import FILE, KINDS, find_project, make_project, read_project


def test_what_is_made_is_right(tmp_path: Path) -> None:
    """Of each kind: its tests pass in the kernel under CPython. All kinds are in one kernel, so that one is booted."""
    modules = []
    for kind in sorted(KINDS):
        make_project(tmp_path / f"my{kind}", kind)
        (module,) = read_project(tmp_path / f"my{kind}").modules
        assert "hello" not in module.read_text()
        modules.append(str(module))
    (tmp_path / FILE).write_text(f"[project]\nname = 'all'\nmodules = {modules!r}\n")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "KRAIT_PROJECT": str(tmp_path), "KRAIT_KERNEL": "-"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-v", "-p", "tools.project_tests", "--import-mode=importlib",
         f"--rootdir={tmp_path}", "-k", "not shell and not a_program"],
        check=False, cwd=tmp_path, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(f"my{kind}/tests/" in done.stdout for kind in KINDS), done.stdout


@pytest.mark.parametrize("name", ["Hello", "1a", "a-b", "re", "kernel", "x" * 32, "there", "none/x"])
def test_names_that_are_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UsageError):
        make_project(tmp_path / name, "proc")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_project_is_found_from_below(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_project() is None
    make_project(tmp_path / "mine", "proc")
    monkeypatch.chdir(tmp_path / "mine" / "tests")
    project = find_project()
    assert project is not None and project.name == "mine"
    assert project.modules == (tmp_path / "mine" / "mine.py",)
    (tmp_path / "mine" / "other.py").write_text("")
    assert project.sources() == (tmp_path / "mine" / "mine.py", tmp_path / "mine" / "other.py")


@pytest.mark.parametrize("text", [
    "", "nonsense", "[project]\nname = 'x'", "[project]\nname = 1\nmodules = []", "[project]\nname = 'x'\nmodules = 1",
    "[project]\nname = 'x'\nmodules = ['none.py']",
])  # fmt: skip
def test_what_is_no_project(text: str, tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(KraitError) as caught:
        read_project(tmp_path)
    assert "\n" not in str(caught.value) or text == "nonsense"


@pytest.mark.parametrize(("name", "number"), [("read", 500), ("mine", 0), ("mine", 499), ("mine", 512), ("mine", 462)])
def test_numbers_that_a_call_may_not_have(name: str, number: int) -> None:
    with pytest.raises(ValueError):
        name_own_call(name, number)
