"""Where a file's blocks are: the direct, indirect, double and triple indirect pointers of an inode.

A pointer of 0 is a hole. Every other pointer is checked before it is used; the depth of the tree bounds the work that a
damaged one can cause, and freeing a tree stops at a block that it meets a second time.

Locking: `lock` keeps the tree in one piece across the sleeps in which its blocks are read. Context: sleeps.
"""

from typing import Final, Literal

from kernel.cache import Block
from kernel.fs.ext2.block_allocation import allocate_blocks, free_blocks, free_metadata
from kernel.fs.ext2.layout import DIRECT_BLOCKS
from kernel.fs.ext2.owed import Debtor, OwedKind
from kernel.fs.ext2.volume import Volume
from kernel.lang import EFBIG, Array, Errno, recursion, u32
from kernel.lib.pace import pace
from kernel.sched import Mutex

HOLE: Final = 0
_POINTER_SHIFT: Final = 2  # four bytes each
_POINTER_COST: Final = 400  # instructions, for `pace`
_TREE_DEPTH: Final = 3
_TOUCHED_LIMIT: Final = 32


class BlockMap(Debtor):
    """The pointers of one inode."""

    pointers: Array[u32, Literal[15]]

    def __init__(self, volume: Volume, ino: int) -> None:
        self.volume: Volume = volume
        self.ino: int = ino
        self.lock: Mutex = Mutex()
        self.sectors: int = 0  # of 512 bytes, indirect blocks included (i_blocks)
        self.home: int = 0  # where the file's first block should be
        self.goal: int = 0  # where the block after the last new one should be
        self.goal_block: int = -1  # the block of the file that this goal is for
        self.per_block_shift: int = volume.geometry.block_shift - _POINTER_SHIFT
        self.run_first: int = 0  # a run of consecutive blocks to be freed together
        self.run_count: int = 0
        self.holds_metadata: bool = False  # the file's blocks are in the block cache: a directory, a symbolic link
        self.changed: bool = False  # pointers or sectors are not as on the disk

        # Changed blocks of this file's metadata that may not be on the device yet: see `touch`.
        self.touched: list[int] = []
        self.touched_more: bool = False  # and there are others, too many to list
        self.debtor: Debtor | None = None  # the debtor for owed trees, if not this file
        self.edges: list[Block] | None = None  # held for the next `cut`: see `hold_edges`

    def touch(self, number: int) -> None:
        """A block of the file's metadata was changed: fsync must write it. Never sleeps or raises."""
        count = len(self.touched)
        if self.touched_more or (count > 0 and self.touched[count - 1] == number):
            return
        if count >= _TOUCHED_LIMIT:
            self.touched_more = True
            return
        try:
            self.touched.append(number)
        except MemoryError:
            self.touched_more = True

    # ---- Places in the tree -----------------------------------------------------------------------------------

    def block_limit(self) -> int:
        """How many blocks the tree can address."""
        shift = self.per_block_shift
        return DIRECT_BLOCKS + (1 << shift) + (1 << 2 * shift) + (1 << 3 * shift)

    def _depth_of(self, block: int) -> int:
        """How many indirect blocks lie above a file's block: 0 to 3. Raises EFBIG past the end."""
        if block < DIRECT_BLOCKS:
            return 0
        rest = block - DIRECT_BLOCKS
        for depth in range(1, _TREE_DEPTH + 1):
            span = 1 << depth * self.per_block_shift
            if rest < span:
                return depth
            rest -= span
        raise Errno(EFBIG)

    def _place_in_tree(self, block: int, depth: int) -> int:
        """The index of a file's block among those that the tree of this depth addresses."""
        rest = block - DIRECT_BLOCKS
        for lower in range(1, depth):
            rest -= 1 << lower * self.per_block_shift
        return rest

    def _checked(self, pointer: int) -> int:
        if pointer != HOLE and not self.volume.is_file_block(pointer):
            raise self.volume.damaged(f"inode {self.ino} has a foreign block, {pointer}", ino=self.ino)
        return pointer

    # ---- Looking ----------------------------------------------------------------------------------------------

    def find(self, block: int, want: int) -> tuple[int, int]:
        """The disk's block of a file's block, and how many are contiguous from there, at most `want`.

        For a hole: HOLE and its length as far as it is known. Raises EIO, EUCLEAN.
        """
        if block >= self.block_limit():
            return HOLE, want
        self.lock.acquire()
        try:
            return self._find(block, want)
        finally:
            self.lock.release()

    def _find(self, block: int, want: int) -> tuple[int, int]:
        depth = self._depth_of(block)
        if depth == 0:
            first = self._checked(self.pointers[block])
            count = 1
            while count < want and block + count < DIRECT_BLOCKS:
                if self.pointers[block + count] != (first + count if first != HOLE else HOLE):
                    break
                count += 1
            return first, count if self._is_run(first, count) else 1
        place = self._place_in_tree(block, depth)
        pointer = self._checked(self.pointers[DIRECT_BLOCKS + depth - 1])
        level = depth
        shift = self.per_block_shift
        while True:
            level -= 1
            if pointer == HOLE:
                size = 1 << (level + 1) * shift
                return HOLE, min(want, size - (place & (size - 1)))
            index = place >> level * shift & ((1 << shift) - 1)
            with self.volume.blocks.block(pointer) as node:
                if level == 0:
                    return self._run_in(node, index, want)
                pointer = self._checked(node.span().load_u32(index << _POINTER_SHIFT))

    def _run_in(self, node: Block, index: int, want: int) -> tuple[int, int]:
        """The run that begins with pointer `index` of an indirect block of the lowest level."""
        words = node.span()
        first = self._checked(words.load_u32(index << _POINTER_SHIFT))
        limit = min(want, (1 << self.per_block_shift) - index)
        count = 1
        step = 0 if first == HOLE else 1
        expected = first + step
        while count < limit and words.load_u32((index + count) << _POINTER_SHIFT) == expected:
            count += 1
            expected += step
        return first, count if self._is_run(first, count) else 1

    def _is_run(self, first: int, count: int) -> bool:
        """Whether all of a run may belong to a file. Its first block is known to."""
        return first == HOLE or count == 1 or self.volume.are_file_blocks(first + 1, count - 1)

    # ---- Filling holes ----------------------------------------------------------------------------------------

    def fill(self, block: int, want: int, privileged: bool) -> tuple[int, int, bool]:
        """Like `find`, but allocates blocks for a hole: the first block, how many are contiguous, and whether they are
        new.

        What new blocks hold is undefined. Raises ENOSPC, EFBIG, EROFS, EIO, EUCLEAN.
        """
        self.lock.acquire()
        try:
            first, count = self._find(block, want)
            if first != HOLE:
                return first, count, False
            depth = self._depth_of(block)
            if depth == 0:
                first, count = self._allocate(block, count, privileged)
                for index in range(count):
                    self.pointers[block + index] = first + index
                return first, count, True
            first, count = self._fill_in_tree(block, depth, count, privileged)
            return first, count, True
        finally:
            self.lock.release()

    def _allocate(self, block: int, want: int, privileged: bool) -> tuple[int, int]:
        """Allocate blocks for the file from `block` on, near the preceding one, and count them as the file's."""
        goal = self.goal
        if block != self.goal_block:
            before = self._find(block - 1, 1)[0] if block > 0 else HOLE
            goal = before + 1 if before != HOLE else self.home
        first, count = allocate_blocks(self.volume, goal, want, privileged)
        self.goal = first + count
        self.goal_block = block + count
        self.sectors += count << self.volume.geometry.block_shift - 9
        self.changed = True
        return first, count

    def release(self, first: int, count: int, is_metadata: bool) -> None:
        """Free blocks of the file that nothing refers to any more. Raises EIO, EUCLEAN, but never MemoryError."""
        if is_metadata:
            free_metadata(self.volume, first, count)
        else:
            free_blocks(self.volume, first, count)
        self.sectors = max(0, self.sectors - (count << self.volume.geometry.block_shift - 9))
        self.changed = True

    def take_block(self, privileged: bool) -> int:
        """A block that belongs to the file but holds none of its contents (extended attributes). Raises ENOSPC, EIO."""
        number, count = allocate_blocks(self.volume, self.home, 1, privileged)
        self.count_shared(count)
        return number

    def count_shared(self, count: int) -> None:
        """The file has that many blocks more or fewer, though none was allocated or freed for it alone. Never sleeps.
        """
        self.sectors = max(0, self.sectors + (count << self.volume.geometry.block_shift - 9))
        self.changed = True

    def _fill_in_tree(self, block: int, depth: int, want: int, privileged: bool) -> tuple[int, int]:
        """Allocate blocks for a hole below an indirect pointer, and the missing indirect blocks."""
        pointer, index = self._leaf_of(block, depth, privileged)
        with self.volume.blocks.block(pointer) as leaf:
            free = 1
            limit = min(want, (1 << self.per_block_shift) - index)
            words = leaf.span()
            while free < limit and words.load_u32((index + free) << _POINTER_SHIFT) == HOLE:
                free += 1
            first, count = self._allocate(block, free, privileged)
            for step in range(count):
                words.store_u32((index + step) << _POINTER_SHIFT, first + step)
            leaf.mark_dirty()
            self.touch(leaf.number)
            return first, count

    def _leaf_of(self, block: int, depth: int, privileged: bool) -> tuple[int, int]:
        """The indirect block that names the file's `block`, and the index in it. It is created if needed, with those
        above it.
        """
        place = self._place_in_tree(block, depth)
        shift = self.per_block_shift
        root = DIRECT_BLOCKS + depth - 1
        pointer = self.pointers[root]
        if pointer == HOLE:
            pointer = self._new_node(block, privileged)
            self.pointers[root] = pointer
        for level in range(depth - 1, 0, -1):
            index = place >> level * shift & ((1 << shift) - 1)
            with self.volume.blocks.block(pointer) as node:
                pointer = self._checked(node.span().load_u32(index << _POINTER_SHIFT))
                if pointer == HOLE:
                    pointer = self._new_node(block, privileged)
                    node.span().store_u32(index << _POINTER_SHIFT, pointer)
                    node.mark_dirty()
                    self.touch(node.number)
        return pointer, place & ((1 << shift) - 1)

    def add_block(self, block: int, privileged: bool) -> Block:
        """Allocate a block for a hole of a file that holds metadata; the block is zeroed and held. The file gets it
        only at the end: a failure leaves the hole. Raises ENOSPC, EFBIG, EROFS, EIO, EUCLEAN, MemoryError.
        """
        self.lock.acquire()
        try:
            depth = self._depth_of(block)
            if depth == 0:
                fresh = self._fresh(block, privileged)
                self.pointers[block] = fresh.number
                return fresh
            leaf_number, index = self._leaf_of(block, depth, privileged)
            with self.volume.blocks.block(leaf_number) as leaf:
                fresh = self._fresh(block, privileged)
                leaf.span().store_u32(index << _POINTER_SHIFT, fresh.number)
                leaf.mark_dirty()
                self.touch(leaf.number)
                return fresh
        finally:
            self.lock.release()

    def _fresh(self, block: int, privileged: bool) -> Block:
        """A new block for the file's `block`, zeroed and held, that nothing refers to yet."""
        number, _ = self._allocate(block, 1, privileged)
        try:
            return self.volume.blocks.fresh(number)
        except (Errno, MemoryError):
            self.release(number, 1, is_metadata=True)
            raise

    def _new_node(self, block: int, privileged: bool) -> int:
        """An indirect block full of holes, in front of the file's `block`.

        One that stays empty, because the disk is full, is freed with the file.
        """
        fresh = self._fresh(block, privileged)
        fresh.release()
        self.goal_block = block
        self.touch(fresh.number)
        return fresh.number

    # ---- Freeing ----------------------------------------------------------------------------------------------

    def cut(self, first: int, end: int) -> None:
        """Free the file's blocks `first` … `end` - 1. Raises EIO, EUCLEAN; what is damaged stays marked as in use.

        After MemoryError all blocks are still there. MemoryError is never raised if all are to go, or after
        `hold_edges`.
        """
        end = min(end, self.block_limit())
        if first >= end:
            return
        self.lock.acquire()
        try:
            if self.edges is None:
                self._hold_edges(first, end)
            self._cut(first, end)
        finally:
            self.let_edges_go()
            self.lock.release()

    def hold_edges(self, first: int, end: int) -> None:
        """Read the indirect blocks that `cut` with the same numbers will change rather than free, and hold them until
        then, or until `let_edges_go`. The caller holds the inode's lock throughout. Raises EIO, EUCLEAN, MemoryError.
        """
        self.lock.acquire()
        try:
            self._hold_edges(first, min(end, self.block_limit()))
        finally:
            self.lock.release()

    def _hold_edges(self, first: int, end: int) -> None:
        # Only the indirect blocks above the first or the last block can be cut in part.
        if first >= end or (first <= DIRECT_BLOCKS and end == self.block_limit()):
            return
        edges: list[Block] = []
        self.edges = edges
        done = False
        try:
            self._hold_path(first, edges)
            self._hold_path(end - 1, edges)
            done = True
        finally:
            if not done:
                self.let_edges_go()

    def _hold_path(self, block: int, edges: list[Block]) -> None:
        """Hold the indirect blocks above the file's `block`."""
        depth = self._depth_of(block)
        if depth == 0:
            return
        place = self._place_in_tree(block, depth)
        shift = self.per_block_shift
        pointer = self._checked(self.pointers[DIRECT_BLOCKS + depth - 1])
        for level in range(depth - 1, -1, -1):
            if pointer == HOLE:
                return
            node = self.volume.blocks.block(pointer)
            try:
                edges.append(node)
            except MemoryError:
                node.release()
                raise
            index = place >> level * shift & ((1 << shift) - 1)
            pointer = self._checked(node.span().load_u32(index << _POINTER_SHIFT)) if level > 0 else HOLE

    def let_edges_go(self) -> None:
        """Undo `hold_edges`. Never sleeps."""
        edges = self.edges
        self.edges = None
        if edges is not None:
            for node in edges:
                node.release()

    def _hold(self, number: int) -> Block:
        """An indirect block. Raises EIO; MemoryError if it is not one of the edges."""
        edges = self.edges
        if edges is not None:
            for node in edges:
                if node.number == number:
                    return node.again()
        return self.volume.blocks.block(number)

    def _cut(self, first: int, end: int) -> None:
        self.goal_block = -1
        self.changed = True
        for index in range(first, min(end, DIRECT_BLOCKS)):
            pointer = self.pointers[index]
            self.pointers[index] = HOLE
            if pointer != HOLE:
                self._add_to_run(self._checked(pointer))
        self._finish_run()
        start = DIRECT_BLOCKS
        for depth in range(1, _TREE_DEPTH + 1):
            size = 1 << depth * self.per_block_shift
            inner_first = max(0, first - start)
            inner_end = min(size, end - start)
            pointer = self.pointers[DIRECT_BLOCKS + depth - 1]
            if pointer != HOLE and inner_first < inner_end:
                if inner_end - inner_first == size:
                    self.pointers[DIRECT_BLOCKS + depth - 1] = HOLE
                self._cut_node(self._checked(pointer), depth - 1, inner_first, inner_end)
            start += size

    @recursion(3)
    def _cut_node(self, number: int, level: int, first: int, end: int) -> None:
        """Free the blocks that an indirect block names at places `first` to `end` - 1, and the block itself if that is
        all.

        `level` falls from 2 at most to 0. Raises MemoryError only if it does not free the block itself.
        """
        shift = level * self.per_block_shift
        is_all = end - first == 1 << shift + self.per_block_shift
        try:
            block = self._hold(number)
        except MemoryError:
            if not is_all:
                raise
            self.owe_tree(number, level)  # nothing refers to it any more
            return
        with block as node:
            for index in range(first >> shift, (end - 1 >> shift) + 1):
                pace(_POINTER_COST)
                pointer = node.span().load_u32(index << _POINTER_SHIFT)
                if pointer == HOLE:
                    continue
                inner_first = max(0, first - (index << shift))
                inner_end = min(1 << shift, end - (index << shift))
                # A block that is freed as a whole stays as it is: something on the disk may still refer to it.
                if inner_end - inner_first == 1 << shift and not is_all:
                    node.span().store_u32(index << _POINTER_SHIFT, HOLE)
                    node.mark_dirty()
                    self.touch(node.number)
                if level == 0:
                    self._add_to_run(self._checked(pointer))
                else:
                    self._cut_node(self._checked(pointer), level - 1, inner_first, inner_end)
            self._finish_run()
        if is_all:
            self.release(number, 1, is_metadata=True)

    def owe_tree(self, number: int, level: int) -> None:
        """Free an indirect block with all below it later. The file, if it lives, keeps the sectors until then."""
        kind = OwedKind.METADATA_TREE if self.holds_metadata else OwedKind.TREE
        self.volume.owed.add(kind, number, level, self if self.debtor is None else self.debtor)

    def free_tree(self, number: int, level: int) -> None:
        """Free what `owe_tree` left."""
        self._cut_node(number, level, 0, 1 << (level + 1) * self.per_block_shift)

    def _add_to_run(self, block: int) -> None:
        if self.run_count > 0 and block == self.run_first + self.run_count:
            self.run_count += 1
            return
        self._finish_run()
        self.run_first = block
        self.run_count = 1

    def _finish_run(self) -> None:
        count = self.run_count
        self.run_count = 0
        if count > 0:
            self.release(self.run_first, count, self.holds_metadata)
