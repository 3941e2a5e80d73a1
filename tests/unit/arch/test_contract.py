"""The architecture keeps its contract (arch/contract.py), and the kernel asks for nothing else."""

from __future__ import annotations

import ast
import re

import arch
from arch import contract, programs
from tools.paths import ROOT

# What mypy judges: each of these is an error of `./krait lint` when the architecture lacks something.
processor: contract.Processor = arch
of_programs: contract.Programs = programs
frame: contract.ArchitectureFrame = arch.TrapFrame()
port: contract.ArchitecturePort = arch.SerialPort(0, 0, 0)
devices: contract.DescribedDevices = arch.hardware


def table_is_one(table: programs.PageTable) -> contract.ArchitectureTable:
    return table


def state_is_one(state: programs.ProcessorState) -> contract.ArchitectureState:
    return state


FACES = {"arch": contract.Processor, "arch.programs": contract.Programs}


def owed(face: str) -> set[str]:
    """Names that the contract lists."""
    return {name for name in vars(FACES[face]) if not name.startswith("_")}


def offered(face: str) -> set[str]:
    """Names that a face passes on."""
    path = ROOT / ("arch/__init__.py" if face == "arch" else "arch/programs.py")
    statements = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.ImportFrom)]
    return {alias.asname or alias.name for statement in statements for alias in statement.names}


def asked_for(face: str) -> set[str]:
    """Names that kernel and tools import from a face."""
    found = set()
    reads = re.compile(rf"\bfrom\s+{re.escape(face)}\s+import\b")  # to parse all sources takes long
    for source in (path.read_text() for tree in ("kernel", "tools") for path in (ROOT / tree).rglob("*.py")):
        if reads.search(source):
            for node in ast.walk(ast.parse(source)):
                if isinstance(node, ast.ImportFrom) and node.module == face:
                    found |= {alias.name for alias in node.names}
    return found


def test_faces_offer_what_is_owed() -> None:
    for face in FACES:
        assert offered(face) == owed(face)


def test_the_kernel_asks_for_what_is_owed() -> None:
    """… and for all of it, so that nothing is owed without need."""
    for face in FACES:
        assert asked_for(face) == owed(face)


def test_no_file_of_the_kernel_names_an_architecture() -> None:
    named = re.compile(r"\barch\.x86_64\b")
    assert [str(path) for path in (ROOT / "kernel").rglob("*.py") if named.search(path.read_text())] == []
