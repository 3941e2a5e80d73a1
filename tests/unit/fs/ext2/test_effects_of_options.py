"""What options of mount(2) do: `discard`, `nouid32`, `max_dir_size_kb`, `abort`."""

from collections.abc import Callable

import pytest

from kernel.fs.constants import S_IFDIR, S_IFREG
from kernel.fs.ext2 import block_allocation
from kernel.fs.ext2.instance import Ext2Node
from kernel.fs.inode import Inode
from kernel.lang import EIO, ENOSPC, EROFS, Errno
from kernel.lib.credentials import Credentials, plain_actor
from kernel.lib.ids import KernelGid, KernelUid

from .conftest import Mounted, check_image, debugfs, make_image, write_inode

ROOT = plain_actor(Credentials())
Mount = Callable[..., Mounted]


def new_file(directory: Inode, name: bytes) -> Inode:
    return directory.create(name, S_IFREG | 0o644, 0, ROOT)


def remove(directory: Inode, name: bytes, file: Inode) -> None:
    directory.unlink(name, file)
    file.release()


@pytest.mark.parametrize("options", [b"", b"discard", b"discard,nodiscard"])
def test_what_comes_free_is_discarded(mount: Mount, monkeypatch: pytest.MonkeyPatch, options: bytes) -> None:
    mounted = mount(make_image(2048, "-t", "ext2", "-b", "1024"), options=options)
    mounted.disk.discard_limit = 1 << 20
    file = new_file(mounted.root, b"file")
    file.acquire()
    write_inode(file, bytes(range(1, 101)) * 1000)
    mounted.fs.sync()
    free = mounted.fs.volume.free_blocks
    seen: list[tuple[int, int]] = []

    def discard(_: object, sector: int, count: int) -> None:
        seen.append((sector // 2, count // 2))
        write_inode(new_file(mounted.root, b"other%d" % len(seen)), bytes(3000))  # takes none of them

    monkeypatch.setattr(block_allocation, "discard", discard)
    remove(mounted.root, b"file", file)
    mounted.fs.sync()
    if options != b"discard":
        assert seen == []
        return
    assert sum(count for _, count in seen) == mounted.fs.volume.free_blocks - free + 3 * len(seen) > 97
    discarded = {first + number for first, count in seen for number in range(count)}
    monkeypatch.setattr(block_allocation, "discard", lambda *_: None)
    image = mounted.unmount()
    assert check_image(image) == ""
    for number in range(1, len(seen) + 1):
        blocks = debugfs(image, f"blocks other{number}").split()
        assert len(blocks) == 3 and not discarded & {int(block) for block in blocks}


def test_a_device_that_fails_to_discard_loses_nothing(mount: Mount, monkeypatch: pytest.MonkeyPatch) -> None:
    mounted = mount(make_image(2048, "-t", "ext2", "-b", "1024"), options=b"discard")
    mounted.disk.discard_limit = 1 << 20

    def discard(*_: object) -> None:
        raise Errno(EIO)

    monkeypatch.setattr(block_allocation, "discard", discard)
    file = new_file(mounted.root, b"file")
    file.acquire()
    write_inode(file, bytes(10000))
    mounted.fs.sync()
    remove(mounted.root, b"file", file)
    free = mounted.fs.volume.free_blocks
    mounted.fs.sync()
    assert mounted.fs.volume.free_blocks >= free and mounted.fs.volume.freed_blocks.count == 0
    assert check_image(mounted.unmount()) == ""


@pytest.mark.parametrize(("options", "expected"), [(b"", 0x12345), (b"nouid32", 65534)])
def test_narrow_owners(mount: Mount, options: bytes, expected: int) -> None:
    mounted = mount(make_image(1024, "-t", "ext2"), options=options)
    for name, owner in ((b"wide", 0x12345), (b"small", 1000)):
        file = new_file(mounted.root, name)
        file.uid = KernelUid(owner)
        file.gid = KernelGid(owner)
        file.attributes_changed()
    image = mounted.unmount()
    assert f"User: {expected:5}   Group: {expected:5}" in debugfs(image, "stat wide")
    assert "User:  1000   Group:  1000" in debugfs(image, "stat small")


def test_a_directory_grows_up_to_its_limit(mount: Mount) -> None:
    mounted = mount(make_image(1024, "-t", "ext2", "-b", "1024"), options=b"max_dir_size_kb=2")
    directory = mounted.root.create(b"d", S_IFDIR | 0o755, 0, ROOT)
    with pytest.raises(Errno) as caught:
        for number in range(1000):
            new_file(directory, b"a name of some length %d" % number)
    assert caught.value.code == ENOSPC and directory.size == 2048
    mounted.fs.remount(False, b"max_dir_size_kb=0")
    for number in range(40):
        new_file(directory, b"another name of some length %d" % number)
    assert directory.size > 2048 and check_image(mounted.unmount()) == ""


def test_abort_ends_all_writing(mount: Mount) -> None:
    mounted = mount(make_image(1024, "-t", "ext2"))
    file = new_file(mounted.root, b"before")
    assert isinstance(file, Ext2Node)
    mounted.fs.sync()
    mounted.fs.remount(False, b"abort")
    file.atime_ns += 1_000_000_000
    file.times_changed()
    assert not file.is_dirty, "it would be kept until it is written"
    assert not mounted.fs.read_only and mounted.fs.volume.is_damaged
    with pytest.raises(Errno) as caught:
        new_file(mounted.root, b"after")
    assert caught.value.code == EIO
    with pytest.raises(Errno) as caught:
        mounted.fs.remount(True, b"")
    assert caught.value.code == EROFS
    mounted.fs.remount(False, b"")
    with pytest.raises(Errno) as caught:
        mounted.fs.check_alive()
    assert caught.value.code == EIO
    assert "with errors" in debugfs(mounted.unmount(), "stats")
