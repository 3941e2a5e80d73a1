"""`krait self-build`, the short form: a program is compiled on Krait, and the objects are those of this machine."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.harness.guest import PATIENCE
from tools.paths import ROOT
from tools.selfhost.build import first_difference

pytestmark = pytest.mark.timeout(int(300 * PATIENCE))


def test_a_program_is_compiled_on_krait() -> None:
    command = ["./krait", "self-build", "--short"]
    done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("compiled and run on Krait, with the output and the objects of this machine\n")


def test_differences_are_found(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for side in (here, there):
        (side / "ir").mkdir(parents=True)
        for name in ("a.ll", "b.ll"):
            (side / "ir" / name).write_text(name)
        (side / "krait.elf").write_bytes(b"kernel")
    assert first_difference(here, there) is None
    (there / "krait.elf").write_bytes(b"another")
    assert first_difference(here, there) == "krait.elf"
    (there / "ir" / "b.ll").write_text("other")
    assert first_difference(here, there) == "ir/b.ll"
    (there / "ir" / "a.ll").unlink()
    assert first_difference(here, there) == "ir/a.ll, which is only here"
