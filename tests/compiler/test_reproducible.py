"""The same sources give the same bytes, whatever the hash seed, the number of workers and the output's path."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def build(folder: Path, seed: str, workers: str) -> str:
    """Build the kernel with a cache of its own; returns the image's SHA-256."""
    output = folder / f"seed{seed}" / "krait.elf"
    environment = dict(os.environ, PYTHONHASHSEED=seed, KRAIT_CACHE=str(folder / f"cache{seed}"))
    options = ["--profile", "dev", "--keep-ir", "--workers", workers, "-o", str(output)]
    command = [sys.executable, "-m", "compiler", "build", *options]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return hashlib.sha256(output.read_bytes()).hexdigest()


@pytest.mark.timeout(600)
def test_two_seeds_two_worker_counts(tmp_path: Path) -> None:
    first, second = build(tmp_path, "1", "1"), build(tmp_path, "2", "2")
    for path in sorted((tmp_path / "seed1" / "ir").iterdir()):
        other = tmp_path / "seed2" / "ir" / path.name
        assert path.read_bytes() == other.read_bytes(), f"the IR of {path.stem} differs"
    assert first == second
