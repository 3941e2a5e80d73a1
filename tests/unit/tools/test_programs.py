"""Test programs are compiled once, also where two want the same one at once."""

from __future__ import annotations

import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.harness import programs
from tests.harness.guest import PATIENCE


def test_two_threads_may_make_the_same_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    both = threading.Barrier(2, timeout=60 * PATIENCE)

    def compiled(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        Path(command[command.index("-o") + 1]).write_bytes(b"made")
        both.wait()  # neither has given its own the lasting name
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", compiled)
    monkeypatch.setattr(programs, "kernel_headers", lambda: tmp_path)
    monkeypatch.setattr(programs, "PROGRAMS", tmp_path / "programs")
    source = tmp_path / "a.c"
    source.write_text("int main(void) { return 0; }")
    with ThreadPoolExecutor(2) as pool:
        first, second = [each.result() for each in [pool.submit(programs.compile_program, source) for _ in range(2)]]
    assert first == second and first.read_bytes() == b"made"
    assert list(first.parent.iterdir()) == [first]
