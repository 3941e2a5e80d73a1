"""Whether the kernel may have changed since it was built, at the cost of looking at its files' sizes and times.

The compiler knows better, by contents; but asking it takes longer than everything else that the front end does.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from tools.paths import BUILD, KERNEL, ROOT

SOURCES = ("kernel", "arch", "boot", "compiler")
STAMP = BUILD / "krait.fresh"


def _files(directory: str) -> Iterator[os.DirEntry[str]]:
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if entry.name != "__pycache__":
                    yield from _files(entry.path)
            elif not entry.name.endswith(".pyc"):
                yield entry


def digest(profile: str, root: Path = ROOT, kernel: Path = KERNEL) -> str:
    """Of all that the kernel is made of, and of the kernel itself."""
    facts = []
    for name in SOURCES:
        for entry in _files(str(root / name)):
            status = entry.stat()
            facts.append((entry.path, status.st_size, status.st_mtime_ns))
    for path in (root / "linker.ld", kernel):
        status = path.stat()
        facts.append((str(path), status.st_size, status.st_mtime_ns))
    return hashlib.sha256(repr((profile, sorted(facts))).encode()).hexdigest()


def is_fresh(profile: str) -> bool:
    try:
        return STAMP.read_text() == digest(profile)
    except OSError:
        return False


def note_fresh(profile: str) -> None:
    """The kernel was just built, or found up to date."""
    STAMP.write_text(digest(profile))
