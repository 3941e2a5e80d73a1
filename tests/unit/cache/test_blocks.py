"""A file system's own blocks in a device's cache."""

import pytest

from kernel.block.device import Operation
from kernel.cache import BlockCache, blocks
from kernel.cache.blocks import Block
from kernel.lang import EIO, Errno
from tools.simulated.disk import MemoryDisk


def test_a_block_is_read_once(disk: MemoryDisk) -> None:
    disk.image[5 * 1024 : 5 * 1024 + 4] = b"five"
    cache = BlockCache(disk, 1024)
    for _ in range(2):
        with cache.block(5) as block:
            assert block.span()[0:4].to_bytes() == b"five"
            assert len(block.span()) == 1024
    assert disk.log == [(Operation.READ, 8, 4096)]


def test_only_the_dirty_block_of_a_page_is_written(disk: MemoryDisk) -> None:
    cache = BlockCache(disk, 1024)
    with cache.block(1) as block:
        block.span()[0] = 7
        block.mark_dirty()
    disk.image[2048] = 9  # a file's block in the same page, written past this cache
    cache.sync()
    assert disk.image[1024] == 7
    assert disk.image[2048] == 9
    assert disk.log[-1] == (Operation.WRITE, 2, 1024)


def test_a_forgotten_block_is_not_written(disk: MemoryDisk) -> None:
    cache = BlockCache(disk, 4096)
    with cache.fresh(3) as block:
        block.span()[0] = 7
    cache.forget(3)
    cache.sync()
    assert disk.log == []


def test_consecutive_blocks_go_out_as_one_request(disk: MemoryDisk) -> None:
    cache = BlockCache(disk, 4096)
    for number in (4, 2, 3):
        cache.fresh(number).release()
    cache.write([4, 2, 3])
    assert disk.log == [(Operation.WRITE, 16, 12288)]
    disk.log.clear()
    for number in (4, 2, 3):
        cache.fresh(number).release()
    cache.sync()
    assert disk.log == [(Operation.WRITE, 16, 12288)]


def test_errors_and_blocks_that_are_not_there(disk: MemoryDisk) -> None:
    cache = BlockCache(disk, 1024)
    disk.bad_sectors[40] = True
    for number in (20, -1, 4096, 1 << 40):
        with pytest.raises(Errno) as error:
            cache.block(number)
        assert error.value.code == EIO
    disk.bad_sectors.clear()
    cache.block(20).release()  # asked again
    with cache.block(21) as block:
        block.mark_dirty()
    disk.bad_sectors[42] = True
    with pytest.raises(Errno):
        cache.sync()


def test_a_block_without_memory_for_it_is_read_later(disk: MemoryDisk, monkeypatch: pytest.MonkeyPatch) -> None:
    disk.image[3 * 4096 : 3 * 4096 + 5] = b"three"
    cache = BlockCache(disk, 4096)

    def refuse(*_: object) -> Block:
        raise MemoryError

    with monkeypatch.context() as patch, pytest.raises(MemoryError):
        patch.setattr(blocks, "Block", refuse)
        cache.fresh(3)
    with cache.block(3) as block:
        assert block.span()[0:5].to_bytes() == b"three"
