"""Behaviour of other systems that a program may ask for (personality(2)): bits, and their effects.

Some make a program easier to attack; a program with privileges does not start with those (exec.py). Bits that only
mattered to old binary formats are kept without effect.
"""

from typing import Final

from kernel.mm.area import PROT_EXEC, PROT_READ
from kernel.task.host import RELEASE
from kernel.task.process import Process

UNAME26: Final = 0x0020000  # uname(2) returns a release that begins with 2.6
ADDR_NO_RANDOMIZE: Final = 0x0040000
MMAP_PAGE_ZERO: Final = 0x0100000  # the page at 0 can be read
ADDR_COMPAT_LAYOUT: Final = 0x0200000  # mmap(2) goes up from a third of the address space
READ_IMPLIES_EXEC: Final = 0x0400000
STICKY_TIMEOUTS: Final = 0x4000000  # select(2) and its kin do not report the remaining time
_PERSON: Final = 0xFF
_LINUX32: Final = 0x08
_MACHINE_OF_LINUX32: Final = b"i686"
_MINOR_OF_26: Final = 60  # 4.0 becomes 2.6.60, and later releases count on from there
_DOT: Final = 46


def readable_as(process: Process, prot: int) -> int:
    """PROT_* of memory that the process requests with `prot`."""
    if process.settings.personality & READ_IMPLIES_EXEC != 0 and prot & PROT_READ != 0:
        return prot | PROT_EXEC
    return prot


def release_for(process: Process) -> bytes:
    """The release of the system as uname(2) returns it."""
    if process.settings.personality & UNAME26 == 0:
        return RELEASE
    return f"2.6.{_MINOR_OF_26 + _second_number(RELEASE)}".encode() + RELEASE[_numbers_end(RELEASE) :]


def machine_for(process: Process, machine: bytes) -> bytes:
    """The processor type that uname(2) returns."""
    return _MACHINE_OF_LINUX32 if process.settings.personality & _PERSON == _LINUX32 else machine


def _second_number(release: bytes) -> int:
    value = 0
    for byte in release[release.find(b".") + 1 :]:
        if not ord("0") <= byte <= ord("9"):
            break
        value = value * 10 + byte - ord("0")
    return value


def _numbers_end(release: bytes) -> int:
    """The index after the first three numbers."""
    dots = 0
    for index in range(len(release)):
        byte = release[index]
        if byte == _DOT:
            dots += 1
        if dots == 3 or not (byte == _DOT or ord("0") <= byte <= ord("9")):
            return index
    return len(release)
