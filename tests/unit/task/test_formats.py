"""Registered formats of programs: their texts, and which of them a file has."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.lang import EINVAL, Errno, span_of
from kernel.lib.ids import ROOT_GROUP, ROOT_USER
from kernel.lib.namespace import FIRST_USER, UserNamespace
from kernel.task.format_text import LONGEST, parse_format, show_format
from kernel.task.formats import (
    GIVES_CREDENTIALS,
    HEAD_SIZE,
    HOLDS_INTERPRETER,
    KEEPS_NAME,
    OPENS_FILE,
    Format,
    FormatTable,
    find_format,
    table_of,
)


def head(data: bytes) -> bytearray:
    return bytearray(data + bytes(HEAD_SIZE - len(data)))


def by_extension(name: bytes, extension: bytes) -> Format:
    return parse_format(b":" + name + b":E::" + extension + b"::/interpreter:")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (b":a:E::ext::/i:POCF\n", b"enabled\ninterpreter /i\nflags: POCF\nextension .ext\n"),
        (b":a:E:x:ext:y:/i i:C", b"enabled\ninterpreter /i i\nflags: OC\nextension .ext\n"),
        (b"|a|M||MZ||/i|", b"enabled\ninterpreter /i\nflags: \noffset 0\nmagic 4d5a\n"),
        (
            b":a:M:+2\n:\\x7f\\x3A:\\xff\\x0f:/i:P",
            b"enabled\ninterpreter /i\nflags: P\noffset 2\nmagic 7f3a\nmask ff0f\n",
        ),
        (b"\0a\0E\0\0ext\0\0/i\0", b"enabled\ninterpreter /i\nflags: \nextension .ext\n"),
        (b":a:M::ab\0cd::/i:", b"enabled\ninterpreter /i\nflags: \noffset 0\nmagic 6162\n"),
    ],
)
def test_what_is_registered_is_shown(text: bytes, shown: bytes) -> None:
    assert show_format(parse_format(text)) == shown


@pytest.mark.parametrize(
    "text",
    [
        b":a:E::b::/", b"::E::ext::/i:", b":.:E::ext::/i:", b":..:E::ext::/i:", b":a/b:E::ext::/i:",
        b":a:X::ext::/i:", b":a:EE::ext::/i:", b":a:E::::/int:", b":a:E::a/b::/i:", b":a:E::ext:::", b":a:E::ext::/i:Q",
        b":a:E::ext::/interp", b":a:E::ext::/i\0:", b":a:M:-1:ab::/i:", b":a:M:x:ab::/i:", b":a:M:255:ab::/i:",
        b":a:M:4294967296:ab::/i:", b":a:M::::/inter:", b":a:M::ab:c:/i:", b":a:M::a\\xg0::/i:", b":a:M::\\x4:/i::",
        b"PaPEPPextPP/iP", b":a:E::ext::/i:\n\n", b":" + b"a" * LONGEST,
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused(text: bytes) -> None:
    with pytest.raises(Errno) as caught:
        parse_format(text)
    assert caught.value.code == EINVAL


@given(st.binary(min_size=0, max_size=100))
def test_any_bytes(text: bytes) -> None:
    """Whatever is taken has a name and an interpreter, and lies within the head of a file."""
    try:
        made = parse_format(text)
    except Errno:
        return
    assert made.name and made.interpreter and (made.extension or made.magic)
    assert made.offset + len(made.magic) <= HEAD_SIZE and len(made.mask) in (0, len(made.magic))


@given(st.text("\\xA0:b\0", max_size=12), st.text("\\xA0:b\0", max_size=12))
def test_any_escapes(magic: str, mask: str) -> None:
    try:
        made = parse_format(f":name:M::{magic}:{mask}:/i:".encode())
    except Errno:
        return
    assert made.magic and len(made.mask) in (0, len(made.magic))


def test_flags() -> None:
    assert parse_format(b":a:E::ext::/i:P").flags == KEEPS_NAME
    assert parse_format(b":a:E::ext::/i:O").flags == OPENS_FILE
    assert parse_format(b":a:E::ext::/i:C").flags == GIVES_CREDENTIALS | OPENS_FILE
    assert parse_format(b":a:E::ext::/i:FF").flags == HOLDS_INTERPRETER


def test_the_last_one_that_matches_counts() -> None:
    table = FormatTable()
    first, second = by_extension(b"first", b"x"), by_extension(b"second", b"x")
    table.add(first)
    table.add(second)
    data = head(b"")
    assert table.find(span_of(data), b"/a.b.x") is second
    second.is_enabled = False
    assert table.find(span_of(data), b"/a.b.x") is first
    assert table.find(span_of(data), b"/a.x.b") is None
    assert table.find(span_of(data), b"x") is None
    assert table.remove(first) and not table.remove(first)
    assert table.find(span_of(data), b"/a.x") is None


def test_magic_and_mask() -> None:
    table = FormatTable()
    made = parse_format(b":a:M:1:\\x40\\x00:\\xf0\\xff:/i:")
    table.add(made)
    for data, matches in ((b"\1\x4f\0", True), (b"\1\x4f", True), (b"\1\x4f\1", False), (b"\1\x3f\0", False)):
        storage = head(data)
        assert (table.find(span_of(storage), b"a") is made) == matches


def test_places_follow_serial_numbers() -> None:
    table = FormatTable()
    made = [by_extension(f"{number}".encode(), b"x") for number in range(20)]
    for one in made:
        table.add(one)
    for one in made[::3]:
        table.remove(one)
    serials = [one.serial for one in table.formats]
    assert serials == sorted(serials)
    for serial in range(25):
        assert table.place_of(serial) == sum(1 for other in serials if other < serial)


def test_a_namespace_without_a_table_has_its_parents(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FIRST_USER, "formats", None)
    child = UserNamespace(FIRST_USER, 1, ROOT_USER, ROOT_GROUP)
    grandchild = UserNamespace(child, 2, ROOT_USER, ROOT_GROUP)
    data = head(b"")
    assert find_format(grandchild, span_of(data), b"a.x") is None
    made = by_extension(b"name", b"x")
    table_of(FIRST_USER).add(made)
    assert find_format(grandchild, span_of(data), b"a.x") is made
    own = table_of(child)
    assert table_of(child) is own
    assert find_format(grandchild, span_of(data), b"a.x") is None
    assert find_format(FIRST_USER, span_of(data), b"a.x") is made
    table_of(FIRST_USER).is_enabled = False
    assert find_format(FIRST_USER, span_of(data), b"a.x") is None
