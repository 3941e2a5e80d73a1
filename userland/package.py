"""Build a program from one of Debian's source packages with musl, statically, once for each way of building it.

The result lies in `build/userland/`, in a directory named after a hash of everything that went in.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from compiler.progress import Step
from tools.debian import fetch_source
from tools.lock import exclusively
from userland.busybox import OUTPUT, kernel_headers


@dataclass(frozen=True)
class SourcePackage:
    """A source package at one version, and which files are wanted of what it builds."""

    name: str
    version: str
    tarball: str
    sha256: str
    products: tuple[str, ...]
    recipe: Path  # the module that says how it is built

    def build(self, make: Callable[[Path], None]) -> Path:
        """The directory that holds the products; `make` builds them in the unpacked source, given as argument."""
        directory = OUTPUT / f"{self.name}-{self.version}-{self._key()}"
        with exclusively(self.name):
            if not directory.exists():
                self._build(make, directory)
        return directory

    def _key(self) -> str:
        compiler = subprocess.run(["musl-gcc", "--version"], check=True, capture_output=True, text=True).stdout
        parts = [self.sha256, Path(__file__).read_text(), self.recipe.read_text(), compiler]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]

    def _build(self, make: Callable[[Path], None], directory: Path) -> None:
        tarball = fetch_source(self.name, self.tarball, self.sha256, OUTPUT)
        source = OUTPUT / f"{self.name}-{self.version}"
        shutil.rmtree(source, ignore_errors=True)
        with tarfile.open(tarball) as archive:
            archive.extractall(OUTPUT, filter="data")
        with Step(f"build {self.name} {self.version} with musl, once"):
            make(source)
        new = directory.with_suffix(".new")
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir()
        for product in self.products:
            run_step(source, "strip", product)
            shutil.copy(source / product, new)
        new.rename(directory)
        shutil.rmtree(source)


def run_step(source: Path, *command: str) -> None:
    """Run one step of a build in `source`; its output is shown only when it fails."""
    environment = {
        **os.environ, "CC": "musl-gcc", "CPPFLAGS": f"-isystem {kernel_headers()}", "CFLAGS": "-O2", "LC_ALL": "C",
        "SOURCE_DATE_EPOCH": "0",
    }
    environment.pop("MAKEFLAGS", None)
    done = subprocess.run(command, check=False, cwd=source, env=environment, capture_output=True, text=True, input="")
    if done.returncode != 0:
        raise SystemExit(f"{source.name}: `{' '.join(command)}` failed:\n{(done.stdout + done.stderr)[-4000:]}")


def jobs() -> str:
    """make's option for as many jobs as there are processors, or as KRAIT_JOBS says."""
    return f"-j{os.environ.get('KRAIT_JOBS', len(os.sched_getaffinity(0)))}"
