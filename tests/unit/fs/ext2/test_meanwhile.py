"""What other threads do while one sleeps in ext2."""

from collections.abc import Callable

import pytest

from kernel.block.device import BlockDevice
from kernel.cache import Block, SyncScope
from kernel.fs.cached_inode import CachedInode
from kernel.fs.constants import S_IFDIR, S_IFREG
from kernel.fs.ext2 import block_allocation, filesystem
from kernel.fs.ext2.directory import Ext2Directory
from kernel.fs.ext2.file import Ext2File
from kernel.fs.ext2.listing import ListedDirectory, NameOrder
from kernel.fs.ext2.volume import Volume
from kernel.fs.filesystem import FILE_HANDLE_TYPE
from kernel.lang import EIO, EROFS, ESTALE, Errno
from kernel.lib.credentials import Credentials, plain_actor

from .conftest import Listing, Mounted, check_image, make_image, write_inode

ROOT = plain_actor(Credentials())
Mount = Callable[..., Mounted]


def new_file(directory: object, name: bytes) -> Ext2File:
    assert isinstance(directory, Ext2Directory)
    file = directory.create(name, S_IFREG | 0o644, 0, ROOT)
    assert isinstance(file, Ext2File)
    return file


def new_directory(mounted: Mounted) -> Ext2Directory:
    directory = mounted.root.create(b"d", S_IFDIR | 0o755, 0, ROOT)
    assert isinstance(directory, Ext2Directory)
    return directory


def test_blocks_that_are_discarded_during_a_sync_are_free_afterwards(
    mount: Mount, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounted = mount(make_image(2048, "-t", "ext2", "-b", "1024"))
    mounted.disk.discard_limit = 1 << 20
    write_inode(new_file(mounted.root, b"file"), bytes(10000))

    def discard(*_: object) -> None:
        mounted.fs.sync()

    monkeypatch.setattr(block_allocation, "discard", discard)
    assert mounted.fs.trim(0, 1 << 40, 0) > 0
    assert check_image(mounted.unmount()) == ""


def test_a_file_that_is_being_deleted_has_no_handle(mount: Mount, monkeypatch: pytest.MonkeyPatch) -> None:
    mounted = mount(make_image(1024, "-t", "ext2"))
    file = new_file(mounted.root, b"file")
    handle = mounted.fs.handle_of(file)
    codes: list[int] = []
    end = CachedInode.end

    def act(inode: Ext2File) -> None:
        end(inode)
        try:
            mounted.fs.find_by_handle(FILE_HANDLE_TYPE, handle)
            codes.append(0)
        except Errno as error:
            codes.append(error.code)

    monkeypatch.setattr(Ext2File, "end", act)
    file.acquire()
    mounted.root.unlink(b"file", file)
    assert mounted.fs.find_by_handle(FILE_HANDLE_TYPE, handle) is file
    file.release()
    assert codes == [ESTALE]


def test_two_readers_of_a_description_while_names_change(mount: Mount, monkeypatch: pytest.MonkeyPatch) -> None:
    """One sleeps, names change, the other one computes the order anew: the first may not take its place for valid."""
    mounted = mount(make_image(1024, "-t", "ext2", "-b", "1024", "-O", "dir_index"))
    directory = new_directory(mounted)
    for number in range(20):
        new_file(directory, b"n%02d" % number)
    order = NameOrder()
    read = ListedDirectory._unverified_block
    turns = [5]

    def act(self: ListedDirectory, index: int) -> Block:
        turns[0] -= 1
        if turns[0] == 0:
            for number in range(20):
                found = directory.lookup(b"n%02d" % number)
                assert found is not None
                directory.unlink(b"n%02d" % number, found)
            new_file(directory, b"x" * 250)
            new_file(directory, b"y" * 250)
            sink = Listing(1)
            directory.list_names(0, sink, order)
        return read(self, index)

    monkeypatch.setattr(ListedDirectory, "_unverified_block", act)
    sink = Listing()
    directory.list_names(0, sink, order)
    assert turns[0] < 0 and not mounted.fs.volume.is_damaged


def test_a_name_that_comes_during_a_sync_can_be_synced(mount: Mount, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its directory grew for it: fsync of the file writes that too."""
    mounted = mount(make_image(1024, "-t", "ext2", "-b", "1024"))
    directory = new_directory(mounted)
    for number in range(13):
        new_file(directory, b"%02d" % number + b"o" * 61)
    mounted.fs.sync()
    made: list[Ext2File] = []
    write_super = Volume.write_super

    def act(volume: Volume) -> None:
        write_super(volume)
        if not made:
            size = directory.size
            made.append(new_file(directory, b"n" * 250))
            assert directory.size > size, "it was to grow"

    monkeypatch.setattr(Volume, "write_super", act)
    mounted.fs.sync()
    made[0].sync(SyncScope.ALL)
    found = mount(bytearray(mounted.disk.image), read_only=True)
    there = found.root.lookup(b"d")
    assert there is not None and there.lookup(b"n" * 250) is not None


def test_nothing_changes_while_a_file_system_becomes_read_only(mount: Mount, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last changes are on the way to the disk, which then counts as clean; another thread waited for its turn."""
    mounted = mount(make_image(1024, "-t", "ext2", "-b", "1024"))
    file = new_file(mounted.root, b"file")
    codes: list[int] = []

    def act(device: BlockDevice) -> None:
        for change in (
            lambda: mounted.root.create(b"d", S_IFDIR | 0o755, 0, ROOT),
            lambda: mounted.root.unlink(b"file", file),
        ):
            try:
                change()
                codes.append(0)
            except Errno as error:
                codes.append(error.code)

    with monkeypatch.context() as patch:
        patch.setattr(filesystem, "flush", act)
        mounted.fs.remount(True, b"")
    assert set(codes) == {EROFS} and mounted.fs.read_only
    assert check_image(mounted.disk.image) == ""
    mounted.fs.remount(False, b"")
    new_file(mounted.root, b"other")
    assert check_image(mounted.unmount()) == ""


def test_a_file_system_that_cannot_become_read_only_stays_writable(
    mount: Mount, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounted = mount(make_image(1024, "-t", "ext2", "-b", "1024"))
    new_file(mounted.root, b"file")

    def fail(device: BlockDevice) -> None:
        raise Errno(EIO)

    with monkeypatch.context() as patch:
        patch.setattr(filesystem, "flush", fail)
        with pytest.raises(Errno):
            mounted.fs.remount(True, b"")
    new_file(mounted.root, b"other")
    assert check_image(mounted.unmount()) == ""
