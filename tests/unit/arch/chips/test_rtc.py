"""The clock chip's date as seconds."""

import calendar
import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arch.x86_64.chips import rtc
from arch.x86_64.simulation import processor


@given(st.datetimes(datetime.datetime(1970, 1, 1), datetime.datetime(2199, 12, 31)))
def test_seconds_since_1970(moment: datetime.datetime) -> None:
    expected = calendar.timegm(moment.timetuple())
    got = rtc.seconds_since_1970(moment.year, moment.month, moment.day, moment.hour, moment.minute, moment.second)
    assert got == expected


def test_no_date() -> None:
    assert rtc.seconds_since_1970(2024, 13, 1, 0, 0, 0) == 0
    assert rtc.seconds_since_1970(2024, 1, 1, 24, 0, 0) == 0


def test_hours_of_the_twelve_hour_clock() -> None:
    binary_12 = rtc.BINARY
    assert [rtc.decode_hour(h, binary_12) for h in (12, 1, 11)] == [0, 1, 11]
    assert [rtc.decode_hour(h | 0x80, binary_12) for h in (12, 1, 11)] == [12, 13, 23]
    assert rtc.decode_hour(0x23, rtc.HOURS_24) == 23


@pytest.mark.parametrize(
    ("register", "century", "year"),
    [(0, 0x21, 2024), (50, 0x20, 2024), (50, 0x21, 2124), (50, 0x19, 1924), (50, 0xFF, 2024)],
)
def test_reads_a_decimal_coded_chip(register: int, century: int, year: int) -> None:
    registers = {0: 0x56, 2: 0x34, 4: 0x12, 7: 0x31, 8: 0x12, 9: 0x24, 10: 0x26, 11: rtc.HOURS_24, 50: century}
    selected = 0

    def write(port: int, size_bytes: int, value: int) -> None:
        nonlocal selected
        if port == rtc.INDEX:
            selected = value & 0x7F

    processor.port_write = write
    processor.port_read = lambda port, size_bytes: registers.get(selected, 0)
    try:
        expected = calendar.timegm((year, 12, 31, 12, 34, 56)) if year >= 1970 else 0
        assert rtc.read_wall_clock(register) == expected
    finally:
        processor.port_read = None
        processor.port_write = None


def test_a_missing_chip_gives_no_time() -> None:
    assert rtc.read_wall_clock(0) == 0
