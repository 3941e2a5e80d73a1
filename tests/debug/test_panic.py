"""A panic in the image prints a Python traceback, with inlined functions and the callers of assembly."""

from __future__ import annotations

import itertools
import re
import time
from pathlib import Path

import pytest

from tests.harness import KRAIT, Guest, GuestError
from tests.harness.guest import PATIENCE

ROOT = Path(__file__).resolve().parents[2]
FRAME = re.compile(r'  File "(?P<path>[^"]+)", line (?P<line>\d+), in (?P<function>\S+)')


def wait_for_rest(guest: Guest) -> None:
    """Wait until the processor has nothing to do."""
    deadline = time.monotonic() + 10 * PATIENCE
    while "HLT=1" not in guest.monitor("info registers"):
        assert time.monotonic() < deadline


def test_traceback_of_a_sleeping_reader(root_image: Path) -> None:
    with Guest(KRAIT.boot(root_image, "quiet panic=0"), may_trap=True) as guest:
        guest.expect_prompt(60)
        before = len(guest.log)
        guest.start("cat")
        wait_for_rest(guest)  # the shell sleeps as well, so that nobody but the reader wakes for the line
        guest.send("hello\n")
        guest.expect(r"hello\r?\n.*hello\r?\n")  # the echo, and what cat made of it
        wait_for_rest(guest)  # it reads again: on its stack, until another thread has something to do
        guest.qmp("inject-nmi")
        guest.expect(r"non-maskable interrupt.*\n")
        text = guest.log[before:]
        # In any other test the machine's trap is a failure.
        guest.may_trap = False
        with pytest.raises(GuestError, match="the kernel trapped"):
            guest.check_for_traps()
        guest.may_trap = True
    assert "Traceback (most recent call last):" in text
    frames = [match.groupdict() for match in FRAME.finditer(text)]
    functions = [frame["function"] for frame in frames]
    if "interrupt_in_kernel" in functions:  # another interrupt came just before it: the reader sleeps all the same
        frames = frames[: functions.index("interrupt_in_kernel")]
        functions = [*functions[: len(frames)], "wait_for_interrupt"]
    assert functions[0] == "krait_syscall", text
    assert "Tty.read" in functions and functions[-1] == "wait_for_interrupt", text
    for frame, callee in itertools.pairwise(frames):
        line = (ROOT / frame["path"]).read_text().splitlines()[int(frame["line"]) - 1]
        name = callee["function"].rsplit(".", 1)[-1]
        if name in line:
            continue
        # Through a system call's thunk, a function value or a virtual method the line does not name the callee.
        assert "(" in line, f"{frame} does not call {name}: {line}"
