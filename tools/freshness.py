"""Whether the kernel may have changed since it was built, at the cost of looking at its files' sizes, times and
permissions.

The compiler knows better, by contents; but asking it takes longer than everything else that the front end does.
"""

from __future__ import annotations

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


Fact = tuple[str, int, int, int]  # name, size, time, type and permissions
Facts = list[Fact]


def _fact(name: str, status: os.stat_result) -> Fact:
    return name, status.st_size, status.st_mtime_ns, status.st_mode


def _relative_fact(path: Path, root: Path) -> Fact:
    return _fact(os.path.relpath(path, root), path.stat())


def source_facts(root: Path = ROOT, more: tuple[Path, ...] = ()) -> Facts:
    """Of all that the kernel is made of, and of modules beside its own."""
    return tree_facts(SOURCES, root) + [_relative_fact(path, root) for path in (root / "linker.ld", *more)]


def tree_facts(directories: tuple[str, ...], root: Path = ROOT) -> Facts:
    """Of all files in directories of the checkout."""
    return [
        _fact(entry.path[len(str(root)) :], entry.stat()) for name in directories for entry in _files(str(root / name))
    ]


def file_facts(paths: list[Path]) -> Facts:
    """Of files anywhere. Raises FileNotFoundError."""
    return [_fact(str(path), path.stat()) for path in paths]


def state(profile: str, sources: Facts, root: Path = ROOT, kernel: Path = KERNEL) -> str:
    """The sources and the kernel itself, for a comparison. A copy of a checkout that keeps times has the same."""
    return repr((profile, sorted([*sources, _relative_fact(kernel, root)])))


def _stamp(kernel: Path) -> Path:
    return kernel.with_suffix(".fresh")


def is_fresh(profile: str, sources: Facts, kernel: Path = KERNEL) -> bool:
    """Whether the kernel was built from these sources."""
    try:
        return _stamp(kernel).read_text() == state(profile, sources, kernel=kernel)
    except OSError:
        return False


def note_fresh(profile: str, sources: Facts, kernel: Path = KERNEL) -> None:
    """The kernel was just built, or found up to date. `sources` is how they were before: what has changed since may not
    be in it.
    """
    _stamp(kernel).write_text(state(profile, sources, kernel=kernel))
