"""Memory, or the disk, that fails at one place after the other."""

from collections.abc import Callable
from typing import Any

import pytest

from kernel.cache.blocks import Block, BlockCache
from kernel.cache.page import CachedPage
from kernel.cache.page_index import PageIndex
from kernel.cache.store import Runs
from kernel.cache.transfer import Transfer
from kernel.fs.dentry import Dentry
from kernel.fs.ext2.directory import HeldRecord
from kernel.fs.ext2.freed import FreedBits
from kernel.lang import EIO, Errno

ALLOCATIONS = (
    (Block, "__init__"),
    (BlockCache, "block"),
    (BlockCache, "forget"),
    (BlockCache, "fresh"),
    (CachedPage, "__init__"),
    (Dentry, "__init__"),
    (FreedBits, "add"),
    (HeldRecord, "__init__"),
    (PageIndex, "each_index"),
    (Runs, "__init__"),
    (Transfer, "__init__"),
    (Transfer, "hold"),
)
READS = ((BlockCache, "block"), (BlockCache, "fresh"))


class Shortage:
    """Lets the calls from number `first` to `last`, counted from 1, of what allocates find no memory; or, where
    `is_disk`, of what reads the disk's blocks fail.
    """

    def __init__(self, patch: pytest.MonkeyPatch, is_disk: bool = False) -> None:
        self.first = self.last = self.calls = 0
        self.counts = False
        self.is_disk = is_disk
        for owner, name in READS if is_disk else ALLOCATIONS:
            patch.setattr(owner, name, self._failing(getattr(owner, name)))

    def arm(self, nth: int, lacking: int = 1) -> None:
        """From now on call `nth` and those after it, `lacking` in all, fail; none for 0."""
        self.first, self.last, self.calls, self.counts = nth, nth and nth + lacking - 1, 0, True

    def _failing(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **keywords: Any) -> Any:  # noqa: ANN401  (whatever the function takes)
            # The first bit of a group needs room for all of them.
            allocates = function.__name__ != "add" or arguments[0].fresh[arguments[1]] is None
            if self.counts and allocates:
                self.calls += 1
                if self.first <= self.calls <= self.last:
                    raise Errno(EIO) if self.is_disk else MemoryError
            return function(*arguments, **keywords)

        return wrapped
