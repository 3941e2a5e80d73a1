"""The serial line of a guest under test: how it is read, without a guest."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tests.harness.guest import GATHERING_SECONDS, MOST_GATHERING_SECONDS, Guest

PIECE = b"." * 1000


class Line:
    """A line whose other end says these pieces, one for each call."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self.pieces = pieces

    def recv(self, size: int) -> bytes:
        return next(self.pieces, b"")


def read(monkeypatch: pytest.MonkeyPatch, pieces: Iterator[bytes], cursor: int = 0) -> tuple[Guest, list[float]]:
    """A guest with a log of what its line said, and how long its reader paused after each piece."""
    made = Guest.__new__(Guest)
    vars(made).update(_serial=Line(pieces), _log=bytearray(), _cursor=cursor, _news=threading.Condition(),
                      _line_closed=False)  # fmt: skip
    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)
    made._read_line()
    return made, pauses


def test_all_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    made, _ = read(monkeypatch, iter([b"one\r\n", b"two\r\n", b"three"]))
    assert made.log == "one\ntwo\nthree"
    assert made.expect("^two\r\n").start() == 5
    assert made.expect("three").start() == 0


def test_bytes_gather_for_longer_the_more_there_is_to_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that what is searched again and again is no more than a part of what a processor could search meanwhile."""
    _, pauses = read(monkeypatch, iter([PIECE] * 2000))
    assert pauses == sorted(pauses)
    assert GATHERING_SECONDS <= pauses[0] < 2 * GATHERING_SECONDS
    assert pauses[-1] == MOST_GATHERING_SECONDS


def test_what_was_matched_makes_no_byte_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    _, pauses = read(monkeypatch, iter([PIECE] * 2000), cursor=1_999_000)
    assert pauses[-1] < 2 * GATHERING_SECONDS
