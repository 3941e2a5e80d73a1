"""What tests of a project get (project.py): a plug-in of pytest with two fixtures.

    def test_at_once(machine: Machine) -> None:        # the kernel under CPython, with the project's modules
        assert machine.host.getpid() == 1

    def test_in_qemu(krait: Krait) -> None:             # the compiled kernel
        assert krait("--command", "echo hello").stdout == "hello\\n"

The machine is booted once for all tests, with /proc and /dev mounted, and keeps what they leave in it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tools.project import read_project

if TYPE_CHECKING:
    from tools.simulated.machine import Machine
else:
    Machine = object  # importing the kernel takes a second, which tests without it need not wait for

__all__ = ["Krait", "Machine"]

Krait = Callable[..., "subprocess.CompletedProcess[str]"]

TIME_LIMIT_S = 300


def _load(module: Path) -> None:
    """Import a module of the project, so that what it declares is there when the kernel boots."""
    from compiler.driver import import_file

    known = sys.modules.get(module.stem)  # pytest may have put a package of that name there, for a test's directory
    if getattr(known, "__file__", None) != str(module):
        import_file(module.stem, module)


@pytest.fixture(scope="session")
def machine() -> Machine:
    """A machine of the kernel under CPython. `machine.host` is process 1: its methods are system calls."""
    from kernel.net.link.device import bring_up
    from kernel.net.link.network import LOOPBACK
    from tools.simulated.machine import Machine

    for module in read_project(Path(os.environ["KRAIT_PROJECT"])).modules:
        _load(module)
    machine = Machine()
    machine.boot()
    bring_up(LOOPBACK)
    machine.host.mkdir("/proc", 0o755)
    machine.host.mount("proc", "/proc", "proc", 0, None)
    machine.host.mount("devtmpfs", "/dev", "devtmpfs", 0, None)  # the directory is there from the beginning
    return machine


@pytest.fixture
def krait() -> Krait:
    """`krait run` with the project's kernel: its arguments, and what comes of them."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "tools.front_end", "run", "--kernel", os.environ["KRAIT_KERNEL"], *arguments],
            check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=TIME_LIMIT_S,
        )  # fmt: skip

    return run
