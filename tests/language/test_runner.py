"""What runs the programs of these tests."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.language.runner import TIMEOUT_SECONDS, bounded


def state_of(process: int) -> str:
    """As proc_pid_stat(5) has it, and "" when there is nothing left of it."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def test_what_takes_too_long_ends_with_all_that_it_began() -> None:
    with pytest.raises(subprocess.TimeoutExpired) as expired:
        bounded(["sh", "-c", "sleep 1000 & echo $!; wait"], 5, dict(os.environ))
    assert expired.value.output is not None
    process, deadline = int(expired.value.output), time.monotonic() + TIMEOUT_SECONDS
    while state_of(process) not in ("", "Z"):
        assert time.monotonic() < deadline
        time.sleep(0.1)
