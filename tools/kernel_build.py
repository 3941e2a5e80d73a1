"""Build the kernel if what it is made of has changed: Krait's own, or a project's."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

from tools.errors import KraitError
from tools.freshness import is_fresh, note_fresh, source_facts
from tools.paths import IS_INSTALLED, KERNEL, ROOT
from tools.project import find_project

TYPE_CHECKING = False  # typing takes a while to import
if TYPE_CHECKING:
    from collections.abc import Iterator


def build_kernel(profile: str) -> None:
    """Build Krait's own, and meanwhile the root image: until LLVM compiles it, the kernel keeps one processor busy."""
    if IS_INSTALLED:
        return
    sources = source_facts()
    if is_fresh(profile, sources):
        return
    import subprocess

    from userland.image import is_image_current

    command = [sys.executable, "-m", "compiler", "build", "--progress", "--profile", profile, "-o", str(KERNEL)]
    with contextlib.nullcontext() if is_image_current() else begun("userland.image"):
        done = subprocess.run(command, check=False, cwd=ROOT, stdout=sys.stderr)
        if done.returncode != 0:
            raise KraitError("krait: the kernel was not built")
    note_fresh(profile, sources)


@contextlib.contextmanager
def begun(module: str, *arguments: str) -> Iterator[None]:
    """Meanwhile a process does work that is needed later, and has ended at the end. It says nothing: what has failed
    fails again where it is needed, and is reported there.
    """
    import os
    import signal
    import subprocess

    from compiler.progress import QUIET

    command = [sys.executable, "-m", module, *arguments]
    quietly = {**os.environ, QUIET: "1"}
    with subprocess.Popen(
        command, cwd=ROOT, env=quietly, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as child:  # fmt: skip
        try:
            yield
            child.wait()
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGTERM)  # make and compilers too
            raise


def built_kernel(profile: str) -> Path:
    """The project's, in one; else Krait's own."""
    project = find_project()
    if project is not None:
        return project.build(profile)
    build_kernel(profile)
    return KERNEL
