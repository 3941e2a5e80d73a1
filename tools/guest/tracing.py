"""`krait trace`: the system calls of a program and its children, as the kernel prints them to its log.

The kernel traces everybody. Of its log, which comes by the serial line in pieces, the calls of the agent are left out,
and those that it makes in the program's place until it executes it.
"""

from __future__ import annotations

import re

_LINE = re.compile(rb"\[ *\d+\.\d+\] (\[(\d+)\] (\w+)\(.*|system call \d+\(.*)")
_AGENT = b"1"
_EXECUTE = b"execve"


class CallFilter:
    """Picks calls out of the log. `calls` are the names that were asked for; none means all."""

    def __init__(self, calls: tuple[str, ...]) -> None:
        self._calls = frozenset(name.encode() for name in calls)
        self._has_program = False
        self._held = b""

    @property
    def parameter(self) -> str:
        """What the kernel is to trace. When a program is executed must be known in any case."""
        if not self._calls:
            return "trace=all"
        return "trace=" + ",".join(sorted({*(name.decode() for name in self._calls), _EXECUTE.decode()}))

    def feed(self, data: bytes) -> bytes:
        """The lines that are whole now, and are to be shown."""
        *lines, self._held = (self._held + data).replace(b"\r\n", b"\n").split(b"\n")
        return b"".join(line + b"\n" for line in map(self._shown, lines) if line is not None)

    def _shown(self, line: bytes) -> bytes | None:
        match = _LINE.fullmatch(line)
        if match is None or match[2] == _AGENT:
            return None
        self._has_program = self._has_program or match[3] == _EXECUTE
        if not self._has_program or (self._calls and match[3] not in self._calls):
            return None
        return match[1]
