"""Writing the image to a disk: what is shown, asked and refused. The disk is a file that claims to be one."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path

import pytest

from tools import flash as tool

LSBLK = """#!/bin/sh
case "$*" in
*MOUNTPOINTS*) printf '%s' "$FAKE_MOUNTS" ;;
*) echo "NAME SIZE"; echo "{name} 1M" ;;
esac
"""


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A "disk" of 64 KiB, and an lsblk that knows it."""
    device = tmp_path / "sdx"
    device.write_bytes(b"\xaa" * 65536)
    tools = tmp_path / "bin"
    tools.mkdir()
    lsblk = tools / "lsblk"
    lsblk.write_text(LSBLK.format(name=device.name))
    lsblk.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_MOUNTS", "sdx \nsdx1 \n")
    monkeypatch.setattr(stat, "S_ISBLK", lambda mode: True)
    return device


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "krait.iso"
    path.write_bytes(bytes(range(256)) * 100)
    return path


def answer(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))


@pytest.mark.parametrize("name", ["sdx\n", "{path}\n"])
def test_it_is_written_when_the_name_is_typed(
    disk: Path, image: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], name: str
) -> None:
    answer(monkeypatch, name.format(path=disk))
    tool.flash(disk, image)
    written = disk.read_bytes()
    assert written.startswith(image.read_bytes())
    assert written[25600:] == b"\xaa" * (65536 - 25600), "nothing after the image"
    shown = capfd.readouterr().out
    assert f"All data on {disk} will be overwritten" in shown
    assert "sdx 1M" in shown, "the disk is shown before the question"
    assert shown.index("sdx 1M") < shown.index("Type the device's name")
    assert "read them back" in shown


@pytest.mark.parametrize("text", ["", "\n", "y\n", "yes\n", "sdx1\n", "sd\n"])
def test_any_other_answer_leaves_the_disk_alone(
    disk: Path, image: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    answer(monkeypatch, text)
    with pytest.raises(SystemExit, match="nothing was written"):
        tool.flash(disk, image)
    assert disk.read_bytes() == b"\xaa" * 65536


@pytest.mark.parametrize(
    ("mounts", "reason"),
    [("sdx \nsdx1 /home\n", "sdx1 is in use: mounted at /home"), ("sdx [SWAP]\n", "sdx is in use")],
)
def test_a_disk_in_use_is_refused_before_any_question(
    disk: Path, image: Path, monkeypatch: pytest.MonkeyPatch, mounts: str, reason: str
) -> None:
    monkeypatch.setenv("FAKE_MOUNTS", mounts)
    answer(monkeypatch, "sdx\n")
    with pytest.raises(SystemExit, match=reason):
        tool.flash(disk, image)
    assert disk.read_bytes() == b"\xaa" * 65536


def test_a_disk_too_small_is_refused(disk: Path, image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image.write_bytes(bytes(100000))
    answer(monkeypatch, "sdx\n")
    with pytest.raises(SystemExit, match="too small: 65536 bytes, and the image has 100000"):
        tool.flash(disk, image)


def test_what_does_not_read_back_is_reported(
    disk: Path, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that loses what is written to it."""
    answer(monkeypatch, "sdx\n")
    monkeypatch.setattr(os, "fsync", lambda number: os.pwrite(number, b"lost", 0))
    with pytest.raises(SystemExit, match="does not read back"):
        tool.flash(disk, image)
