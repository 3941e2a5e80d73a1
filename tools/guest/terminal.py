"""The terminal that krait is called on: whether a program gets one of its own, and how large it is."""

from __future__ import annotations

import contextlib
import os
import sys

from tools.errors import UsageError


def wants_terminal(tty: bool, interactive: bool, command: str) -> bool:
    """-t; or, where neither -i nor -t is given, whether we have a terminal at both ends."""
    if tty and interactive and not os.isatty(0):
        raise UsageError(f"{command}: -it wants a terminal as standard input, and there is none")
    if tty or interactive:
        return tty
    return os.isatty(0) and os.isatty(1)


def terminal_size() -> tuple[int, int]:
    """Rows and columns of the terminal that we write to."""
    for descriptor in (1, 0, 2):
        with contextlib.suppress(OSError):
            size = os.get_terminal_size(descriptor)
            return size.lines, size.columns
    return 0, 0


def complain(text: str) -> None:
    """Say what went wrong, to whoever can still hear it."""
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    with contextlib.suppress(OSError):
        sys.stderr.write(f"krait: {text}\n")
