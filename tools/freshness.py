"""Whether the kernel may have changed since it was built, at the cost of looking at its files' sizes and times.

The compiler knows better, by contents; but asking it takes longer than everything else that the front end does.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from tools.paths import KERNEL, ROOT

SOURCES = ("kernel", "arch", "boot", "compiler")


def _files(directory: str) -> Iterator[os.DirEntry[str]]:
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if entry.name != "__pycache__":
                    yield from _files(entry.path)
            elif not entry.name.endswith(".pyc"):
                yield entry


Facts = list[tuple[str, int, int]]  # name, size, time


def _fact(path: Path, root: Path) -> tuple[str, int, int]:
    status = path.stat()
    return os.path.relpath(path, root), status.st_size, status.st_mtime_ns


def source_facts(root: Path = ROOT, more: tuple[Path, ...] = ()) -> Facts:
    """Of all that the kernel is made of, and of modules beside its own."""
    facts = []
    for name in SOURCES:
        for entry in _files(str(root / name)):
            status = entry.stat()
            facts.append((entry.path[len(str(root)) :], status.st_size, status.st_mtime_ns))
    return facts + [_fact(path, root) for path in (root / "linker.ld", *more)]


def digest(profile: str, sources: Facts, root: Path = ROOT, kernel: Path = KERNEL) -> str:
    """Of the sources and of the kernel itself. A copy of a checkout that keeps times has the same."""
    return hashlib.sha256(repr((profile, sorted([*sources, _fact(kernel, root)]))).encode()).hexdigest()


def _stamp(kernel: Path) -> Path:
    return kernel.with_suffix(".fresh")


def is_fresh(profile: str, sources: Facts, kernel: Path = KERNEL) -> bool:
    """Whether the kernel was built from these sources."""
    try:
        return _stamp(kernel).read_text() == digest(profile, sources, kernel=kernel)
    except OSError:
        return False


def note_fresh(profile: str, sources: Facts, kernel: Path = KERNEL) -> None:
    """The kernel was just built, or found up to date. `sources` is how they were before: what has changed since may not
    be in it.
    """
    _stamp(kernel).write_text(digest(profile, sources, kernel=kernel))
