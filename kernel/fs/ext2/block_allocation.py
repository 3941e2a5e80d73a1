"""Allocating and freeing blocks.

A file's blocks should be contiguous, so a request has a goal, the block after the file's last one. From there the
search goes to the nearest free block of the goal's group, then to a run of eight free ones, then to the other groups. A
file's first block, whose goal is the start of a group, is the first free one of that. Freed blocks can be taken again
once they have settled (see freed.py); if nothing else is left, allocation waits for that.

Context: sleeps while a bitmap is read; a bit is found and set without a sleep in between.
"""

from typing import Final

from kernel.block.device import SECTOR_SHIFT
from kernel.block.ranges import discard
from kernel.cache import Block
from kernel.fs.ext2 import bitmap
from kernel.fs.ext2.owed import OwedKind
from kernel.fs.ext2.volume import GROUP_COST, Volume
from kernel.lang import EIO, ENOSPC, EROFS, Errno, Span, span_of, u8
from kernel.lib.pace import pace

_TRIM_STEP: Final = 4096  # blocks that are discarded at once
_NEAR: Final = 64  # blocks after the goal that are as good as the goal


def blocks_available(volume: Volume, privileged: bool) -> int:
    """How many blocks the caller may still take: some are reserved for root."""
    free = volume.free_blocks
    return free if privileged else max(0, free - volume.reserved_blocks)


def allocate_blocks(volume: Volume, goal: int, want: int, privileged: bool) -> tuple[int, int]:
    """Take a run of at least one and at most `want` blocks, near `goal` (any number): the first one and the count.

    Raises ENOSPC, EROFS, EIO, EUCLEAN.
    """
    while True:
        if volume.read_only:
            raise Errno(EIO if volume.is_aborted else EROFS)
        want = min(want, blocks_available(volume, privileged))
        if want <= 0:
            raise Errno(ENOSPC)
        first, count = _take_blocks(volume, goal, want)
        if count > 0:
            return first, count
        if not volume.settle():
            raise Errno(ENOSPC)


def _take_blocks(volume: Volume, goal: int, want: int) -> tuple[int, int]:
    """As `allocate_blocks`; the count is 0 if there is no free bit."""
    geometry = volume.geometry
    if not geometry.is_block(goal):
        goal = geometry.first_data_block
    first_group = geometry.group_of_block(goal)
    for step in range(geometry.group_count + 1):
        # The first group comes again at the end, for what lies in front of the goal.
        group = (first_group + step) % geometry.group_count
        pace(GROUP_COST)
        if volume.descriptor(group).free_blocks_count == 0:
            continue
        start = goal - geometry.first_block_of_group(group) if step == 0 else 0
        with volume.blocks.block(volume.block_bitmap(group)) as block:
            bits = block.span()
            end = geometry.blocks_in_group(group)
            hint = volume.block_hints[group]
            if start <= hint:
                hint = bitmap.find_clear_bit(bits, hint, end)
                if hint == bitmap.NONE:
                    volume.block_hints[group] = end
                    continue
                volume.block_hints[group] = hint
            anywhere = step == 0 and start == 0  # a file's first block: small files lie close together
            index = hint if anywhere else _search(bits, max(start, hint), end)
            if index == bitmap.NONE:
                continue
            count = bitmap.clear_run(bits, index, end, want)
            if index == hint:
                volume.block_hints[group] = index + count
            first = geometry.first_block_of_group(group) + index
            for each in range(index, index + count):
                bitmap.set_bit(bits, each)
            block.mark_dirty()
            if volume.meets_system_block(group, first, count):
                raise volume.damaged(f"blocks from {first} on hold metadata but are marked as free")
            _count_taken(volume, group, count)
            return first, count
    return 0, 0


def _search(bits: Span[u8], start: int, end: int) -> int:
    near = bitmap.find_clear_bit(bits, start, min(start + _NEAR, end))
    if near != bitmap.NONE:
        return near
    whole = bitmap.find_clear_byte(bits, start, end)
    if whole != bitmap.NONE:
        return whole
    return bitmap.find_clear_bit(bits, start, end)


def _count_taken(volume: Volume, group: int, count: int) -> None:
    """Change the counts of free blocks, which a damaged disk may have got wrong, within their limits."""
    descriptor = volume.descriptor(group)
    descriptor.free_blocks_count = max(0, descriptor.free_blocks_count - count)
    volume.descriptor_block(group).mark_dirty()
    volume.free_blocks = max(0, volume.free_blocks - count)


def free_blocks(volume: Volume, first: int, count: int) -> None:
    """Give back a run of blocks, which can be reused once that has settled; the block cache has already forgotten them.
    If memory is short they are owed.

    Raises EIO, and EUCLEAN if they cannot have been in use by a file; some may be free then.
    """
    while count > 0:
        try:
            part = _free_part(volume, first, count)
        except MemoryError:
            volume.owed.add(OwedKind.BLOCKS, first, count)
            return
        first += part
        count -= part


def free_metadata(volume: Volume, first: int, count: int) -> None:
    """The same for blocks that the block cache may hold: dirty ones must not be written over whatever comes after."""
    try:
        for number in range(first, first + count):
            volume.blocks.forget(number)
    except MemoryError:
        volume.owed.add(OwedKind.METADATA, first, count)
        return
    free_blocks(volume, first, count)


def _free_part(volume: Volume, first: int, count: int) -> int:
    """Give back the part of a run that lies in the first block's group; returns how many blocks. MemoryError leaves
    everything unchanged.
    """
    geometry = volume.geometry
    if not geometry.is_block(first):
        raise volume.damaged(f"a file has block {first}, which does not exist")
    group = geometry.group_of_block(first)
    index = first - geometry.first_block_of_group(group)
    part = min(count, geometry.blocks_in_group(group) - index)
    if volume.meets_system_block(group, first, part):
        raise volume.damaged(f"a file has block {first}, which holds metadata")
    with volume.blocks.block(volume.block_bitmap(group)) as block:
        freed = _note_bits(volume, block, group, index, part)
    volume.free_blocks += freed
    if freed != part:
        raise volume.damaged(f"block {first + freed} is freed twice")
    return part


def _note_bits(volume: Volume, block: Block, group: int, index: int, count: int) -> int:
    """Note bits as freed, up to the first one that is clear or noted already; returns how many. Only the first may need
    memory: MemoryError leaves everything unchanged.
    """
    bits = block.span()
    done = 0
    while done < count and bitmap.test_bit(bits, index + done) and volume.freed_blocks.add(group, index + done):
        done += 1
    return done


def trim_group(volume: Volume, group: int, start: int, end: int, smallest: int) -> int:
    """Discard the free blocks among `start` … `end` - 1 of a group, in runs of `smallest` at least; returns how many.
    Raises EIO. While a run is being discarded its blocks count as taken, so that nobody fills them meanwhile.
    """
    device = volume.blocks.device
    shift = volume.geometry.block_shift - SECTOR_SHIFT
    done = 0
    with volume.blocks.block(volume.block_bitmap(group)) as block:
        bits = block.span()
        index = bitmap.find_clear_bit(bits, start, end)
        while index != bitmap.NONE:
            count = bitmap.clear_run(bits, index, end, _TRIM_STEP)
            if count >= smallest:
                for each in range(index, index + count):
                    bitmap.set_bit(bits, each)
                try:
                    discard(device, volume.geometry.first_block_of_group(group) + index << shift, count << shift)
                    done += count
                finally:
                    for each in range(index, index + count):
                        bitmap.clear_bit(bits, each)
                    block.mark_dirty()  # it may have been written meanwhile, with these bits set
                    volume.block_hints[group] = min(volume.block_hints[group], index)
            index = bitmap.find_clear_bit(bits, index + count, end)
    return done


def discard_freed(volume: Volume) -> None:
    """Discard what is about to be free, for the option `discard`: nobody fills it yet. A failure is logged; it loses
    nothing.
    """
    geometry = volume.geometry
    shift = geometry.block_shift - SECTOR_SHIFT
    for group in range(geometry.group_count):
        pace(GROUP_COST)
        freed = volume.freed_blocks.settling[group]
        if freed is None:
            continue
        bits = span_of(freed)
        end = geometry.blocks_in_group(group)
        index = bitmap.find_set_bit(bits, 0, end)
        while index != bitmap.NONE:
            count = bitmap.set_run(bits, index, end, _TRIM_STEP)
            try:
                discard(volume.blocks.device, geometry.first_block_of_group(group) + index << shift, count << shift)
            except Errno:
                volume.complain("the device does not discard what came free")
                return
            index = bitmap.find_set_bit(bits, index + count, end)
