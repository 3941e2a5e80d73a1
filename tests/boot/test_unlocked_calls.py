"""System calls that run without the kernel lock, on several processors: they answer right while others change what they
read, and whoever looks at a thread's calls sees them all.
"""

from __future__ import annotations

import json
import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest

import kernel.syscalls.all  # noqa: F401  (it fills the table)
from arch.x86_64.layout import KERNEL_BASE
from kernel.doors.table import SYSCALLS
from tests.harness import KRAIT, Guest, Kernel, compile_program
from tests.harness.guest import PATIENCE
from tools.cpio import Archive, extend
from tools.machine import Machine
from tools.paths import KERNEL, ROOT

pytestmark = pytest.mark.timeout(int(180 * PATIENCE))

PROGRAM = Path(__file__).parent / "unlocked_calls.c"
EXPECTED = """\
root: 0 0 0 0
others: 1 2 5 6
nobody: 65534 65534 65534 65534
root again: 0 0 0 0
orphans of 1: 40
signals 200, wrong 0
pipes 4000, killed 2
stops 40, of other calls 0
"""
LOADABLE = 1


@pytest.fixture(scope="module")
def image(root_image: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    overlay = Archive()
    overlay.file("usr/bin/unlocked_calls", compile_program(PROGRAM).read_bytes(), 0o755)
    path = tmp_path_factory.mktemp("unlocked") / "initrd"
    path.write_bytes(extend(root_image.read_bytes(), overlay))
    return path


@pytest.mark.parametrize("count", [2, 4])
def test_they_answer_right(kernel: Kernel, image: Path, count: int) -> None:
    with Guest(kernel.boot(image, "quiet maxcpus=64"), Machine(processors=count)) as guest:
        guest.expect_prompt(60)
        for _ in range(2):
            assert guest.check("unlocked_calls", 120) == EXPECTED


def test_they_are_traced(image: Path) -> None:
    with Guest(KRAIT.boot(image, "maxcpus=2 trace=getppid"), Machine(processors=2)) as guest:
        guest.expect_prompt(60)
        guest.check("unlocked_calls once")
        assert re.search(r"\[\d+\] getppid\(\) = \d+", guest.log)


def words_at(image: bytes, address: int, count: int) -> list[int]:
    """Words of an ELF image by their physical address."""
    at, size, number = *struct.unpack_from("<Q", image, 32), *struct.unpack_from("<HH", image, 54)
    for place in range(at, at + size * number, size):
        kind, _, offset, _, start, length = struct.unpack_from("<IIQQQQ", image, place)
        if kind == LOADABLE and start <= address < start + length:
            return list(struct.unpack_from(f"<{count}Q", image, offset + address - start))
    raise AssertionError(f"{address:#x} is not in the image")


def test_the_door_has_what_is_proved() -> None:
    """The table in the image, and what `report --locks` says."""
    found = re.search(r"(0x\w+)\s+krait_unlocked_calls\n", KERNEL.with_suffix(".map").read_text())
    assert found is not None
    table = words_at(KERNEL.read_bytes(), int(found[1], 16) - (KERNEL_BASE & 0xFFFF_FFFF_FFFF_FFFF), 512)
    command = [sys.executable, "-m", "compiler", "report", "--locks", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    calls = json.loads(done.stdout)["calls"]
    proved = {call["function"] for call in calls if call["runs_unlocked"]}
    quick = {call["name"] for call in calls if call["has_quick_form"]}
    rows = [row for row in SYSCALLS if row is not None]
    expected = {
        row.number
        for row in rows
        if f"{row.handler.__module__}.{row.handler.__qualname__}" in proved or row.name in quick
    }
    assert {number for number, word in enumerate(table) if word != 0} == expected
    assert {39, 102, 110, 186} <= expected and not {0, 1, 57, 59} & expected  # getpid, getuid …; read, write, fork …
