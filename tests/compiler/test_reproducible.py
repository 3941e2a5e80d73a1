"""The same sources give the same bytes, whatever the hash seed, the number of workers and the output's path. And what
memory a build of the kernel needs.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from compiler.driver import PEAK_KIB, BuildOptions, Manifest, manifest_path

ROOT = Path(__file__).resolve().parents[2]
PEAK_LIMIT_KIB = 1_000_000  # of the largest process; there are small ones beside it


def build(folder: Path, seed: str, workers: str) -> str:
    """Build the kernel with a cache of its own; returns the image's SHA-256."""
    output = folder / f"seed{seed}" / "krait.elf"
    environment = dict(os.environ, PYTHONHASHSEED=seed, KRAIT_CACHE=str(folder / f"cache{seed}"))
    options = ["--profile", "dev", "--keep-ir", "--workers", workers, "-o", str(output)]
    command = [sys.executable, "-m", "compiler", "build", *options]
    with (folder / "said").open("w") as said:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=said, stderr=said)
        _, process.returncode, used = os.wait4(process.pid, 0)
    assert process.returncode == 0, (folder / "said").read_text()
    assert used.ru_maxrss < PEAK_LIMIT_KIB, "the largest of the build's processes grew"
    return hashlib.sha256(output.read_bytes()).hexdigest()


@pytest.mark.timeout(600)
def test_two_seeds_two_worker_counts(tmp_path: Path) -> None:
    first, second = build(tmp_path, "1", "1"), build(tmp_path, "2", "2")
    for path in sorted((tmp_path / "seed1" / "ir").iterdir()):
        other = tmp_path / "seed2" / "ir" / path.name
        assert path.read_bytes() == other.read_bytes(), f"the IR of {path.stem} differs"
    assert first == second


def test_memory_of_the_release_profile() -> None:
    """A machine of 1.5 GiB can build the kernel (docs/self-hosting.md): that of the tests was measured when it was
    built. The process that translates it is the largest, and alone.
    """
    options = BuildOptions()
    manifest = Manifest.read(manifest_path("build", options.profile, str(options.output), options.entry))
    if manifest is None:
        pytest.skip("the kernel has not been built with the release profile")
    assert int(manifest.extra[PEAK_KIB]) < PEAK_LIMIT_KIB


def test_what_is_forgotten_before_lowering(tmp_path: Path) -> None:
    """mypy's trees are twice as large as ours. One diagnostic that knows where it was raised would hold them all."""
    program = tmp_path / "program.py"
    program.write_text("def refused() -> object:\n    return {1, 2}\n\n\ndef main() -> None:\n    pass\n")
    script = f"""
import gc
from pathlib import Path
from compiler.driver import load
from compiler.front.program import forget_mypy
program = load(["kernel.mm.host"], [Path({str(program)!r})])
assert any(function.errors for function in program.functions.values())
forget_mypy()
gc.unfreeze()
print(sum(type(thing).__module__ == "mypy.nodes" for thing in gc.get_objects()))
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 100
