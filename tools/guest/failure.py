"""Why QEMU did not run a machine, in one sentence. Nobody asks before it has failed: the question takes as long as a
start.
"""

from __future__ import annotations

import re
import signal
import subprocess

from tools.machine import QEMU

OLDEST_QEMU = (8, 0)
_VERSION_S = 10.0
_NO_MEMORY = re.compile(r"cannot (allocate|set up guest) memory|failed to (allocate|map) memory", re.IGNORECASE)


def version_of_qemu(program: str = QEMU) -> tuple[int, int]:
    """Major and minor number; zeros if it does not say."""
    try:
        said = subprocess.run(
            [program, "--version"], check=False, capture_output=True, text=True, errors="replace",
            stdin=subprocess.DEVNULL, timeout=_VERSION_S,
        ).stdout  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return 0, 0
    found = re.search(r"version (\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def reason_of(said: str, status: int | None, memory: str) -> str | None:
    """Why QEMU ended, if it is known. `said`: what it wrote among its errors; `status`: of its process, or None if it
    goes on; `memory`: what the machine was to have.
    """
    if status is None or status == 0:
        return None
    if _NO_MEMORY.search(said):
        return f"there is no memory on this machine for a guest with {memory} (-m gives it less)"
    if status == -signal.SIGKILL:
        return "QEMU was killed: by krait rm -f, or because this machine has no memory left"
    version = version_of_qemu()
    if (0, 0) < version < OLDEST_QEMU:
        return f"QEMU {shown(version)} is too old: {shown(OLDEST_QEMU)} or newer is needed"
    return None


def shown(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
