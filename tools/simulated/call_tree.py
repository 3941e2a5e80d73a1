"""What the kernel does for a call, function by function: a tree of the Python functions that run."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TypeVar

from tools.paths import ROOT

T = TypeVar("T")

LANGUAGE = f"{ROOT / 'kernel' / 'lang'}/"  # what single instructions do: never shown
VALUE_WIDTH = 40  # characters of an argument or a result that are shown


class CallTree:
    """Lines of the tree, made by a profile function of CPython."""

    def __init__(self, rooms: tuple[str, ...], depth: int) -> None:
        self.rooms = tuple(f"{ROOT / room}/" for room in rooms)
        self.depth = depth
        self.lines: list[str] = []
        self._entered: list[FrameType] = []

    def note(self, frame: FrameType, event: str, argument: object) -> None:
        """For sys.setprofile."""
        if event == "return" and self._entered and self._entered[-1] is frame:
            self._entered.pop()
        elif event == "call" and self._is_shown(frame.f_code.co_filename):
            if len(self._entered) < self.depth:
                self.lines.append("    " * len(self._entered) + _describe(frame))
            self._entered.append(frame)

    def _is_shown(self, name: str) -> bool:
        return name.startswith(self.rooms) and not name.startswith(LANGUAGE)


def _describe(frame: FrameType) -> str:
    code = frame.f_code
    names = code.co_varnames[: code.co_argcount]
    values = ", ".join(f"{name}={_short(frame.f_locals.get(name))}" for name in names if name != "self")
    place = f"{Path(code.co_filename).relative_to(ROOT)}:{code.co_firstlineno}"
    return f"{code.co_qualname}({values})  {place}"


def _short(value: object) -> str:
    if value is None or isinstance(value, int | str | bytes):
        text = repr(value)
    else:
        text = type(value).__name__
    return text if len(text) <= VALUE_WIDTH else text[: VALUE_WIDTH - 1] + "…"


def tree(
    function: Callable[..., T], *arguments: object, rooms: tuple[str, ...] = ("kernel",), depth: int = 6
) -> T:
    """Call a function, and print which functions of the kernel ran for it, `depth` levels deep. `rooms` are folders:
    `("kernel/fs", "kernel/mm")` leaves the others out.
    """
    found = CallTree(rooms, depth)
    sys.setprofile(found.note)
    try:
        return function(*arguments)
    finally:
        sys.setprofile(None)
        print("\n".join(found.lines))
