"""Ints that must not be confused with other ints: for types that must not convert to int either, as a NewType does.

    if TYPE_CHECKING:
        class Pid(OpaqueInt): ...
    else:
        Pid = NewType("Pid", int)

For mypy this is a class that can be created from an int, compared, be a key, and return the int in it: `int(pid)`.
Compiled and under CPython it is an int.
"""

from __future__ import annotations


class OpaqueInt:
    """Base of such types; there are no objects of it."""

    def __init__(self, number: int) -> None:
        """From an int: the caller vouches for its meaning."""

    def __hash__(self) -> int:
        return 0

    def __int__(self) -> int:
        """The int."""
        return 0
