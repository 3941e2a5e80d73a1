"""The line discipline: editing, echo, signals and reading, as a person at the terminal sees them."""

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from kernel.tty.discipline import QUEUE_LIMIT, SIGINT, LineDiscipline
from kernel.tty.termios import ECHO, ICANON, ICRNL, IUTF8, IXON, Termios
from tests.unit.scarcity import Scarcity


def typed(text: bytes) -> LineDiscipline:
    discipline = LineDiscipline(Termios())
    for byte in text:
        discipline.receive(byte)
    return discipline


def test_return_ends_a_line_and_is_echoed_as_return_and_newline() -> None:
    discipline = typed(b"ls\r")
    assert bytes(discipline.output) == b"ls\r\n"
    assert discipline.readable()
    assert discipline.take(100) == b"ls\n"
    assert not discipline.readable()


@given(st.lists(st.binary(max_size=40), max_size=10), st.booleans())
def test_bytes_together_are_bytes_one_by_one(parts: list[bytes], raw: bool) -> None:
    together, single = LineDiscipline(Termios()), LineDiscipline(Termios())
    for discipline in (together, single):
        if raw:
            discipline.settings.local = 0
            discipline.settings.input = 0
    for part in parts:
        together.receive_all(part)
        for byte in part:
            single.receive(byte)
    assert (together.queue, together.marks, together.output) == (single.queue, single.marks, single.output)
    assert (together.line_count, together.signals) == (single.line_count, single.signals)
    assert together.room() == single.room()


def test_a_line_is_read_in_parts() -> None:
    discipline = typed(b"hello\rworld\r")
    assert discipline.available() == 12
    assert discipline.take(3) == b"hel"
    assert discipline.take(100) == b"lo\n"
    assert discipline.take(100) == b"world\n"


def test_erase_removes_the_character_from_queue_and_screen() -> None:
    discipline = typed(b"ab\x7f\r")
    assert discipline.take(10) == b"a\n"
    assert bytes(discipline.output) == b"ab\b \b\r\n"


def test_erase_stops_at_the_start_of_the_line() -> None:
    discipline = typed(b"x\r\x7f\x7fy\r")
    assert discipline.take(10) == b"x\n"
    assert discipline.take(10) == b"y\n"


def test_control_characters_take_two_columns() -> None:
    discipline = typed(b"\x01\x7f")
    assert bytes(discipline.output) == b"^A\b \b\b \b"


def test_kill_and_word_erase() -> None:
    assert typed(b"one two\x17x\r").take(99) == b"one x\n"
    assert typed(b"one two\x15x\r").take(99) == b"x\n"


def test_end_of_file_returns_what_was_typed_then_nothing() -> None:
    discipline = typed(b"ab\x04\x04")
    assert discipline.take(10) == b"ab"
    assert discipline.readable()
    assert discipline.take(10) == b""
    assert not discipline.readable()


def test_interrupt_key_flushes_and_signals() -> None:
    discipline = typed(b"half a line\x03")
    assert discipline.signals == [SIGINT]
    assert len(discipline.queue) == 0
    assert bytes(discipline.output) == b"^C"


def test_quoted_control_character_is_data() -> None:
    assert typed(b"\x16\x03\r").take(10) == b"\x03\n"


def is_stopped(discipline: LineDiscipline) -> bool:
    return discipline.stopped


def test_stop_and_start_keys() -> None:
    discipline = typed(b"\x13")
    assert is_stopped(discipline)
    discipline.receive(0x11)
    assert not is_stopped(discipline)
    assert len(discipline.queue) == 0


def test_raw_mode_passes_everything() -> None:
    settings = Termios()
    settings.local = 0
    settings.input = 0
    discipline = LineDiscipline(settings)
    for byte in range(256):
        discipline.receive(byte)
    assert discipline.take(300) == bytes(range(256))
    assert len(discipline.output) == 0


def test_leaving_canonical_mode_frees_a_partial_line() -> None:
    discipline = typed(b"partial")
    assert not discipline.readable()
    old = discipline.settings.local
    discipline.settings.local &= ~ICANON
    discipline.settings_changed(old)
    assert discipline.take(100) == b"partial"


@given(st.binary(max_size=6000))
def test_queue_and_marks_stay_together(data: bytes) -> None:
    discipline = typed(data)
    assert len(discipline.queue) == len(discipline.marks) <= QUEUE_LIMIT + 1
    assert discipline.line_count == sum(1 for mark in discipline.marks if mark != 0)
    total = 0
    while discipline.readable():
        total += len(discipline.take(7)) + 1
        assert total < 20_000


def test_queue_and_marks_stay_together_without_memory() -> None:
    places = 0
    while True:
        discipline = LineDiscipline(Termios())
        with Scarcity(places + 1, room="tty") as scarcity, contextlib.suppress(MemoryError):
            for byte in b"text\n":
                discipline.receive(byte)
        assert len(discipline.queue) == len(discipline.marks), scarcity.where
        if not scarcity.where:
            break
        places += 1
    assert places >= 10


def test_raw_bytes_have_marks_without_memory() -> None:
    for place in (1, 2):
        discipline = LineDiscipline(Termios())
        discipline.settings.local = 0
        discipline.settings.input = 0
        discipline.receive_all(b"ab")
        with Scarcity(place, room="tty") as scarcity, contextlib.suppress(MemoryError):
            discipline.receive_all(b"cdef")
        assert bytes(discipline.queue) == (b"ab" if scarcity.where else b"abcdef")  # compiled, it grows without objects
        assert len(discipline.marks) == len(discipline.queue)


@given(st.binary(max_size=200).filter(lambda b: not set(b) & {3, 4, 8, 21, 22, 23, 26, 28, 127, 17, 18, 19, 13, 10, 0}))
def test_plain_text_comes_through_unchanged(data: bytes) -> None:
    settings = Termios()
    settings.local &= ~ECHO
    settings.input &= ~(ICRNL | IXON)
    discipline = LineDiscipline(settings)
    for byte in data:
        discipline.receive(byte)
    discipline.receive(10)
    assert discipline.take(4096) == data + b"\n"


@given(
    st.lists(st.sampled_from((b"\t", b"a", b"xy", b"\x01", b"\xc3\xa9")), max_size=40),
    st.integers(0, 9),
    st.booleans(),
)
def test_erasing_brings_the_cursor_back(parts: list[bytes], prompt: int, utf8: bool) -> None:
    discipline = LineDiscipline(Termios())
    if utf8:
        discipline.settings.input |= IUTF8
    discipline.transform_output(b"p" * prompt)
    columns = []
    for part in parts:
        for byte in part:
            columns.append(discipline.column)
            discipline.receive(byte)
            if utf8 and byte & 0xC0 == 0x80:
                columns.pop()  # one character, one erasure
    while columns:
        discipline.receive(0x7F)
        assert discipline.column == columns.pop()
    assert discipline.column == prompt and len(discipline.queue) == 0


def test_reprinting_is_not_echoed_without_end() -> None:
    discipline = typed(b"a" * 4000)
    discipline.output.clear()
    for _ in range(64):
        discipline.receive(18)  # VREPRINT
    assert len(discipline.output) < 3 * QUEUE_LIMIT
