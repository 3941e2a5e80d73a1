"""The guard of `krait`: what it watches ends with us, wherever we end."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from tests.harness.family import Family
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


def test_a_process_is_watched_from_its_first_instruction(tmp_path: Path) -> None:
    family = Family(tmp_path)
    ended = subprocess.run([sys.executable, "-c", KILLED_EARLY], cwd=ROOT, env=family.environment, check=False)
    assert ended.returncode == -signal.SIGKILL
    try:
        family.check_that_nothing_is_left()
    finally:
        family.kill()
