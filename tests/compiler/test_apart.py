"""Work in a child process: what comes back, and how."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from compiler import apart as module
from compiler.apart import ROOM_KIB, ChildEnded, apart, available_kib, beside
from compiler.driver import Refused
from compiler.tree import Diagnostic, Loc

ROOT = Path(__file__).resolve().parents[2]
NOTED: list[int] = []


def fail(error: BaseException) -> None:
    raise error


def test_what_it_returns_and_what_it_does_elsewhere() -> None:
    def work() -> tuple[int, list[Path]]:
        NOTED.append(1)
        return os.getpid(), [Path("a")]

    process, paths = apart(work)
    assert process != os.getpid() and paths == [Path("a")] and NOTED == []


def test_errors_come_through() -> None:
    diagnostic = Diagnostic("KP190", Loc("x.py", 3), "no", notes=[(None, "a note")])
    with pytest.raises(Refused) as refused:
        apart(partial(fail, Refused([diagnostic], {"x.py": ["line"]})))
    assert refused.value.diagnostics == [diagnostic] and refused.value.sources == {"x.py": ["line"]}
    with pytest.raises(ZeroDivisionError) as error:
        apart(partial(fail, ZeroDivisionError("by what")))
    assert str(error.value) == "by what" and "in fail" in error.value.__notes__[0]


def test_ends() -> None:
    with pytest.raises(KeyboardInterrupt):
        apart(partial(fail, KeyboardInterrupt()))
    with pytest.raises(ChildEnded, match="signal 9"):
        apart(lambda: os.kill(os.getpid(), signal.SIGKILL))


def test_what_does_not_get_through() -> None:
    with pytest.raises(Exception, match="pickle"):
        apart(lambda: (lambda: 1))


def test_what_goes_on_beside(monkeypatch: pytest.MonkeyPatch) -> None:
    for processors, kib in (({0, 1}, 8 << 20), ({0}, 8 << 20), ({0, 1}, 1 << 20)):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, those=processors: those)
        monkeypatch.setattr(module, "available_kib", lambda amount=kib: amount)
        with beside(os.getpid) as process:
            assert (process() == os.getpid()) == (len(processors) == 1 or kib < ROOM_KIB)
        with pytest.raises(ZeroDivisionError), beside(partial(fail, ZeroDivisionError())) as never:
            never()


def test_available_memory() -> None:
    assert available_kib() > 0


def test_what_is_killed_beside_is_done_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "has_room", lambda: True)
    own = os.getpid()

    def work() -> int:
        if os.getpid() != own:
            os.kill(os.getpid(), signal.SIGKILL)
        return 1

    with beside(work) as answer:
        assert answer() == 1


def test_nobody_waits_for_what_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "has_room", lambda: True)
    reader, writer = os.pipe()
    with beside(signal.pause):
        os.close(writer)
    assert os.read(reader, 1) == b"", "the child is gone"
    os.close(reader)


KILLED = """
import os, time
from compiler import apart as module
from compiler.apart import apart, beside

module.has_room = lambda: True


def outer():
    with beside(lambda: time.sleep(600)):
        os.write(1, b"started")
        time.sleep(600)


apart(outer)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_no_child_outlives_its_parent(number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", KILLED], cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.read(7) == b"started"
        process.send_signal(number)
        assert process.stdout.read() == b"", "all that could write have ended"
    assert process.returncode == -number
