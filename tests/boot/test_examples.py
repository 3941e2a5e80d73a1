"""What docs/tour.md shows is typed again, in a directory of its own: commands, and what they print.

A line `$ …` is a command for a shell. `…` in what follows stands for anything on that line.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.harness import Kernel
from tests.harness.guest import PATIENCE
from tools.paths import ROOT

pytestmark = pytest.mark.timeout(int(600 * PATIENCE))

PAGES = ("tour.md",)


def examples(page: str) -> list[tuple[str, str]]:
    """Commands, and what they print."""
    found: list[tuple[str, str]] = []
    for block in re.findall(r"^```console\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        for line in block.splitlines(keepends=True):
            if line.startswith("$ "):
                found.append((line[2:].rstrip("\n"), ""))
            else:
                found[-1] = (found[-1][0], found[-1][1] + line)
    return found


def is_as_shown(printed: str, shown: str) -> bool:
    return re.fullmatch(re.escape(shown).replace("…", "[^\n]*"), printed) is not None


def test_what_counts_as_shown() -> None:
    assert examples("x\n```console\n$ a\n1\n2\n$ b\n```\n```\n$ c\n```\n") == [("a", "1\n2\n"), ("b", "")]
    assert is_as_shown("[7] open() = 3\n", "[…] open(…) = 3\n") and not is_as_shown("a\nb\n", "…\n")


@pytest.mark.parametrize("name", PAGES)
def test_examples_of(name: str, kernel: Kernel, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "krait").symlink_to(ROOT / "krait")
    (tmp_path / "work").mkdir()
    environment = {**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
                   "XDG_RUNTIME_DIR": str(tmp_path), "KRAIT_QUIET": "1"}  # fmt: skip
    shown = examples((ROOT / "docs" / name).read_text())
    assert shown
    for command, output in shown:
        done = subprocess.run(
            command, shell=True, check=False, cwd=tmp_path / "work", env=environment, capture_output=True, text=True,
            stdin=subprocess.DEVNULL, timeout=300 * PATIENCE,
        )  # fmt: skip
        assert is_as_shown(done.stdout, output), (command, done.stdout, done.stderr)
