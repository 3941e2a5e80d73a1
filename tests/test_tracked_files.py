"""What git keeps of this checkout."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from tools.paths import ROOT


def test_nothing_is_tracked_that_is_ignored_or_a_link() -> None:
    """What git ignores is made on each machine anew; a link of somebody's machine leads nowhere on another."""
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("not a checkout")
    git = ["git", "-C", str(ROOT), "-c", f"safe.directory={ROOT}", "ls-files"]
    ignored = subprocess.run([*git, "-c", "-i", "--exclude-standard"], check=True, capture_output=True, text=True)
    assert ignored.stdout == ""
    tracked = subprocess.run([*git, "--stage"], check=True, capture_output=True, text=True).stdout.splitlines()
    assert len(tracked) > 1000
    assert not [line for line in tracked if line.startswith("120000")]
