"""Byte strings, text and hashes of the run-time library against Python's own."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.lower.text import printable_borders
from kernel.lang.runtime import byte_strings as b
from kernel.lang.runtime import text as t
from kernel.lang.runtime.containers import List
from kernel.lang.runtime.hashing import MASK, hash_bytes, hash_int, hash_str

SHORT = st.lists(st.sampled_from(b"ab /\n"), max_size=24).map(bytes)
INTS = st.one_of(st.integers(-300, 300), st.integers(-(2**63), 2**63 - 1))
PLACES = st.integers(-30, 30)
BASES = [(2, "b"), (8, "o"), (10, "d"), (16, "x"), (16, "X")]


def listed(parts: List[bytes]) -> list[bytes]:
    return [parts[i] for i in range(len(parts))]


@settings(max_examples=400, deadline=None)
@given(SHORT, st.lists(st.sampled_from(b"ab /"), max_size=3).map(bytes), PLACES, PLACES)
def test_byte_strings(data: bytes, part: bytes, start: int, stop: int) -> None:
    assert b.bytes_slice(data, start, stop) == data[start:stop]
    assert b.bytes_find(data, part) == data.find(part)
    assert b.bytes_find(data, part, start) == data.find(part, start)
    assert b.bytes_rfind(data, part) == data.rfind(part)
    assert b.bytes_count(data, part) == data.count(part)
    assert b.bytes_contains(data, part) == (part in data)
    assert b.bytes_startswith(data, part) == data.startswith(part)
    assert b.bytes_endswith(data, part) == data.endswith(part)
    assert b.bytes_equal(data, part) == (data == part)
    assert (b.bytes_compare(data, part) < 0) == (data < part)
    assert b.bytes_concat(data, part) == data + part
    assert b.bytes_repeat(part, start // 5) == part * (start // 5)
    assert b.bytes_strip(data) == data.strip()
    assert b.bytes_lstrip(data, part) == data.lstrip(part)
    assert b.bytes_rstrip(data, part) == data.rstrip(part)
    assert listed(b.bytes_split_spaces(data)) == data.split()
    assert listed(b.bytes_split_spaces(data, abs(start))) == data.split(None, abs(start))
    assert b.bytes_find_value(data, 32, start) == data.find(32, start)
    if part:
        assert listed(b.bytes_split(data, part)) == data.split(part)
        assert listed(b.bytes_split(data, part, abs(start) % 4)) == data.split(part, abs(start) % 4)
    parts = b.bytes_split(data, b"a")
    assert b.bytes_join(part, parts) == part.join(data.split(b"a"))
    assert (97 in data) == b.bytes_contains_byte(data, 97)


def test_long_byte_strings_compare_word_by_word() -> None:
    for length in range(40):
        data = bytes(range(length))
        assert b.bytes_equal(data, bytes(bytearray(data)))
        for place in range(length):
            other = bytearray(data)
            other[place] ^= 128
            assert not b.bytes_equal(data, bytes(other))
            assert (b.bytes_compare(data, bytes(other)) < 0) == (data < bytes(other))


@given(INTS, st.sampled_from([2, 8, 10, 16]))
def test_parse_int(value: int, base: int) -> None:
    digits = {2: "b", 8: "o", 10: "d", 16: "x"}[base]
    assert t.int_parse(f" {value:{digits}}\n".encode(), base) == value
    if base != 10:
        assert t.int_parse(f"{value:#{digits}}".encode(), base) == value


@pytest.mark.parametrize("text", [b"", b"-", b"12x", b"0x", b"9 9", b"+-3"])
def test_parse_int_traps(text: bytes) -> None:
    with pytest.raises(ValueError):
        int(text)
    with pytest.raises((ValueError, OverflowError)):
        t.int_parse(text)


@settings(max_examples=300, deadline=None)
@given(INTS, st.sampled_from(BASES), st.integers(0, 70), st.booleans(), st.booleans())
def test_int_formats(value: int, base: tuple[int, str], width: int, zero_pad: bool, alternate: bool) -> None:
    builder = t.TextBuilder()
    builder.add_int(value, base[0], width, zero_pad, base[1] == "X", alternate)
    padding = f"0{width}" if zero_pad and width else str(width or "")
    assert builder.finish() == f"{value:{'#' if alternate else ''}{padding}{base[1]}}"
    builder.add_int(value, base[0], -width, False, base[1] == "X", alternate)
    assert builder.finish() == f"{value:<{'#' if alternate else ''}{width or ''}{base[1]}}"
    assert t.text_of_int(value) == str(value)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=20), st.text(max_size=20), st.integers(0, 30))
def test_texts(left: str, right: str, width: int) -> None:
    assert t.str_concat(left, right) == left + right
    assert t.str_equal(left, right) == (left == right)
    assert (t.str_compare(left, right) < 0) == (left < right)
    assert t.str_length(left) == len(left)
    assert t.bytes_decode(left.encode()) == left
    builder = t.TextBuilder()
    builder.add_str(left, width)
    builder.add_str(right, -width)
    assert builder.finish() == f"{left:<{width}}{right:>{width}}"


@given(st.characters(codec="utf-8"))
def test_characters(character: str) -> None:
    assert t.str_ord(character) == ord(character)
    assert t.int_chr(ord(character)) == character


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=12))
def test_utf8(data: bytes) -> None:
    try:
        data.decode()
    except UnicodeDecodeError:
        assert not t.is_utf8(data)
    else:
        assert t.is_utf8(data)


CHARACTERS = "ab'\"\\\n\t\x00ä\x85\xa0\u200b\u2028\ue000\U0001f40d\U000e0001"


@given(st.binary(max_size=30), st.text(alphabet=CHARACTERS, max_size=12))
def test_reprs(data: bytes, text: str) -> None:
    builder = t.TextBuilder()
    builder.add_bytes_repr(data)
    assert builder.finish() == repr(data)
    builder.add_str_repr(text, printable_borders())
    assert builder.finish() == repr(text)


def test_printable_characters() -> None:
    borders = printable_borders()
    places = [int.from_bytes(borders[place : place + 3], "big") for place in range(0, len(borders), 3)]
    for code in {near for place in places for near in (place - 1, place)} | {0, sys.maxunicode}:
        assert t.is_printable(code, borders) == chr(code).isprintable()


def test_hashes_spread() -> None:
    """Keys as kernels have them fill a table of twice their number well: short runs, no clusters."""
    for keys in (
        [hash_int(n) for n in range(1024)],
        [hash_int(n * 4096) for n in range(1024)],
        [hash_int(-(1 << 47) + n * 64) for n in range(1024)],
        [hash_bytes(f"/usr/lib/file{n}".encode()) for n in range(1024)],
        [hash_str(f"name {n}") for n in range(1024)],
    ):
        assert all(0 <= key <= MASK for key in keys)
        cells: dict[int, int] = {}
        for key in keys:
            cells[key & 2047] = cells.get(key & 2047, 0) + 1
        assert max(cells.values()) <= 8
        assert len(cells) > 700
