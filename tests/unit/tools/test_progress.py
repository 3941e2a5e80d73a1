"""What a step says: on a terminal, elsewhere, and to whoever wants to hear nothing."""

from __future__ import annotations

import io
import re
import threading

import pytest

from compiler import progress
from compiler.progress import QUIET, Step
from tests.harness.guest import PATIENCE


class Stream(io.StringIO):
    """Tells when a text is on it."""

    def __init__(self) -> None:
        super().__init__()
        self.wanted = ""
        self.is_there = threading.Event()

    def write(self, text: str) -> int:
        count = super().write(text)
        if self.wanted and self.wanted in self.getvalue():
            self.is_there.set()
        return count


class Terminal(Stream):
    def isatty(self) -> bool:
        return True


def drawn_by(step: Step, stream: Stream, wanted: str) -> str:
    """Let it work until the text is there; what is on the stream in the end."""
    stream.wanted = wanted
    with step:
        step.show(3, 12, "kernel.fs")
        assert stream.is_there.wait(60 * PATIENCE), stream.getvalue()
    return stream.getvalue()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "SHOWN_AFTER_S", 0.001)
    monkeypatch.setattr(progress, "PLAIN_AFTER_S", 0.001)
    monkeypatch.setattr(progress, "MENTIONED_FROM_S", 0.0)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv(QUIET, raising=False)


def test_a_terminal_has_a_bar_that_goes_away() -> None:
    stream = Terminal()
    text = drawn_by(Step("compile", stream), stream, "kernel.fs")
    assert "\r\x1b[Kkrait: compile [######..................] 3/12 kernel.fs" in text
    assert re.search(r"\r\x1b\[Kkrait: compile: \d+\.\d s\n\Z", text) and text.count("\n") == 1


def test_a_narrow_terminal_has_no_second_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    stream = Terminal()
    assert "[#" not in drawn_by(Step("compile it all", stream), stream, "krait: compile it a").replace("\x1b[K", "")


def test_plain_lines_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Stream()
    text = drawn_by(Step("compile", stream), stream, "3 of 12")
    assert "krait: compile: 3 of 12, 0 s so far\n" in text and "\r" not in text and "\x1b" not in text
    monkeypatch.setenv("TERM", "dumb")
    stream = Terminal()
    assert "\r" not in drawn_by(Step("compile", stream), stream, "3 of 12")


def test_nothing_if_it_is_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "MENTIONED_FROM_S", 1000.0)
    monkeypatch.setattr(progress, "SHOWN_AFTER_S", 1000.0)
    stream = Terminal()
    with Step("compile", stream):
        pass
    assert stream.getvalue() == ""


def test_nothing_for_the_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(QUIET, "1")
    stream = Terminal()
    threads = threading.active_count()
    with Step("compile", stream) as step:
        step.show(1, 2, "x")
        assert threading.active_count() == threads  # nobody is there to draw
    assert stream.getvalue() == ""


def test_a_step_that_fails_is_not_said_to_be_done() -> None:
    stream = Terminal()
    with pytest.raises(KeyError), Step("compile", stream):
        raise KeyError
    assert "compile: " not in stream.getvalue()
