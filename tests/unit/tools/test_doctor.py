"""What `krait doctor` finds missing, and that flash looks at a device before there is an image."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import doctor
from tools.flash import refusal


def test_what_the_doctor_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "missing_packages", lambda names: ["gdb"] if "gdb" in names else [])
    assert [each.state for each in doctor.packages()] == ["missing"]
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert doctor.qemu().state == "missing" and doctor.packages()[0].state == "missing"
    monkeypatch.setattr("sys.version_info", (3, 9, 1))
    assert doctor.python().state == "missing"


def test_a_device_is_judged_without_an_image(tmp_path: Path) -> None:
    assert "not exist" in (refusal(tmp_path / "none", None) or "")
    assert "not a block device" in (refusal(Path("/dev/null"), None) or "")
