"""Build busybox from Debian's source package with musl, as one static program.

The result is kept in `build/userland/`, in a directory named after a hash of everything that went in, so that a second
build with the same configuration takes no time. Run as `python -m userland.busybox`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

from compiler.progress import Step
from tools.debian import fetch_source
from tools.paths import BUILD, IS_INSTALLED, PREBUILT, ROOT

VERSION = "1.37.0"
TARBALL = f"busybox_{VERSION}.orig.tar.bz2"
SHA256 = "3311dff32e746499f4df0d5df04d7eb396382d7e108bb9250e7b519b837043a4"
OPTIONS = ROOT / "userland" / "busybox.config"
OUTPUT = BUILD / "userland"

# musl brings no kernel headers; the system's are reached through links, so that glibc's headers beside them are not.
KERNEL_HEADERS = {"linux": "linux", "asm": "x86_64-linux-gnu/asm", "asm-generic": "asm-generic", "mtd": "mtd"}


def kernel_headers() -> Path:
    """An include directory that holds the system's Linux headers and nothing else."""
    directory = OUTPUT / "include"
    directory.mkdir(parents=True, exist_ok=True)
    for name, target in KERNEL_HEADERS.items():
        link = directory / name
        if not link.is_symlink():
            link.symlink_to(Path("/usr/include") / target)
    return directory


def build_key() -> str:
    """A digest of what determines the program: version, our options, the way of building, the C compiler."""
    compiler = subprocess.run(["musl-gcc", "--version"], check=True, capture_output=True, text=True).stdout
    parts = [VERSION, SHA256, OPTIONS.read_text(), Path(__file__).read_text(), compiler]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _configure(source: Path) -> None:
    """busybox's default configuration with our options laid over it."""
    wanted = dict(line.split("=", 1) for line in OPTIONS.read_text().splitlines() if line.startswith("CONFIG_"))
    _make(source, "defconfig")
    lines: list[str] = []
    for line in (source / ".config").read_text().splitlines():
        name = line.removeprefix("# ").split("=")[0].split(" ")[0]
        lines.append(f"{name}={wanted.pop(name)}" if name in wanted else line)
    if wanted:
        raise SystemExit(f"busybox: {OPTIONS.name} sets unknown options: {', '.join(wanted)}")
    (source / ".config").write_text("\n".join(lines) + "\n")


def _make(source: Path, *arguments: str) -> None:
    environment = {**os.environ, "KCONFIG_NOTIMESTAMP": "1", "SOURCE_DATE_EPOCH": "0", "LC_ALL": "C"}
    environment.pop("MAKEFLAGS", None)
    jobs = len(os.sched_getaffinity(0)) if "KRAIT_JOBS" not in environment else environment["KRAIT_JOBS"]
    command = ["make", "-s", f"-j{jobs}", "CC=musl-gcc", f"CONFIG_EXTRA_CFLAGS=-isystem {kernel_headers()}", *arguments]
    done = subprocess.run(command, check=False, cwd=source, env=environment, capture_output=True, text=True, input="")
    if done.returncode != 0:
        raise SystemExit(f"busybox: `make {' '.join(arguments)}` failed:\n{(done.stdout + done.stderr)[-4000:]}")


def build_busybox() -> Path:
    """The directory that holds `busybox` and `busybox.links`, the list of its applets' paths."""
    if IS_INSTALLED:
        return PREBUILT / "busybox"
    directory = OUTPUT / f"busybox-{VERSION}-{build_key()}"
    if (directory / "busybox.links").exists():
        return directory
    tarball = fetch_source("busybox", TARBALL, SHA256, OUTPUT)
    source = OUTPUT / f"busybox-{VERSION}"
    shutil.rmtree(source, ignore_errors=True)
    with tarfile.open(tarball) as archive:
        archive.extractall(OUTPUT, filter="data")
    with Step(f"build busybox {VERSION} with musl, once"):
        _configure(source)
        _make(source, "busybox", "busybox.links")
    directory.mkdir(exist_ok=True)
    shutil.copy(source / "busybox", directory)
    shutil.copy(source / "busybox.links", directory)
    shutil.rmtree(source)
    return directory


if __name__ == "__main__":
    print(build_busybox())
