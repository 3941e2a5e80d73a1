"""`python -m compiler report`: what each system call may do, as known facts about some of them confirm."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from compiler import questions
from compiler.lock_report import CallFacts, LockFacts
from compiler.lock_report import Report as LockReport
from compiler.lock_report import as_text as lock_text
from compiler.lower.locks import lock_free_functions
from compiler.lower.world import OTHER_CODE
from compiler.report import Facts, as_json, as_text, read_stacks

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "compiler", "report", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


# All that is asked about the whole kernel, by one process: what programs can make overflow (tools/given), and several
# reports, whose arguments are lists in JSON. To load the kernel takes most of the time, to analyse it the rest. Whether
# it keeps the language's rules is for the build to judge.
QUESTIONS = """
import functools
import json
import sys

from compiler import driver, questions
from compiler.__main__ import main
from compiler.apart import apart
from tools.given.__main__ import examine, refused

program = driver.load([driver.BuildOptions.entry], [], is_judged=False)
print(json.dumps(apart(lambda: [str(finding) for finding in refused(program, examine(program))])), end="\\0")
driver.load = lambda modules, files: program
questions.analyse_kernel = functools.cache(questions.analyse_kernel)
for arguments in sys.argv[1:]:
    if main(["report", *json.loads(arguments)]) != 0:
        sys.exit(1)
    print(end="\\0")
"""


@pytest.fixture(scope="module")
def found() -> list[Any]:
    """What is known of given numbers, of all calls, and of locks."""
    wanted = ["--json"], ["--locks", "--json", "getpid", "getpgrp", "kernel.lib.random.fill"]
    command = [sys.executable, "-c", QUESTIONS, *map(json.dumps, wanted)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(text) for text in done.stdout.split("\0")[:-1]]


def test_no_given_number_can_overflow(found: list[Any]) -> None:
    assert found[0] == []


@pytest.fixture(scope="module")
def calls(found: list[Any]) -> dict[str, dict[str, Any]]:
    return {entry["name"]: entry for entry in found[1]}


def test_every_call_is_there(calls: dict[str, dict[str, Any]]) -> None:
    assert sum(entry["kind"] == "system call" for entry in calls.values()) > 290
    assert calls["kernel.doors.dispatch.krait_syscall"]["kind"] == "entry"


def test_calls_that_do_nothing_that_could_fail(calls: dict[str, dict[str, Any]]) -> None:
    for name in ("getpid", "gettid", "getuid"):
        call = calls[name]
        assert not call["sleeps"] and not call["errors"] and not call["other_errors"], call
        assert not call["locks"] and not call["allocates"], call


def test_errors_are_those_of_the_manual_pages(calls: dict[str, dict[str, Any]]) -> None:
    assert {"EBADF", "EFAULT", "EINTR", "EISDIR", "EAGAIN"} <= set(calls["read"]["errors"])
    assert {"ENOENT", "ENOTDIR", "ELOOP", "EACCES", "EMFILE", "ENOMEM"} <= set(calls["openat"]["errors"])
    assert set(calls["setpgid"]["errors"]) == {"EACCES", "EINVAL", "ENOMEM", "EPERM", "ESRCH"}
    assert "EBADF" not in calls["kill"]["errors"]


def test_what_is_caught_does_not_come_out(calls: dict[str, dict[str, Any]]) -> None:
    assert calls["kernel.doors.dispatch.krait_syscall"]["errors"] == []


def test_locks_and_allocations(calls: dict[str, dict[str, Any]]) -> None:
    assert calls["read"]["sleeps"] and any("pipe" in lock for lock in calls["read"]["locks"])
    assert "Pipe" in calls["pipe2"]["allocates"]


def test_a_name_that_is_not_there() -> None:
    done = run("raed")
    assert done.returncode == 1
    assert done.stderr == "error: there is no system call or entry point raed\n"


def test_answers_are_kept_until_something_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class AnalysedError(Exception):
        pass

    def analyse() -> None:
        raise AnalysedError

    facts = Facts("close", "kernel.syscalls.open.close", "system call", True, None, ["EBADF"], True, ["a.b"], ["C"])
    locks = LockReport([LockFacts("Lock", 3, ["A.b"])], 1, 2, 3, 4, [CallFacts("close", "f", True, False)], ["g"])
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


# Locks ----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def locks(found: list[Any]) -> dict[str, Any]:
    about_locks: dict[str, Any] = found[2]
    return about_locks


def test_who_needs_the_kernel_lock(locks: dict[str, Any]) -> None:
    calls = {call["name"]: call for call in locks["calls"]}
    assert not calls["sched_get_priority_max"]["needs_kernel_lock"]
    assert calls["getpid"]["runs_unlocked"] and not calls["getpid"]["needs_kernel_lock"]
    assert calls["getpgrp"]["needs_kernel_lock"] and calls["getpgrp"]["why"][-1].endswith("reads Process.job")
    assert calls["openat"]["needs_kernel_lock"] and calls["openat"]["why"] == []  # nobody asked
    fill = calls["kernel.lib.random.fill"]
    assert not fill["needs_kernel_lock"] and fill["takes"] == ["kernel.lib.random.RandomLock"]
    assert not fill["runs_unlocked"]  # the door does not call it


def test_what_locks_guard(locks: dict[str, Any]) -> None:
    ranks = [lock["rank"] for lock in locks["locks"]]
    assert ranks == sorted(ranks) and ranks[0] > 0
    guarded = {lock["name"]: lock["guards"] for lock in locks["locks"]}
    assert guarded["kernel.lib.random.RandomLock"] == ["kernel.lib.random.Generator: all that changes"]
    assert locks["default_fields"] > 1000 and locks["published_fields"] > 100
    assert 0 < locks["atomic_fields"] < 100


def test_exempt_functions_have_a_reason_and_need_it(locks: dict[str, Any]) -> None:
    exempt = lock_free_functions()
    assert all(exempt.values())
    assert sorted(exempt) == locks["exempt"]


def test_texts_of_locks() -> None:
    lock = LockFacts("a.ItemLock", 10, ["a.Item: all that changes"])
    read = CallFacts("read", "a.read", True, False, ["a.ItemLock"], ["a.py:3: reads Item.count"])
    calls = [read, CallFacts("id", "a.id", False, True)]
    shown = lock_text(LockReport([lock], 7, 2, 1, 3, calls, ["a.take"]), [])
    assert "rank 10: a.ItemLock guards\n    a.Item: all that changes" in shown
    assert "1 of 2 system calls run without the kernel lock, and 0 have" in shown
    assert shown.index("  id ") < shown.index("  read ") and shown.endswith("kernel lock  ItemLock")
    in_full = lock_text(LockReport([lock], 7, 2, 1, 3, calls, []), ["read"])
    assert in_full.splitlines()[1] == "    a.py:3: reads Item.count" and "takes a.ItemLock" in in_full
