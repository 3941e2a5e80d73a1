"""Regular files of ext2: they connect the page cache, which has their contents, with the block map.

Blocks are allocated when a page is written to, so that write(2) itself reports a full disk. With blocks smaller than a
page, only those that are written are allocated; the others of the page stay holes.

Context: sleeps.
"""

from typing import Final

from kernel.cache import HOLE as NOWHERE
from kernel.cache import Runs, SyncScope
from kernel.fs.constants import FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE
from kernel.fs.ext2.block_map import HOLE
from kernel.fs.ext2.inode import Ext2Inode
from kernel.fs.ext2.layout import FLAG_INLINE_DATA
from kernel.fs.file import File
from kernel.fs.path import Path
from kernel.lang import ENXIO, EOPNOTSUPP, ETXTBSY, Errno, Span, u8
from kernel.mm.frames import PAGE_MASK, PAGE_SHIFT, PAGE_SIZE, frame_span

_SECTOR_SHIFT: Final = 9


class Ext2File(Ext2Inode):
    """A regular file."""

    def load(self, raw_bytes: Span[u8]) -> None:
        super().load(raw_bytes)
        if self.flags & FLAG_INLINE_DATA != 0:
            raise self._damaged("has inline data, without the feature")

    def open(self, path: Path, flags: int) -> File:
        self.ext2.check_alive()
        self.wanted()
        return super().open(path, flags)

    def truncate(self, size: int) -> None:
        self.ext2.check_alive()
        self.wanted()
        super().truncate(size)

    # ---- For the page cache -----------------------------------------------------------------------------------

    def map_blocks(self, offset: int, length: int, runs: Runs) -> None:
        shift = self.ext2.volume.geometry.block_shift
        block = offset >> shift
        left = length >> shift
        while left > 0:
            first, count = self.find_blocks(block, left)
            runs.add(NOWHERE if first == HOLE else first << shift - _SECTOR_SHIFT, count << shift)
            block += count
            left -= count

    def allocate_blocks(self, offset: int, length: int) -> None:
        if length == 0:
            return
        shift = self.ext2.volume.geometry.block_shift
        block = offset >> shift
        end = (offset + length - 1 >> shift) + 1
        privileged = self.ext2.is_privileged()
        start = block
        # A bit for each block from `start` on that was a hole. For more than a page, a direct write, the caller gives
        # the blocks back.
        fresh = 0
        is_page = end - start <= PAGE_SIZE >> shift
        try:
            while block < end:
                _, count, is_new = self.fill_blocks(block, end - block, privileged)
                if is_new and is_page:
                    fresh |= (1 << count) - 1 << block - start
                block += count
        finally:
            if block < end and fresh != 0:
                self._give_back(start, fresh)

    def _give_back(self, start: int, fresh: int) -> None:
        """The disk is full, and only some blocks of a page could be allocated. They hold old contents, so they must
        become holes again.
        """
        index = 0
        while fresh >> index != 0:
            if fresh >> index & 1 != 0:
                self.cut_blocks(start + index, start + index + 1)
            index += 1

    def begin_cut(self, size: int) -> None:
        self.map.hold_edges(self._blocks_of(size), self.map.block_limit())

    def end_cut(self) -> None:
        self.map.let_edges_go()

    def _blocks_of(self, size: int) -> int:
        """How many blocks that many bytes take."""
        geometry = self.ext2.volume.geometry
        return size + geometry.block_size - 1 >> geometry.block_shift

    def free_blocks(self, size: int) -> None:
        self.cache.wait_for_direct_reads()
        self.cut_blocks(self._blocks_of(size), self.map.block_limit())
        # The rest of the last page may have no blocks any more.
        self.cache.take_place(size >> PAGE_SHIFT, (size >> PAGE_SHIFT) + 1)

    def write_inode(self, scope: SyncScope) -> None:
        self.ext2.sync_inode(self, scope)

    # ---- Holes ------------------------------------------------------------------------------------------------

    def allocate(self, mode: int, offset: int, length: int) -> None:
        """fallocate(2): only holes can be punched, because nothing on ext2 marks a block as allocated but unwritten."""
        if mode != FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE:
            raise Errno(ETXTBSY if self.is_swap_area else EOPNOTSUPP)
        self.ext2.check_alive()
        self.wanted()
        self.lock.acquire_unless_dying()
        try:
            if self.is_swap_area:
                raise Errno(ETXTBSY)
            end = min(offset + length, self.size)
            if offset < end:
                self._punch(offset, end)
                self.touch_modified()
        finally:
            self.lock.release()

    def _punch(self, start: int, end: int) -> None:
        """Zero a part of the file, and free the blocks that lie wholly in it."""
        # A file's last block is freed whole, even if it extends past the end of the file.
        first_block = self._blocks_of(start)
        end_block = self._blocks_of(end) if end == self.size else end >> self.ext2.volume.geometry.block_shift
        self.map.hold_edges(first_block, end_block)
        try:
            self._zero_ends(start, end)
            self._drop(start, end, first_block, end_block)
        finally:
            self.map.let_edges_go()

    def _zero_ends(self, start: int, end: int) -> None:
        """Zero the parts that lie in pages that stay."""
        if start >> PAGE_SHIFT == end >> PAGE_SHIFT:
            self._zero(start, end)
        else:
            self._zero(start, (start >> PAGE_SHIFT) + 1 << PAGE_SHIFT)
            self._zero(end >> PAGE_SHIFT << PAGE_SHIFT, end)

    def _drop(self, start: int, end: int, first_block: int, end_block: int) -> None:
        """Drop the pages that lie wholly in a part of the file, and free its blocks."""
        first_page = start + PAGE_MASK >> PAGE_SHIFT
        self.cache.forget(first_page, end >> PAGE_SHIFT)
        self.cache.wait_for_direct_reads()
        self.cut_blocks(first_block, end_block)
        # Readers may have read the old contents again before the blocks were gone.
        self.cache.forget(first_page, end >> PAGE_SHIFT)
        self.cache.take_place(start >> PAGE_SHIFT, first_page)
        self.cache.take_place(end >> PAGE_SHIFT, (end >> PAGE_SHIFT) + 1)

    def _zero(self, start: int, end: int) -> None:
        """Zero bytes of one page, unless they are the whole page or none."""
        within = start & PAGE_MASK
        count = end - start
        if count == 0 or count == PAGE_SIZE:
            return
        page = self.cache.present(start >> PAGE_SHIFT)
        frame_span(page.frame)[within : within + count].fill(0)
        self.cache.mark_dirty(page, within, within + count)

    def seek_data(self, offset: int) -> int:
        return self._seek(offset, for_hole=False)

    def seek_hole(self, offset: int) -> int:
        return self._seek(offset, for_hole=True)

    def _seek(self, offset: int, for_hole: bool) -> int:
        """The first place from `offset` on that is (not) in a hole. Pages in the cache have blocks already."""
        geometry = self.ext2.volume.geometry
        shift = geometry.block_shift
        block = offset >> shift
        end = (self.size + geometry.block_size - 1) >> shift
        while block < end:
            first, count = self.find_blocks(block, end - block)
            if (first == HOLE) == for_hole:
                return min(max(offset, block << shift), self.size)
            block += count
        if for_hole:
            return self.size
        raise Errno(ENXIO)
