"""Compile the fuzzer's guest program with the tables of this checkout's call table."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

from tests.fuzz_calls.table import header
from tools.paths import BUILD
from userland.busybox import kernel_headers

GUEST = Path(__file__).parent / "guest"
FLAGS = ("-D_GNU_SOURCE", "-O2", "-w", "-pthread", "-static")


def fuzzer() -> Path:
    """The static program, made once for each content."""
    table = header()
    sources = sorted(GUEST.iterdir())
    content = table.encode() + b"".join(path.read_bytes() for path in sources)
    place = BUILD / "fuzz" / "calls" / hashlib.sha256(content).hexdigest()[:16]
    program = place / "fuzz_calls"
    if not program.exists():
        place.mkdir(parents=True, exist_ok=True)
        (place / "fuzz_table.h").write_text(table)
        new = place / f"fuzz_calls.{os.getpid()}"
        command = ["musl-gcc", *FLAGS, "-isystem", str(kernel_headers()), "-I", str(place), "-I", str(GUEST)]
        done = subprocess.run(
            [*command, "-o", str(new), str(GUEST / "fuzz_calls.c")], check=False, capture_output=True, text=True
        )
        if done.returncode != 0:
            raise AssertionError(f"the fuzzer does not compile:\n{done.stderr}")
        new.rename(program)
    return program


def shown(program: str, mask: int) -> str:
    """A program's calls as text; bits of the mask say which."""
    command = [str(fuzzer()), "show", program, f"{mask:x}"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
