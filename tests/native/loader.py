"""The bridge: Cython's translation of bridge.pyx, compiled by gcc where it is not there yet."""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import subprocess
import sys
import sysconfig
from pathlib import Path
from types import ModuleType

from tools.paths import BUILD
from tools.setup import require

HERE = Path(__file__).resolve().parent
SOURCES = ("bridge.pyx", "machine.c", "machine.h")


def run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} failed:\n{done.stdout}{done.stderr}")


def compiled() -> Path:
    """The extension module for this Python."""
    text = b"".join((HERE / name).read_bytes() for name in SOURCES) + sys.version.encode()
    key = hashlib.sha256(text).hexdigest()[:16]
    folder = BUILD / "native" / f"bridge-{key}"
    made = folder / f"bridge{sysconfig.get_config_var('EXT_SUFFIX')}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            if not Path(sysconfig.get_path("include"), "Python.h").is_file():
                require("native")
            run(sys.executable, "-m", "cython", "-3", str(HERE / "bridge.pyx"), "-o", str(folder / "bridge.c"))
            scratch = made.with_suffix(".new")
            run("gcc", "-shared", "-fPIC", "-O2", "-fno-omit-frame-pointer", f"-I{sysconfig.get_path('include')}",
                f"-I{HERE}", str(folder / "bridge.c"), str(HERE / "machine.c"), "-o", str(scratch))  # fmt: skip
            scratch.replace(made)
    return made


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bridge", compiled())
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
