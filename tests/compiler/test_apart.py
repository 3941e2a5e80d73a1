"""Work in a child process: what comes back, and how."""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path

import pytest

from compiler import apart as apart_module
from compiler.apart import ChildEnded, apart, meanwhile
from compiler.driver import Refused
from compiler.tree import Diagnostic, Loc

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


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart_module, "has_room", lambda: True)


@pytest.mark.usefixtures("room")
def test_meanwhile() -> None:
    with meanwhile(os.getpid) as result:
        assert result is not None
        assert result() != os.getpid()


@pytest.mark.usefixtures("room")
def test_a_child_that_ends_meanwhile() -> None:
    """It has no answer, and neither has one that raises an exception."""

    def work() -> int:
        os.kill(os.getpid(), signal.SIGKILL)
        return 7

    with meanwhile(work) as result:
        assert result is not None and result() is None
    with pytest.raises(ZeroDivisionError), meanwhile(work):
        fail(ZeroDivisionError())  # and nobody waits for it
    with meanwhile(partial(fail, ZeroDivisionError())) as failing:
        assert failing is not None and failing() is None


def test_without_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart_module, "has_room", lambda: False)
    with meanwhile(os.getpid) as result:
        assert result is None
