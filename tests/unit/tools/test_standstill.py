"""By what its serial line ends with, a machine that has panicked is known, and one that did not start."""

from __future__ import annotations

import pytest

from tools.guest.standstill import does_not_start, has_panicked

TRACEBACK = (
    b"Kernel panic\r\nTraceback (most recent call last):\r\n"
    b'  File "kernel/start/main.py", line 10, in start\r\n    inlined\r\nAssertionError: it is wrong\r\n'
)


@pytest.mark.parametrize("end", [
    b"Kernel panic - not syncing: process 1 ended with code 0x100\r\n", TRACEBACK,
    b"Kernel panic\r\nnon-maskable interrupt, error code 0, at 0x1234\r\n",
])
def test_what_is_a_panic(end: bytes) -> None:
    assert has_panicked(end)
    assert has_panicked(b"[    1.0] up\r\n" + end)
    assert has_panicked(end + b"QEMU: Terminated\n\r")


@pytest.mark.parametrize("text", [
    b"", b"krait:~# ", b"Kernel panic", b"a Kernel panic - not syncing: no\r\n", b"Kernel bug\r\nTrap\r\n",
    TRACEBACK + b"krait:~# ", TRACEBACK[:-2], b"Kernel panic - not syncing: x\r\nreboot: Power down\r\nmore\r\n",
])
def test_what_is_none(text: bytes) -> None:
    assert not has_panicked(text)


@pytest.mark.parametrize("end", [b"krait: this processor has no 64-bit mode\r\n", b"\r\n" + TRACEBACK, TRACEBACK])
def test_what_does_not_start(end: bytes) -> None:
    assert does_not_start(end)
    for text in (b"", end[:-1], b"[    0.0] up\r\n" + end, end + b"[    0.0] up\r\n", b"krait:~# "):
        assert not does_not_start(text)
