"""The same sources give the same bytes, whatever the hash seed, the number of workers and the output's path. And what
memory a build of the kernel needs.

The build of the tests is one of two that are held against each other: an object is known by all of its IR, so that
what is linked a second time has the same IR, or else is compiled from other IR.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from compiler.backend import CACHE, KERNEL, object_name, with_target
from compiler.driver import PEAK_KIB, BuildOptions, Manifest, manifest_path
from tests.harness.guest import PATIENCE
from tools.kernel_build import built_kernel
from tools.paths import BUILD

ROOT = Path(__file__).resolve().parents[2]
PEAK_LIMIT_KIB = 1_150_000  # of the largest process; there are small ones beside it
AGAIN = "01"  # what the names begin with of the objects that are compiled once more


@pytest.fixture
def cache() -> Iterator[Path]:
    """A cache with the objects that are known, but for an eighth: those are compiled once more. Which ones follows
    from the hash of their IR.
    """
    (BUILD / "tests").mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="cache-", dir=BUILD / "tests") as place:  # links stay in a file system
        for path in CACHE.glob("*.*"):
            if path.suffix in (".o", ".lines", ".frames", ".unwind") and path.name[0] not in AGAIN:
                with contextlib.suppress(FileNotFoundError):  # somebody trims the cache
                    os.link(path, Path(place) / path.name)
        yield Path(place)


@pytest.mark.timeout(int(300 * PATIENCE))
def test_another_seed_and_number_of_workers(tmp_path: Path, cache: Path) -> None:
    """The kernel of the tests was built with one worker a processor, and a random seed unless somebody chose one."""
    first = built_kernel("release")
    seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    output = tmp_path / "other" / "krait.elf"
    environment = dict(os.environ, PYTHONHASHSEED=seed, KRAIT_CACHE=str(cache))
    options = ["--profile", "release", "--keep-ir", "--workers", "1", "-o", str(output)]
    command = [sys.executable, "-m", "compiler", "build", *options]
    with (tmp_path / "said").open("w") as said:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=said, stderr=said)
        _, process.returncode, used = os.wait4(process.pid, 0)
    assert process.returncode == 0, (tmp_path / "said").read_text()
    assert used.ru_maxrss < PEAK_LIMIT_KIB, "the largest of the build's processes grew"
    texts = {path.stem: path.read_text() for path in sorted((output.parent / "ir").iterdir())}
    names = {name: object_name(with_target(text, KERNEL), KERNEL, "release") for name, text in texts.items()}
    compiled = [name for name in names.values() if name[0] in AGAIN]
    assert compiled, "no package was compiled once more"
    unknown = [name for name, object in names.items() if not (CACHE / object).exists()]
    assert output.read_bytes() == first.read_bytes(), f"the images differ; packages whose IR does: {unknown}"


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
