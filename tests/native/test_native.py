"""The unit tests of `subjects.py` hold for compiled code too, and would see if the compiler had made something else."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.compiler.test_pure_part import impure
from tests.harness.guest import PATIENCE
from tests.native.miscompiled import CHANGES
from tests.native.modules import LEFT_OUT_MODULES, MODULES
from tests.native.subjects import LEFT_OUT, module_file, native_tests, unit_tests
from tools.import_map import modules
from tools.paths import ROOT

TIME_LIMIT_S = 300 * PATIENCE


class Run:
    """What became of the tests in a process of their own."""

    def __init__(self, report: Path, *arguments: str) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "tests.native", "--report", str(report), *arguments],
            cwd=ROOT, capture_output=True, text=True, timeout=TIME_LIMIT_S, check=False,
        )  # fmt: skip
        self.output = done.stdout + done.stderr
        assert report.exists(), self.output
        found = json.loads(report.read_text())
        self.calls: int = found["calls"]
        self.outcomes: dict[str, str] = found["outcomes"]
        self.texts: dict[str, str] = found["texts"]

    def failed(self) -> list[str]:
        return [name for name, outcome in self.outcomes.items() if outcome != "passed"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Run(tmp_path_factory.mktemp("native") / "report.json")


def count_of(path: Path) -> int:
    """How many tests a file has."""
    return len(re.findall(r"^def test_", path.read_text(), re.MULTILINE))


def test_all_pass(run: Run, record_property: Callable[[str, object], None]) -> None:
    functions = {name.partition("[")[0] for name in run.outcomes}
    whole = sum(map(count_of, unit_tests()))
    record_property("native", f"{len(functions)} of {whole} unit tests ran against compiled code ({run.calls} calls)")
    assert run.failed() == [], "\n".join(run.texts[name] for name in run.failed())


@pytest.mark.parametrize("path", native_tests(), ids=lambda path: path.stem)
def test_each_test_ran(run: Run, path: Path) -> None:
    """Nothing is skipped silently: a test that is not there is in LEFT_OUT."""
    name = str(path.relative_to(ROOT))
    left_out = [each for each in LEFT_OUT if each.startswith(f"{name}::")]
    ran = {each.partition("[")[0] for each in run.outcomes if each.startswith(f"{name}::")}
    assert len(ran) + len(left_out) == count_of(path)


def test_what_is_left_out_exists() -> None:
    for name in LEFT_OUT:
        path, _, test = name.partition("::")
        assert f"def {test}" in (ROOT / path).read_text()
        assert (ROOT / path in native_tests()) == bool(test)


def test_compiled_code_is_what_runs(run: Run) -> None:
    assert run.calls > 100_000


def test_the_modules_exist() -> None:
    assert [name for name in MODULES if not module_file(name).is_file()] == []


def test_no_pure_module_is_missing() -> None:
    """`kernel.lang` is the language itself; what a package's face has, its modules have."""
    files = {name for name, path in modules().items() if name.startswith("kernel.") and path.name != "__init__.py"}
    pure = {name for name in files - impure() if not name.startswith("kernel.lang.")}
    assert pure - set(MODULES) - set(LEFT_OUT_MODULES) == set(), "name them in tests/native/modules.py"
    assert set(LEFT_OUT_MODULES) <= pure and set(LEFT_OUT_MODULES).isdisjoint(MODULES)
    assert sorted(MODULES) == list(MODULES)


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_instruction_is_seen(name: str, tmp_path: Path) -> None:
    run = Run(tmp_path / "report.json", "--miscompile", name, CHANGES[name].tests)
    assert run.outcomes and run.failed(), run.output
