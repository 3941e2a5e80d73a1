"""Filters of tracepoints' records."""

import pytest

from kernel.lang import EINVAL, ENOENT, EPERM, ESRCH, Errno, span_of
from kernel.perf.event import RAW_EXIT
from kernel.perf.filter import parse_filter, resembles
from kernel.perf.tracepoints import PROCESS_EXIT, RAW, find_point


def exit_record(number: int, result: int) -> None:
    RAW.begin(RAW_EXIT, 42, 24)
    RAW.put(8, number)
    RAW.put(16, result)


def matches(text: str, number: int = 3, result: int = -2) -> bool:
    point = find_point(RAW_EXIT)
    assert point is not None
    exit_record(number, result)
    return parse_filter(text.encode(), point).matches(RAW.span())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("id == 3", True),
        ("id != 3", False),
        ("id == 0x3", True),
        ("ret < 0", True),
        ("ret == -2", True),
        ("id & 2", True),
        ("id & 4", False),
        ("common_pid == 42", True),
        ("id == 1 || id == 3 && ret == 0", False),
        ("(id == 1 || id == 3) && ret == -2", True),
        ("id == 1 || ret == -2 && id == 3 || id == 9", True),
        ("!(id == 3)", False),
        ("!(id == 3) || !id == 4", True),
        ("id >= 3 && id <= 3 && !(id > 3) && !(id < 3)", True),
        ("((((id==3))))", True),
        ("!!(id == 3)", True),
        ("!!!id == 3", False),
        ("!(id == 1 || id == 2) && !(id == 3 && ret == 0)", True),
        ("!(!(id == 3) || !(ret == -2))", True),
    ],
)
def test_conditions(text: str, expected: bool) -> None:
    assert matches(text) == expected


@pytest.mark.parametrize(
    ("text", "code"),
    [
        *((text, EINVAL) for text in (
            "", "id", "id ==", "id == x", "nothing == 1", "id == 1 &&", "id ~ 3", "id = 1", "!", "args == 1",
            "(" * 100 + "id == 1" + ")" * 100, "id == 99999999999999999999",
        )),
        ("(id == 1", ENOENT), ("id == 1)", EPERM), ("&& id == 1", EPERM), ("id == 1 2", EPERM), ('id == "', ESRCH),
    ],
)  # fmt: skip
def test_what_makes_no_sense(text: str, code: int) -> None:
    with pytest.raises(Errno) as caught:
        matches(text)
    assert caught.value.code == code


def test_names() -> None:
    point = find_point(PROCESS_EXIT)
    assert point is not None
    RAW.begin(PROCESS_EXIT, 42, 32)
    RAW.put_name(8, b"abcdefghijklmnopqrstuvw")
    for text, expected in (
        (b'comm == "abcdefghijklmno"', True),
        (b'comm ~ "*lm*"', True),
        (b"comm ~ abc?ef*", True),
        (b'comm != "abc"', True),
        (b'comm == "abc"', False),
    ):
        assert parse_filter(text, point).matches(RAW.span()) == expected


@pytest.mark.parametrize(
    ("text", "pattern", "expected"),
    [("", "", True), ("", "*", True), ("abc", "a*c", True), ("abc", "a*d", False), ("aab", "*ab", True),
     ("abc", "???", True), ("abc", "??", False), ("a*", "a*", True)],
)  # fmt: skip
def test_wildcards(text: str, pattern: str, expected: bool) -> None:
    storage, pieces = bytearray(text.encode()), bytearray(pattern.encode())
    assert resembles(span_of(storage), span_of(pieces), with_wildcards=True) == expected


def test_what_a_filter_takes_does_not_grow_with_what_is_turned_round() -> None:
    point = find_point(RAW_EXIT)
    assert point is not None
    plain = parse_filter(b"id&1&&id&2", point)
    turned = parse_filter(b"!" * 20 + b"id&1&&" + b"!" * 21 + b"id&2", point)
    assert len(turned.conditions) == len(plain.conditions) == 3
    assert turned.held_bytes == plain.held_bytes > 0
