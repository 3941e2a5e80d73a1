"""Whether a machine stands still, as its serial line tells: it has panicked, or does not start."""

from __future__ import annotations

import re

SILENCE_S = 1.0  # after what looks like the end
# What kernel/lib/panic.py prints last: a line, or a traceback with its cause. QEMU answers Ctrl-A X.
_PANIC = (
    rb"Kernel panic(?: - not syncing: [^\n]*\n|\r?\n(?:Traceback [^\n]*\n(?:  [^\n]*\n)*)?\w[^\n]*\n)"
    rb"(?:QEMU: Terminated\s*)?\Z"
)
_END = re.compile(rb"(?:\A|\n)" + _PANIC)
_NO_START = re.compile(rb"\A(?:krait: [^\n]*\n\Z|\s*" + _PANIC + rb")")  # the former is what boot/boot.S says


def has_panicked(tail: bytes) -> bool:
    """Whether what the machine printed ends with a panic."""
    return _END.search(tail) is not None


def does_not_start(log: bytes) -> bool:
    """Whether all that the machine printed is why it does not start. Such a kernel does not know its parameters yet:
    it stops for ever, in spite of `panic=-1`.
    """
    return _NO_START.match(log) is not None
