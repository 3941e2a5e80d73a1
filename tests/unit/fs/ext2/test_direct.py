"""O_DIRECT beside the page cache: whatever the order of direct and ordinary reads, writes and truncations, a file holds
what a byte array would hold, and so does the disk.
"""

import random
from collections.abc import Callable

import pytest

from kernel.block.device import BlockRequest, Operation
from kernel.block.frames_buffer import FramesBuffer
from kernel.cache.direct import read_direct, write_direct
from kernel.cache.store import Runs
from kernel.fs.cached_inode import CachedInode
from kernel.fs.constants import FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, S_IFREG
from kernel.lang import EIO, ENOSPC, Errno, span_of
from kernel.lib.credentials import Credentials, plain_actor
from kernel.lib.user import KernelBuffer
from kernel.mm.frames import PAGE_SIZE, Frame, allocate_frame, frame_count, frame_span, put_frame

from .conftest import Mounted, check_image, make_image, read_inode, write_inode

ROOT = plain_actor(Credentials())
Mount = Callable[..., Mounted]


def new_file(mounted: Mounted) -> CachedInode:
    file = mounted.root.create(b"file", S_IFREG | 0o644, 0, ROOT)
    assert isinstance(file, CachedInode)
    return file


def direct_write(file: CachedInode, data: bytes, offset: int) -> int:
    return write_direct(file.cache, KernelBuffer(bytearray(data)), offset)


def direct_read(file: CachedInode, offset: int, size: int) -> bytes:
    buffer = KernelBuffer(bytearray(size))
    count = read_direct(file.cache, buffer, offset)
    return bytes(buffer.storage[:count])


@pytest.mark.parametrize("block_size", [1024, 4096])
@pytest.mark.parametrize("seed", range(5))
def test_random_order(mount: Mount, block_size: int, seed: int) -> None:
    mounted = mount(make_image(2048, "-t", "ext2", "-b", str(block_size)))
    file = new_file(mounted)
    model = bytearray()
    generator = random.Random(seed)
    for _ in range(150):
        offset = generator.randrange(80) * 512
        data = generator.randbytes(512 * generator.choice((1, 2, 3, 8, 8, 16, 40)))
        match generator.randrange(6):
            case 0 | 1:
                assert direct_write(file, data, offset) == len(data)
            case 2:
                offset += generator.randrange(512)
                data = data[: generator.randrange(1, len(data))]
                assert write_inode(file, data, offset) == len(data)
            case 3:
                size = generator.randrange(50000)
                file.truncate(size)
                model[size:] = bytes(max(0, size - len(model)))
                continue
            case 4:
                assert direct_read(file, offset, len(data)) == bytes(model[offset : offset + len(data)])
                continue
            case _:
                assert read_inode(file, offset, len(data)) == bytes(model[offset : offset + len(data)])
                continue
        model.extend(bytes(max(0, offset - len(model))))
        model[offset : offset + len(data)] = data
        assert file.size == len(model)
    assert read_inode(file) == bytes(model)
    image = mounted.unmount()
    assert check_image(image) == ""
    found = mount(image, read_only=True).root.lookup(b"file")
    assert found is not None and read_inode(found) == bytes(model)


class Memory:
    """Frames of somebody else, in no order, and the requests that a loop device would get for them."""

    def __init__(self, pages: int) -> None:
        self.frames = [int(allocate_frame()) for _ in range(pages)]
        random.Random(pages).shuffle(self.frames)

    def buffer(self, operation: Operation, offset: int, length: int) -> FramesBuffer:
        request = BlockRequest(operation, 0)
        request.frames.extend(self.frames)
        request.offset, request.length = offset, length
        return FramesBuffer(request)

    def contents(self) -> bytes:
        return b"".join(frame_span(Frame(frame)).to_bytes() for frame in self.frames)

    def fill(self, data: bytes) -> None:
        for i, frame in enumerate(self.frames):
            frame_span(Frame(frame)).copy_from(span_of(data[i * PAGE_SIZE : (i + 1) * PAGE_SIZE]))

    def release(self) -> None:
        assert [frame_count(Frame(frame)) for frame in self.frames] == [1] * len(self.frames)
        for frame in self.frames:
            put_frame(Frame(frame))


@pytest.mark.parametrize("segments", [2, 3, 128])
@pytest.mark.parametrize("block_size", [1024, 4096])
def test_the_device_reaches_the_memory_itself(mount: Mount, block_size: int, segments: int) -> None:
    mounted = mount(make_image(2048, "-t", "ext2", "-b", str(block_size)))
    mounted.disk.largest_transfer = segments
    mounted.disk.largest_joined_transfer = 2 * segments
    file = new_file(mounted)
    file.truncate(400_000)
    model = bytearray(400_000)
    memory = Memory(20)
    generator = random.Random(segments)
    for _ in range(60):
        start = generator.randrange(8) * 512
        length = generator.randrange(1, 140) * 512
        offset = generator.randrange(600) * 512
        if generator.random() < 0.5:
            data = generator.randbytes(20 * PAGE_SIZE)
            memory.fill(data)
            assert write_direct(file.cache, memory.buffer(Operation.WRITE, start, length), offset) == length
            model[offset : offset + length] = data[start : start + length]
            assert memory.contents() == data
        else:
            before = memory.contents()
            assert read_direct(file.cache, memory.buffer(Operation.READ, start, length), offset) == length
            assert memory.contents() == before[:start] + model[offset : offset + length] + before[start + length :]
    # The end of the file lies within a sector: nothing is reported of what lies after it.
    before = memory.contents()
    assert read_direct(file.cache, memory.buffer(Operation.READ, 512, 4096), 399_872) == 128
    assert memory.contents() == before[:512] + model[399_872:] + bytes(384) + before[1024:]
    memory.release()
    assert read_inode(file) == bytes(model)
    assert check_image(mounted.unmount()) == ""


@pytest.mark.parametrize("how", ["cut", "punch"])
def test_blocks_are_freed_when_the_direct_reads_that_know_them_are_done(
    mount: Mount, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    mounted = mount(make_image(2048, "-t", "ext2", "-b", "4096"))
    file = new_file(mounted)
    assert direct_write(file, bytes(65536), 0) == 65536
    blocks = file.blocks
    seen: list[int] = []

    def wait() -> None:
        seen.append(file.blocks)
        file.cache.end_direct_read()

    file.cache.direct_reads = 2
    monkeypatch.setattr(file.cache.waiters, "wait", wait)
    if how == "cut":
        file.truncate(4096)
    else:
        file.allocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 61440)
    assert seen == [blocks, blocks] and file.blocks <= 16  # one, and the indirect block that leads to it


def test_a_direct_read_looks_up_under_the_lock(mount: Mount, monkeypatch: pytest.MonkeyPatch) -> None:
    mounted = mount(make_image(2048, "-t", "ext2", "-b", "4096"))
    file = new_file(mounted)
    assert write_inode(file, b"x" * 8192, 0) == 8192
    held: list[tuple[bool, int]] = []
    find = type(file).map_blocks
    submit = mounted.disk.submit

    def map_blocks(self: CachedInode, offset: int, length: int, runs: Runs) -> None:
        held.append((self.lock.owner is not None, self.cache.direct_reads))
        find(self, offset, length, runs)

    def watched(request: BlockRequest) -> None:
        if request.operation == Operation.READ:
            held.append((file.lock.owner is not None, file.cache.direct_reads))
        submit(request)

    monkeypatch.setattr(type(file), "map_blocks", map_blocks)
    monkeypatch.setattr(mounted.disk, "submit", watched)
    assert direct_read(file, 0, 8192) == b"x" * 8192
    assert held[-2:] == [(True, 0), (False, 1)] and file.cache.direct_reads == 0


def test_nothing_stays_in_the_cache(mount: Mount) -> None:
    mounted = mount(make_image(2048, "-t", "ext2", "-b", "4096"))
    file = new_file(mounted)
    data = random.Random(1).randbytes(1 << 17)
    mounted.disk.log.clear()
    assert direct_write(file, data, 0) == len(data)
    written = [length for operation, _, length in mounted.disk.log if operation is Operation.WRITE]
    assert sum(written) == len(data) and max(written) >= 1 << 15
    assert direct_read(file, 4096, 1 << 16) == data[4096 : 4096 + (1 << 16)]
    assert [page for page in range(32) if file.cache.find(page) is not None] == []


def test_errors_leave_no_blocks_behind(mount: Mount) -> None:
    mounted = mount(make_image(512, "-t", "ext2", "-b", "4096", "-m", "0"))
    file = new_file(mounted)
    free = mounted.fs.statistics().blocks_free
    with pytest.raises(Errno) as error:
        mounted.disk.bad_sectors = dict.fromkeys(range(1024), True)
        direct_write(file, bytes(65536), 0)
    mounted.disk.bad_sectors = {}
    assert error.value.code == EIO and (file.size, file.blocks) == (0, 0)
    assert mounted.fs.statistics().blocks_free == free
    total = 0
    with pytest.raises(Errno) as error:
        while True:
            total += direct_write(file, bytes(40960), total)
    assert error.value.code == ENOSPC and file.size == total > 100000
    assert check_image(mounted.unmount()) == ""
