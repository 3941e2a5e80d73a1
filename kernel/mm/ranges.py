"""Ranges of user memory as system calls name them: an address and a length, any two numbers. They are added as the
processor adds them, modulo 2**64, but in pages, so that no sum overflows here.
"""

from typing import Final

from arch import USER_END
from kernel.lang import EINVAL, ENOMEM, Errno
from kernel.mm.frames import PAGE_MASK, PAGE_SHIFT

USER_PAGES: Final = USER_END >> PAGE_SHIFT
_NUMBERS: Final = (1 << 52) - 1  # of the pages of 2**64 bytes


def pages_of(address: int, length: int) -> tuple[int, int]:
    """The numbers of the first page that a range touches, and of the one after its last. They are equal if there are
    none, or if rounding up wrapped to none; the second is less if the range wraps.
    """
    first = address >> PAGE_SHIFT & _NUMBERS
    count = (length >> PAGE_SHIFT) + ((address & PAGE_MASK) + (length & PAGE_MASK) + PAGE_MASK >> PAGE_SHIFT)
    return first, first + count & _NUMBERS


def pages_between(first: int, end_page: int) -> int:
    """How many pages `pages_of` found, if the range wraps, too."""
    return end_page - first & _NUMBERS


def whole_pages(address: int, length: int) -> tuple[int, int]:
    """The pages that a byte range touches; twice the same if there are none. Raises EINVAL where the range wraps,
    ENOMEM outside user space.
    """
    first, end_page = pages_of(address, length)
    if end_page == first:
        return 0, 0
    if end_page < first:
        raise Errno(EINVAL)
    if first > USER_PAGES or end_page > USER_PAGES:
        raise Errno(ENOMEM)
    return first << PAGE_SHIFT, end_page << PAGE_SHIFT
