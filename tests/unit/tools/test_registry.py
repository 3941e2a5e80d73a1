"""The machines' directories: names, who runs, and what is left of those that were killed."""

from __future__ import annotations

import json
import os
import signal
import socket
from pathlib import Path

import pytest

from tools.errors import KraitError, UsageError
from tools.front_end import command_parser
from tools.guest import registry
from tools.guest.registry import State
from tools.guest.running import place_of_sockets


@pytest.fixture(autouse=True)
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path / "krait"


def names() -> list[str]:
    return [entry.name for entry in registry.entries()]


def test_a_machine_runs_while_it_is_held(runtime: Path) -> None:
    entry = registry.create("one")
    entry.write(State("one", "busybox", ["true"]))
    assert runtime.stat().st_mode & 0o077 == 0
    assert names() == ["one"] and entry.is_running()
    found, state = registry.find_running("one")
    assert (found.place, state.image) == (entry.place, "busybox")
    with pytest.raises(UsageError, match="already"):
        registry.create("one")
    entry.remove()
    assert names() == [] and not runtime.exists()


def test_what_a_killed_one_left_is_removed(runtime: Path) -> None:
    written, says_so = os.pipe()
    child = os.fork()
    if child == 0:
        registry.create("one").write(State("one", "busybox", ["true"]))
        os.write(says_so, b".")
        signal.pause()
    os.close(says_so)
    assert os.read(written, 1) == b"."  # or its end, if the child failed
    os.close(written)
    assert names() == ["one"]
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.utime(runtime / "one", (0, 0))
    assert names() == [] and not runtime.exists()


def test_one_that_is_being_made_is_left_alone(runtime: Path) -> None:
    (runtime / "new").mkdir(parents=True, mode=0o700)
    runtime.chmod(0o700)
    assert names() == [] and (runtime / "new").exists()


def test_one_that_has_ended_stays_until_it_is_removed(runtime: Path) -> None:
    child = os.fork()
    if child == 0:
        registry.create("one").write(State("one", "busybox", ["true"], status=3))
        os._exit(0)
    os.waitpid(child, 0)
    os.utime(runtime / "one", (0, 0))
    assert names() == ["one"]
    with pytest.raises(KraitError, match="does not run"):
        registry.find_running("one")


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "-x", "x" * 41, "a b", "a\n"])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(UsageError):
        registry.create(name)


def test_a_directory_that_others_may_enter(runtime: Path) -> None:
    runtime.mkdir()
    runtime.chmod(0o755)
    with pytest.raises(KraitError, match="ours alone"):
        registry.create(None)


def test_sockets_in_a_directory_with_a_long_path(tmp_path: Path) -> None:
    place = tmp_path / ("x" * 200)
    place.mkdir()
    with place_of_sockets(place) as (short, _), socket.socket(socket.AF_UNIX) as server:
        server.bind(str(short / "port-2"))
        server.listen()
        assert (place / "port-2").is_socket()
        with place_of_sockets(place) as (again, _), socket.socket(socket.AF_UNIX) as client:
            client.connect(str(again / "port-2"))


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> object:
    options = command_parser(arguments[0]).parse_args(arguments)
    assert options.action(options) == 0
    return json.loads(capsys.readouterr().out)


def test_what_shows_a_state_shows_it_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    entry = registry.create("one")
    entry.write(State("one", "busybox", ["true", "x y"], ports=["8080->80/tcp"], created=5.0))
    listed = answer(capsys, "ps", "--json")
    assert isinstance(listed, list) and len(listed) == 1
    assert listed == answer(capsys, "inspect", "one") == answer(capsys, "ps", "-a", "--json")
    expected = {"name": "one", "command": ["true", "x y"], "running": True, "created": 5.0, "ports": ["8080->80/tcp"]}
    assert expected.items() <= listed[0].items()
    entry.remove()
    assert answer(capsys, "ps", "--json") == []


def test_a_state_that_is_written_again_is_whole(runtime: Path) -> None:
    """It lies in the room that was reserved for it, whether it becomes longer or shorter."""
    entry = registry.create("one")
    entry.reserve(4096)
    assert entry.read() is None
    for image in ("long" * 100, "s", "x" * 5000):
        entry.write(State("one", image, ["true"]))
        state = entry.read()
        assert state is not None and state.image == image
    entry.remove()
