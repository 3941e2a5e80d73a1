"""From consecutive pages and the runs of sectors where they lie to the pieces of a transfer.

Context: never sleeps. Everything may raise MemoryError.
"""

from kernel.block.device import SECTOR_SHIFT
from kernel.cache.page import ALL_SECTORS, CachedPage, sector_mask
from kernel.cache.store import HOLE, Runs
from kernel.cache.transfer import Transfer
from kernel.mm.frames import PAGE_MASK, PAGE_SHIFT, PAGE_SIZE, frame_span, zero_frame


def add_runs(transfer: Transfer, batch: list[CachedPage], runs: Runs) -> None:
    """Read the pages of a batch from where they lie; holes are filled with zeros."""
    position = 0  # bytes from the start of the batch
    for i in range(len(runs.sectors)):
        sector = runs.sectors[i]
        left = runs.lengths[i]
        while left > 0 and position >> PAGE_SHIFT < len(batch):
            page = batch[position >> PAGE_SHIFT]
            within = position & PAGE_MASK
            part = min(PAGE_SIZE - within, left)
            if sector == HOLE:
                if part == PAGE_SIZE:
                    zero_frame(page.frame)
                else:
                    frame_span(page.frame)[within : within + part].fill(0)
            else:
                transfer.add(page, within, part, sector)
                sector += part >> SECTOR_SHIFT
            position += part
            left -= part


def add_dirty_runs(
    transfer: Transfer, batch: list[CachedPage], masks: list[int], runs: Runs, block_sectors: int
) -> None:
    """Write, of each page, the blocks of `block_sectors` sectors that contain dirty sectors. Holes have nothing to
    keep.
    """
    position = 0
    for i in range(len(runs.sectors)):
        sector = runs.sectors[i]
        left = runs.lengths[i]
        while left > 0 and position >> PAGE_SHIFT < len(batch):
            page = batch[position >> PAGE_SHIFT]
            within = position & PAGE_MASK
            part = min(PAGE_SIZE - within, left)
            if sector != HOLE:
                mask = masks[position >> PAGE_SHIFT]
                if mask == ALL_SECTORS:
                    transfer.add(page, within, part, sector)
                else:
                    _add_blocks(transfer, page, within, part, sector, mask, block_sectors << SECTOR_SHIFT)
                sector += part >> SECTOR_SHIFT
            position += part
            left -= part


def _add_blocks(
    transfer: Transfer, page: CachedPage, within: int, part: int, sector: int, mask: int, block_bytes: int
) -> None:
    done = 0
    while done < part:
        step = min(block_bytes, part - done)
        if mask & sector_mask(within + done, within + done + step) != 0:
            transfer.add(page, within + done, step, sector + (done >> SECTOR_SHIFT))
        done += step
