"""The pure part of the kernel, from which no chain of imports leads to a processor: judged and compiled without one."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools.import_map import imports, modules
from tools.paths import ROOT

# Whole subsystems whose thinking must stay pure. What they import is pure with them.
MUST_BE_PURE = {
    "kernel.time.timers",
    "kernel.mm.heap",
    "kernel.mm.reclaim",
    "kernel.lib.bpf",
    "kernel.lib.inflate",
    "kernel.block.partitions",
    "kernel.cache.readahead",
    "kernel.fs.ext2.geometry",
    "kernel.fs.ext2.directory_blocks",
    "kernel.fs.access_list",
    "kernel.net.tcp.connection",
    "kernel.net.tcp.input",
    "kernel.net.tcp.output",
    "kernel.net.tcp.timers",
    "kernel.net.internet.routes",
    "kernel.net.internet.fragments",
    "kernel.net.link.ethernet",
    "kernel.task.pending",
    "kernel.task.actions",
    "kernel.tty.discipline",
    "kernel.start.command_line",
}

BUILD_TIME = {"kernel/doors/arguments.py", "kernel/lib/proc_files.py"}
"""What runs when the kernel is built is any Python."""

PROGRAM = '''
"""The kernel's command line and its signals, on the host."""

from kernel.lib.ids import ROOT_USER
from kernel.start.command_line import number_of
from kernel.task.pending import PendingSignals
from kernel.task.siginfo import from_kernel


def main() -> None:
    pending = PendingSignals()
    for name in (b"first", b"second"):
        pending.add(from_kernel(number_of(b"quiet first=15 second=2", name, 0)), ROOT_USER, 10)
    print(pending.choose(0), pending.choose(1 << 1))
'''


def impure() -> set[str]:
    """Modules of the kernel from which imports lead to `arch`."""
    found = {name for name in modules() if name == "arch" or name.startswith("arch.")}
    edges = imports()  # those for types too: mypy follows them
    while True:
        more = {each.importer for each in edges if each.imported in found} - found
        if not more:
            return {name for name in found if name.startswith("kernel")}
        found |= more


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with the pure part, the compiler, and no `arch`. A package's face that is not pure becomes empty."""
    root = tmp_path_factory.mktemp("pure")
    for part in ("compiler", "tools"):
        shutil.copytree(ROOT / part, root / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "kernel" / "lang", root / "kernel" / "lang", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", root)
    left_out = impure()
    for name, path in modules().items():
        if not name.startswith("kernel") or (name in left_out and path.name != "__init__.py"):
            continue
        copy = root / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text('"""Empty here."""\n' if name in left_out else path.read_text())
    return root


def run(root: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command], cwd=root, env={"PYTHONPATH": str(root), "PATH": "/usr/bin:/bin"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_it_has_what_it_must() -> None:
    assert MUST_BE_PURE & impure() == set()
    assert set(modules()) >= MUST_BE_PURE


def test_it_imports_without_an_architecture(tree: Path) -> None:
    names = [name for name in modules() if name.startswith("kernel") and name not in impure()]
    done = run(tree, "-c", "import sys, importlib\nfor name in sys.argv[1:]: importlib.import_module(name)", *names)
    assert done.returncode == 0, done.stderr


def test_it_obeys_the_rules_of_the_language(tree: Path) -> None:
    """mypy and the compiler's checks, for every file."""
    sources = sorted((tree / "kernel").rglob("*.py"))
    names = [str(path.relative_to(tree)) for path in sources if "lang" not in path.parts]  # that is the language itself
    files = [name for name in names if name not in BUILD_TIME]
    done = run(tree, "-m", "compiler", "check", "--alone", *files)
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_compiles_and_runs(tree: Path) -> None:
    program = tree / "pure_program.py"
    program.write_text(PROGRAM)
    done = run(tree, "-m", "compiler", "run", str(program))
    assert (done.returncode, done.stdout) == (0, "2 15\n"), done.stderr
