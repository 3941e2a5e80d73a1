"""Random system calls for some seconds: no bug of the kernel, nothing that stays, a sound file system.

KRAIT_FUZZ_CALLS and KRAIT_FUZZ_SEED choose a longer round and another seed. `python -m tests.fuzz_calls` runs for
hours.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.fuzz_calls.rounds import fuzz
from tests.harness import Kernel
from tests.harness.guest import PATIENCE

CALLS = int(os.environ.get("KRAIT_FUZZ_CALLS", "100000"))
SEED = int(os.environ.get("KRAIT_FUZZ_SEED", "1"))
SECONDS = CALLS / 1000  # of the guest's clock, at most

pytestmark = pytest.mark.timeout(int((SECONDS + 240) * PATIENCE))


def test_random_system_calls(kernel: Kernel, root_image: Path) -> None:
    result = fuzz(kernel, root_image, SEED, CALLS, SECONDS)
    print(result.line)
    found = [f"{each.what} (program {each.program or 'unknown'})\n{each.text}" for each in result.findings]
    assert not found, "\n".join(found) + "\nrun python -m tests.fuzz_calls --minimise PROGRAM"
    assert result.calls >= CALLS and result.good > result.calls // 5
