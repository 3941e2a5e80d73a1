"""docs/how-to-use-several-processors.md: the first program is accepted, the others get exactly what stands there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "how-to-use-several-processors.md"
PROGRAM = re.compile(
    r"^```python\n(?P<code>(?:(?!^```).*\n)*)^```\n(?:\n^```text\n(?P<says>(?:(?!^```).*\n)*)^```\n)?", re.MULTILINE
)
PROGRAMS = [(match["code"], match["says"]) for match in PROGRAM.finditer(PAGE.read_text(encoding="utf-8"))]


def test_there_are_three_mistakes() -> None:
    assert [says is None for _, says in PROGRAMS] == [True, False, False, False]


@pytest.mark.parametrize(("code", "says"), PROGRAMS, ids=("right", "first", "second", "third"))
def test_what_the_compiler_says(code: str, says: str | None, tmp_path: Path) -> None:
    (tmp_path / "usage.py").write_text(code, encoding="utf-8")
    command = [sys.executable, "-m", "compiler", "check", "usage.py"]
    environment = dict(os.environ, PYTHONPATH=str(ROOT))
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.stderr == ("" if says is None else f"{says}1 error\n")
