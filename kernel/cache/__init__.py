"""The page cache: the one copy in memory of what files and block devices hold (see file_cache.py)."""

from kernel.cache.blocks import Block, BlockCache
from kernel.cache.devices import device_cache
from kernel.cache.file_cache import FileCache
from kernel.cache.readahead import Readahead
from kernel.cache.store import HOLE, BackingStore, Runs, SyncScope
from kernel.cache.transfer import Plug

__all__ = [
    "HOLE",
    "BackingStore",
    "Block",
    "BlockCache",
    "FileCache",
    "Plug",
    "Readahead",
    "Runs",
    "SyncScope",
    "device_cache",
]
