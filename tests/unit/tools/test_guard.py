"""The guard of `krait`: what it watches ends with us, wherever we end."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.family import Family
from tools.paths import ROOT

# It gets a signal in the moment in which its process runs and it does not know the number yet.
ENDED_EARLY = """
import os, signal, subprocess, sys
from tools.guest.guard import ended_in_order, guarded, guarded_process

class Hasty(subprocess.Popen):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        os.kill(os.getpid(), int(sys.argv[1]))

with ended_in_order(), guarded() as guard:
    subprocess.Popen = Hasty
    with guarded_process(guard, ["sleep", "1000"]):
        pass
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["KILL", "TERM"])
def test_a_process_is_watched_from_its_first_instruction(tmp_path: Path, number: signal.Signals) -> None:
    family = Family(tmp_path)
    ended = subprocess.run(
        [sys.executable, "-c", ENDED_EARLY, str(int(number))], cwd=ROOT, env=family.environment, check=False
    )
    assert ended.returncode == (-number if number == signal.SIGKILL else 128 + number)
    try:
        family.check_that_nothing_is_left()
    finally:
        family.kill()
