"""Several processors: they come up, programs run on them at the same time, and what one changes the others see."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.boot.test_front_end import run
from tests.harness import KRAIT, Guest, Kernel, compile_program
from tests.harness.guest import PATIENCE
from tools.cpio import Archive, extend
from tools.machine import Machine

pytestmark = pytest.mark.timeout(int(180 * PATIENCE))

PROGRAM = Path(__file__).parent / "several_processors.c"
EXPECTED = """\
turns 400
more than one processor: 1
signals 1
killed 1
faults 4
sums 4, not moved 0
missed 0
left
filter 0, forbidden 1
"""


@pytest.fixture(scope="module")
def image(root_image: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    overlay = Archive()
    overlay.file("usr/bin/several_processors", compile_program(PROGRAM).read_bytes(), 0o755)
    overlay.file("dies", b"#!/bin/sh\n(while :; do :; done) &\nsleep 0.2\nexit 3\n", 0o755)
    path = tmp_path_factory.mktemp("processors") / "initrd"
    path.write_bytes(extend(root_image.read_bytes(), overlay))
    return path


@pytest.mark.parametrize(
    ("machine", "cpu", "count"),
    [("q35", "max", 2), ("q35", "max,tcg-cpuid=off", 4), ("pc", "qemu64,-x2apic", 2), ("microvm", "max", 2)],
)
def test_programs_on_several_processors(kernel: Kernel, image: Path, machine: str, cpu: str, count: int) -> None:
    with Guest(kernel.boot(image, "quiet maxcpus=64"), Machine(type=machine, cpu=cpu, processors=count)) as guest:
        guest.expect_prompt(60)
        assert guest.check("nproc") == f"{count}\n"
        assert guest.check("cat /sys/devices/system/cpu/online") == f"0-{count - 1}\n"
        assert guest.check("grep -c ^cpu /proc/stat") == f"{count + 1}\n"
        assert guest.check("grep -c ^processor /proc/cpuinfo") == f"{count}\n"
        assert guest.check("several_processors", 120) == EXPECTED


def test_words_of_the_command_line(kernel: Kernel, root_image: Path) -> None:
    """`maxcpus=` says how many may run, `nosmp` that one does."""
    for words, count in (("maxcpus=2", 2), ("maxcpus=64 nosmp", 1)):
        with Guest(kernel.boot(root_image, f"quiet {words}"), Machine(processors=3)) as guest:
            guest.expect_prompt(60)
            assert guest.check("nproc") == f"{count}\n"


def test_a_panic_stops_all(image: Path) -> None:
    """Those that run programs too."""
    boot = KRAIT.boot(image, "quiet panic=0 maxcpus=2 rdinit=/dies")
    with Guest(boot, Machine(processors=2), may_trap=True) as guest:
        guest.expect("Attempted to kill init", 60)
        deadline = time.monotonic() + 20 * PATIENCE
        while (halted := guest.monitor("info registers -a").count("HLT=1")) != 2:
            assert time.monotonic() < deadline, f"{halted} of 2 processors halt"


def test_without_a_word_one_processor_runs(kernel: Kernel, root_image: Path) -> None:
    if kernel is not KRAIT:
        pytest.skip("Linux starts all")
    with Guest(kernel.boot(root_image, "quiet"), Machine(processors=2)) as guest:
        guest.expect_prompt(30)
        assert guest.check("nproc") == "1\n"


def test_the_front_end_asks_for_them(kernel: Kernel) -> None:
    if kernel is not KRAIT:
        pytest.skip("about krait run")
    for arguments, count in ((["--cpus", "2"], 2), (["--cpus", "2", "--append", "maxcpus=1"], 1), ([], 1)):
        assert run(kernel, *arguments, "--command", "nproc", status=0).stdout == f"{count}\n"
