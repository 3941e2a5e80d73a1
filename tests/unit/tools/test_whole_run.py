"""`krait test` for everything: unit tests begin while the kernel is built, and the others wait for it."""

from __future__ import annotations

import contextlib
import fcntl
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools import build_commands, lock
from tools.errors import CANNOT_RUN


class Process:
    """Notes what becomes of it, and whether those who wait for the kernel have to wait then."""

    locks = Path()
    build_status = 0
    happened: tuple[str, ...] = ()

    def __init__(self, command: list[str], cwd: Path) -> None:
        self.name = command[2]
        self._note("begins")

    def _note(self, what: str) -> None:
        with (self.locks / f"{lock.BUILDING}.lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                others = "run"
            except BlockingIOError:
                others = "wait"
        Process.happened += (f"{self.name} {what}, others {others}",)

    def wait(self) -> int:
        self._note("ends")
        return Process.build_status if self.name == "tools.front_end" else 0

    def kill(self) -> None:
        self._note("is killed")


@contextlib.contextmanager
def begun(module: str, *arguments: str) -> Iterator[None]:
    yield


@pytest.mark.parametrize(("build_status", "status", "end"), [
    (0, 0, ("pytest ends, others run",)),
    (1, CANNOT_RUN, ("pytest is killed, others wait", "pytest ends, others wait")),
])  # fmt: skip
def test_others_wait_until_there_is_a_kernel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, build_status: int, status: int, end: tuple[str, ...]
) -> None:
    monkeypatch.setattr(lock, "BUILD", tmp_path)
    monkeypatch.setattr(Process, "locks", tmp_path)
    monkeypatch.setattr(Process, "happened", ())
    monkeypatch.setattr(Process, "build_status", build_status)
    monkeypatch.setattr(build_commands, "find_project", lambda: None)
    monkeypatch.setattr(build_commands, "begun", begun)
    monkeypatch.setattr(build_commands, "leaving_bytecode", contextlib.nullcontext)
    monkeypatch.setattr(build_commands, "subprocess", Namespace(Popen=Process))
    assert build_commands.test(Namespace(pytest=[])) == status
    assert Process.happened == (
        "tools.front_end begins, others wait", "pytest begins, others wait", "tools.front_end ends, others wait", *end
    )  # fmt: skip
