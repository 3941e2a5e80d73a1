"""The guard of `krait`: what it watches ends with us, wherever we end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tools.paths import ROOT

# It is killed in the moment in which its process runs and it does not know the number yet.
KILLED_EARLY = """
import os, signal, subprocess
from tools.guest.guard import guarded, guarded_process

class Hasty(subprocess.Popen):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        os.kill(os.getpid(), signal.SIGKILL)

with guarded() as guard:
    subprocess.Popen = Hasty
    with guarded_process(guard, ["sleep", "1000"]):
        pass
"""


def carriers(mark: str) -> list[int]:
    """The processes with that variable."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (process / "environ").read_bytes().split(b"\0"):
                found.append(int(process.name))
        except OSError:
            pass
    return found


def test_a_process_is_watched_from_its_first_instruction() -> None:
    mark = f"KRAIT_TEST_OF_GUARD={os.urandom(8).hex()}"
    name, _, value = mark.partition("=")
    ended = subprocess.run([sys.executable, "-c", KILLED_EARLY], cwd=ROOT, env={**os.environ, name: value}, check=False)
    assert ended.returncode == -signal.SIGKILL
    deadline = time.monotonic() + 60
    while left := carriers(mark):
        if time.monotonic() > deadline:
            for number in left:
                os.kill(number, signal.SIGKILL)
            raise AssertionError(f"{left} outlived the one that started them")
        time.sleep(0.05)
