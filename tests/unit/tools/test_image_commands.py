"""Which images `krait rmi` means: by their sources, or by an id's first digits where no other has them."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from tools import image_commands
from tools.images import store
from tools.images.root import Configuration
from tools.images.store import Kept


@pytest.mark.parametrize(("name", "removed"), [
    ("", []), ("a", []), ("ab", []), ("abc", ["abc1"]), ("c", ["cd01", "cd02"]), ("one", ["abc1"]), ("none", []),
    ("two", ["cd01", "cd02"]), ("e", ["e001"]), ("abd", ["e001"]),
])  # fmt: skip
def test_what_is_removed(monkeypatch: pytest.MonkeyPatch, name: str, removed: list[str]) -> None:
    kept = [
        Kept(key, source, 0.0, Path("/none"), Configuration())
        for key, source in (("abc1", "one"), ("ab02", "three"), ("cd01", "two"), ("cd02", "two"), ("e001", "abd"))
    ]
    gone: list[str] = []
    monkeypatch.setattr(store, "kept", lambda: kept)
    monkeypatch.setattr(store, "remove", lambda entry: gone.append(entry.key))
    status = image_commands.remove(argparse.Namespace(names=[name], json=False))
    assert gone == removed and (status == 0) == bool(removed)


def test_what_became_of_each_as_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    kept = [Kept("abc1", "one", 0.0, Path("/none"), Configuration())]
    monkeypatch.setattr(store, "kept", lambda: kept)
    monkeypatch.setattr(store, "remove", kept.remove)
    assert image_commands.remove(argparse.Namespace(names=["none", "abc"], json=True)) == 1
    printed = capsys.readouterr()
    (missing, gone) = json.loads(printed.out)
    assert gone == {"name": "one", "removed": True} and kept == []
    assert (missing["name"], missing["removed"]) == ("none", False) and missing["error"] == printed.err.rstrip("\n")
