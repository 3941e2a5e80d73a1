"""Scripts: the first line of a file that begins with #! (execve(2), "Interpreter scripts")."""

from typing import Final

from kernel.lang import ENOEXEC, Errno, final

_LINE_LIMIT: Final = 255  # Linux's limit, not counting the last byte
_SPACE: Final = 0x20
_TAB: Final = 0x09
_NEWLINE: Final = 0x0A


@final
class Script:
    """An interpreter, and at most one argument for it."""

    def __init__(self, interpreter: bytes, argument: bytes) -> None:
        self.interpreter: bytes = interpreter
        self.argument: bytes = argument


def _is_blank(byte: int) -> bool:
    return byte == _SPACE or byte == _TAB


def parse_script(head: bytes) -> Script:
    """Parse the line: everything after the interpreter is one argument, blanks included. Raises ENOEXEC."""
    end = head.find(b"\n")
    truncated = False
    if end < 0:
        end = min(len(head), _LINE_LIMIT)
        truncated = len(head) > _LINE_LIMIT
    while end > 2 and (_is_blank(head[end - 1]) or head[end - 1] == 0):
        end -= 1
    start = 2
    while start < end and _is_blank(head[start]):
        start += 1
    stop = start
    while stop < end and not _is_blank(head[stop]) and head[stop] != 0:
        stop += 1
    if stop == start or (truncated and stop == end):
        raise Errno(ENOEXEC)  # no name, or one that may continue past the bytes read
    rest = stop
    while rest < end and _is_blank(head[rest]):
        rest += 1
    return Script(head[start:stop], head[rest:end])
