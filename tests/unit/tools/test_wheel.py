"""The wheel: what is in it, that its list of members is true, and that it is the same each time."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from tools import wheel
from tools.version import VERSION


@pytest.fixture
def prebuilt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand-ins, so that nothing is built."""
    program = tmp_path / "agent"
    program.write_bytes(b"\x7fELF")
    program.chmod(0o700)
    monkeypatch.setattr(wheel, "prebuilt_files", lambda kernel: [("prebuilt/krait.elf", kernel),
                                                                 ("prebuilt/agent", program)])  # fmt: skip


@pytest.mark.usefixtures("prebuilt")
def test_what_a_wheel_holds(tmp_path: Path) -> None:
    kernel = tmp_path / "kernel"
    kernel.write_bytes(b"kernel")
    path = wheel.write_wheel(tmp_path / "a", kernel)
    assert path.name == f"krait-{VERSION}-py3-none-any.whl"
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        assert len(set(names)) == len(names)
        assert {"krait/__main__.py", "krait/tree/linker.ld", "krait/tree/kernel/start/main.py",
                "krait/tree/compiler/host/start.c", "krait/tree/userland/root/init",
                "krait/tree/tools/templates/proc/hello.py"} <= set(names)  # fmt: skip
        assert not [name for name in names if "__pycache__" in name or "/tests/" in name or "/build/" in name]
        modes = {member.filename: member.external_attr >> 16 & 0o777 for member in archive.infolist()}
        assert modes["krait/tree/prebuilt/agent"] == 0o755 and modes["krait/tree/linker.ld"] == 0o644
        record = {row[0]: row[1:] for row in csv.reader(io.StringIO(archive.read(names[-1]).decode()))}
        assert sorted(record) == sorted(names)
        for name, (digest, size) in record.items():
            if name != names[-1]:
                data = archive.read(name)
                value = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
                assert (digest, size) == (f"sha256={value}", str(len(data)))
        assert b"\nRequires-Dist: llvmlite" in archive.read(f"krait-{VERSION}.dist-info/METADATA")
    assert wheel.write_wheel(tmp_path / "b", kernel).read_bytes() == path.read_bytes()


def test_the_source_package_is_the_checkout(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / wheel.build_sdist(str(tmp_path))) as archive:
        names = archive.getnames()
    assert {f"krait-{VERSION}/{name}" for name in ("pyproject.toml", "krait", "PKG-INFO", "Makefile")} <= set(names)
    assert f"krait-{VERSION}/tests/unit/tools/test_wheel.py" in names
    assert not [name for name in names if {"build", ".venv", ".git", "__pycache__"} & set(name.split("/"))]
