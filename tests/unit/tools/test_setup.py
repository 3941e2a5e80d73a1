"""What is installed before a command runs: little for those that build and run, everything for the others."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools import doctor, setup
from tools.front_end import COMMANDS
from tools.paths import ROOT


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that setup would have run, in a checkout that has nothing."""
    found: list[list[str]] = []
    monkeypatch.setattr(setup, "BUILD", tmp_path / "build")
    monkeypatch.setattr(setup, "VENV", tmp_path / "venv")
    monkeypatch.setattr(setup, "missing_packages", list)
    monkeypatch.setattr(setup, "authenticate", lambda: None)
    monkeypatch.setattr(setup, "privileged", list)
    monkeypatch.setattr(setup, "run", found.append)
    monkeypatch.setattr(doctor, "VENV", tmp_path / "venv")
    (tmp_path / "venv").mkdir()
    return found


def set_up(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["setup.py", *arguments])
    setup.main()


def test_what_builds_and_runs_is_installed_first(calls: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    set_up(monkeypatch, "run", "build")
    [install] = [call for call in calls if "install" in call and "qemu-system-x86" in call]
    assert not {"gdb", "valgrind", "ovmf", "xorriso"} & set(install)
    pip = calls[-1]
    pins = [word for word in pip if "==" in word]
    assert [pin.partition("==")[0] for pin in pins] == list(setup.COMPILER)
    assert set(pins) <= set(setup.REQUIREMENTS.read_text().splitlines()), "the versions that are pinned"
    assert doctor.environment().state == "note"

    calls.clear()
    set_up(monkeypatch, "run", "build")
    assert not [call for call in calls if "pip" in call], "once"

    set_up(monkeypatch, "all", "test")
    [install] = [call for call in calls if "install" in call and "qemu-system-x86" in call and "gdb" in call]
    assert calls[-1][-2:] == ["--requirement", str(setup.REQUIREMENTS)]
    assert doctor.environment().state == "ok"

    calls.clear()
    set_up(monkeypatch, "run", "build")
    assert not [call for call in calls if "pip" in call], "who has everything has that"


def test_other_versions_are_installed(calls: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_up(monkeypatch, "run", "build")
    (tmp_path / "venv" / "installed-run").write_text("of older requirements")
    assert (doctor.environment().state, doctor.environment().what) == (
        "note", "the Python environment is of other versions")  # fmt: skip
    calls.clear()
    set_up(monkeypatch, "run", "build")
    assert "pip" in calls[-1]


def test_the_compiler_needs_no_other_package() -> None:
    """It is imported, with all that it imports when it is called, where nothing else can be."""
    others = {line.partition("==")[0].lower() for line in setup.REQUIREMENTS.read_text().splitlines() if "==" in line}
    others -= {name.lower() for name in setup.COMPILER}
    names = {"pytest-xdist": "xdist", "pytest-timeout": "pytest_timeout", "qemu.qmp": "qemu"}
    hidden = sorted(names.get(name, name) for name in others)
    code = (
        "import sys\n"
        f"sys.modules.update(dict.fromkeys({hidden!r}))\n"  # None: an import of that name fails
        "import compiler.driver, compiler.front.program, compiler.lower.program, compiler.lower.debug\n"
        "import compiler.backend, compiler.lines, compiler.unwind, llvmlite.binding, elftools.elf.elffile\n"
        "import tools.run_program, tools.run_command, tools.machine_commands, tools.build_commands, userland.image\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """One whose setup says what it was asked for."""
    for name in ("tools", "build", ".venv/bin"):
        (tmp_path / name).mkdir(parents=True)
    shutil.copy(ROOT / "krait", tmp_path)
    (tmp_path / "tools" / "setup.py").write_text("import sys; print('setup', *sys.argv[1:])\n")
    (tmp_path / "tools" / "requirements.txt").touch()
    (tmp_path / ".venv" / "bin" / "python").symlink_to(shutil.which("true") or "/bin/true")
    return tmp_path


def asked(checkout: Path, *arguments: str) -> str:
    done = subprocess.run([checkout / "krait", *arguments], check=True, capture_output=True, text=True)
    return done.stdout


def test_each_command_asks_for_what_it_needs(checkout: Path) -> None:
    assert asked(checkout, "run", "-q", "busybox") == "setup run run -q busybox\n"
    assert asked(checkout, "--version") == "setup run --version\n"
    assert asked(checkout, "test") == "setup all test\n" and asked(checkout, "iso") == "setup all iso\n"
    for name in ("build/setup-run.stamp", ".venv/installed-run"):
        (checkout / name).touch()
        os.utime(checkout / name, (2**31, 2**31))
    assert asked(checkout, "run", "busybox") == "" and asked(checkout, "test") == "setup all test\n"
    for name in ("build/setup.stamp", ".venv/installed"):
        (checkout / name).touch()
        os.utime(checkout / name, (2**31, 2**31))
    assert asked(checkout, "run", "busybox") == "" == asked(checkout, "test")
    shutil.rmtree(checkout / ".venv")
    (checkout / ".venv").mkdir()
    assert asked_fails(checkout) == "setup run run\n"


def asked_fails(checkout: Path) -> str:
    done = subprocess.run([checkout / "krait", "run"], check=False, capture_output=True, text=True)
    assert done.returncode == 125, "there is still no Python"
    return done.stdout


def test_the_commands_that_need_little_are_commands() -> None:
    listed = re.search(r"^'' \| -\* \| (.*)\)$", (ROOT / "krait").read_text(), re.MULTILINE)
    assert listed is not None
    assert set(listed[1].split(" | ")) <= {name for names, _ in COMMANDS for name in names.split()}


def test_a_link_to_an_environment_that_is_gone(calls: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    venv = setup.VENV
    venv.rmdir()
    venv.symlink_to(venv)

    def run(command: list[str]) -> None:
        calls.append(command)
        if command[1:] == ["-m", "venv", str(venv)]:
            (venv / "bin").mkdir(parents=True)  # fails on a link that leads nowhere

    monkeypatch.setattr(setup, "run", run)
    set_up(monkeypatch, "run", "build")
    assert any(call[1:] == ["-m", "venv", str(venv)] for call in calls)
    assert not venv.is_symlink()
