"""O_DIRECT beside the page cache: whatever the order of direct and ordinary reads, writes and truncations, a file holds
what a byte array would hold, and so does the disk.
"""

import random
from collections.abc import Callable

import pytest

from kernel.block.device import Operation
from kernel.cache.direct import read_direct, write_direct
from kernel.fs.cached_inode import CachedInode
from kernel.fs.constants import S_IFREG
from kernel.lang import EIO, ENOSPC, Errno
from kernel.lib.credentials import Credentials
from kernel.lib.user import KernelBuffer

from .conftest import Mounted, check_image, make_image, read_inode, write_inode

ROOT = Credentials()
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
