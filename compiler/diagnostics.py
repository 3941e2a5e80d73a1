"""How errors in the source are shown: one line that tools can read, the source with a caret, a hint.

kernel/fs/walk.py:41:12: error KP113: the kernel has no floats
   41 |     delay = 0.5
      |             ^^^
  hint: use an int in a smaller unit (ns, bytes, 1/1000)
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from compiler.hints import HINTS
from compiler.tree import Diagnostic, Loc

INTERNAL = "KP999"
LONGEST = 160  # of a source line, as far as it is shown

_RED = "\x1b[1;31m"
_BLUE = "\x1b[1;34m"
_GREEN = "\x1b[1;32m"
_BOLD = "\x1b[1m"
_PLAIN = "\x1b[0m"

# mypy's error codes that get a code and a hint of their own; all others are KP101.
_TYPE_ERRORS: dict[str, tuple[str, str]] = {
    "syntax": ("KP100", ""),
    "union-attr": ("KP102", "test for None (or with isinstance) before you use it"),
    "import-not-found": ("KP103", "check the spelling; modules are looked up from the root of the kernel's sources"),
    "name-defined": ("KP104", "define it, or import it"),
    "attr-defined": ("KP105", ""),
    "call-arg": ("KP106", ""),
    "no-untyped-def": ("KP132", "annotate its parameters and its result"),
    "no-untyped-call": ("KP132", "annotate the parameters and the result of what is called"),
    "no-any-return": ("KP111", "annotate it; Kernel Python has no Any"),
    "var-annotated": ("KP110", "annotate the variable"),
    "type-arg": ("KP107", "say what it holds: list[int], dict[bytes, Inode]"),
    "return": ("KP108", "return a value on every path"),
    "override": ("KP109", "an override takes and gives what the base class's method does"),
}
_CODE = re.compile(r"\s*\[([a-z-]+)\]$")


def type_error(text: str, loc: Loc) -> Diagnostic:
    """A diagnostic for a message of mypy, which ends in its own code in brackets."""
    found = _CODE.search(text)
    code, hint = _TYPE_ERRORS.get(found.group(1), ("KP101", "")) if found else ("KP101", "")
    message = _CODE.sub("", text)
    if "Unsupported operand types for" in message and '"u64"' in message and '"int"' in message:
        hint = "u64 and int do not mix: write u64(x) to wrap, or int(x) to check"
    elif 'expression has type "u64"' in message or 'has incompatible type "u64"; expected "int"' in message:
        hint = "int(x) converts a u64 with a check"
    return Diagnostic(code, loc, message, hint)


def internal_error(error: BaseException, loc: Loc) -> Diagnostic:
    """The diagnostic for an unexpected exception of the compiler; `loc` is what it was working on."""
    place = ""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is not None:
        place = f" ({Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno})"
    message = f"internal compiler error: {type(error).__name__}: {error}{place}"
    return Diagnostic(INTERNAL, loc, message, "this is a fault of the compiler, not of the source")


def render(diagnostic: Diagnostic, sources: Mapping[str, Sequence[str]] | None = None, colour: bool = False) -> str:
    """The text of a diagnostic. Lines come from `sources` (by path), or from the file."""
    loc = diagnostic.loc
    place = _place(loc)
    head = f"error {diagnostic.code}:"
    if colour:
        place, head = f"{_BOLD}{place}{_PLAIN}", f"{_RED}{head}{_PLAIN}"
    lines = [f"{place}: {head} {diagnostic.message}" if place else f"{head} {diagnostic.message}"]
    lines += _excerpt(loc, sources or {}, _RED if colour else "")
    hint = diagnostic.hint or HINTS.get(diagnostic.code)
    if hint:
        lines.append(f"  {_GREEN}hint:{_PLAIN} {hint}" if colour else f"  hint: {hint}")
    for where, text in diagnostic.notes:
        label = f"{_BLUE}note:{_PLAIN}" if colour else "note:"
        at = (
            f"{_place(where)}: "
            if where is not None and where.line > 0 and (where.path, where.line) != (loc.path, loc.line)
            else ""
        )
        lines.append(f"  {label} {at}{text}")
    return "\n".join(lines)


def render_all(
    diagnostics: Iterable[Diagnostic], sources: Mapping[str, Sequence[str]] | None = None, colour: bool = False
) -> str:
    """All diagnostics in the order of their places, each once, with a count at the end."""
    ordered = sorted(diagnostics, key=lambda d: (d.loc.path, d.loc.line, d.loc.column, d.code))
    texts = list(dict.fromkeys(render(d, sources, colour) for d in ordered))
    count = f"{len(texts)} error{'' if len(texts) == 1 else 's'}"
    return "\n".join([*texts, count]) + "\n"


def _place(loc: Loc) -> str:
    """`path:line:column` with a path relative to the working directory where that is shorter."""
    if not loc.path:
        return ""
    path = loc.path
    if os.path.isabs(path):
        relative = os.path.relpath(path)
        if not relative.startswith(".."):
            path = relative
    return f"{path}:{loc.line}:{loc.column + 1}" if loc.line > 0 else path


def _excerpt(loc: Loc, sources: Mapping[str, Sequence[str]], colour: str) -> list[str]:
    """The source line, and carets under the part that is meant."""
    line = _source_line(loc, sources)
    if line is None:
        return []
    end = loc.end_column if loc.end_line == loc.line and loc.end_column > loc.column else 0
    if loc.end_line > loc.line:
        end = len(line.rstrip())
    width = max(1, min(end, len(line.rstrip())) - loc.column)
    line, column, width = _around(line.rstrip(), loc.column, width)
    # Keep tabs, so that the carets stand below the right characters.
    margin = "".join("\t" if c == "\t" else " " for c in line[:column])
    carets = "^" * width
    number = f"{loc.line:>5}"
    return [f"{number} | {line.rstrip()}", f"{' ' * len(number)} | {margin}{colour}{carets}{_PLAIN if colour else ''}"]


def _around(line: str, column: int, width: int) -> tuple[str, int, int]:
    """The relevant part of a very long line, the column in it, and how much of it is marked."""
    if len(line) <= LONGEST:
        return line, column, width
    start = max(0, min(column - LONGEST // 4, len(line) - LONGEST))
    part = line[start : start + LONGEST]
    if start > 0:
        part = "…" + part[1:]
    if start + LONGEST < len(line):
        part = part[:-1] + "…"
    return part, column - start, max(1, min(width, LONGEST - (column - start)))


def _source_line(loc: Loc, sources: Mapping[str, Sequence[str]]) -> str | None:
    lines = sources.get(loc.path)
    if lines is None:
        try:
            lines = Path(loc.path).read_text(encoding="utf-8", errors="replace").splitlines()
        except (OSError, ValueError):
            return None
    return lines[loc.line - 1] if 0 < loc.line <= len(lines) else None
