"""Scripts of this machine whose interpreters have libraries of their own, and scripts with modules beside them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.boot.test_front_end import run
from tests.harness import Kernel
from tests.harness.guest import PATIENCE
from tools import program_root
from tools.cpio import Archive

pytestmark = pytest.mark.timeout(int(180 * PATIENCE))

SCRIPTS = {
    "perl": ("use strict; use warnings; use List::Util qw(sum); use POSIX qw(floor);\n"
             'print sum(1, 2, 3), floor(2.7), "@ARGV\\n"; exit 3;\n', "62x\n", 3),
    "tclsh": ("package require msgcat\nputs [clock format 0 -gmt 1 -format %Y]$argv\nexit 4\n", "1970x\n", 4),
}  # fmt: skip


def script(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("name", SCRIPTS)
def test_an_interpreter_finds_its_library(kernel: Kernel, tmp_path: Path, name: str) -> None:
    text, output, status = SCRIPTS[name]
    interpreter = shutil.which(name)
    if interpreter is None:
        pytest.skip(f"this machine has no {name}")
    done = run(kernel, str(script(tmp_path / "it", f"#!{interpreter}\n{text}")), "x", status=status)
    assert done.stdout == output, done.stderr


def test_its_library_is_read_only(kernel: Kernel, tmp_path: Path) -> None:
    perl = shutil.which("perl")
    if perl is None:
        pytest.skip("this machine has no perl")
    text = f'#!{perl}\nuse strict; mkdir("/usr/share/x") or print "$!\\n";\n'
    assert run(kernel, str(script(tmp_path / "it", text)), status=0).stdout == "Read-only file system\n"


def test_modules_beside_a_script(kernel: Kernel, tmp_path: Path) -> None:
    """Modules and packages; and the directory can be written to, without any trace here."""
    (tmp_path / "helper.py").write_text("X = 1\n")
    (tmp_path / "package" / "data").mkdir(parents=True)
    (tmp_path / "package" / "__init__.py").touch()
    (tmp_path / "package" / "inner.py").write_text("Y = 2\n")
    (tmp_path / "package" / "data" / "text").write_text("3")
    path = script(tmp_path / "it.py", (
        "import helper, package.inner, importlib.resources\n"
        "open('new', 'w').close()\n"
        "print(helper.X, package.inner.Y, importlib.resources.files('package').joinpath('data/text').read_text())\n"
    ))
    assert run(kernel, str(path), status=0).stdout == "1 2 3\n"
    assert not (tmp_path / "new").exists()


def test_too_many_modules_are_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program_root, "MOST_BESIDE", 100)
    (tmp_path / "large.py").write_text("#" * 101)
    (tmp_path / "it.py").touch()
    archive = Archive()
    program_root._carry_modules(archive, tmp_path / "it.py")
    assert not archive.entries and "are left out" in capsys.readouterr().err
