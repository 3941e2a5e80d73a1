"""Programs that the type checker and the rules of the front end accept, and lowering refuses: each folder of refused/
holds programs that are found out in the same step, with the exact text of their diagnostics beside them.

`KRAIT_UPDATE=1 pytest tests/compiler/test_refused.py` writes the expected texts anew: read the difference.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = sorted(path for path in (ROOT / "tests" / "compiler" / "refused").iterdir() if path.is_dir())
CASES = [case for folder in FOLDERS for case in sorted(folder.glob("*.py"))]
START = re.compile(r"^(?P<file>\S+\.py):\d+:\d+: error KP", re.MULTILINE)


def check(folder: Path) -> dict[str, str]:
    """What `compiler check` says of the programs of a folder, by file."""
    files = sorted(path.name for path in folder.glob("*.py"))
    command = [sys.executable, "-m", "compiler", "check", *files]
    environment = dict(os.environ, PYTHONPATH=str(ROOT))
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert "KP999" not in done.stderr, done.stderr
    found = dict.fromkeys(files, "")
    starts = [*START.finditer(done.stderr)]
    ends = [start.start() for start in starts[1:]] + [done.stderr.rindex("\n", 0, -1) + 1]
    for start, end in zip(starts, ends, strict=True):
        found[start["file"]] += done.stderr[start.start() : end].replace(f"{ROOT}/", "")
    return found


@pytest.fixture(scope="module")
def found() -> dict[Path, str]:
    return {folder / name: text for folder in FOLDERS for name, text in check(folder).items()}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_refused(case: Path, found: dict[Path, str]) -> None:
    expected = case.with_suffix(".expected")
    if os.environ.get("KRAIT_UPDATE"):
        expected.write_text(found[case], encoding="utf-8")
    assert found[case] == expected.read_text(encoding="utf-8")
    assert found[case] != ""


def test_a_build_refuses_handlers_too() -> None:
    case = ROOT / "tests" / "compiler" / "refused" / "thunks" / "registers.py"
    command = [sys.executable, "-m", "compiler", "run", str(case)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert re.findall(r"error (KP\d+)", done.stderr) == ["KP710", "KP712", "KP711"]
