"""Where bytecode of the tests' child processes lies if Python shall leave none beside sources."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools import build_commands
from tools.build_commands import leaving_bytecode

DONT, PREFIX = "PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX"


def load(place: Path, name: str) -> None:
    (place / f"{name}.py").write_text("")
    subprocess.run([sys.executable, "-c", f"import {name}"], check=True, cwd=place)


def test_it_is_left_apart_and_only_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_commands, "BYTECODE", tmp_path / "apart")
    monkeypatch.setenv(DONT, "1")
    monkeypatch.setenv(PREFIX, "")
    with leaving_bytecode():
        load(tmp_path, "first")
    load(tmp_path, "second")
    left = {path.name.partition(".")[0] for path in (tmp_path / "apart").rglob("*.pyc")}
    assert "first" in left and "second" not in left
    assert not (tmp_path / "__pycache__").exists()
    assert os.environ[DONT] == "1" and os.environ[PREFIX] == str(tmp_path / "apart")


@pytest.mark.parametrize(("wish", "place"), [("", ""), ("1", "/elsewhere")], ids=["beside sources", "another place"])
def test_it_lies_where_it_is_wished(monkeypatch: pytest.MonkeyPatch, wish: str, place: str) -> None:
    monkeypatch.setenv(DONT, wish)
    monkeypatch.setenv(PREFIX, place)
    with leaving_bytecode():
        assert (os.environ[DONT], os.environ[PREFIX]) == (wish, place)
    assert (os.environ[DONT], os.environ[PREFIX]) == (wish, place)
