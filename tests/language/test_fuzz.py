"""Bounded runs of the program fuzzers. `FUZZ_SEED` sets the seed, 1 without it; longer runs:
`python -m tools.fuzz_language` and `python -m tools.fuzz_objects`.
"""

from __future__ import annotations

import os

import pytest

from tools import fuzz_objects
from tools.fuzz_language import PROFILES, round_of

PROGRAMS = 16


@pytest.mark.timeout(300)
def test_random_programs_agree_with_checked_python() -> None:
    seed = int(os.environ.get("FUZZ_SEED", "1"))
    print(f"seed {seed}")
    assert round_of(seed, PROGRAMS, PROFILES, traps=2) == [], f"python -m tools.fuzz_language --seed {seed}"


@pytest.mark.timeout(300)
def test_objects_of_random_programs_live_as_long_as_they_are_used() -> None:
    seed = int(os.environ.get("FUZZ_SEED", "1"))
    assert fuzz_objects.round_of(seed, 5, "release") == [], f"python -m tools.fuzz_objects --seed {seed}"
