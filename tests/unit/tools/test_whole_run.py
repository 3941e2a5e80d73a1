"""`krait test` for everything: unit tests begin while the kernel is built, and the others wait for it."""

from __future__ import annotations

import contextlib
import fcntl
import os
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.harness.awaited import wait_for_the_build
from tools import build_commands, lock
from tools.errors import CANNOT_RUN


class Process:
    """Notes what becomes of it, and whether those who wait for the kernel have to wait then."""

    place = Path()
    build_status = 0
    is_interrupted = False
    happened: tuple[str, ...] = ()

    def __init__(self, command: list[str], cwd: Path, pass_fds: Sequence[int] = ()) -> None:
        self.name = command[2]
        self.ended = False
        self.has_lock = [os.fstat(file).st_ino for file in pass_fds] == [lock_file().stat().st_ino]
        self._note("begins")

    def _note(self, what: str) -> None:
        with lock_file().open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                others = "run"
            except BlockingIOError:
                others = "wait"
        kernel = "a" if lock.BUILT.exists() else "no"
        Process.happened += (f"{self.name} {what}, others {others}, {kernel} kernel",)

    def wait(self) -> int:
        if not self.ended:
            self._note("ends")
        self.ended = True
        if self.name == "tools.front_end":
            assert self.has_lock
            if Process.is_interrupted:
                raise KeyboardInterrupt
            return Process.build_status
        return 0

    def kill(self) -> None:
        if not self.ended:
            self._note("is killed")


def lock_file() -> Path:
    return Process.place / f"{lock.BUILDING}.lock"


@contextlib.contextmanager
def begun(module: str, *arguments: str) -> Iterator[None]:
    yield


BEGIN = (
    "tools.front_end begins, others wait, no kernel", "pytest begins, others wait, no kernel",
    "tools.front_end ends, others wait, no kernel",
)  # fmt: skip
KILLED = ("pytest is killed, others wait, no kernel", "pytest ends, others wait, no kernel")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    monkeypatch.setattr(lock, "BUILD", tmp_path)
    for module in (lock, build_commands):
        monkeypatch.setattr(module, "BUILT", tmp_path / "built")
    lock.BUILT.touch()  # by an earlier run
    for name, value in (("place", tmp_path), ("happened", ()), ("build_status", 0), ("is_interrupted", False)):
        monkeypatch.setattr(Process, name, value)
    monkeypatch.setattr(build_commands, "find_project", lambda: None)
    monkeypatch.setattr(build_commands, "begun", begun)
    monkeypatch.setattr(build_commands, "leaving_bytecode", contextlib.nullcontext)
    monkeypatch.setattr(build_commands, "subprocess", Namespace(Popen=Process))
    return lambda: build_commands.test(Namespace(pytest=[]))


def test_others_wait_until_there_is_a_kernel(run: Callable[[], int]) -> None:
    assert run() == 0
    assert Process.happened == (*BEGIN, "pytest ends, others run, a kernel")


def test_nothing_goes_on_without_a_kernel(run: Callable[[], int]) -> None:
    Process.build_status = 1
    assert run() == CANNOT_RUN
    assert Process.happened == (*BEGIN, *KILLED)


def test_nothing_goes_on_after_an_interrupt(run: Callable[[], int]) -> None:
    Process.is_interrupted = True
    with pytest.raises(KeyboardInterrupt):
        run()
    assert Process.happened[: len(BEGIN) + len(KILLED)] == (*BEGIN, *KILLED)


def test_who_waits_in_vain_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "BUILD", tmp_path)
    wait_for_the_build.cache_clear()
    with pytest.raises(pytest.exit.Exception, match="the kernel was not built"):
        wait_for_the_build(tmp_path / "built")
    (tmp_path / "built").touch()
    wait_for_the_build(tmp_path / "built")
