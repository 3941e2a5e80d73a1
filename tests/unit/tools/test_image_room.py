"""Disks that are kept: which go when there are too many, and that none goes that somebody uses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools.errors import UsageError
from tools.front_end import command_parser
from tools.images import store
from tools.images.root import Configuration

MIB = 1 << 20


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of our own, in which disks are as large as their archives."""

    def copy(archive: Path, disk: Path) -> None:
        disk.write_bytes(archive.read_bytes())

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(store, "require", lambda group: None)
    monkeypatch.setattr(store, "_format", copy)
    monkeypatch.setattr(store, "_held", [])
    return tmp_path / "krait" / "images"


def made(name: str, series: str = "", mebibytes: int = 1, used: float | None = None, *, is_used: bool = False) -> None:
    def make(scratch: Path) -> tuple[Path, Configuration]:
        (scratch / "root.tar").write_bytes(b"x" * (mebibytes * MIB))
        return scratch / "root.tar", Configuration()

    entry = store.disk_of(name, series, f"source of {name}", make)
    if not is_used:  # as after the end of the process
        while store._held:
            os.close(store._held.pop())
    if used is not None:
        os.utime(entry.disk.with_suffix(".json"), (used, used))


def keys() -> set[str]:
    return {entry.key for entry in store.kept()}


def test_those_used_longest_ago_go(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    monkeypatch.setenv("KRAIT_IMAGES_SIZE", "3500K")  # a file may take more than its bytes
    made("a", used=1.0)
    made("b", used=2.0)
    made("c", used=3.0)
    assert keys() == {"a", "b", "c"}
    made("a")  # it is there, and used now
    made("d")
    assert keys() == {"a", "c", "d"}
    made("large", mebibytes=5)
    assert keys() == {"large"}, "what is wanted is made, however large"
    assert {path.name for path in place.iterdir()} == {"large.ext2", "large.json", ".lock"}


def test_a_new_version_takes_the_place_of_old_ones() -> None:
    made("old", "python")
    made("other", "debian")
    made("unknown")
    made("new", "python")
    assert keys() == {"new", "other", "unknown"}


def test_nothing_goes_that_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KRAIT_IMAGES_SIZE", "1M")
    made("a", "python", is_used=True)
    made("b", "python")
    assert keys() == {"a", "b"}
    while store._held:
        os.close(store._held.pop())
    made("c")
    assert keys() == {"c"}


@pytest.mark.parametrize("how", ["flock", "as QEMU"])
def test_nothing_goes_that_another_process_uses(monkeypatch: pytest.MonkeyPatch, place: Path, how: str) -> None:
    """QEMU holds shared locks of single bytes."""
    monkeypatch.setenv("KRAIT_IMAGES_SIZE", "1M")
    made("a")
    holder = """if True:
        import fcntl, os, struct, sys
        disk = os.open(sys.argv[1], os.O_RDONLY)
        if sys.argv[2] == "flock":
            fcntl.flock(disk, fcntl.LOCK_SH)
        else:
            fcntl.fcntl(disk, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_RDLCK, os.SEEK_SET, 100, 1, 0))
        print("held", flush=True)
        sys.stdin.read()
    """
    arguments = [sys.executable, "-c", holder, str(place / "a.ext2"), how]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        made("b")
        assert keys() == {"a", "b"}
        process.communicate("")
    made("c")
    assert keys() == {"c"}


def test_what_killed_makers_left_goes(place: Path) -> None:
    made("a")
    (place / ".new-x").mkdir()
    (place / ".new-x" / "disk").write_bytes(b"x")
    (place / "half.ext2").write_bytes(b"x")
    made("b")
    assert {path.name for path in place.iterdir()} == {"a.ext2", "a.json", "b.ext2", "b.json", ".lock"}


def test_a_disk_that_went_while_we_came_is_made_again(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made("a")
    listed = store.kept()
    store.remove(listed[0])
    answers = [listed, [], []]
    monkeypatch.setattr(store, "kept", lambda: answers.pop(0) if answers else [])
    made("a")
    assert (place / "a.ext2").exists() and (place / "a.json").exists()


def test_entries_of_before_have_no_series(place: Path) -> None:
    made("a", "python")
    note = place / "a.json"
    text = json.loads(note.read_text())
    del text["series"]
    note.write_text(json.dumps(text))
    made("b", "python")
    assert keys() == {"a", "b"}


def test_a_setting_that_is_no_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KRAIT_IMAGES_SIZE", "lots")
    with pytest.raises(UsageError, match="KRAIT_IMAGES_SIZE: 'lots' is not a size"):
        made("a")


def test_what_is_kept_is_listed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("KRAIT_IMAGES_SIZE", "7M")
    made("a", used=5.0)
    options = command_parser("images").parse_args(["images"])
    assert options.action(options) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].split() == ["IMAGE", "ID", "MADE", "USED", "SIZE"] and "days ago" in shown[1]
    assert shown[2] == "1 MiB of at most 7 MiB (KRAIT_IMAGES_SIZE)"
    options = command_parser("images").parse_args(["images", "--json"])
    assert options.action(options) == 0
    (entry,) = json.loads(capsys.readouterr().out)
    assert entry["id"] == "a" and entry["used"] == 5.0 and entry["bytes"] >= MIB
