"""Copies and fills as they are written (memory.S), in a program of the host."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.harness.guest import PATIENCE

HERE = Path(__file__).parent
TEXT = (HERE.parents[2] / "arch" / "x86_64" / "memory.S").read_text()


def run(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    """The program with these functions, which are not the C library's."""
    source, program = folder / "memory.S", folder / "program"
    source.write_text(re.sub(r"\b(mem\w+|bcmp|strlen)\b", r"own_\1", text))
    command = ["gcc", "-O1", "-no-pie", "-o", str(program), str(HERE / "bytes_in_memory.c"), str(source)]
    subprocess.run(command, check=True)
    return subprocess.run([str(program)], check=False, capture_output=True, text=True, timeout=60 * PATIENCE)


def test_each_byte_is_copied_and_no_other(tmp_path: Path) -> None:
    done = run(tmp_path, TEXT)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize(
    ("right", "wrong", "what"),
    [
        ("addq    $96, %rdx ", "addq    $95, %rdx ", "a copy"),
        ("addq    $128, %rdx ", "addq    $127, %rdx ", "a fill"),
    ],
)
def test_a_wrong_rest_is_seen(tmp_path: Path, right: str, wrong: str, what: str) -> None:
    assert TEXT.count(right) == 1
    done = run(tmp_path, TEXT.replace(right, wrong))
    assert (done.returncode, done.stdout.partition(" of ")[0]) == (1, what)
