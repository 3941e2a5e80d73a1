"""The search for races, in a short form: it finds none, and always does the same.

`python -m tests.races --seed N --seconds S` goes on with other seeds.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.harness.guest import PATIENCE
from tests.races.kinds import KINDS
from tools.paths import ROOT

pytestmark = pytest.mark.timeout(int(120 * PATIENCE))

FIRST, SEEDS = 2239, 7  # these sessions are about all kinds
REPEATED = 2243


def run(*arguments: str) -> str:
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=environment, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_nothing_is_found_and_a_seed_tells_all() -> None:
    lines = run("-m", "tests.races", "--seed", str(FIRST), "--seeds", str(SEEDS), "--seconds", "1e9").splitlines()
    sessions = [line for line in lines if line.startswith("seed ")]
    assert len(sessions) == SEEDS
    for kind in KINDS:
        assert any(kind in line for line in sessions), f"no session is about {kind}"
    again = run("-m", "tests.races", "--seed", str(REPEATED), "--seeds", "1").splitlines()
    assert again[0] == sessions[REPEATED - FIRST]
