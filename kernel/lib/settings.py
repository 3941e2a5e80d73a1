"""Settings under /proc/sys that are numbers: the code that uses one creates it, and procfs shows them all
(proc_sys(5)).

A setting is declared where it is used, with its path, its value and its bounds; nothing else is needed. Texts are
declared with `@proc_file` (proc_files.py).

Context: settings are created while the kernel is built and read anywhere.
"""

from typing import Final

from kernel.lang import EINVAL, EPERM, Errno
from kernel.lib.capabilities import CAP_NET_ADMIN
from kernel.lib.credentials import Credentials, caller_credentials

NO_BOUND: Final = (1 << 63) - 1  # where Linux has an unsigned long
INT_LEAST: Final = -(1 << 31)
INT_MOST: Final = (1 << 31) - 1
SECONDS_MOST: Final = INT_MOST // 250  # where Linux counts ticks, of which there are 250 a second
NO_GUARD: Final = -1
_LONGEST_NUMBER: Final = 20  # characters; longer ones are refused, zeros in front or not
_LONGEST_TEXT: Final = 4095  # what comes after that is ignored
WRITE_LIMIT: Final = 1 << 20  # bytes at once


class Setting:
    """Numbers that root may change within bounds. Base class."""

    def __init__(self, path: bytes, least: int, most: int, is_listed: bool = True) -> None:
        self.path: bytes = path  # below /proc/sys: fs/inotify/max_queued_events
        self.least: int = least
        self.most: int = most
        self.mode: int = 0o644
        self.is_of_network: bool = False  # CAP_NET_ADMIN may change it as well as root
        self.passes_rest: bool = False  # more numbers than it takes are ignored, rather than left to the next write
        self.guard: int = NO_GUARD  # a capability without which nobody may change it, not even root
        if is_listed:
            SETTINGS.append(self)

    def for_opener(self) -> "Setting":
        """What the running program opens: the same object, unless each program has its own. Raises MemoryError."""
        return self

    def held_bytes(self) -> int:
        """Memory that exists only because the setting is open."""
        return 0

    def numbers(self) -> list[int]:
        """The numbers to show, in a row. Raises MemoryError."""
        return []

    def text(self) -> bytes:
        """The numbers as they are read. Raises MemoryError."""
        return b"\t".join([f"{number}".encode() for number in self.numbers()]) + b"\n"

    def most_numbers(self) -> int:
        """How many numbers may be written at once. Fewer leave the rest as it is."""
        return 1

    def store(self, numbers: list[int]) -> None:
        """Numbers were written: one at least, and no more than it takes, within bounds. Raises EINVAL if some are
        unusable.
        """

    def store_text(self, text: bytes) -> int:
        """A text was written; returns how much of it counts: more numbers than it takes are left to the next write.
        Raises EINVAL for anything but numbers, and for those out of bounds.
        """
        if len(text) == 0:
            return 0
        passed = max(0, len(text) - _LONGEST_TEXT)
        if passed > 0:
            text = text[:_LONGEST_TEXT]
        numbers, used = numbers_in(text, self.most_numbers())
        for number in numbers:
            if not self.least <= number <= self.most:
                raise Errno(EINVAL)
        self.store(numbers)
        return len(text) + passed if self.passes_rest else used + passed

    def may_be_changed_by(self, who: Credentials) -> bool:
        """Whether users other than root may change it."""
        return self.is_of_network and who.capable(CAP_NET_ADMIN)

    def is_for_root(self) -> bool:
        """Whether root may change it; else only those whom `may_be_changed_by` permits."""
        return True

    def check_writer(self) -> None:
        """Raise EPERM unless the running program may change it; the mode of the file is checked elsewhere."""
        who = caller_credentials()
        if self.guard != NO_GUARD and who is not None and not who.capable(self.guard):
            raise Errno(EPERM)


class SystemSetting(Setting):
    """One number, or a row of them of which the first ones may be written alone."""

    def __init__(self, path: bytes, values: list[int], least: int, most: int) -> None:
        super().__init__(path, least, most)
        self.values: list[int] = values

    @property
    def value(self) -> int:
        """The value of a single number."""
        return self.values[0]

    def prepare(self) -> None:
        """Called before the values are shown: for those that depend on the machine."""

    def numbers(self) -> list[int]:
        self.prepare()
        return self.values

    def most_numbers(self) -> int:
        return len(self.values)

    def store(self, numbers: list[int]) -> None:
        for i in range(len(numbers)):
            self.values[i] = numbers[i]


class Switch(SystemSetting):
    """On or off: shown as 1 or 0, and any number but 0 turns it on."""

    def __init__(self, path: bytes, is_on: bool) -> None:
        super().__init__(path, [1 if is_on else 0], INT_LEAST, INT_MOST)

    def store(self, numbers: list[int]) -> None:
        self.values[0] = 0 if numbers[0] == 0 else 1


def numbers_in(text: bytes, most: int) -> tuple[list[int], int]:
    """The first `most` numbers of a text, between blanks, and where the next one would begin. They are written as in C:
    octal after 0, hexadecimal after 0x. Raises EINVAL if there is none, or something else; also from 2**63 on, where
    Linux takes some for an unsigned long.
    """
    found: list[int] = []
    place = _skip_blanks(text, 0)
    while place < len(text) and len(found) < most:
        end = _end_of_number(text, place)
        found.append(_number(text[place:end]))
        place = _skip_blanks(text, end)
    if len(found) == 0:
        raise Errno(EINVAL)
    return found, place


def _is_blank(byte: int) -> bool:
    return byte == ord(" ") or byte == ord("\t") or byte == ord("\n")


def _skip_blanks(text: bytes, place: int) -> int:
    while place < len(text) and _is_blank(text[place]):
        place += 1
    return place


def _end_of_number(text: bytes, place: int) -> int:
    while place < len(text) and not _is_blank(text[place]):
        place += 1
    return place


def _number(digits: bytes) -> int:
    """A number, perhaps with a minus. Raises EINVAL."""
    if len(digits) > _LONGEST_NUMBER:
        raise Errno(EINVAL)
    is_negative = digits.startswith(b"-")
    if is_negative:
        digits = digits[1:]
    base = 10
    if len(digits) > 2 and (digits.startswith(b"0x") or digits.startswith(b"0X")):
        base = 16
        digits = digits[2:]
    elif digits.startswith(b"0"):
        base = 8
    if len(digits) == 0:
        raise Errno(EINVAL)
    value = 0
    for byte in digits:
        digit = _digit(byte)
        if digit >= base or value > (NO_BOUND - digit) // base:
            raise Errno(EINVAL)
        value = value * base + digit
    return -value if is_negative else value


def _digit(byte: int) -> int:
    """What a digit counts, 16 for what is none."""
    if ord("0") <= byte <= ord("9"):
        return byte - ord("0")
    lower = byte | 0x20
    return lower - ord("a") + 10 if ord("a") <= lower <= ord("f") else 16


SETTINGS: Final[list[Setting]] = []
