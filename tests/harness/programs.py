"""Compile test programs with musl, once for each content."""

from __future__ import annotations

import hashlib
import subprocess
import threading
from pathlib import Path

from tools.paths import BUILD, ROOT
from userland.busybox import kernel_headers

PROGRAMS = BUILD / "tests" / "programs"
FLAGS = ("-D_GNU_SOURCE", "-O1", "-g0", "-w", "-pthread")


def compile_program(source: Path, *, flags: tuple[str, ...] = ("-static",)) -> Path:
    """The program made from one C file. It is static unless `flags` says otherwise."""
    headers = sorted(source.parent.glob("*.h"))
    text = b"".join(path.read_bytes() for path in [source, *headers])
    key = hashlib.sha256(text + repr((FLAGS, flags)).encode()).hexdigest()[:16]
    program = PROGRAMS / f"{source.stem}-{key}"
    if not program.exists():
        PROGRAMS.mkdir(parents=True, exist_ok=True)
        new = program.with_suffix(f".{threading.get_native_id()}.new")  # both kernels may want it at once
        command = ["musl-gcc", *FLAGS, *flags, "-isystem", str(kernel_headers()), "-o", str(new), str(source)]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode != 0:
            raise AssertionError(f"{source.relative_to(ROOT)} does not compile:\n{done.stderr}")
        new.rename(program)
    return program
