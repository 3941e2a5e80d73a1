"""While the kernel is compiled, the root image is made: by `krait run` as well as by `krait build`."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from collections.abc import Iterator

import pytest

from tools import kernel_build
from tools.errors import KraitError
from tools.paths import KERNEL
from userland import image


@pytest.fixture
def happened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a build of a kernel that is not fresh did, in order."""
    found: list[str] = []

    @contextlib.contextmanager
    def begun(module: str, *arguments: str) -> Iterator[None]:
        found.append(f"{module} begins")
        try:
            yield
        finally:
            found.append(f"{module} ends")

    def compile_kernel(command: list[str], **options: object) -> subprocess.CompletedProcess[bytes]:
        found.append(" ".join(command[1:4]))
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(kernel_build, "IS_INSTALLED", False)
    monkeypatch.setattr(kernel_build, "begun", begun)
    monkeypatch.setattr(kernel_build, "source_facts", list)
    monkeypatch.setattr(kernel_build, "is_fresh", lambda profile, sources: False)
    monkeypatch.setattr(kernel_build, "note_fresh", lambda profile, sources: found.append(f"{profile} is fresh"))
    monkeypatch.setattr(kernel_build, "find_project", lambda: None)
    monkeypatch.setattr(image, "is_image_current", lambda: False)
    monkeypatch.setattr(subprocess, "run", compile_kernel)
    return found


ALL = ["userland.image begins", "-m compiler build", "userland.image ends", "release is fresh"]


def test_the_image_is_made_beside_the_kernel(happened: list[str]) -> None:
    assert kernel_build.built_kernel("release") == KERNEL  # what `krait run` calls
    assert happened == ALL


def test_an_image_that_is_there_is_left(happened: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image, "is_image_current", lambda: True)
    kernel_build.build_kernel("release")
    assert happened == [ALL[1], ALL[3]]


def test_neither_is_made_of_a_kernel_that_is_fresh(happened: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_build, "is_fresh", lambda profile, sources: True)
    assert kernel_build.built_kernel("release") == KERNEL
    assert happened == []


def test_a_kernel_that_fails_is_not_fresh(happened: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", lambda command, **options: subprocess.CompletedProcess(command, 1))
    with pytest.raises(KraitError):
        kernel_build.build_kernel("release")
    assert happened == [ALL[0], ALL[2]]


def test_work_that_is_not_wanted_any_more_is_ended() -> None:
    with pytest.raises(KeyError), kernel_build.begun("http.server", "0"):
        raise KeyError  # it would serve for ever


def test_work_that_is_waited_for_ends_with_an_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    waited_for: list[subprocess.Popen[bytes]] = []

    def interrupted(process: subprocess.Popen[bytes]) -> int:
        waited_for.append(process)
        monkeypatch.undo()
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess.Popen, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt), kernel_build.begun("http.server", "0"):
        pass
    assert [process.poll() for process in waited_for] == [-signal.SIGTERM]
