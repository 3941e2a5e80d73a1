"""Truncation and mappings: pages behind a file's new end disappear from the address spaces that map it.

Which address spaces there are is known above this package (kernel.task), so the function that finds them is entered
from there.
"""

from collections.abc import Callable
from typing import Final

from kernel.mm.objects import MemoryObject

ForgetPages = Callable[[MemoryObject, int, int], None]


class Unmapper:
    """`forget(object, first, end)`: drop pages first … end - 1 of the object from all address spaces."""

    def __init__(self) -> None:
        self.forget: ForgetPages | None = None


UNMAPPER: Final = Unmapper()


def forget_mapped_pages(source: MemoryObject, first: int, end: int) -> None:
    forget = UNMAPPER.forget
    if forget is not None:
        forget(source, first, end)
