"""However `krait` ends, nothing of its machine outlives it, no process and no file; terminals get their state back."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import Kernel
from tests.harness.family import Family
from tests.harness.guest import PATIENCE, processor_seconds
from tools.paths import ROOT

pytestmark = pytest.mark.timeout(int(180 * PATIENCE))

# What is run, and the programs that are awaited before the signal comes.
COMMANDS = {
    "shell": (("run",), {"qemu-system-x86_64"}),
    "program": (("run", "--command", "sleep 1000"), {"qemu-system-x86_64"}),
    "trace": (("trace", "--command", "sleep 1000"), {"qemu-system-x86_64"}),
    "profile": (("profile", "-o", "profile.svg", "--command", "sleep 1000"), {"qemu-system-x86_64"}),
    "debug": (("debug",), {"qemu-system-x86_64", "gdb"}),
}


@pytest.fixture
def family(tmp_path: Path) -> Iterator[Family]:
    (tmp_path / "scratch").mkdir()
    it = Family(tmp_path / "scratch")
    yield it
    it.kill()  # of a test that failed


def choose_signals() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)  # whatever runs the tests may ignore some


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL], ids=["TERM", "HUP", "KILL"])
@pytest.mark.parametrize("name", COMMANDS)
def test_no_death_leaves_anything(
    kernel: Kernel, family: Family, tmp_path: Path, name: str, number: signal.Signals
) -> None:
    arguments, programs = COMMANDS[name]
    first, *rest = arguments
    keyboard, terminal = pty.openpty()  # without one, the shell is a program, too
    process = subprocess.Popen(
        [str(ROOT / "krait"), first, "--kernel", str(kernel.path), *rest], stdin=terminal,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=tmp_path, env=family.environment,
        start_new_session=True, preexec_fn=choose_signals,
    )  # fmt: skip
    family.wait_for(programs)
    process.send_signal(number)
    status = process.wait(30 * PATIENCE)
    assert status in ({-number} if number == signal.SIGKILL else {128 + number, -number})
    family.check_that_nothing_is_left()
    os.close(keyboard)
    os.close(terminal)


HASTY_QEMU = """#!/bin/sh
stty raw -echo
exec sleep 1000
"""


@pytest.mark.parametrize("name", ["shell", "debug", "one that does not put them back"])
def test_a_terminal_gets_its_settings_back(kernel: Kernel, family: Family, tmp_path: Path, name: str) -> None:
    if name in COMMANDS:
        arguments, programs = COMMANDS[name]
    else:
        arguments, programs = ("run",), {"sleep"}
        (tmp_path / "qemu-system-x86_64").write_text(HASTY_QEMU)
        (tmp_path / "qemu-system-x86_64").chmod(0o755)
        family.environment["PATH"] = f"{tmp_path}:{os.environ['PATH']}"
    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)
    process = subprocess.Popen(
        [str(ROOT / "krait"), *arguments, "--kernel", str(kernel.path)], stdin=slave, stdout=slave, stderr=slave,
        env=family.environment, start_new_session=True, preexec_fn=choose_signals,
    )  # fmt: skip
    family.wait_for(programs)
    deadline = time.monotonic() + 30 * PATIENCE
    while termios.tcgetattr(slave)[3] == before[3] and time.monotonic() < deadline:
        if select.select([master], [], [], 0.05)[0]:
            os.read(master, 4096)
    assert termios.tcgetattr(slave)[3] != before[3], "neither QEMU nor gdb has taken the terminal"
    process.send_signal(signal.SIGTERM)
    assert process.wait(30 * PATIENCE) == 128 + signal.SIGTERM
    assert termios.tcgetattr(slave) == before
    family.check_that_nothing_is_left()
    os.close(master)
    os.close(slave)


def test_an_interrupt_is_for_gdb(kernel: Kernel, family: Family) -> None:
    """^C stops the kernel, and the session goes on."""
    process = subprocess.Popen(
        [str(ROOT / "krait"), "debug", "--kernel", str(kernel.path), "--", "-ex", "continue", "-ex", "print 6 * 7",
         "-ex", "quit"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=family.environment,
        start_new_session=True, preexec_fn=choose_signals,
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        if b"Continuing." in line:
            break
    (machine,) = (pid for pid, program in family.processes().items() if program.startswith("qemu"))
    before = processor_seconds(machine)
    deadline = time.monotonic() + 30 * PATIENCE
    while processor_seconds(machine) < before + 0.1:  # the kernel runs; gdb loses what comes before
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=60 * PATIENCE)
    assert b"$1 = 42" in output, output
    assert process.returncode == 0
    family.check_that_nothing_is_left()
