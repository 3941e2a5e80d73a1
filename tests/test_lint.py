"""Style and types, as `make lint` checks them: ruff and mypy find nothing."""

from __future__ import annotations

import subprocess

import pytest

from tests.harness.guest import PATIENCE
from tools.paths import ROOT


@pytest.mark.timeout(int(240 * PATIENCE))
def test_lint_is_clean() -> None:
    done = subprocess.run([str(ROOT / "krait"), "lint"], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
