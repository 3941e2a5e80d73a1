"""Why a machine did not come up: QEMU is asked for its version only when it has failed for no reason that it said."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tools import doctor
from tools.guest.failure import reason_of, version_of_qemu

OLD = "QEMU 7.2 is too old: 8.0 or newer is needed"


@pytest.fixture
def qemu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An old QEMU, the only program that there is, which notes how it is called."""
    program = tmp_path / "qemu-system-x86_64"
    program.write_text(f'#!/bin/sh\necho "$*" >>{tmp_path}/calls\necho "QEMU emulator version 7.2.19 (Debian 7.2)"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    return program


def test_an_old_qemu_is_named(qemu: Path) -> None:
    assert reason_of("qemu: -device x: unknown\n", 1, "256M") == OLD
    assert (qemu.parent / "calls").read_text() == "--version\n"
    assert doctor.qemu().state == "missing" and "7.2" in doctor.qemu().what


def test_nobody_asks_a_qemu_that_works_or_has_said_why(qemu: Path) -> None:
    assert reason_of("", None, "1G") is None and reason_of("", 0, "1G") is None
    said = "qemu-system-x86_64: cannot set up guest memory 'pc.ram': Cannot allocate memory\n"
    assert reason_of(said, 1, "900G") == "there is no memory on this machine for a guest with 900G (-m gives it less)"
    assert "killed" in (reason_of("", -signal.SIGKILL, "1G") or "")
    assert not (qemu.parent / "calls").exists()


@pytest.mark.parametrize("text", ["echo QEMU emulator version 8.0.0", "echo what", "exit 1"])
def test_a_qemu_that_is_new_enough_or_does_not_say(qemu: Path, text: str) -> None:
    qemu.write_text(f"#!/bin/sh\n{text}\n")
    assert reason_of("qemu: no\n", 1, "256M") is None
    assert version_of_qemu() == ((8, 0) if "8.0" in text else (0, 0))
