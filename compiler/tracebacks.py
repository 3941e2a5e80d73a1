"""What a trapped host program reported, as a Python traceback.

The report's form is described in `compiler/host/start.c`. Frames of the run-time library at the inner end are left
out: like CPython, a traceback ends at the line of the program that indexed past the end of its list.
`KRAIT_FULL_TRACEBACK=1` shows them.
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, field
from pathlib import Path

from compiler.lines import FrameLine, Table

LIBRARY = "kernel/lang/"
HEAP = ("kernel/mm/heap.py", "kernel/mm/slabs.py", "kernel/mm/reclaim.py", "kernel/mm/arena.py")
REPEATS_SHOWN = 3

# Kinds of docs/compiler-abi.md as the last line of a traceback. kernel/lib/panic.py has the same for the kernel.
TRAPS: dict[int, tuple[str, str]] = {
    1: ("OverflowError", "integer overflow"),
    2: ("IndexError", "index out of range"),
    3: ("TypeError", "the value is None"),
    4: ("ZeroDivisionError", "integer division or modulo by zero"),
    5: ("AssertionError", ""),
    6: ("KeyError", "no such key"),
    7: ("MatchError", "no case matches"),
    8: ("OverflowError", "value out of range of its storage type"),
    9: ("ValueError", "shift count out of range"),
    10: ("Panic", ""),
    11: ("RuntimeError", "code that cannot be reached was reached"),
    12: ("ValueError", "not a member of the enum"),
    13: ("RuntimeError", "container changed during iteration"),
    14: ("RuntimeError", "uncaught exception at an exported function"),
    15: ("RecursionError", "stack overflow"),
    16: ("TypeError", "the value is no longer of the class that was tested"),
}
FAULTS: dict[int, tuple[str, str]] = {
    signal.SIGSEGV: ("MemoryFault", "access to memory that is not mapped"),
    signal.SIGBUS: ("MemoryFault", "access to memory that is not there"),
    signal.SIGFPE: ("ArithmeticFault", "division overflow"),
    signal.SIGILL: ("CodeFault", "invalid instruction"),
}


@dataclass
class Report:
    """A report, parsed. `skipped` is the number of frames left out, and where: after that many of `frames`."""

    kind: int = 0
    message: str = ""
    uncaught: tuple[int, int] | None = None
    frames: list[int] = field(default_factory=list)
    skipped: int = 0
    skipped_at: int = 0


def parse(data: bytes) -> Report | None:
    """A report from its raw form; None if there is none. A report cut short gives what arrived."""
    report = Report()
    place = 0
    while place < len(data):
        end = data.find(b"\n", place)
        if end < 0:
            break
        words = data[place:end].split()
        place = end + 1
        match words:
            case [b"trap", kind]:
                report.kind = int(kind)
            case [b"message", length]:
                report.message = data[place : place + int(length)].decode(errors="replace")
                place += int(length) + 1
            case [b"uncaught", number, code]:
                report.uncaught = (int(number), int(code))
            case [b"frame", address]:
                report.frames.append(int(address, 16))
            case [b"skipped", count]:
                report.skipped, report.skipped_at = int(count), len(report.frames)
    return report if report.kind or report.uncaught else None


def render(report: Report, table: Table, root: Path, exceptions: dict[int, str]) -> str:
    """The traceback of a report. `exceptions` has the names of exception classes by number."""
    entries: list[FrameLine | str] = []  # innermost first
    for number, address in enumerate(report.frames):
        if report.skipped and number == report.skipped_at:
            entries.append(f"  [{report.skipped} frames are not shown]\n")
        is_call = number > 0 or report.uncaught is not None  # else it is the instruction that trapped
        entries += table.frames(address - 1 if is_call else address)
    if os.environ.get("KRAIT_FULL_TRACEBACK") != "1":
        entries = without_library(entries)
    lines = ["Traceback (most recent call last):\n"] if entries else []
    entries.reverse()
    lines += folded([entry if isinstance(entry, str) else shown(entry, root) for entry in entries])
    return "".join(lines) + last_line(report, exceptions) + "\n"


def without_library(entries: list[FrameLine | str]) -> list[FrameLine | str]:
    """Without the run-time library's frames at the inner end, unless there are no others."""
    for number, entry in enumerate(entries):
        if isinstance(entry, FrameLine) and not entry.file.startswith(LIBRARY) and entry.file not in HEAP:
            return entries[number:]
    return entries


def shown(frame: FrameLine, root: Path) -> str:
    path = root / frame.file
    text = f'  File "{path}", line {frame.line}, in {frame.function}\n'
    try:
        line = path.read_text(encoding="utf-8").splitlines()[frame.line - 1].strip()
    except (OSError, IndexError, UnicodeDecodeError):
        return text
    return text + (f"    {line}\n" if frame.line > 0 and line else "")


def folded(entries: list[str]) -> list[str]:
    """Repeated entries folded as CPython does."""
    lines: list[str] = []
    place = 0
    while place < len(entries):
        end = place
        while end < len(entries) and entries[end] == entries[place]:
            end += 1
        count = end - place
        lines += entries[place : place + min(count, REPEATS_SHOWN)]
        if count > REPEATS_SHOWN:
            more = count - REPEATS_SHOWN
            lines.append(f"  [Previous line repeated {more} more time{'s' if more > 1 else ''}]\n")
        place = end
    return lines


def last_line(report: Report, exceptions: dict[int, str]) -> str:
    if report.uncaught is not None:
        number, code = report.uncaught
        name = exceptions.get(number, f"exception {number}").removeprefix("builtins.")
        return name if name == "MemoryError" else f"{name}: {code}"
    table, key = (FAULTS, -report.kind) if report.kind < 0 else (TRAPS, report.kind)
    name, text = table.get(key, ("Trap", f"kind {report.kind}"))
    text = report.message or text
    return f"{name}: {text}" if text else name
