"""Build the kernel if what it is made of has changed: Krait's own, or a project's."""

from __future__ import annotations

import sys
from pathlib import Path

from tools.errors import KraitError
from tools.freshness import is_fresh, note_fresh, source_facts
from tools.paths import IS_INSTALLED, KERNEL, ROOT
from tools.project import find_project


def build_kernel(profile: str) -> None:
    if IS_INSTALLED:
        return
    sources = source_facts()
    if is_fresh(profile, sources):
        return
    import subprocess

    command = [sys.executable, "-m", "compiler", "build", "--progress", "--profile", profile, "-o", str(KERNEL)]
    done = subprocess.run(command, check=False, cwd=ROOT, stdout=sys.stderr)
    if done.returncode != 0:
        raise KraitError("krait: the kernel was not built")
    note_fresh(profile, sources)


def built_kernel(profile: str) -> Path:
    """The project's, in one; else Krait's own."""
    project = find_project()
    if project is not None:
        return project.build(profile)
    build_kernel(profile)
    return KERNEL
