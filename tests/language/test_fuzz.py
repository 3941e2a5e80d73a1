"""A bounded run of the program fuzzer. `FUZZ_SEED` sets the seed, 1 without it; a longer run:
`python -m tools.fuzz_language`.
"""

from __future__ import annotations

import os

import pytest

from tools.fuzz_language import PROFILES, round_of

PROGRAMS = 30


@pytest.mark.timeout(300)
def test_random_programs_agree_with_checked_python() -> None:
    seed = int(os.environ.get("FUZZ_SEED", "1"))
    print(f"seed {seed}")
    assert round_of(seed, PROGRAMS, PROFILES, traps=2) == [], f"python -m tools.fuzz_language --seed {seed}"
