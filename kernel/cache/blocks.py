"""A file system's own blocks: superblock, bitmaps, inode tables, indirect blocks, directories.

They live in the device's page cache, so /dev/vda shows the same bytes. A block is held while it is used:

    with cache.block(number) as block:
        value = block.span().load_u32(8)
        block.span().store_u32(8, value + 1)
        block.mark_dirty()

Between `block` and the end of the `with` its bytes stay in memory at the same place. A span of it may not be used
afterwards. Nothing is locked: two users of a block see each other's changes, so a change must be complete between
two sleeps, or under the file system's own lock.

Dirty bytes are tracked by sectors of 512 bytes, so a neighbouring block in the same page, which may belong to a file,
is not written by accident. When a block of this kind is freed, `forget` it before it can become part of a file.

Context: `block`, `forget` and writing may sleep; what a Block offers does not.
"""

from kernel.block.device import SECTOR_SHIFT, BlockDevice
from kernel.cache.devices import device_cache
from kernel.cache.file_cache import FileCache
from kernel.cache.page import CachedPage
from kernel.lang import EIO, Errno, Span, final, u8
from kernel.mm.frames import PAGE_SHIFT, PAGE_SIZE, frame_span, get_frame, put_frame


@final
class Block:
    """A held block; `release` it once, or use `with`. It takes over a reference to the page's frame."""

    def __init__(self, page: CachedPage, number: int, offset: int, size: int) -> None:
        self.page: CachedPage = page
        self.number: int = number
        self.offset: int = offset
        self.size: int = size

    def span(self) -> Span[u8]:
        """Its bytes."""
        return frame_span(self.page.frame)[self.offset : self.offset + self.size]

    def mark_dirty(self) -> None:
        """Record that its bytes were changed: they will be written sooner or later. Never sleeps or raises."""
        page = self.page
        cache = page.cache
        if cache is not None:
            cache.mark_dirty(page, self.offset, self.offset + self.size)

    def is_unwritten(self) -> bool:
        """Whether part of its page is not on the device yet."""
        return self.page.dirty != 0 or self.page.writing

    def again(self) -> "Block":
        """The same block, held once more."""
        get_frame(self.page.frame)
        return self

    def release(self) -> None:
        put_frame(self.page.frame)

    def __enter__(self) -> "Block":
        return self

    def __exit__(self, kind: object, value: object, traceback: object) -> None:
        self.release()


@final
class BlockCache:
    """Blocks of one size, 512 to 4096 bytes, of a device."""

    def __init__(self, device: BlockDevice, block_size: int) -> None:
        self.device: BlockDevice = device
        self.cache: FileCache = device_cache(device)
        self.block_size: int = block_size
        self.per_page: int = PAGE_SIZE // block_size
        self.block_count: int = (device.sectors << SECTOR_SHIFT) // block_size  # on the device

    def _check(self, number: int) -> None:
        if number < 0 or number >= self.block_count:
            raise Errno(EIO)

    def block(self, number: int) -> Block:
        """Block `number`, read if need be. Raises EIO (also where the device has no such block), MemoryError."""
        self._check(number)
        return self._hold(self.cache.present(number // self.per_page), number)

    def _hold(self, page: CachedPage, number: int) -> Block:
        """A block of a page. The page is held before memory is allocated, because a shortage drops pages that nobody
        holds. Raises MemoryError.
        """
        get_frame(page.frame)
        block: Block | None = None
        try:
            block = Block(page, number, number % self.per_page * self.block_size, self.block_size)
            return block
        finally:
            if block is None:
                put_frame(page.frame)

    def is_at_hand(self, number: int) -> bool:
        """Whether `block` will not sleep."""
        page = self.cache.find(number // self.per_page)
        return page is not None and page.up_to_date

    def fresh(self, number: int) -> Block:
        """Block `number` filled with zeros and marked dirty, without being read where that can be avoided. Raises EIO,
        MemoryError.
        """
        self._check(number)
        index = number // self.per_page
        page = self.cache.whole(index) if self.per_page == 1 else self.cache.present(index)
        block = self._hold(page, number)
        block.span().fill(0)
        page.up_to_date = True  # no earlier: without memory for the block, it is to be read
        block.mark_dirty()
        return block

    def forget(self, number: int) -> None:
        """Block `number` was freed: it is no longer to be written. Waits for a write-back under way."""
        page = self.cache.find(number // self.per_page)
        if page is not None:
            start = number % self.per_page * self.block_size
            self.cache.cleanse(page, start, start + self.block_size)

    def read_ahead(self, number: int, count: int) -> None:
        """Begin to read `count` blocks that will be needed soon; errors show when they are used. May sleep."""
        self._check(number)
        first = number // self.per_page
        last = (min(number + count, self.block_count) - 1) // self.per_page
        self.cache.begin_reading(first, last - first + 1)

    def write(self, numbers: list[int]) -> None:
        """Write these blocks, as far as they are dirty, and wait until the device has them. Raises EIO."""
        failures = self.cache.failures
        indices: list[int] = []
        for number in numbers:
            index = number // self.per_page
            page = self.cache.find(index)
            if page is not None and page.dirty != 0 and index not in indices:
                indices.append(index)
        indices.sort()
        self.cache.write_back_pages(indices)
        self.cache.wait_for_writes()
        if self.cache.failures != failures:
            raise Errno(EIO)

    def sync(self) -> None:
        """Write all that is dirty in the device's cache and wait for it. Raises EIO. Does not flush the device."""
        failures = self.cache.failures
        self.cache.write_back(0, (self.device.sectors << SECTOR_SHIFT >> PAGE_SHIFT) + 1)
        self.cache.wait_for_writes()
        if self.cache.failures != failures:
            raise Errno(EIO)
