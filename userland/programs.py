"""Build our own small programs with musl, statically: the agent, process 1 of `krait run`, and what /init becomes.

The results are kept in `build/userland/`, under names that tell what went in.
"""

from __future__ import annotations

import hashlib
import subprocess
from functools import cache
from pathlib import Path

from tools.lock import exclusively
from tools.paths import BUILD, IS_INSTALLED, PREBUILT, ROOT

SOURCES = ROOT / "userland"
OUTPUT = BUILD / "userland"
COMPILER = ("musl-gcc", "-static", "-O2", "-s", "-Wall", "-Wextra", "-Wno-missing-field-initializers")


@cache
def _build(name: str) -> Path:
    """The program whose sources are the directory `name`. It is built again when they have changed."""
    if IS_INSTALLED:
        return PREBUILT / name
    sources = sorted((SOURCES / name).glob("*.[ch]"))
    digest = hashlib.sha256(b"\0".join([*(path.read_bytes() for path in sources), repr(COMPILER).encode()]))
    program = OUTPUT / f"{name}-{digest.hexdigest()[:16]}"
    if program.exists():
        return program
    with exclusively(name):
        OUTPUT.mkdir(parents=True, exist_ok=True)
        new = program.with_suffix(".new")
        names = [str(path) for path in sources if path.suffix == ".c"]
        done = subprocess.run([*COMPILER, "-o", str(new), *names], check=False, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"krait: {name} was not built:\n{done.stderr}")
        new.rename(program)
    return program


def build_agent() -> Path:
    """Process 1 of a machine that runs one program."""
    return _build("agent")


def build_console() -> Path:
    """What the root image's /init becomes: a shell on the console, and the end of the machine."""
    return _build("console")
