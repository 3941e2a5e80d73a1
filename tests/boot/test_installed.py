"""Krait installed from its wheel, in a fresh environment outside the checkout: the command, and projects.

`make test` has a project's module refused by the compiler. KRAIT_PROJECT_KINDS='proc call device' is the long form: it
compiles a kernel with each of them, which takes a minute or two, and runs the project's tests.
"""

from __future__ import annotations

import os
import re
import shutil
import site
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

import pytest

from compiler.backend import CACHE
from tests.harness import Kernel
from tests.harness.guest import PATIENCE
from tools.lock import exclusively
from tools.paths import BUILD
from tools.setup import require
from tools.version import VERSION
from tools.wheel import write_wheel

PIPX = Path(__file__).parent / "pipx.txt"
KINDS = os.environ.get("KRAIT_PROJECT_KINDS", "").split()

pytestmark = pytest.mark.timeout(int(600 * PATIENCE))


def environment_of(home: Path) -> dict[str, str]:
    """The variables of somebody who has that home, and no settings for Krait or Python."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("KRAIT", "PYTHON"))}
    return kept | {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"), "KRAIT_CACHE": str(CACHE)}


@dataclass
class Installed:
    """An environment with Krait in it, and a home of its own."""

    place: Path
    wheel: Path

    def __call__(
        self, *arguments: str, status: int = 0, cwd: Path | None = None, input: str = ""
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [self.place / "venv" / "bin" / "krait", *arguments], check=False, capture_output=True, text=True,
            cwd=cwd or self.place, env=environment_of(self.place), input=input, timeout=500 * PATIENCE,
        )  # fmt: skip
        assert done.returncode == status, done.stdout + done.stderr
        return done


@pytest.fixture(scope="module")
def installed(kernel: Kernel, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    require("image")  # an installed Krait installs nothing
    place = tmp_path_factory.mktemp("installed")
    wheel = write_wheel(place / "wheel", kernel.path)
    venv.create(place / "venv", symlinks=True)
    python = place / "venv" / "bin" / "python"
    # Of bytecode, only what is used is made, by the first process that uses it.
    words = ("install", "--quiet", "--no-index", "--no-deps", "--no-compile", str(wheel))
    subprocess.run([sys.executable, "-m", "pip", "--python", python, *words], check=True, env=environment_of(place))
    (packages,) = (place / "venv" / "lib").glob("python*/site-packages")
    (packages / "others.pth").write_text("\n".join(site.getsitepackages()))  # what it depends on, without a network
    return Installed(place, wheel)


def test_it_knows_what_it_is(installed: Installed) -> None:
    assert installed("--version").stdout == f"krait {VERSION}\n"
    assert "complete -F _krait krait" in installed("completion", "bash").stdout
    assert f"Krait {VERSION}" in installed("man").stdout
    shown = installed("doctor").stdout
    assert "QEMU" in shown and "missing" not in shown
    help_text = installed("--help").stdout
    assert "new" in help_text and "flash" not in help_text
    assert "there is no command iso" in installed("iso", status=2).stderr


def test_it_runs_programs_and_builds_nothing(installed: Installed) -> None:
    assert installed("run", "busybox", "uname", "-s").stdout == "Linux\n"
    assert installed("run", "--command", "cat; exit 3", status=3, input="through").stdout == "through"
    script = installed.place / "hello.py"
    script.write_text("import sys; print(sys.argv[1:], 6 * 7)")
    assert installed("run", "./hello.py", "a").stdout == "['a'] 42\n"
    shared = installed("run", "-v", ".:/src", "-w", "/src", "python3", "hello.py", "b")
    assert shared.stdout == "['b'] 42\n"
    assert not [path for path in (installed.place / "cache").rglob("*") if path.suffix in (".elf", ".o")]
    assert "no project here" in installed("build", status=2).stderr


def test_it_runs_programs_where_nothing_can_be_kept(installed: Installed) -> None:
    cache = installed.place / "cache"
    away = cache.rename(installed.place / "away") if cache.exists() else None
    cache.write_bytes(b"")  # a file: not even root makes a directory there
    try:
        assert installed("run", "busybox", "uname", "-s").stdout == "Linux\n"
    finally:
        cache.unlink()
        if away is not None:
            away.rename(cache)


def pipx_of_its_own() -> str:
    """The command pipx, which is installed if it is missing or of another version. Debian's would come with Debian's
    Python, whatever this machine has.
    """
    place = BUILD / "pipx-venv"
    stamp, wanted = place / "installed", PIPX.read_text() + sys.version
    with exclusively("pipx"):
        if not stamp.exists() or stamp.read_text() != wanted:
            venv.create(place, symlinks=True, clear=True, with_pip=True)
            subprocess.run(
                [place / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
                 "--requirement", PIPX],
                check=True,
            )  # fmt: skip
            stamp.write_text(wanted)
    return str(place / "bin" / "pipx")


def test_pipx_installs_and_removes_it(installed: Installed, tmp_path: Path) -> None:
    """With what it depends on, which pip has in its cache from the first time on; bytecode would take twice as long."""
    pipx = pipx_of_its_own()
    bin_directory = tmp_path / "bin"
    environment = environment_of(tmp_path) | {
        "PIPX_HOME": str(tmp_path / "pipx"), "PIPX_BIN_DIR": str(bin_directory), "PIPX_MAN_DIR": str(tmp_path / "man"),
        "PIPX_DEFAULT_PYTHON": sys.executable, "PIP_CACHE_DIR": str(BUILD / "pip-cache"),
    }  # fmt: skip

    def call(*words: str) -> str:
        done = subprocess.run(
            words, check=False, capture_output=True, text=True, cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL,
            timeout=300 * PATIENCE,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert f"krait {VERSION}" in call(pipx, "install", "--pip-args=--no-compile", str(installed.wheel))
    command = str(bin_directory / "krait")
    assert call(command, "--version") == f"krait {VERSION}\n"
    assert call(command, "run", "busybox", "sh", "-c", "uname -s; exit 0") == "Linux\n"
    assert "krait" in call(pipx, "list", "--short")
    call(pipx, "uninstall", "krait")
    assert not os.path.lexists(command) and not (tmp_path / "pipx" / "venvs" / "krait").exists()


def test_a_project_is_type_checked(installed: Installed) -> None:
    """By a compiler that finds the kernel's source where it is installed; messages name the file as the user does."""
    project = installed.place / "mine"
    installed("new", "--kind", "device", project.name)
    source = project / "mine.py"
    source.write_text(source.read_text() + "\n\nwrong: int = 'text'\n")
    refused = installed("build", cwd=project, status=125).stderr
    assert re.search(r"^mine\.py:\d+:\d+: error ", refused, re.MULTILINE) and "\n1 error\n" in refused, refused
    assert "Traceback" not in refused
    shutil.rmtree(project)


@pytest.mark.skipif(not KINDS, reason="KRAIT_PROJECT_KINDS names none: it takes minutes")
@pytest.mark.parametrize("kind", KINDS or ["any"])
def test_a_project_is_built_and_tested(installed: Installed, kind: str) -> None:
    project = installed.place / f"my{kind}"
    installed("new", "--kind", kind, project.name)
    assert " passed" in installed("test", cwd=project).stdout
    again = installed("build", cwd=project)
    assert (again.stdout, again.stderr) == ("", "")  # there was nothing to do
    shutil.rmtree(project)
