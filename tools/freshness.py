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


def digest(profile: str, root: Path = ROOT, kernel: Path = KERNEL, more: tuple[Path, ...] = ()) -> str:
    """Of all that the kernel is made of, modules beside its own, and of the kernel itself. A copy of a checkout that
    keeps times has the same.
    """
    facts = []
    for name in SOURCES:
        for entry in _files(str(root / name)):
            status = entry.stat()
            facts.append((entry.path[len(str(root)) :], status.st_size, status.st_mtime_ns))
    for path in (root / "linker.ld", kernel, *more):
        status = path.stat()
        facts.append((os.path.relpath(path, root), status.st_size, status.st_mtime_ns))
    return hashlib.sha256(repr((profile, sorted(facts))).encode()).hexdigest()


def _stamp(kernel: Path) -> Path:
    return kernel.with_suffix(".fresh")


def is_fresh(profile: str, kernel: Path = KERNEL, more: tuple[Path, ...] = ()) -> bool:
    try:
        return _stamp(kernel).read_text() == digest(profile, kernel=kernel, more=more)
    except OSError:
        return False


def note_fresh(profile: str, kernel: Path = KERNEL, more: tuple[Path, ...] = ()) -> None:
    """The kernel was just built, or found up to date."""
    _stamp(kernel).write_text(digest(profile, kernel=kernel, more=more))
