"""What `krait doctor` finds missing, what another user's checkout says, and that flash looks at a device first."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools import doctor, setup
from tools.flash import refusal
from tools.paths import ROOT

NOBODY = 65534


def test_what_the_doctor_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "missing_packages", lambda names: ["musl"] if "musl" in names else [])
    assert [each.state for each in doctor.packages()] == ["missing"]
    monkeypatch.setattr(doctor, "missing_packages", lambda names: ["gdb"] if "gdb" in names else [])
    assert [(each.state, each.what) for each in doctor.packages()] == [("ok", "Debian packages"),
                                                                       ("note", "for development: gdb")]  # fmt: skip
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert doctor.qemu().state == "missing" and doctor.packages()[0].state == "missing"
    monkeypatch.setattr("sys.version_info", (3, 9, 1))
    assert doctor.python().state == "missing"


def test_the_doctor_looks_at_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert doctor.images().state == "ok" and "images take 0 MiB" in doctor.images().what
    (tmp_path / "krait" / "images").mkdir(parents=True)
    (tmp_path / "krait" / "images" / "a.ext2").write_bytes(b"x" * (3 << 20))
    monkeypatch.setenv("KRAIT_IMAGES_SIZE", "2M")
    found = doctor.images()
    assert found.state == "note" and "3 MiB" in found.what and "more than 2 MiB" in found.remedy
    monkeypatch.setenv("KRAIT_IMAGES_SIZE", "much")
    assert doctor.images().state == "missing"


def test_the_doctor_speaks_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(doctor, "examine", lambda: [doctor.Finding("missing", "QEMU", "install it")])
    assert doctor.main(as_json=True) == 1
    assert json.loads(capsys.readouterr().out) == [{"state": "missing", "what": "QEMU", "remedy": "install it"}]


def test_a_device_is_judged_without_an_image(tmp_path: Path) -> None:
    assert "not exist" in (refusal(tmp_path / "none", None) or "")
    assert "not a block device" in (refusal(Path("/dev/null"), None) or "")


@pytest.fixture
def checkout() -> Iterator[Path]:
    """A checkout that was set up by somebody whose Python nobody else may reach."""
    with tempfile.TemporaryDirectory(prefix="krait-test-") as scratch:
        place = Path(scratch)
        place.chmod(0o755)
        for name in ("tools", "build", ".venv", ".venv/bin", "private"):
            (place / name).mkdir()
        shutil.copy(ROOT / "krait", place)
        for name in ("tools/setup.py", "tools/requirements.txt", ".venv/installed-run", "build/setup-run.stamp"):
            (place / name).write_text("raise SystemExit('setup was called')\n")
        os.utime(place / "build" / "setup-run.stamp", (2**31, 2**31))
        (place / "private" / "python").write_text("#!/bin/sh\necho started\n")
        (place / "private" / "python").chmod(0o755)
        (place / ".venv" / "bin" / "python").symlink_to(place / "private" / "python")
        yield place
        (place / "private").chmod(0o700)


@pytest.mark.parametrize("is_allowed", [True, False])
def test_another_users_checkout(checkout: Path, is_allowed: bool) -> None:
    if not is_allowed:
        (checkout / "private").chmod(0o700 if os.geteuid() == 0 else 0)
    done = subprocess.run(
        [checkout / "krait", "run", "busybox", "true"], check=False, capture_output=True, text=True,
        user=NOBODY if os.geteuid() == 0 else None, cwd="/",
    )  # fmt: skip
    if is_allowed:
        assert (done.returncode, done.stdout, done.stderr) == (0, "started\n", "")
        return
    assert (done.returncode, done.stdout) == (125, "")
    told = "may not be run: this is another user's checkout, so clone one of your own"
    assert done.stderr == f"krait: {checkout}/.venv/bin/python {told}\n"


def test_a_checkout_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(setup, "BUILD", tmp_path / "file" / "build")
    with pytest.raises(SystemExit, match=r"^setup: .*/build cannot be written \(.*\): use a checkout of your own$"):
        setup.main()
