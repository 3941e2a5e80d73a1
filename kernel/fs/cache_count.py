"""Counting the pages of a file or block device that are in memory, and those that were evicted (cachestat(2)).

Context: thread context; takes safe points, so pages may come and go meanwhile.
"""

from typing import Final

from kernel.cache import FileCache
from kernel.cache.page import LRU
from kernel.fs.inode import CachedPages
from kernel.lib.pace import pace

_LOOKED_AT_ONCE: Final = 128  # pages, between safe points
_LOOK_COST: Final = 40  # instructions for one


def count_pages(cache: FileCache, first: int, end: int) -> CachedPages:
    """Of the pages first … end - 1 of a cache. Raises MemoryError."""
    found = CachedPages()
    for index in cache.pages.each_index(first, end):
        page = cache.pages.get(index)
        if page is not None:
            found.count += 1
            found.dirty += 1 if page.dirty != 0 else 0
            found.writing += 1 if page.writing else 0
        pace(_LOOK_COST)
    if cache.pages.evicted > 0:
        found.evicted, found.recently_evicted = cache.pages.evicted_between(first, end, _pages_used_again())
    return found


def _pages_used_again() -> int:
    """How many pages of all files have proved useful. A page that was evicted fewer evictions ago would still be in
    memory if these had gone first: that is what Linux calls recent.
    """
    count = 0
    left = LRU.count
    while left > 0:
        for _ in range(min(left, _LOOKED_AT_ONCE)):
            page = LRU.first()
            if page is None:
                return count
            LRU.rotate(page)
            count += 1 if page.heat > 1 else 0
        left -= _LOOKED_AT_ONCE
        pace(_LOOKED_AT_ONCE * _LOOK_COST)
    return count
