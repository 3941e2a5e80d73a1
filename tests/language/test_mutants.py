"""A bounded run of the fuzzer of programs with mistakes. `FUZZ_SEED` sets the seed, 1 without it; longer runs:
`python -m tools.fuzz_mutants`.
"""

from __future__ import annotations

import os

import pytest

from tools import fuzz_mutants

PROGRAMS = 20


@pytest.mark.timeout(300)
def test_what_has_mistakes_is_compiled_or_refused() -> None:
    seed = int(os.environ.get("FUZZ_SEED", "1"))
    print(f"seed {seed}")
    assert fuzz_mutants.round_of(seed, PROGRAMS) == [], f"python -m tools.fuzz_mutants --seed {seed}"
