"""Exceptions of Kernel Python, and `panic`.

Compiled, an exception is a word beside the result: which class, and its `code`. So an exception has at most that one
field.
"""

from __future__ import annotations

from typing import NoReturn


class KernelError(Exception):
    """Base of all exceptions that a program may define and catch."""

    code: int

    def __init__(self, code: int = 0) -> None:
        self.code = code


class Errno(KernelError):
    """`raise Errno(EBADF)`: how a system call fails."""


class Panic(Exception):
    """What `panic` raises under CPython. Never caught."""


def panic(message: str) -> NoReturn:
    """Stop: a bug was found. Prints the message and a traceback; kills the task, or halts in an interrupt."""
    raise Panic(message)
