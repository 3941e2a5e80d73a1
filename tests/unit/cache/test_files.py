"""Files over the page cache, with a model: a bytearray that is read and written the same way."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernel.block.device import BlockDevice, Operation
from kernel.cache import HOLE, BackingStore, FileCache, Readahead, Runs, SyncScope, file_io
from kernel.cache.dirty_pages import LAST_PAGE, TOTALS
from kernel.cache.eviction import Evictor
from kernel.cache.page import LRU
from kernel.lang import EIO, ENOSPC, Errno
from kernel.lib.user import KernelBuffer
from kernel.mm.frames import get_frame, put_frame
from kernel.mm.objects import Loss
from tools.simulated.disk import MemoryDisk

BLOCK = 1024
BLOCKS = 64  # that the device has for files


class BlockStore(BackingStore):
    """A file of blocks of 1 KiB, allocated from the top of the disk downwards: no two lie in order."""

    def __init__(self, disk: MemoryDisk) -> None:
        self.disk = disk
        self.size = 0
        self.blocks: dict[int, int] = {}
        self.free = list(range(BLOCKS))
        self.asked = 0

    def device(self) -> BlockDevice:
        return self.disk

    def size_bytes(self) -> int:
        return self.size

    def map(self, offset: int, length: int, runs: Runs) -> None:
        for block in range(offset // BLOCK, (offset + length) // BLOCK):
            place = self.blocks.get(block)
            runs.add(HOLE if place is None else place * 2, BLOCK)

    def allocate(self, offset: int, length: int) -> None:
        self.asked += 1
        for block in range(offset // BLOCK, (offset + length + BLOCK - 1) // BLOCK):
            if block not in self.blocks:
                if not self.free:
                    raise Errno(ENOSPC)
                self.blocks[block] = self.free.pop()

    def grow(self, size: int) -> None:
        self.size = size

    def cut(self, cache: FileCache, size: int) -> None:
        old = self.size
        self.size = size
        if size < old:
            cache.shrink(size)
            for block in [each for each in self.blocks if each * BLOCK >= size]:
                self.free.append(self.blocks.pop(block))
            cache.take_place(size >> 12, (size >> 12) + 1)
        else:
            cache.zero_tail(old)


def write(cache: FileCache, data: bytes, offset: int) -> int:
    return file_io.write_at(cache, KernelBuffer(bytearray(data)), offset)


def read(cache: FileCache, count: int, offset: int) -> bytes:
    buffer = KernelBuffer(bytearray(count))
    done = file_io.read_at(cache, buffer, offset, Readahead())
    return bytes(buffer.storage[:done])


def fresh(disk: MemoryDisk) -> tuple[BlockStore, FileCache]:
    for position in range(len(disk.image)):
        disk.image[position] = 0xEE  # what nobody may see
    store = BlockStore(disk)
    return store, FileCache(store)


Step = tuple[str, int, int]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["write", "write", "cut", "sync", "drop", "reclaim"]),
            st.integers(0, 40_000),
            st.integers(0, 9000),
        ),
        max_size=25,
    )
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
def test_a_file_holds_what_was_written(disk: MemoryDisk, steps: list[Step]) -> None:
    disk.image[:] = bytes([0xEE]) * len(disk.image)
    store = BlockStore(disk)
    store.free = list(range(200))
    cache = FileCache(store)
    model = bytearray()
    for number, (what, offset, length) in enumerate(steps):
        if what == "write":
            data = bytes([number + 1]) * length
            assert write(cache, data, offset) == length
            if length > 0:
                model.extend(bytes(max(0, offset + length - len(model))))
                model[offset : offset + length] = data
        elif what == "cut":
            store.cut(cache, offset)
            model = model[:offset] + bytes(max(0, offset - len(model)))
        elif what == "sync":
            cache.sync(0, LAST_PAGE)
            assert cache.dirty_count == 0
        elif what == "drop":
            cache.sync(0, LAST_PAGE)
            cache.invalidate(0, LAST_PAGE)
            assert cache.pages.count == 0
        else:
            Evictor().make_room(3)
        assert store.size == len(model)
        assert read(cache, len(model) + 10, 0) == bytes(model)
    cache.close()
    assert (LRU.count, TOTALS.dirty, TOTALS.writing) == (0, 0, 0)


def test_a_page_that_has_all_its_blocks_is_written_without_asking(disk: MemoryDisk) -> None:
    store, cache = fresh(disk)
    write(cache, bytes(8192), 0)
    assert store.asked == 2
    write(cache, bytes(8192), 0)
    write(cache, b"x", 5000)
    assert store.asked == 2
    store.cut(cache, 5000)
    write(cache, bytes(4096), 4096)
    assert store.asked == 3 and len(store.blocks) == 8


def test_a_mapping_asks_for_the_blocks_that_a_dirty_page_does_not_have(disk: MemoryDisk) -> None:
    store, cache = fresh(disk)
    store.size = 4096
    write(cache, b"x", 0)
    assert len(store.blocks) == 1
    put_frame(cache.page(0, True))
    assert len(store.blocks) == 4


def test_a_full_disk_stops_a_write_where_it_is(disk: MemoryDisk) -> None:
    store, cache = fresh(disk)
    assert write(cache, bytes(100_000), 0) == BLOCKS * BLOCK
    with pytest.raises(Errno) as error:
        write(cache, b"more", BLOCKS * BLOCK)
    assert error.value.code == ENOSPC
    assert store.size == BLOCKS * BLOCK


def test_an_error_of_write_back_is_told_once(disk: MemoryDisk) -> None:
    store, cache = fresh(disk)
    write(cache, bytes(BLOCK), 0)
    disk.bad_sectors[store.blocks[0] * 2] = True
    with pytest.raises(Errno) as error:
        cache.sync(0, LAST_PAGE)
    assert error.value.code == EIO
    cache.sync(0, LAST_PAGE)


def test_who_syncs_first_is_told_of_what_the_flusher_could_not_write(disk: MemoryDisk) -> None:
    store, cache = fresh(disk)
    write(cache, bytes(BLOCK), 0)
    disk.bad_sectors[store.blocks[0] * 2] = True
    seen = cache.failures
    cache.write_back(0, LAST_PAGE)
    for _ in range(2):  # two open files, each for itself; then nobody any more
        with pytest.raises(Errno):
            cache.sync_for(seen, 0, LAST_PAGE, SyncScope.ALL)
    cache.sync(0, LAST_PAGE)


def test_sync_asks_for_a_flush_when_all_is_written(disk: MemoryDisk) -> None:
    _, cache = fresh(disk)
    write(cache, bytes(BLOCK), 0)
    cache.sync(0, LAST_PAGE)
    assert [operation for operation, _, _ in disk.log] == [Operation.WRITE, Operation.FLUSH]


def test_a_bad_sector_spoils_its_page_only(disk: MemoryDisk) -> None:
    store, cache = fresh(disk)
    write(cache, bytes(40_000), 0)
    cache.sync(0, LAST_PAGE)
    cache.invalidate(0, LAST_PAGE)
    disk.bad_sectors[store.blocks[9] * 2] = True  # in page 2
    assert len(read(cache, 40_000, 0)) == 8192
    with pytest.raises(Errno):
        read(cache, 100, 8192)
    assert len(read(cache, 40_000, 12288)) == 40_000 - 12288


def test_consecutive_pages_travel_together(disk: MemoryDisk) -> None:
    store, cache = fresh(disk)
    store.free = list(range(BLOCKS - 1, -1, -1))
    write(cache, bytes(10 * 4096), 0)
    cache.sync(0, LAST_PAGE)
    assert disk.log == [(Operation.WRITE, 0, 40960), (Operation.FLUSH, 0, 0)]
    cache.invalidate(0, LAST_PAGE)
    disk.log.clear()
    read(cache, 10 * 4096, 0)
    assert disk.log == [(Operation.READ, 0, 40960)]


def test_a_page_that_the_kernel_uses_is_not_lost(disk: MemoryDisk) -> None:
    _, cache = fresh(disk)
    write(cache, b"x" * 8192, 0)
    frame = cache.page(1, False)
    used = cache.page(1, False)  # whoever sleeps meanwhile, and goes on with the page
    assert cache.lose_page(1, frame) == Loss.REFUSED
    assert cache.resident(1) == frame and cache.failures == 0
    put_frame(used)
    assert cache.lose_page(1, frame) == Loss.DIRTY
    assert cache.failures == 1
    put_frame(frame)
    cache.sync_for(1, 0, LAST_PAGE, SyncScope.DATA)
    frame = cache.page(0, False)
    assert cache.lose_page(0, frame) == Loss.CLEAN
    put_frame(frame)
    assert read(cache, 1, 0) == b"x"
    cache.close()


class TurningUp(BlockStore):
    """Somebody breaks a page while a writer waits for its blocks."""

    cache: FileCache

    def __init__(self, disk: MemoryDisk) -> None:
        super().__init__(disk)
        self.answers: list[Loss] = []

    def allocate(self, offset: int, length: int) -> None:
        frame = self.cache.resident(offset >> 12)
        get_frame(frame)
        self.answers.append(self.cache.lose_page(offset >> 12, frame))
        put_frame(frame)
        super().allocate(offset, length)


def test_a_writer_that_waits_for_blocks_loses_nothing(disk: MemoryDisk) -> None:
    store = TurningUp(disk)
    cache = store.cache = FileCache(store)
    store.size = 4096
    frame = cache.page(0, False)
    put_frame(frame)
    write(cache, b"kept", 0)
    put_frame(cache.page(0, True))
    assert store.answers == [Loss.REFUSED, Loss.REFUSED]
    cache.sync(0, LAST_PAGE)
    cache.invalidate(0, LAST_PAGE)
    assert read(cache, 4, 0) == b"kept"
    cache.close()
