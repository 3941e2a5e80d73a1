"""Huge pages that the command line sets aside: `hugepages=N`, of the size in the last `hugepagesz=` before it.

Source: Linux's Documentation/admin-guide/kernel-parameters.txt.
"""

from typing import Final

from kernel.mm.huge_pool import GIGANTIC, POOL
from kernel.start.command_line import number_of

_COUNT: Final = b"hugepages"
_SIZE: Final = b"hugepagesz="


def set_huge_pages_aside(line: bytes) -> None:
    """Fill the pools, as far as there is memory. A size that there is not has no pages."""
    size = b"2M"
    for word in line.split(b" "):
        if word == b"--":
            break
        if word.startswith(_SIZE):
            size = word[len(_SIZE) :]
        count = max(0, number_of(word, _COUNT, 0))
        if size == b"1G":
            GIGANTIC.resize(max(GIGANTIC.total, count))
        elif size == b"2M":
            POOL.resize(max(POOL.total, count))
