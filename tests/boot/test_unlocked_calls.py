"""System calls that run without the kernel lock, on several processors: they answer right while others change what they
read, and whoever looks at a thread's calls sees them all.
"""

from __future__ import annotations

import io
import json
import re
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

import kernel.syscalls.all  # noqa: F401  (it fills the table)
from arch.x86_64.call_numbers import CALL_LIMIT
from arch.x86_64.layout import KERNEL_BASE
from kernel.doors.table import SYSCALLS
from kernel.mm.reclaim import DEFAULT_THRESHOLD, RECLAIMER
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
memory: wrong 0
times: wrong 0
names: wrong 0
"""
CALLS = [
    "getppid", "getcpu", "gettimeofday", "time", "clock_gettime", "clock_getres", "getresuid", "getresgid",
    "uname", "rt_sigprocmask", "rt_sigprocmask that blocks", "rt_sigprocmask that sets", "rt_sigpending",
    "sigaltstack", "get_robust_list", "sched_getaffinity", "prctl", "personality",
    "set_robust_list", "set_tid_address",
]  # fmt: skip
KERNEL_START = KERNEL_BASE & 0xFFFF_FFFF_FFFF_FFFF
MAX_PRIORITY = 146  # sched_get_priority_max
UD2 = b"\x0f\x0b"
THRESHOLD = struct.pack("<q", DEFAULT_THRESHOLD)


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


def test_they_run_without_the_lock_unless_traced(image: Path) -> None:
    with Guest(KRAIT.boot(image, "quiet maxcpus=64"), Machine(processors=2)) as guest:
        guest.expect_prompt(60)
        assert guest.check("unlocked_calls counted", 60).splitlines() == [
            *(f"{call}: without the lock" for call in CALLS),
            "traced: with it",
            "no more: without the lock",
        ]


def test_a_bug_in_one_ends_its_process_alone(image: Path, tmp_path: Path) -> None:
    """A kernel in which sched_get_priority_max begins with an invalid instruction."""
    sound = KERNEL.read_bytes()
    place = offset_of(sound, door_table(sound)[MAX_PRIORITY] - KERNEL_START)
    path = tmp_path / "krait.elf"
    path.write_bytes(sound[:place] + UD2 + sound[place + len(UD2) :])
    boot = replace(KRAIT, path=path).boot(image, "quiet maxcpus=64")
    with Guest(boot, Machine(processors=2), may_trap=True) as guest:
        guest.expect_prompt(60)
        found = re.findall("Segmentation fault|lives", guest.check("unlocked_calls damaged", 60))
        assert found == ["Segmentation fault"] * 3
        assert len(re.findall("Kernel bug", guest.log)) == 3
        guest.check("echo 3 > /proc/sys/vm/drop_caches")  # a pass, which nobody keeps waiting
        assert guest.check("unlocked_calls", 120) == EXPECTED


@pytest.mark.parametrize("count", [2, 4])
def test_they_answer_right_while_every_allocation_reclaims(image: Path, tmp_path: Path, count: int) -> None:
    """A kernel whose reclaimer is due at the first object: what a pass frees too early is used again at once."""
    path = tmp_path / "krait.elf"
    path.write_bytes(always_reclaiming(KERNEL.read_bytes()))
    with Guest(replace(KRAIT, path=path).boot(image, "quiet maxcpus=64"), Machine(processors=count)) as guest:
        guest.expect_prompt(120)
        passes, freed = reclaimed(guest)
        assert guest.check("unlocked_calls", 120) == EXPECTED
        later, freed_later = reclaimed(guest)
        assert freed_later - freed > 10_000
        assert freed_later - freed < 16 * (later - passes)


def always_reclaiming(image: bytes) -> bytes:
    """An image with a threshold of 0 objects, which it keeps in the reclaimer's frozen state."""
    symbol = "krait.object.kernel.mm.reclaim.RECLAIMER"
    found = re.search(rf"(0x\w+)\s+{re.escape(symbol)}\n", KERNEL.with_suffix(".map").read_text())
    assert found is not None
    start = offset_of(image, int(found[1], 16) - KERNEL_START)
    size = len(vars(RECLAIMER)) * 8
    words = [place for place in range(start, start + size, 8) if image[place : place + 8] == THRESHOLD]
    assert len(words) == 1
    return image[: words[0]] + bytes(8) + image[words[0] + 8 :]


def reclaimed(guest: Guest) -> tuple[int, int]:
    """How many passes there were, and how many objects they freed."""
    text = guest.check("grep ^krait_reclaim_ /proc/metrics")
    figures = dict(re.findall(r"krait_(\w+) (\d+)", text))
    return int(figures["reclaim_passes"]), int(figures["reclaim_freed_objects"])


def offset_of(image: bytes, address: int) -> int:
    """Where in an ELF image lies what is loaded to a physical address."""
    for segment in ELFFile(io.BytesIO(image)).iter_segments("PT_LOAD"):
        place = address - segment["p_paddr"]
        if 0 <= place < segment["p_filesz"]:
            return int(segment["p_offset"] + place)
    raise AssertionError(f"{address:#x} is not in the image")


def door_table(image: bytes) -> tuple[int, ...]:
    """The addresses of the calls that the door makes without the lock, by number."""
    found = re.search(r"(0x\w+)\s+krait_unlocked_calls\n", KERNEL.with_suffix(".map").read_text())
    assert found is not None
    return struct.unpack_from(f"<{CALL_LIMIT}Q", image, offset_of(image, int(found[1], 16) - KERNEL_START))


def test_the_door_has_what_is_proved() -> None:
    """The table in the image, and what `report --locks` says."""
    table = door_table(KERNEL.read_bytes())
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
