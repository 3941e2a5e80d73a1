"""Show what takes time and how far it is: a line that is redrawn on a terminal, plain lines elsewhere, nothing if that
is switched off (`-q`, or KRAIT_QUIET).

    with Step("compile") as step:
        step.show(3, 120, "kernel.fs")

Work that is over before anybody could read a word is not mentioned. Has the standard library alone, because what
installs everything else uses it too (tools/setup.py).
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from types import TracebackType
from typing import TextIO

QUIET = "KRAIT_QUIET"  # in the environment, so that it holds for children
BAR = 24  # letters
SHOWN_AFTER_S = 0.3
REDRAWN_AFTER_S = 0.1
PLAIN_AFTER_S = 10.0  # from one plain line about a step to the next
MENTIONED_FROM_S = 1.0


def be_quiet() -> None:
    """From now on, here and in children."""
    os.environ[QUIET] = "1"


class Step:
    """One piece of work. A thread draws, so that work which cannot say how far it is shows its seconds at least."""

    def __init__(self, what: str, stream: TextIO | None = None) -> None:
        self.what = what
        self._stream = stream or sys.stderr
        self._is_drawn = self._stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self._done = self._total = 0
        self._name = ""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._draw_until_end, daemon=True)

    def __enter__(self) -> Step:
        self._started = time.monotonic()
        if not os.environ.get(QUIET):
            self._thread.start()
        return self

    def show(self, done: int, total: int, name: str = "") -> None:
        """How far it is, and what was last."""
        self._done, self._total, self._name = done, total, name

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        if not self._thread.is_alive():
            return
        self._thread.join()
        seconds = time.monotonic() - self._started
        if error is None and seconds >= MENTIONED_FROM_S:
            self._print(f"krait: {self.what}: {seconds:.1f} s\n")

    def _draw_until_end(self) -> None:
        wait = SHOWN_AFTER_S if self._is_drawn else PLAIN_AFTER_S
        is_shown = False
        while not self._ended.wait(wait):
            is_shown = True
            seconds = f"{time.monotonic() - self._started:.0f} s"
            if self._is_drawn:
                self._print(f"\r\x1b[K{self._line(seconds)[: shutil.get_terminal_size().columns - 1]}")
                wait = REDRAWN_AFTER_S
            else:
                far = f"{self._done} of {self._total}, " if self._total else ""
                self._print(f"krait: {self.what}: {far}{seconds} so far\n")
        if is_shown and self._is_drawn:
            self._print("\r\x1b[K")

    def _line(self, seconds: str) -> str:
        if not self._total:
            return f"krait: {self.what} … {seconds}"
        full = BAR * self._done // self._total
        return f"krait: {self.what} [{'#' * full}{'.' * (BAR - full)}] {self._done}/{self._total} {self._name}"

    def _print(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
