"""Making, reading and removing files, with e2fsck as the judge of what is on the disk."""

import random
from collections.abc import Callable

import pytest

from kernel.cache.eviction import drop_clean_pages
from kernel.fs.cached_inode import CachedInode
from kernel.fs.constants import (
    FALLOC_FL_KEEP_SIZE,
    FALLOC_FL_PUNCH_HOLE,
    S_IFBLK,
    S_IFCHR,
    S_IFDIR,
    S_IFIFO,
    S_IFREG,
    device_number,
)
from kernel.fs.ext2.directory import Ext2Directory
from kernel.fs.ext2.layout import STATE_CLEAN, STATE_ERRORS
from kernel.lang import EINTR, ENOSPC, EROFS, EUCLEAN, Errno, Span, u8
from kernel.lib.credentials import CALLER, Credentials, plain_actor
from kernel.lib.ids import KernelGid, KernelUid
from kernel.lib.user import KernelBuffer
from kernel.sched import mutex
from kernel.sched.thread import Thread

from .conftest import Mounted, check_image, debugfs, make_image, read_inode, write_inode

ROOT = plain_actor(Credentials())
Mount = Callable[..., Mounted]
LAYOUTS = [
    ("-t", "ext2", "-b", "1024"),
    ("-t", "ext2", "-b", "2048", "-I", "128"),
    ("-t", "ext2", "-b", "4096"),
    ("-t", "ext2", "-b", "1024", "-g", "1024", "-O", "^sparse_super,^filetype,^resize_inode", "-I", "128"),
    ("-E", "revision=0", "-b", "1024"),
    ("-t", "ext2", "-b", "1024", "-g", "512", "-O", "meta_bg,^resize_inode"),
]


@pytest.mark.parametrize("options", LAYOUTS)
def test_all_kinds_of_files(mount: Mount, options: tuple[str, ...]) -> None:
    mounted = mount(make_image(4096, *options))
    root = mounted.root
    file = root.create(b"file", S_IFREG | 0o640, 0, ROOT)
    assert write_inode(file, b"hello") == 5
    directory = root.create(b"directory", S_IFDIR | 0o755, 0, ROOT)
    inner = directory.create(b"inner", S_IFREG | 0o600, 0, ROOT)
    assert write_inode(inner, bytes(range(256)) * 100) == 25600
    root.create(b"null", S_IFCHR | 0o666, device_number(1, 3), ROOT)
    root.create(b"disk", S_IFBLK | 0o660, device_number(259, 70000), ROOT)
    root.create(b"fifo", S_IFIFO | 0o600, 0, ROOT)
    root.create_symlink(b"short", b"file", ROOT)
    root.create_symlink(b"long", b"x" * 100, ROOT)
    root.link(b"second", file)
    image = mounted.unmount()
    assert check_image(image) == ""
    again = mount(image, read_only=True)
    names = sorted(again.names(again.root))
    assert names == sorted(
        [b"lost+found", b"file", b"directory", b"null", b"disk", b"fifo", b"short", b"long", b"second"]
    )
    found = again.root.lookup(b"second")
    assert found is not None and found is again.root.lookup(b"file")
    assert (found.nlink, found.size, found.mode) == (2, 5, S_IFREG | 0o640)
    assert read_inode(found) == b"hello"
    for name, rdev in ((b"null", device_number(1, 3)), (b"disk", device_number(259, 70000))):
        device = again.root.lookup(name)
        assert device is not None and device.rdev == rdev
    for name, target in ((b"short", b"file"), (b"long", b"x" * 100)):
        link = again.root.lookup(name)
        assert link is not None and link.read_link() == target
    below = again.root.lookup(b"directory")
    assert below is not None
    deep = below.lookup(b"inner")
    assert deep is not None and read_inode(deep) == bytes(range(256)) * 100
    assert "hello" in debugfs(image, "cat file")


@pytest.mark.parametrize("options", LAYOUTS)
def test_everything_can_be_removed(mount: Mount, options: tuple[str, ...]) -> None:
    image = make_image(4096, *options)
    mounted = mount(image)
    before = mounted.fs.statistics()
    root = mounted.root
    directory = root.create(b"d", S_IFDIR | 0o755, 0, ROOT)
    names = [b"name %d " % i + b"x" * (i % 40) for i in range(150)]
    for name in names:
        file = directory.create(name, S_IFREG | 0o600, 0, ROOT)
        write_inode(file, name * 60)
    assert sorted(mounted.names(directory, 7)) == sorted(names)
    for name in names[::2] + names[1::2]:
        file_or_none = directory.lookup(name)
        assert file_or_none is not None
        directory.unlink(name, file_or_none)
        assert directory.lookup(name) is None
    assert directory.is_empty()
    root.remove_directory(b"d", directory)
    after = mounted.fs.statistics()
    assert (after.blocks_free, after.files_free) == (before.blocks_free, before.files_free)
    assert check_image(mounted.unmount()) == ""


@pytest.mark.parametrize("block_size", [1024, 4096])
def test_sparse_and_large_files(mount: Mount, block_size: int) -> None:
    mounted = mount(make_image(4096, "-t", "ext2", "-b", str(block_size)))
    file = mounted.root.create(b"sparse", S_IFREG | 0o600, 0, ROOT)
    per_block = block_size // 4
    places = [0, 11, 12, 12 + per_block - 1, 12 + per_block, 12 + per_block + per_block**2 + 5]
    for place in places:
        assert write_inode(file, b"<%d>" % place, place * block_size) > 0
    for place in places:
        text = b"<%d>" % place
        assert read_inode(file, place * block_size, len(text)) == text
        assert file.seek_data(place * block_size) == place * block_size
    assert read_inode(file, 5 * block_size, 10) == bytes(10)
    assert file.seek_hole(0) >= block_size
    mounted.fs.sync()
    assert check_image(mounted.disk.image.copy()).count("not cleanly") <= 1
    file.truncate(12 * block_size + 1)
    assert file.size == 12 * block_size + 1
    file.truncate(20 * block_size)
    assert read_inode(file, 12 * block_size, 8) == b"<" + bytes(7)
    assert check_image(mounted.unmount()) == ""


def test_full_disk_loses_nothing(mount: Mount) -> None:
    mounted = mount(make_image(1024, "-t", "ext2", "-b", "1024", "-m", "0"))
    file = mounted.root.create(b"big", S_IFREG | 0o600, 0, ROOT)
    written = 0
    with pytest.raises(Errno) as caught:
        while True:
            written += write_inode(file, b"0123456789abcdef" * 64, written)
    assert caught.value.code == ENOSPC
    assert file.size == written
    with pytest.raises(Errno) as caught:
        mounted.root.create(b"directory", S_IFDIR | 0o700, 0, ROOT)
    assert caught.value.code == ENOSPC
    assert mounted.root.lookup(b"directory") is None
    assert read_inode(file, 0, written) == b"0123456789abcdef" * (written // 16)
    mounted.root.unlink(b"big", file)
    mounted.root.create(b"directory", S_IFDIR | 0o700, 0, ROOT)
    assert check_image(mounted.unmount()) == ""


def test_inodes_run_out(mount: Mount) -> None:
    mounted = mount(make_image(1024, "-t", "ext2", "-b", "1024", "-N", "32"))
    made = 0
    with pytest.raises(Errno) as caught:
        while True:
            mounted.root.create(b"f%d" % made, S_IFREG | 0o600, 0, ROOT)
            made += 1
    assert caught.value.code == ENOSPC and made > 10
    assert mounted.fs.statistics().files_free == 0
    assert check_image(mounted.unmount()) == ""


def test_reserved_blocks_are_for_root(mount: Mount, monkeypatch: pytest.MonkeyPatch) -> None:
    mounted = mount(make_image(1024, "-t", "ext2", "-b", "1024", "-m", "10"))
    user = Credentials()
    user.fsuid = KernelUid(1000)
    user.fsgid = KernelGid(1000)
    user.effective = user.permitted = 0
    monkeypatch.setattr(CALLER, "find", lambda: user)
    file = mounted.root.create(b"big", S_IFREG | 0o666, 0, ROOT)
    written = 0
    with pytest.raises(Errno) as caught:
        while True:
            written += write_inode(file, b"x" * 1024, written)
    assert caught.value.code == ENOSPC
    numbers = mounted.fs.statistics()
    assert numbers.blocks_free == numbers.blocks_reserved > 50
    monkeypatch.setattr(CALLER, "find", lambda: ROOT)
    assert write_inode(file, b"x" * 1024, written) == 1024
    assert check_image(mounted.unmount()) == ""


def test_damage_makes_it_read_only(mount: Mount) -> None:
    mounted = mount(make_image(1024, "-t", "ext2", "-b", "1024"), b"ext2", b"errors=remount-ro")
    directory = mounted.root.create(b"d", S_IFDIR | 0o755, 0, ROOT)
    node = mounted.fs.inode(directory.ino)
    assert isinstance(node, Ext2Directory)
    number, _ = node.find_blocks(0, 1)
    with mounted.fs.volume.blocks.block(number) as block:
        block.span().store_u16(4, 3)  # a record of three bytes
        block.mark_dirty()
    with pytest.raises(Errno) as caught:
        directory.lookup(b"name")
    assert caught.value.code == EUCLEAN
    assert mounted.fs.read_only
    with pytest.raises(Errno) as caught:
        mounted.root.create(b"new", S_IFREG | 0o600, 0, ROOT)
    assert caught.value.code == EROFS
    state = int.from_bytes(mounted.unmount()[1024 + 58 : 1024 + 60], "little")
    assert state & STATE_ERRORS != 0 and state & STATE_CLEAN == 0


@pytest.mark.parametrize("size", [0, 4096])
def test_a_page_that_gets_only_some_of_its_blocks_gets_none(mount: Mount, size: int) -> None:
    """The new blocks hold what was there before: it must not show, neither in a hole nor past the end."""
    mounted = mount(make_image(1024, "-t", "ext2", "-b", "1024", "-m", "0", "-N", "16"))
    mounted.disk.image[400 << 10 :] = b"\xee" * (len(mounted.disk.image) - (400 << 10))
    hole = mounted.root.create(b"hole", S_IFREG | 0o600, 0, ROOT)
    hole.truncate(size)
    filler = mounted.root.create(b"filler", S_IFREG | 0o600, 0, ROOT)
    with pytest.raises(Errno):
        while True:
            write_inode(filler, bytes(8192), filler.size)
    filler.truncate(filler.size - 2048)
    free = mounted.fs.statistics().blocks_free
    assert 0 < free < 4
    for _ in range(2):
        with pytest.raises(Errno) as full:
            write_inode(hole, b"x" * 4096)
        assert full.value.code == ENOSPC
    assert (hole.size, mounted.fs.statistics().blocks_free) == (size, free)
    drop_clean_pages()
    assert read_inode(hole) == bytes(size)


def test_room_in_a_directory_is_found_again(mount: Mount) -> None:
    """A name goes to the first block that has room for it, whatever the lengths of those that came and went."""
    mounted = mount(make_image(4096, "-t", "ext2", "-b", "1024", "-N", "1024", "-O", "^dir_index"))
    root = mounted.root
    directory = root.create(b"d", S_IFDIR | 0o755, 0, ROOT)
    target = root.create(b"target", S_IFREG | 0o600, 0, ROOT)
    generator = random.Random(5)
    alive: list[bytes] = []
    blocks: list[int] = [1024 - 24]  # what each block has left, if every name lies where room was first

    def place(need: int) -> int:
        for index, left in enumerate(blocks):
            if left >= need:
                return index
        blocks.append(1024)
        return len(blocks) - 1

    for number in range(700):
        name = b"%d" % number + b"n" * generator.choice((0, 5, 14, 20, 100, 240))
        blocks[place((8 + len(name) + 3) & ~3)] -= (8 + len(name) + 3) & ~3
        directory.link(name, target)
        alive.append(name)
        assert directory.size == len(blocks) << 10
    size = directory.size
    for name in generator.sample(alive, 350):
        directory.unlink(name, target)
        alive.remove(name)
    for number in range(150):
        name = b"again %d" % number
        directory.link(name, target)
        alive.append(name)
    assert directory.size == size
    assert sorted(mounted.names(directory)) == sorted(alive)
    assert check_image(mounted.unmount()) == ""


class TornBuffer(KernelBuffer):
    """Memory of a program that ends before the write does."""

    def __init__(self, storage: bytearray, there: int) -> None:
        super().__init__(storage)
        self.there = there

    def take(self, destination: Span[u8]) -> int:
        moved = super().take(destination[0 : min(len(destination), self.there - self.position)])
        self.faulted = self.position == self.there
        return moved


@pytest.mark.parametrize("there", [0, 1, 268, 2000])
def test_a_torn_write_leaves_no_blocks_past_the_end(mount: Mount, there: int) -> None:
    mounted = mount(make_image(4096, "-t", "ext2", "-b", "1024"))
    file = mounted.root.create(b"file", S_IFREG | 0o600, 0, ROOT)
    assert write_inode(file, b"x" * 69732) == 69732
    assert file.write_at(TornBuffer(bytearray(3996), there), 69732) == there
    assert file.size == 69732 + there
    image = mounted.unmount()
    assert check_image(image) == ""


def test_a_thread_that_must_end_waits_for_no_writer(mount: Mount, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread may wait for a program's memory, which another program provides when it likes."""
    mounted = mount(make_image(1024, "-t", "ext2"))
    file = mounted.root.create(b"file", S_IFREG | 0o600, 0, ROOT)
    assert isinstance(file, CachedInode)
    thread = Thread(b"killed")
    monkeypatch.setattr(thread, "is_dying", lambda: True)
    monkeypatch.setattr(mutex, "current_thread", lambda: thread)
    store = file.attribute_store()
    assert store is not None
    file.lock.owner = Thread(b"writer")
    for change in (
        lambda: write_inode(file, b"x"),
        lambda: file.truncate(5),
        lambda: file.allocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 1),
        file.cache.store.begin_change,
        store.acquire,
    ):
        with pytest.raises(Errno) as caught:
            change()
        assert caught.value.code == EINTR
    file.lock.release()
    assert write_inode(file, b"x") == 1 and file.lock.owner is None
