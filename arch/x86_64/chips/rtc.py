"""The clock chip with the battery (MC146818): what time it is when the kernel starts.

Read once at boot. The chip's registers change while one reads them: a reading counts when no update was in progress
and a second reading agrees. Hours may be 12 or 24, numbers binary or decimal-coded, as status register B says.

The chip's year has two digits. Which century they are of stands in a register that ACPI's FADT names; without one they
mean 2000 to 2099.

Source: Motorola MC146818A data sheet.
"""

from typing import Final

from arch.x86_64.ports import in_u8, out_u8

INDEX: Final = 0x70
DATA: Final = 0x71
NMI_DISABLE: Final = 0x80

SECONDS: Final = 0
MINUTES: Final = 2
HOURS: Final = 4
DAY: Final = 7
MONTH: Final = 8
YEAR: Final = 9
STATUS_A: Final = 10
STATUS_B: Final = 11

UPDATE_IN_PROGRESS: Final = 0x80
HOURS_24: Final = 0x02
BINARY: Final = 0x04
AFTERNOON: Final = 0x80

SPIN_LIMIT: Final = 20_000
ATTEMPTS: Final = 16

SECONDS_PER_DAY: Final = 86_400
FIRST_YEAR: Final = 1970
LAST_YEAR: Final = 2199
THIS_CENTURY: Final = 20
REGISTER_LIMIT: Final = 128


def read_wall_clock(century_register: int) -> int:
    """Seconds since 1970-01-01 00:00 UTC, or 0 when the chip gives no date. `century_register`: 0 if there is none."""
    for _ in range(ATTEMPTS):
        _wait_for_update()
        first = _read_time(century_register)
        if first == _read_time(century_register):
            return first
    return 0


def seconds_since_1970(year: int, month: int, day: int, hour: int, minute: int, second: int) -> int:
    """A date of the Gregorian calendar, FIRST_YEAR to LAST_YEAR, as seconds; 0 if it is not a date."""
    if not (FIRST_YEAR <= year <= LAST_YEAR and 1 <= month <= 12 and 1 <= day <= 31):
        return 0
    if not (hour < 24 and minute < 60 and second < 61):
        return 0
    days = (year - FIRST_YEAR) * 365 + _leap_days_before(year) - _leap_days_before(FIRST_YEAR)
    days += days_before_month(month) + day - 1
    if month > 2:
        days += _leap_days_before(year + 1) - _leap_days_before(year)
    return days * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second


def _leap_days_before(year: int) -> int:
    """How many leap years there were before the year, counted from the year 1."""
    last = year - 1
    return last // 4 - last // 100 + last // 400


def days_before_month(month: int) -> int:
    """Days of an ordinary year before the 1st of a month. March to January alternate in fives: 31 30 31 30 31."""
    if month <= 2:
        return 31 * (month - 1)
    return (153 * (month - 3) + 2) // 5 + 59


def decode_hour(raw: int, status_b: int) -> int:
    """The hour 0 … 23. In 12-hour form the top bit is the afternoon, and 12 is the hour that comes first."""
    if status_b & HOURS_24 != 0:
        return decode(raw, status_b)
    hour = decode(raw & ~AFTERNOON, status_b) % 12
    return hour + 12 if raw & AFTERNOON != 0 else hour


def decode(raw: int, status_b: int) -> int:
    """A register's number: binary, or a decimal digit in each half."""
    if status_b & BINARY != 0:
        return raw
    return (raw >> 4) * 10 + (raw & 15)


def _read_time(century_register: int) -> int:
    status_b = _read(STATUS_B)
    century = THIS_CENTURY
    if 0 < century_register < REGISTER_LIMIT:
        century = decode(_read(century_register), status_b)
        if not FIRST_YEAR // 100 <= century <= LAST_YEAR // 100:
            century = THIS_CENTURY
    return seconds_since_1970(
        century * 100 + decode(_read(YEAR), status_b),
        decode(_read(MONTH), status_b),
        decode(_read(DAY), status_b),
        decode_hour(_read(HOURS), status_b),
        decode(_read(MINUTES), status_b),
        decode(_read(SECONDS), status_b),
    )


def _wait_for_update() -> None:
    """Bounded: a missing chip reads as all ones."""
    for _ in range(SPIN_LIMIT):
        if _read(STATUS_A) & UPDATE_IN_PROGRESS == 0:
            return


def _read(register: int) -> int:
    out_u8(INDEX, NMI_DISABLE | register)
    return in_u8(DATA)
