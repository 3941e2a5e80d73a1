"""Time-outs end when they are due, and a processor without work is left alone. The guest's clock follows its
instructions here, so what the host does meanwhile does not show.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness import KRAIT, Guest, compile_program
from tests.harness.guest import PATIENCE
from tools.cpio import Archive, extend
from tools.machine import Machine

pytestmark = pytest.mark.timeout(int(180 * PATIENCE))

CLOCK = ("-icount", "shift=0,sleep=off")
PROGRAM = Path(__file__).parent / "sleeps.c"
IDLE_SECONDS = 20


@pytest.fixture(scope="module")
def image(root_image: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    overlay = Archive()
    overlay.file("usr/bin/sleeps", compile_program(PROGRAM).read_bytes(), 0o755)
    path = tmp_path_factory.mktemp("sleeps") / "initrd"
    path.write_bytes(extend(root_image.read_bytes(), overlay))
    return path


def interrupts(guest: Guest) -> int:
    """How often timers have interrupted so far."""
    return int(guest.check("grep '^krait_timer_interrupts ' /proc/metrics").split()[1])


@pytest.mark.parametrize(
    ("kind", "cpu", "most_while_idle"),
    [
        ("q35", "max", 200),
        ("pc", "qemu64", 200),
        ("microvm", "max", 200),
        # The interval timer reaches 55 ms.
        ("pc", "qemu64,-apic", 20 * IDLE_SECONDS + 200),
    ],
)
def test_sleeps_end_in_time_and_nobody_ticks_meanwhile(image: Path, kind: str, cpu: str, most_while_idle: int) -> None:
    with Guest(KRAIT.boot(image, "quiet"), Machine(type=kind, cpu=cpu, extra=CLOCK)) as guest:
        guest.expect_prompt(60)
        assert guest.check("sleeps", 120) == "done\n"
        assert guest.check("sleeps storm", 120) == "done\n"
        before = interrupts(guest)
        guest.check(f"sleep {IDLE_SECONDS}", 120)
        assert interrupts(guest) - before <= most_while_idle
