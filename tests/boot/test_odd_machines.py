"""Machines that lack something or have too much of it: each works, or says clearly why it does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness import KRAIT, Guest, Kernel
from tests.harness.guest import PATIENCE
from tools.machine import Machine

pytestmark = pytest.mark.timeout(int(120 * PATIENCE))

PROMPT = r"krait:[^\r\n#]*# $"


def test_a_processor_without_nx(kernel: Kernel, root_image: Path) -> None:
    """Nothing would keep data from being executed, so Krait does not start."""
    with Guest(kernel.boot(root_image), Machine(cpu="max,-nx"), may_trap=True) as guest:
        guest.expect(r"this processor cannot forbid the execution of data|" + PROMPT, 30)


def test_a_machine_without_an_interval_timer(kernel: Kernel, root_image: Path) -> None:
    with Guest(kernel.boot(root_image), Machine(type="microvm,pit=off"), may_trap=True) as guest:
        guest.expect(r"this machine has no interval timer|" + PROMPT, 60)


def test_a_command_line_that_is_too_long(kernel: Kernel, root_image: Path) -> None:
    """QEMU itself overwrites what it tells the kernel, so that there is no way to go on."""
    with Guest(kernel.boot(root_image, "x" * 11_000), may_trap=True) as guest:
        guest.expect(r"is the kernel's command line too long|" + PROMPT, 30)


def test_a_long_command_line(kernel: Kernel, root_image: Path) -> None:
    if kernel is not KRAIT:
        pytest.skip("Linux takes 2047 bytes")
    with Guest(kernel.boot(root_image, f"quiet long={'x' * 3900} last=1")) as guest:
        guest.expect_prompt(30)
        assert guest.check("grep -c 'x last=1' /proc/cmdline") == "1\n"


def test_the_year_2106(kernel: Kernel, root_image: Path) -> None:
    """Ten seconds before the seconds since 1970 need more than 32 bits."""
    with Guest(kernel.boot(root_image, "quiet"), Machine(extra=("-rtc", "base=2106-02-07T06:28:06"))) as guest:
        guest.expect_prompt(30)
        assert guest.check("date -u +%Y-%m") == "2106-02\n"
        guest.run_until("test $(date +%s) -gt 4294967296 && echo later", "later", 30)
        assert int(guest.check("touch new; stat -c %Y new")) > 1 << 32
