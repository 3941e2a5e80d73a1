"""hugetlbfs: options, and the sizes, holes and blocks of files. What needs mappings is in tests/unit/syscalls."""

from collections.abc import Iterator

import pytest

from kernel.fs.constants import F_SEAL_GROW, F_SEAL_SHRINK, S_IFDIR, S_IFREG
from kernel.fs.filesystem import parse_amount
from kernel.fs.hugetlbfs.file import HugeFile
from kernel.fs.hugetlbfs.filesystem import Hugetlbfs, new_hugetlbfs
from kernel.lang import EINVAL, ENOMEM, ENOSPC, EOPNOTSUPP, EPERM, Errno
from kernel.lib.credentials import Credentials, plain_actor
from kernel.lib.user import KernelBuffer
from kernel.mm.frames import free_frame_count
from kernel.mm.huge_pool import HUGE_SIZE, POOL, use_pool
from tests.unit.fs.conftest import World

PUNCH = 3  # and keep the size


@pytest.fixture
def pages(world: World) -> Iterator[None]:
    """A pool of two pages, which must be free again at the end."""
    use_pool()
    before = free_frame_count()
    POOL.resize(2)
    assert (POOL.total, POOL.free, POOL.reserved) == (2, 2, 0)
    yield
    assert (POOL.total, POOL.free, POOL.reserved) == (2, 2, 0)
    POOL.resize(0)
    assert free_frame_count() == before


def mounted(options: bytes) -> Hugetlbfs:
    return new_hugetlbfs(b"none", options, Credentials())


def new_file(owner: Hugetlbfs) -> HugeFile:
    inode = owner.root().create(b"file", S_IFREG | 0o644, 0, plain_actor(Credentials()))
    assert isinstance(inode, HugeFile)
    return inode


def read(file: HugeFile, offset: int, count: int) -> bytes:
    buffer = KernelBuffer(bytearray(count))
    return bytes(buffer.storage[: file.read_at(buffer, offset)])


@pytest.mark.parametrize(
    ("text", "amount"),
    [(b"5", (5, 1)), (b"2M", (2 << 20, 2)), (b"3kx", (3 << 10, 2)), (b"50%", (50, 2)), (b"1G", (1 << 30, 2))],
)
def test_amounts(text: bytes, amount: tuple[int, int]) -> None:
    assert parse_amount(text) == amount


def test_amounts_have_a_bound() -> None:
    for text in (b"9" * 40, b"9" * 40 + b"E", b"999999999999E"):
        assert 1 << 60 < parse_amount(text)[0] < 1 << 63


@pytest.mark.usefixtures("pages")
@pytest.mark.parametrize(
    ("options", "shown"),
    [
        (b"", b",pagesize=2M"),
        (b"size=5M", b",pagesize=2M,size=4194304"),
        (b"size=50%", b",pagesize=2M,size=2097152"),
        (b"min_size=2M,size=4M", b",pagesize=2M,size=4194304,min_size=2097152"),
        (b"pagesize=1G", b",pagesize=1024M"),
        (b"uid=5,gid=6,mode=7700,nr_inodes=1k", b",uid=5,gid=6,mode=1700,nr_inodes=1024,pagesize=2M"),
    ],
)
def test_options(options: bytes, shown: bytes) -> None:
    instance = mounted(options)
    assert instance.options() == shown
    instance.shut_down()


@pytest.mark.usefixtures("pages")
@pytest.mark.parametrize(
    ("options", "error"),
    [
        (b"size=", EINVAL),
        (b"size=M", EINVAL),
        (b"pagesize=4k", EINVAL),
        (b"size=2M,min_size=4M", EINVAL),
        (b"mode=9", EINVAL),
        (b"other=1", EINVAL),
        (b"min_size=6M", ENOMEM),
        (b"nr_inodes=0", ENOMEM),
        (b"min_size=2M,nr_inodes=0", ENOMEM),
    ],
)
def test_wrong_options(options: bytes, error: int) -> None:
    with pytest.raises(Errno) as refusal:
        mounted(options)
    assert refusal.value.code == error


@pytest.mark.usefixtures("pages")
def test_a_remount_changes_nothing() -> None:
    instance = mounted(b"size=4M")
    instance.reconfigure(b"size=2M")
    with pytest.raises(Errno):
        instance.reconfigure(b"other")
    assert instance.options() == b",pagesize=2M,size=4194304"
    instance.shut_down()


@pytest.mark.usefixtures("pages")
def test_sizes_are_whole_pages() -> None:
    instance = mounted(b"")
    file = new_file(instance)
    for size in (1, HUGE_SIZE - 1, HUGE_SIZE + 4096, -HUGE_SIZE):
        with pytest.raises(Errno) as refusal:
            file.truncate(size)
        assert refusal.value.code == EINVAL
    file.truncate(3 * HUGE_SIZE)
    assert file.size == 3 * HUGE_SIZE and file.blocks == 0 and read(file, HUGE_SIZE - 2, 4) == bytes(4)
    file.truncate((1 << 63) - HUGE_SIZE)
    file.truncate(0)
    instance.shut_down()


@pytest.mark.usefixtures("pages")
def test_space_and_holes() -> None:
    instance = mounted(b"")
    file = new_file(instance)
    file.allocate(0, 0, HUGE_SIZE + 100)
    assert (file.size, file.blocks, POOL.free) == (HUGE_SIZE + 100, 8192, 0)
    assert len(read(file, HUGE_SIZE, 4096)) == 100
    with pytest.raises(Errno) as refusal:
        file.allocate(0, 0, 3 * HUGE_SIZE)
    assert refusal.value.code == ENOSPC and file.size == HUGE_SIZE + 100
    with pytest.raises(Errno) as refusal:
        file.allocate(16, 0, HUGE_SIZE)
    assert refusal.value.code == EOPNOTSUPP
    file.allocate(PUNCH, 10, 2 * HUGE_SIZE - 10)  # the first page stays
    assert (file.blocks, POOL.free) == (4096, 1)
    file.allocate(PUNCH, 0, HUGE_SIZE)
    assert (file.size, file.blocks, POOL.free) == (HUGE_SIZE + 100, 0, 2)
    file.allocate(1, 5 * HUGE_SIZE, 1)  # past the end
    assert (file.size, file.blocks) == (HUGE_SIZE + 100, 4096)
    file.truncate(HUGE_SIZE)
    assert (file.blocks, POOL.free) == (0, 2)
    instance.shut_down()


@pytest.mark.usefixtures("pages")
def test_seals() -> None:
    instance = mounted(b"")
    file = new_file(instance)
    with pytest.raises(Errno) as refusal:
        file.add_seals(F_SEAL_GROW)
    assert refusal.value.code == EPERM
    file.seals = 0
    file.truncate(HUGE_SIZE)
    file.add_seals(F_SEAL_GROW | F_SEAL_SHRINK)
    for size in (0, 2 * HUGE_SIZE):
        with pytest.raises(Errno) as refusal:
            file.truncate(size)
        assert refusal.value.code == EPERM
    with pytest.raises(Errno) as refusal:
        file.allocate(0, HUGE_SIZE, 1)
    assert refusal.value.code == EPERM
    instance.shut_down()


@pytest.mark.usefixtures("pages")
def test_inodes_have_a_limit() -> None:
    instance = mounted(b"size=4M,nr_inodes=3")
    root = instance.root()
    root.create(b"directory", S_IFDIR | 0o755, 0, plain_actor(Credentials()))
    with pytest.raises(Errno) as refusal:
        root.create_symlink(b"link", b"file", plain_actor(Credentials()))
    assert refusal.value.code == EINVAL
    new_file(instance)
    numbers = instance.statistics()
    assert (numbers.blocks, numbers.blocks_free, numbers.files, numbers.files_free) == (2, 2, 3, 0)
    with pytest.raises(Errno) as refusal:
        root.create_symlink(b"link", b"file", plain_actor(Credentials()))
    assert refusal.value.code == ENOSPC
    assert root.size == 0 and not root.has_birth_time() and root.attribute_store() is None
    instance.shut_down()


@pytest.mark.usefixtures("pages")
def test_files_of_greater_pages_stay_empty() -> None:
    instance = mounted(b"pagesize=1G")
    file = new_file(instance)
    with pytest.raises(Errno):
        file.truncate(HUGE_SIZE)
    file.truncate(1 << 30)
    with pytest.raises(Errno) as refusal:
        file.allocate(0, 0, 1 << 30)
    assert refusal.value.code == ENOSPC and file.mapping_unit() == 1 << 30
    file.allocate(PUNCH, 0, 1 << 30)
    instance.shut_down()
