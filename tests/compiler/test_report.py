"""`python -m compiler report`: what each system call may do, in texts; and that answers are kept.

What it finds out about the kernel, test_whole_kernel.py asks.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from compiler import questions
from compiler.lock_report import CallFacts, LockFacts
from compiler.lock_report import Report as LockReport
from compiler.lock_report import as_text as lock_text
from compiler.lower.world import OTHER_CODE
from compiler.report import Facts, as_json, as_text, read_stacks

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "compiler", "report", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_answers_are_kept_until_something_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class AnalysedError(Exception):
        pass

    def analyse() -> None:
        raise AnalysedError

    facts = Facts("close", "kernel.syscalls.open.close", "system call", True, None, ["EBADF"], True, ["a.b"], ["C"])
    call = CallFacts("close", "f", True, False)
    locks = LockReport([LockFacts("Lock", 3, ["A.b"])], 1, 2, 3, 4, [call], ["g"], ["h"])
    known = questions.Answers([facts], locks)
    monkeypatch.setattr(questions, "ANSWERS", tmp_path / "answers")
    monkeypatch.setattr(questions, "analyse_kernel", analyse)
    questions.ANSWERS.write_text(known.to_json(questions.state()))
    assert questions.answers() == known
    for damaged in (known.to_json("of other sources"), "[", "[1, 2]"):
        questions.ANSWERS.write_text(damaged)
        with pytest.raises(AnalysedError):
            questions.answers()
    questions.ANSWERS.write_text(known.to_json(questions.state()))
    stacks = tmp_path / "stacks"
    stacks.write_text("of another build")
    monkeypatch.setattr(questions, "STACKS", stacks)
    with pytest.raises(AnalysedError):
        questions.answers()


def test_unsafe_share() -> None:
    found = json.loads(run("--unsafe", "--json").stdout)
    assert 0 < found["unsafe_lines"] <= found["lines"] * 0.08
    assert "kernel.mm.heap" in found["modules"]
    assert "kernel.mm.heap" in run("--unsafe").stdout


def test_texts(tmp_path: Path) -> None:
    facts = Facts("close", "kernel.syscalls.open.close", "system call", True, 4096, ["EBADF"], True, ["a.b"], [])
    assert as_text([facts], False).splitlines()[1].split() == ["close", "4,096", "yes", "no", "EBADF", "…"]
    shown = as_text([facts], True)
    assert "may sleep" in shown and "4,096 bytes at most" in shown and "    a.b" in shown
    assert "EBADF, and numbers that are computed" in shown
    assert json.loads(as_json([facts]))[0]["errors"] == ["EBADF"]
    assert OTHER_CODE < 0
    stacks = tmp_path / "krait.stacks"
    stacks.write_text(" 15264 of  16384 bytes  a.entry\n              32  a.inner\n    96 bytes  b.handler\n")
    assert read_stacks(stacks) == {"a.entry": 15264, "b.handler": 96}
    assert read_stacks(tmp_path / "missing") == {}


def test_texts_of_locks() -> None:
    lock = LockFacts("a.ItemLock", 10, ["a.Item: all that changes"])
    read = CallFacts("read", "a.read", True, False, ["a.ItemLock"], ["a.py:3: reads Item.count"])
    calls = [read, CallFacts("id", "a.id", False, True)]
    shown = lock_text(LockReport([lock], 7, 2, 1, 3, calls, ["a.take"], ["a.store"]), [])
    assert "rank 10: a.ItemLock guards\n    a.Item: all that changes" in shown
    assert "1 of 2 system calls run without the kernel lock, and 0 have" in shown
    assert shown.index("  id ") < shown.index("  read ") and shown.endswith("kernel lock  ItemLock")
    in_full = lock_text(LockReport([lock], 7, 2, 1, 3, calls, [], []), ["read"])
    assert in_full.splitlines()[1] == "    a.py:3: reads Item.count" and "takes a.ItemLock" in in_full
