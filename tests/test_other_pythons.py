"""The compiler and the tools under the other versions of Python that Krait is for, each in its own environment."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.guest import PATIENCE
from tools.lock import exclusively
from tools.paths import BUILD, ROOT
from tools.setup import REQUIREMENTS, requirements_digest

pytestmark = pytest.mark.timeout(int(900 * PATIENCE))

VERSIONS = ("3.11", "3.13")
SUBSET = (
    "tests/unit/tools/test_cpio.py", "tests/unit/tools/test_disks.py", "tests/unit/tools/test_flame_graph.py",
    "tests/unit/tools/test_images.py", "tests/unit/tools/test_programs.py", "tests/unit/tools/test_progress.py",
    "tests/unit/tools/test_ram_disks.py", "tests/unit/tools/test_registry.py", "tests/unit/tools/test_session.py",
    "tests/unit/tools/test_wheel.py", "tests/unit/tty", "tests/compiler/test_front.py", "tests/compiler/test_fail.py",
    "tests/compiler/test_lines.py",
)  # fmt: skip


def find_python(version: str) -> Path | None:
    """An interpreter that can make an environment. Some of that name only say that their version is not installed."""
    for place in os.get_exec_path():
        program = Path(place) / f"python{version}"
        if os.access(program, os.X_OK):
            done = subprocess.run([str(program), "-c", "import ensurepip"], check=False, capture_output=True)
            if done.returncode == 0:
                return program
    return None


def environment(version: str) -> Path:
    """An interpreter in an environment with what Krait needs, which is kept."""
    program = find_python(version)
    if program is None:
        pytest.skip(f"this machine has no Python {version} that can make an environment (python{version}-venv)")
    directory = BUILD / "pythons" / version
    python = directory / "bin" / "python"
    stamp = directory / "installed"
    with exclusively(f"pythons-{version}"):
        if not stamp.exists() or stamp.read_text() != requirements_digest():
            subprocess.run([str(program), "-m", "venv", "--clear", str(directory)], check=True)
            done = subprocess.run(
                [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement",
                 str(REQUIREMENTS)],
                check=False, capture_output=True, text=True,
            )  # fmt: skip
            if done.returncode != 0:
                pytest.skip(f"Python {version} cannot have Krait's packages: {done.stderr.strip().splitlines()[-1]}")
            stamp.write_text(requirements_digest())
    return python


@pytest.mark.parametrize("version", VERSIONS)
def test_unit_tests_pass_under(version: str) -> None:
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        pytest.skip(f"Python {version} runs these tests already")
    python = environment(version)
    # There is no bytecode of this version where that of ours lies, and what pip left would not be looked for.
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPYCACHEPREFIX"}
    done = subprocess.run(
        [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", *SUBSET], check=False, capture_output=True,
        text=True, cwd=ROOT, env=variables, timeout=800 * PATIENCE,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
