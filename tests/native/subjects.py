"""What runs natively: the modules that are compiled, and the unit tests that then cannot run.

A unit test runs natively if its file, with its helpers, imports modules of MODULES and none of `kernel` or `arch`
beside these and those of NUMBERS. Whoever adds a module here adds its tests.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

from tools.paths import ROOT

MODULES = (
    "kernel.block.crc32",
    "kernel.block.partitions",
    "kernel.fs.access_list",
    "kernel.fs.ext2.name_hash",
    "kernel.fs.procfs.processor_sets",
    "kernel.lib.bpf",
    "kernel.lib.capabilities",
    "kernel.lib.credentials",
    "kernel.lib.file_capabilities",
    "kernel.lib.ids",
    "kernel.lib.namespace",
    "kernel.lib.pace",
    "kernel.lib.settings",
    "kernel.lib.sorting",
    "kernel.net.control.dhcp",
    "kernel.net.internet.membership",
    "kernel.net.internet.sysctl",
    "kernel.net.link.checksum",
    "kernel.net.link.network",
    "kernel.net.link.packet",
    "kernel.net.link.segmentation",
    "kernel.net.link.timers",
    "kernel.net.sockets.bpf",
    "kernel.net.tcp.acknowledge",
    "kernel.net.tcp.closing",
    "kernel.net.tcp.congestion_marks",
    "kernel.net.tcp.connection",
    "kernel.net.tcp.cookie_options",
    "kernel.net.tcp.cubic",
    "kernel.net.tcp.header",
    "kernel.net.tcp.input",
    "kernel.net.tcp.opening",
    "kernel.net.tcp.output",
    "kernel.net.tcp.parts",
    "kernel.net.tcp.receive_queue",
    "kernel.net.tcp.reset",
    "kernel.net.tcp.round_trip",
    "kernel.net.tcp.scoreboard",
    "kernel.net.tcp.secrets",
    "kernel.net.tcp.send_queue",
    "kernel.net.tcp.sequence",
    "kernel.net.tcp.tcp_settings",
    "kernel.net.tcp.time_wait",
    "kernel.net.tcp.timers",
    "kernel.perf.period",
    "kernel.start.command_line",
    "kernel.task.core_name",
    "kernel.task.pending",
    "kernel.task.script",
    "kernel.task.siginfo",
    "kernel.task.signals",
    "kernel.task.user_dispatch",
    "kernel.time.heap",
    "kernel.time.timers",
    "kernel.tty.discipline",
    "kernel.tty.termios",
)

# Classes from which tests derive their own, which compiled code calls through Python; and what their methods may raise.
DERIVED: dict[str, dict[str, str]] = {
    "kernel.block.partitions.SectorReader": {"read": "kernel.lang.errors.Errno"},
    "kernel.lib.pace.Rest": {},
    "kernel.net.link.timers.NetworkTimer": {"expire": "builtins.MemoryError"},
    "kernel.net.tcp.connection.Wire": {},
    "kernel.time.timers.ProcessorTimer": {},
    "kernel.time.timers.Timer": {},
}

# What these offer to tests is numbers, which are the same either way.
NUMBERS = {"arch", "kernel.fs.constants", "kernel.lang", "kernel.lang.errno"}

# Test -> why it is about Python's form of the code.
LEFT_OUT = {
    "tests/unit/lib/test_sorting.py::test_takes_safe_points": "it replaces a method",
    "tests/unit/tty/test_discipline.py::test_queue_and_marks_stay_together_without_memory": "lines of Python fail",
}


@cache
def imports_of(path: Path) -> set[str]:
    """The modules that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            inside = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {name if is_module(name) else node.module for name in inside}
    return found


@cache
def is_module(name: str) -> bool:
    place = ROOT.joinpath(*name.split("."))
    return place.with_suffix(".py").is_file() or (place / "__init__.py").is_file()


def needed_by(path: Path, seen: set[Path] | None = None) -> set[str]:
    """The kernel's modules that a test needs, by its helpers and fixtures too."""
    seen = set() if seen is None else seen
    seen.add(path)
    needed = set()
    for name in imports_of(path):
        if name.split(".")[0] in ("kernel", "arch"):
            needed.add(name)
        elif name.split(".")[0] in ("tests", "tools") and is_module(name):
            helper = ROOT.joinpath(*name.split(".")).with_suffix(".py")
            if helper.is_file() and helper not in seen:
                needed |= needed_by(helper, seen)
    return needed


def module_file(name: str) -> Path:
    """The source of a module."""
    place = ROOT.joinpath(*name.split("."))
    return place / "__init__.py" if place.is_dir() else place.with_suffix(".py")


@cache
def unit_tests() -> list[Path]:
    return sorted((ROOT / "tests" / "unit").rglob("test_*.py"))


@cache
def native_tests() -> list[Path]:
    """The files whose tests run against compiled code."""
    found = []
    for path in unit_tests():
        needed = needed_by(path) - NUMBERS
        if needed and needed <= set(MODULES):
            found.append(path)
    return found
