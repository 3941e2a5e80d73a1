"""The processes that come from one that a test starts, and the temporary files that they leave."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

from tests.harness.guest import PATIENCE

MARK = "KRAIT_TEST_OF_DEATHS"


class Family:
    """A program and all processes that come from it: they have a variable in common."""

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        self.mark = f"{MARK}={os.urandom(8).hex()}".encode()
        name, _, value = self.mark.decode().partition("=")
        self.environment = {**os.environ, "TMPDIR": str(scratch), "XDG_RUNTIME_DIR": str(scratch), name: value}

    def processes(self) -> dict[int, str]:
        """The program of each process."""
        found = {}
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if self.mark in (process / "environ").read_bytes().split(b"\0"):
                    found[int(process.name)] = Path((process / "cmdline").read_bytes().split(b"\0")[0].decode()).name
        return found

    def programs(self) -> list[str]:
        return list(self.processes().values())

    def wait_for(self, programs: set[str]) -> None:
        deadline = time.monotonic() + 60 * PATIENCE
        while not programs <= set(self.programs()):
            assert time.monotonic() < deadline, self.programs()
            time.sleep(0.05)

    def check_that_nothing_is_left(self) -> None:
        deadline = time.monotonic() + 20 * PATIENCE
        while self.programs() or any(self.scratch.iterdir()):
            assert time.monotonic() < deadline, (self.programs(), list(self.scratch.iterdir()))
            time.sleep(0.05)

    def kill(self) -> None:
        """Kill those that are left."""
        for process in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
