"""A program at a pseudo terminal, typed at, and what its screen shows: pexpect has the terminal, pyte the screen."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pexpect
import pyte

# Questions and settings that pyte takes for text: keys as kitty reports them, and the like.
UNKNOWN = re.compile(r"\x1b\[[<=>][0-9;]*[a-zA-Z]|\x1b\[\?[0-9;]*u|\x1b[P_^].*?\x1b\\", re.DOTALL)
UNFINISHED = re.compile(r"\x1b(\[[<=>?0-9;]*|[P_^][^\x1b]*\x1b?)?\Z")


class ScreenError(Exception):
    """The program did not show what was waited for; the text has what it showed instead."""


class _Answering(pyte.Screen):
    """A screen that answers a program's questions about the terminal."""

    def __init__(self, columns: int, lines: int, answer: Callable[[str], object]) -> None:
        super().__init__(columns, lines)
        self._answer = answer

    def write_process_input(self, data: str) -> None:
        self._answer(data)


class Screen:
    """A running program. `watch` gets its output piece by piece, as text."""

    def __init__(
        self, command: list[str], *, columns: int = 80, rows: int = 24, environment: Mapping[str, str] | None = None,
        directory: Path | None = None, patience: float = 30.0, watch: Callable[[str], object] | None = None,
    ) -> None:  # fmt: skip
        self.patience = patience  # seconds to wait for anything
        self._watch = watch
        self._process = pexpect.spawn(
            command[0], command[1:], dimensions=(rows, columns), cwd=directory, timeout=patience, echo=True,
            env=None if environment is None else dict(environment), encoding="utf-8", codec_errors="replace",
        )  # fmt: skip
        self._process.delaybeforesend = None
        self._screen = _Answering(columns, rows, self._process.send)
        self._stream = pyte.Stream(self._screen)
        self._rest = ""  # an escape sequence whose end has not come yet

    @property
    def screen(self) -> pyte.Screen:
        return self._screen

    def lines(self) -> list[str]:
        """Without blanks at the ends of lines, and without empty lines at the end."""
        shown = [line.rstrip() for line in self._screen.display]
        while shown and not shown[-1]:
            shown.pop()
        return shown

    def text(self) -> str:
        return "\n".join(self.lines())

    def line(self) -> str:
        """The line with the cursor, up to it."""
        return self._screen.display[self._screen.cursor.y][: self._screen.cursor.x]

    def type(self, text: str) -> None:
        self._process.send(text)

    def wait_until(self, holds: Callable[[], bool], what: str) -> None:
        """Raises ScreenError if it never holds, or the program ends before."""
        deadline = time.monotonic() + self.patience
        while not holds():
            if not self._read(deadline - time.monotonic()) and not holds():
                raise ScreenError(f"there was no {what}, but:\n{self.text()}")

    def wait_for(self, pattern: str) -> None:
        """A regular expression, somewhere on the screen."""
        self.wait_until(lambda: re.search(pattern, self.text(), re.MULTILINE) is not None, repr(pattern))

    def wait_for_end(self) -> int:
        """The program's exit status. Raises ScreenError."""
        deadline = time.monotonic() + self.patience
        while self._read(deadline - time.monotonic()):
            pass
        if time.monotonic() >= deadline:
            raise ScreenError(f"the program did not end, but showed:\n{self.text()}")
        self._process.wait()
        number = self._process.signalstatus
        return (self._process.exitstatus or 0) if number is None else -number

    def close(self) -> None:
        """End the program, if it has not ended."""
        self._process.close(force=True)

    def _read(self, seconds: float) -> bool:
        """Take what the program prints next. False: nothing in this time, or it has ended."""
        try:
            text = self._process.read_nonblocking(1 << 16, max(0.0, seconds))
        except (pexpect.EOF, pexpect.TIMEOUT):
            return False
        if self._watch is not None:
            self._watch(text)
        text = self._rest + text
        cut = UNFINISHED.search(text)
        self._rest = text[cut.start() :] if cut else ""
        self._stream.feed(UNKNOWN.sub("", text[: len(text) - len(self._rest)]))
        return True
