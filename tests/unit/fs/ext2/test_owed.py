"""Memory that lacks during a delete or a truncation loses nothing: what is not freed at once is freed by a sync."""

from collections.abc import Callable

import pytest

from kernel.cache.blocks import BlockCache
from kernel.fs import extended_attributes as attributes
from kernel.fs.constants import S_IFDIR, S_IFREG
from kernel.fs.inode import Inode
from kernel.lang import Errno
from kernel.lib.credentials import Credentials, plain_actor

from .conftest import Mounted, check_image, make_image, write_inode
from .shortage import Shortage

Mount = Callable[..., Mounted]
ROOT = plain_actor(Credentials())
OPTIONS = ("-t", "ext2", "-b", "1024", "-N", "64", "-m", "0", "-g", "1024", "-O", "^resize_inode")
KIB = 1024


def _sparse_file(mounted: Mounted, name: bytes) -> Inode:
    """With direct, indirect, double and triple indirect blocks, in several groups, and attributes of its own."""
    inode = mounted.root.create(name, S_IFREG | 0o600, 0, ROOT)
    inode.acquire()
    for offset in (0, 8, 20, 280, 290, 600, 70_000, 70_300):
        write_inode(inode, bytes(range(256)) * 12, offset * KIB)
    write_inode(inode, b"x" * 200 * KIB, 1000 * KIB)
    attributes.put(ROOT, inode, b"user.a", b"value" * 60, 0)
    return inode


def _used(mounted: Mounted) -> tuple[int, int]:
    counts = mounted.fs.statistics()
    return counts.blocks_free, counts.files_free


def _delete(inode: Inode) -> None:
    inode.release()


def _truncate(inode: Inode) -> None:
    try:
        inode.truncate(16 * KIB)
    except MemoryError:
        inode.truncate(16 * KIB)  # a caller that gets an error may try again


@pytest.mark.parametrize(("step", "lacking"), [(_delete, 1), (_delete, 10_000), (_truncate, 2)])
def test_nothing_is_lost(
    mount: Mount, monkeypatch: pytest.MonkeyPatch, step: Callable[[Inode], None], lacking: int
) -> None:
    shortage = Shortage(monkeypatch)
    image = make_image(4096, *OPTIONS)
    nth, tried = 0, 0
    while nth <= tried:  # the first time nothing lacks
        mounted = mount(bytearray(image))
        mounted.root.create(b"seed", S_IFDIR | 0o700, 0, ROOT)
        mounted.fs.sync()
        before = _used(mounted)
        inode = _sparse_file(mounted, b"file")
        mounted.fs.sync()
        if step is _delete:
            mounted.root.unlink(b"file", inode)
        shortage.arm(nth, lacking)
        step(inode)
        shortage.counts = False
        tried = tried or shortage.calls
        if step is _truncate:
            mounted.root.unlink(b"file", inode)
            inode.release()
        mounted.fs.sync()
        assert _used(mounted) == before, f"call {nth}"
        assert check_image(mounted.unmount()) == "", f"call {nth}"
        nth += max(1, tried // 12)
    assert tried > 30


def test_a_new_indirect_block_is_given_back(mount: Mount, monkeypatch: pytest.MonkeyPatch) -> None:
    mounted = mount(make_image(1024, *OPTIONS))
    inode = mounted.root.create(b"file", S_IFREG | 0o600, 0, ROOT)
    inode.acquire()

    def lacks_memory(self: BlockCache, number: int) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(BlockCache, "fresh", lacks_memory)
        with pytest.raises((MemoryError, Errno)):
            write_inode(inode, b"x", 100 * KIB)
    assert check_image(mounted.unmount()) == ""
