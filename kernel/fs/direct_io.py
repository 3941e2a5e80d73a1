"""What O_DIRECT asks of a transfer (kernel/cache/direct.py carries it out), and posix_fadvise(2).

Context: sleeps.
"""

from typing import Final

from kernel.block.device import SECTOR_SIZE, BlockDevice
from kernel.cache import FileCache, Readahead
from kernel.fs.constants import POSIX_FADV_DONTNEED, POSIX_FADV_RANDOM, POSIX_FADV_WILLNEED
from kernel.lang import EINVAL, Errno
from kernel.lib.saturation import LARGEST, end_page_of, sum_of
from kernel.lib.user import Buffer
from kernel.mm.frames import PAGE_MASK, PAGE_SHIFT

SECTOR_MASK: Final = SECTOR_SIZE - 1


def check_alignment(device: BlockDevice, buffer: Buffer, offset: int) -> None:
    """EINVAL unless place and length are multiples of the device's logical blocks, and memory of a sector."""
    if (offset | buffer.remaining) & (device.logical_block_size - 1) != 0 or buffer.alignment() & SECTOR_MASK != 0:
        raise Errno(EINVAL)


_WILLNEED_LIMIT: Final = 512  # pages that one call may begin to read


def advise(cache: FileCache, readahead: Readahead, advice: int, offset: int, length: int) -> None:
    """posix_fadvise(2). A `length` of 0 is up to the end."""
    first = offset >> PAGE_SHIFT
    end = end_page_of(offset, length)
    if advice == POSIX_FADV_WILLNEED:
        cache.begin_reading(first, min(end - first, _WILLNEED_LIMIT))
    elif advice == POSIX_FADV_DONTNEED:
        cache.write_back(first, end)
        cache.wait_for_writes()
        first, end = _whole_pages(offset, length, cache.store.size_bytes())
        cache.invalidate(first, end)
    else:
        readahead.random = advice == POSIX_FADV_RANDOM


def _whole_pages(offset: int, length: int, size: int) -> tuple[int, int]:
    """The pages all of whose bytes in the file lie in a range: the first, and one past the last."""
    last = LARGEST if length == 0 else sum_of(offset, length - 1)
    end = last >> PAGE_SHIFT
    if last & PAGE_MASK == PAGE_MASK or last == size - 1:
        end += 1
    return sum_of(offset, PAGE_MASK) >> PAGE_SHIFT, end
