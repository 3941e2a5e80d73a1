"""Whether a machine stands still, as its serial line tells: it has panicked, or did not start."""

from __future__ import annotations

import re

SILENCE_S = 1.0  # after what looks like the end
# What kernel/lib/panic.py prints last: a line, or a traceback with its cause. QEMU answers Ctrl-A X.
_PANIC = re.compile(
    rb"(?:\A|\n)Kernel panic(?: - not syncing: [^\n]*\n|\r?\n(?:Traceback [^\n]*\n(?:  [^\n]*\n)*)?\w[^\n]*\n)"
    rb"(?:QEMU: Terminated\s*)?\Z"
)
_REFUSAL = re.compile(rb"\Akrait: [^\n]*\n\Z")  # of boot/boot.S, before there is a kernel


def has_panicked(tail: bytes) -> bool:
    """Whether what the machine printed ends with a panic."""
    return _PANIC.search(tail) is not None


def has_refused(log: bytes) -> bool:
    """Whether all that the machine printed is why the kernel does not start."""
    return _REFUSAL.match(log) is not None
