"""O_DIRECT and posix_fadvise(2) over a page cache.

O_DIRECT: bytes go to the device before a write returns, come from it when read, and stay in no
cache.

They pass through pages of the cache on their way, so that direct, ordinary and mapped access always agree. What a
program sees of O_DIRECT elsewhere, alignment included, holds here; only a copy is not saved.

Context: sleeps.
"""

from typing import Final

from kernel.block.device import BlockDevice
from kernel.cache import FileCache, Readahead, file_io
from kernel.cache.file_cache import LAST_PAGE
from kernel.fs.constants import POSIX_FADV_DONTNEED, POSIX_FADV_RANDOM, POSIX_FADV_WILLNEED
from kernel.lang import EINVAL, Errno
from kernel.lib.user import Buffer
from kernel.mm.frames import PAGE_MASK, PAGE_SHIFT


def check_alignment(device: BlockDevice, buffer: Buffer, offset: int) -> None:
    """EINVAL unless place, length and memory are multiples of the device's logical blocks."""
    if (offset | buffer.alignment()) & (device.logical_block_size - 1) != 0:
        raise Errno(EINVAL)


def read_direct(cache: FileCache, buffer: Buffer, offset: int) -> int:
    """Read what the device holds."""
    first = offset >> PAGE_SHIFT
    end = (offset + buffer.remaining + PAGE_MASK) >> PAGE_SHIFT
    cache.write_back(first, end)
    cache.wait_for_writes()
    cache.invalidate(first, end)
    done = file_io.read_at(cache, buffer, offset, Readahead())
    cache.invalidate(first, end)
    return done


def finish_direct_write(cache: FileCache, offset: int, count: int) -> None:
    """Bring what was just written to the device. Raises EIO."""
    first = offset >> PAGE_SHIFT
    end = (offset + count + PAGE_MASK) >> PAGE_SHIFT
    cache.write_range(first, end)
    cache.invalidate(first, end)


_WILLNEED_LIMIT: Final = 512  # pages that one call may begin to read


def advise(cache: FileCache, readahead: Readahead, advice: int, offset: int, length: int) -> None:
    """posix_fadvise(2)."""
    first = offset >> PAGE_SHIFT
    end = LAST_PAGE
    if 0 < length < (LAST_PAGE << PAGE_SHIFT) - offset:
        end = (offset + length + PAGE_MASK) >> PAGE_SHIFT
    if advice == POSIX_FADV_WILLNEED:
        cache.begin_reading(first, min(end - first, _WILLNEED_LIMIT))
    elif advice == POSIX_FADV_DONTNEED:
        cache.write_back(first, end)
        cache.wait_for_writes()
        cache.invalidate(first, end)
    else:
        readahead.random = advice == POSIX_FADV_RANDOM
