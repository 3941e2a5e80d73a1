"""Record a terminal session with Krait: `python -m tools.site.recording [-o DIRECTORY]` writes session.cast, which
asciinema plays (version 2 of its format), and session.svg, the screen at its end.

The session is real: a shell at a pseudo terminal, machines in QEMU. Letters are typed as fast as they appear; in the
recording they have the pace of a person, and no pause is longer than `LONGEST_PAUSE_S`.

Source: the format is described in asciinema's manual, "asciicast v2".
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from dataclasses import dataclass, field
from html import escape
from itertools import groupby
from pathlib import Path

import pyte
from pyte.screens import Char

from tools.paths import BUILD, ROOT
from tools.site.screen import Screen

COLUMNS, ROWS = 80, 24
PROMPT = "$ "
LETTER_S, LONGEST_PAUSE_S = 0.05, 1.0
TITLE = "A session with Krait"
CAST, PICTURE = "session.cast", "session.svg"
# What is typed, and what is then on the screen.
SCRIPT = (
    ("krait run busybox uname -sr", r"^Linux 6\.12\.0-krait$"),
    ("echo 'hello krait' | krait run busybox tr a-z A-Z", r"^HELLO KRAIT$"),
    ("krait run -d --name demo busybox sleep 1000", r"^demo$"),
    ("krait exec demo ps", r"^ +\d+ root .* sleep 1000$"),
    ("krait kill demo && krait rm demo", r"^demo\ndemo$"),
    ("krait python --append quiet -c 'print(init.getpid(), init.mkdir(\"/tmp/a\", 0o755))'", r"^1 0$"),
)

LETTER_WIDTH, LINE_HEIGHT, EDGE = 8.4, 18, 12
INK, PAPER = "#d8dee9", "#20252e"
COLOURS = {
    "default": INK, "black": "#4c566a", "red": "#e06c75", "green": "#98c379", "brown": "#e5c07b", "blue": "#61afef",
    "magenta": "#c678dd", "cyan": "#56b6c2", "white": "#eceff4",
}  # fmt: skip


@dataclass
class Recording:
    """What the terminal got, and when: seconds since the beginning, and text."""

    events: list[tuple[float, str]] = field(default_factory=list)
    clock: float = 0.0
    is_typing: bool = False
    _seen: int = 0
    _last: float = field(default_factory=time.monotonic)

    def take(self, text: str) -> None:
        now = time.monotonic()
        self.clock += LETTER_S if self.is_typing else min(now - self._last, LONGEST_PAUSE_S)
        self._last = now
        self.events.append((self.clock, text))

    def has_grown(self) -> bool:
        """Whether there are events since it was last asked."""
        count, self._seen = self._seen, len(self.events)
        return self._seen > count

    def cast(self) -> str:
        header = {"version": 2, "width": COLUMNS, "height": ROWS, "title": TITLE, "env": {"TERM": "xterm-256color"}}
        lines = [header, *([round(when, 3), "o", text] for when, text in self.events)]
        return "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines)


def record(directory: Path, patience: float = 60.0) -> tuple[Recording, pyte.Screen]:
    """Type the script, with `directory` for what belongs to the session. Raises ScreenError if it does not do what it
    should within `patience` seconds a command.
    """
    (directory / "bin").mkdir()
    (directory / "bin" / "krait").symlink_to(ROOT / "krait")
    environment = {**os.environ, "PATH": f"{directory / 'bin'}:{os.environ['PATH']}", "XDG_RUNTIME_DIR": str(directory),
                   "KRAIT_QUIET": "1", "PS1": PROMPT, "TERM": "xterm-256color"}  # fmt: skip
    recording = Recording()
    screen = Screen(["bash", "--noprofile", "--norc", "--noediting", "-i"], columns=COLUMNS, rows=ROWS,
                    environment=environment, directory=directory, patience=patience, watch=recording.take)  # fmt: skip
    try:
        screen.wait_until(lambda: screen.line() == PROMPT, "prompt")
        for command, shown in SCRIPT:
            recording.has_grown()
            recording.is_typing = True
            for letter in command:
                screen.type(letter)
                screen.wait_until(recording.has_grown, f"echo of {letter!r}")
            recording.is_typing = False
            screen.type("\r")
            screen.wait_for(shown)
            screen.wait_until(lambda: screen.line() == PROMPT, "prompt")
    finally:
        screen.close()
    return recording, screen.screen


def picture(screen: pyte.Screen) -> str:
    """The screen as SVG."""
    width, height = COLUMNS * LETTER_WIDTH + 2 * EDGE, ROWS * LINE_HEIGHT + 2 * EDGE
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" '
        f'font-family="ui-monospace, monospace" font-size="14" xml:space="preserve">',
        f"<title>{escape(TITLE)}</title>",
        f'<rect width="{width:.0f}" height="{height}" rx="8" fill="{PAPER}"/>',
    ]
    for number in range(ROWS):
        letters = [(column, screen.buffer[number][column]) for column in range(COLUMNS)]
        for style, run in groupby(letters, key=lambda each: _style(each[1])):
            cells = [*run]
            text = "".join(letter.data for _, letter in cells).rstrip()
            if text:
                x, y = EDGE + cells[0][0] * LETTER_WIDTH, EDGE + number * LINE_HEIGHT + 14
                size = len(text) * LETTER_WIDTH
                parts.append(f'<text x="{x:.1f}" y="{y}" textLength="{size:.1f}"{style}>{escape(text)}</text>')
    parts.append("</svg>\n")
    return "\n".join(parts)


def _style(letter: Char) -> str:
    colour = COLOURS.get(letter.fg.removeprefix("bright"), f"#{letter.fg}")
    return f' fill="{colour}"' + (' font-weight="bold"' if letter.bold else "")


def write(place: Path) -> None:
    """Record, and write both files into a directory."""
    with tempfile.TemporaryDirectory(prefix="krait-session-") as directory:
        recording, screen = record(Path(directory))
    place.mkdir(parents=True, exist_ok=True)
    (place / CAST).write_text(recording.cast())
    (place / PICTURE).write_text(picture(screen))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.site.recording", description="Record a terminal session.")
    parser.add_argument("-o", "--output", type=Path, default=BUILD / "recording", help="directory (build/recording)")
    options = parser.parse_args()
    write(options.output)
    print(options.output / PICTURE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
