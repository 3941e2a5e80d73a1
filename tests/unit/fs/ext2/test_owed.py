"""Memory that lacks during a delete or a truncation loses nothing: what is not freed at once is freed by a sync."""

from collections.abc import Callable
from typing import Any

import pytest

from kernel.cache.blocks import BlockCache
from kernel.cache.file_cache import FileCache
from kernel.fs import extended_attributes as attributes
from kernel.fs.constants import S_IFDIR, S_IFREG
from kernel.fs.ext2.freed import FreedBits
from kernel.fs.inode import Inode
from kernel.lang import Errno
from kernel.lib.credentials import Credentials

from .conftest import Mounted, check_image, make_image, write_inode

Mount = Callable[..., Mounted]
ROOT = Credentials()
OPTIONS = ("-t", "ext2", "-b", "1024", "-N", "64", "-m", "0", "-g", "1024", "-O", "^resize_inode")
KIB = 1024


class Shortage:
    """Lets the calls from number `first` to `last`, counted from 1, of what allocates find no memory."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.first = self.last = self.calls = 0
        self.counts = False
        for owner, name in ((BlockCache, "block"), (BlockCache, "forget"), (FreedBits, "add"), (FileCache, "_indices")):
            patch.setattr(owner, name, self._failing(getattr(owner, name)))

    def _failing(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any) -> Any:  # noqa: ANN401  (whatever the function takes)
            # The first bit of a group needs room for all of them.
            allocates = function.__name__ != "add" or arguments[0].fresh[arguments[1]] is None
            if self.counts and allocates:
                self.calls += 1
                if self.first <= self.calls <= self.last:
                    raise MemoryError
            return function(*arguments)

        return wrapped


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
        inode.truncate(16 * KIB)  # whoever is told may try again


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
        shortage.first, shortage.last, shortage.calls, shortage.counts = nth, nth and nth + lacking - 1, 0, True
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
