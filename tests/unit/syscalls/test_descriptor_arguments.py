"""Files that a call found stay until it ends, whoever closes their descriptors meanwhile."""

from __future__ import annotations

import ast
import os
from unittest.mock import patch

from kernel.fs.descriptors import FileTable
from kernel.fs.file import OPEN_FILES
from tests.unit.booted import booted
from tools.paths import ROOT
from tools.simulated.machine import Machine

# Code that finds files without holding them: each acquires what it found at once, or only looks at it.
LOOKS_ONLY = {"descriptor_arguments.py", "kcmp.py", "statmount.py"}
BORROWS = {"epoll.py", "io_submit.py", "read_write.py", "uring_files.py", "uring_pipes.py"}


def calls_in(path: str) -> set[str]:
    """What a file of system calls calls, by the last name; methods with what they are called on."""
    tree = ast.parse((ROOT / "kernel" / "syscalls" / path).read_text())
    return {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}


def test_files_of_descriptors_are_held() -> None:
    for path in (ROOT / "kernel" / "syscalls").glob("*.py"):
        called = calls_in(path.name)
        looked = [name for name in called if name.endswith(("files.get", "files.get_any"))]
        assert not looked or path.name in LOOKS_ONLY, f"{path.name}: {looked}: file_at holds what it finds"
        assert "borrowed_file" not in called or path.name in BORROWS, path.name


@booted
def test_a_file_outlives_its_descriptor_until_the_call_ends(machine: Machine) -> None:
    host = machine.host
    task = host.task
    far = 400  # beyond the end of the table, which has to grow
    before = OPEN_FILES.count
    descriptor = host.open("/tmp", os.O_RDONLY)
    file = task.files.get(descriptor)
    grow = FileTable._grow

    def grows_and_rests(table: FileTable, descriptor_wanted: int) -> None:
        grow(table, descriptor_wanted)
        if descriptor_wanted == far:
            table.close(descriptor)  # another thread, while this one rests

    task.files.acquire()
    with patch.object(FileTable, "_grow", grows_and_rests):
        assert host.dup2(descriptor, far) == far
    task.files.release()
    assert task.files.get(far) is file
    assert file.users == 1
    assert OPEN_FILES.count == before + 1
    assert not task.calls.keeps_files
    host.close(far)
    assert OPEN_FILES.count == before


@booted
def test_nothing_is_held_where_nobody_else_closes(machine: Machine) -> None:
    host = machine.host
    descriptor = host.open("/tmp", os.O_RDONLY)
    host.fchmod(descriptor, 0o777)
    belongings = host.task.belongings
    assert belongings is None or belongings.kept_files is None
