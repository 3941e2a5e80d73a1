"""What was freed is used again only when the disk knows of it; what a rename replaced stays until then."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.cache.store import SyncScope
from kernel.fs.constants import S_IFREG
from kernel.fs.ext2.freed import FreedBits
from kernel.fs.ext2.inode import Ext2Inode
from kernel.fs.inode import Inode
from kernel.lang import Errno, span_of
from kernel.lib.credentials import Credentials, plain_actor

from .conftest import Mounted, check_image, debugfs, make_image, read_inode, start_machine, write_inode

Mount = Callable[..., Mounted]
ROOT = plain_actor(Credentials())
SMALL = ("-t", "ext2", "-b", "1024", "-N", "32", "-m", "0")


@given(st.lists(st.tuples(st.sampled_from(("add", "begin", "end")), st.integers(0, 1), st.integers(0, 63))))
def test_bits_settle_in_rounds(steps: list[tuple[str, int, int]]) -> None:
    freed = FreedBits(2, 8)
    fresh: set[tuple[int, int]] = set()
    settling: set[tuple[int, int]] = set()
    for step, group, index in steps:
        if step == "add":
            assert freed.add(group, index) == ((group, index) not in fresh | settling)
            if (group, index) not in settling:
                fresh.add((group, index))
        elif step == "begin":
            freed.begin()
            settling |= fresh
            fresh = set()
        else:
            bitmap = bytearray(b"\xff" * 8)
            count, first = freed.end(group, span_of(bitmap))
            cleared = [bit for bit in range(64) if bitmap[bit >> 3] >> (bit & 7) & 1 == 0]
            assert cleared == sorted(bit for where, bit in settling if where == group)
            assert count == len(cleared) and (count == 0 or first == cleared[0])
            settling = {each for each in settling if each[0] != group}
        assert freed.count == len(fresh | settling)


def make(mounted: Mounted, name: bytes, data: bytes) -> Inode:
    inode = mounted.root.create(name, S_IFREG | 0o600, 0, ROOT)
    inode.acquire()
    write_inode(inode, data)
    return inode


def remove(mounted: Mounted, name: bytes, inode: Inode) -> None:
    mounted.root.unlink(name, inode)
    inode.release()


def blocks_of(inode: Inode) -> list[int]:
    assert isinstance(inode, Ext2Inode)
    return [inode.find_blocks(index, 1)[0] for index in range(inode.size >> 10)]


def test_blocks_are_not_given_away_before_their_owner_is_gone(mount: Mount) -> None:
    mounted = mount(make_image(512, *SMALL))
    first = make(mounted, b"first", bytes(20 << 10))
    mounted.fs.sync()
    freed = set(blocks_of(first))
    free_before = mounted.fs.statistics().blocks_free
    remove(mounted, b"first", first)
    assert mounted.fs.statistics().blocks_free >= free_before + 20  # they count as free at once
    second = make(mounted, b"second", bytes(20 << 10))
    assert not freed & set(blocks_of(second))
    assert second.ino != first.ino
    mounted.fs.sync()
    third = make(mounted, b"third", bytes(20 << 10))
    assert freed & set(blocks_of(third))
    assert check_image(mounted.unmount()) == ""


def test_a_full_disk_waits_for_what_was_freed(mount: Mount) -> None:
    mounted = mount(make_image(512, *SMALL))
    name = 0
    with pytest.raises(Errno):
        while True:
            make(mounted, b"file%d" % name, bytes(20 << 10))
            name += 1
    for number in range(name):
        inode = mounted.root.lookup(b"file%d" % number)
        assert inode is not None
        remove(mounted, b"file%d" % number, inode)
    for number in range(name - 1):
        assert read_inode(make(mounted, b"again%d" % number, b"x" * 5000)) == b"x" * 5000
    large = make(mounted, b"large", bytes(100 << 10))
    assert large.size == 100 << 10
    assert check_image(mounted.unmount()) == ""


def test_inodes_run_out_and_come_back(mount: Mount) -> None:
    mounted = mount(make_image(512, *SMALL))
    for round_number in range(4):
        made = [make(mounted, b"%d.%d" % (round_number, number), b"") for number in range(20)]
        for number, inode in enumerate(made):
            remove(mounted, b"%d.%d" % (round_number, number), inode)
    assert check_image(mounted.unmount()) == ""


def sync(mounted: Mounted, inode: Inode) -> None:
    assert isinstance(inode, Ext2Inode)
    inode.sync(SyncScope.ALL)


def replace(mounted: Mounted) -> Inode:
    """Let the name "name", which is on the disk with "old text", lead to another file; the old one comes back."""
    old = make(mounted, b"name", b"old text")
    mounted.fs.sync()
    new = make(mounted, b"new", b"new text")
    sync(mounted, new)
    mounted.root.rename(b"new", new, mounted.root, b"name", old)
    old.release()
    return old


def test_what_a_rename_replaced_is_kept_until_the_name_leads_elsewhere(mount: Mount) -> None:
    mounted = mount(make_image(512, "-t", "ext2", "-b", "4096", "-N", "32"))
    old = replace(mounted)
    # All inodes reach the disk, but not the directory.
    mounted.fs._write_inodes()
    table = mounted.fs.volume.inode_table(0)
    mounted.fs.volume.blocks.write(list(range(table, table + mounted.fs.volume.geometry.inode_table_blocks)))
    assert "old text" in debugfs(mounted.disk.image, "cat name")
    mounted.fs.settle()
    assert f"<{old.ino}>" not in debugfs(mounted.disk.image, "ls")
    mounted.fs.sync()
    assert "Links: 0" in debugfs(mounted.disk.image, f"stat <{old.ino}>")
    assert check_image(mounted.unmount()) == ""


def test_an_open_file_that_was_replaced_is_deleted_when_it_is_closed(mount: Mount) -> None:
    mounted = mount(make_image(512, *SMALL))
    old = make(mounted, b"name", b"old text")
    new = make(mounted, b"new", b"new text")
    mounted.root.rename(b"new", new, mounted.root, b"name", old)
    mounted.fs.sync()
    assert read_inode(old) == b"old text"
    write_inode(old, b"more", 8)
    mounted.fs.sync()
    old.release()
    image = mounted.unmount()
    assert check_image(image) == ""
    start_machine()
    again = Mounted(image, read_only=True)
    found = again.root.lookup(b"name")
    assert found is not None and read_inode(found) == b"new text"


def test_a_disk_that_fails_settles_nothing(mount: Mount) -> None:
    mounted = mount(make_image(512, *SMALL))
    old = replace(mounted)
    first = make(mounted, b"first", bytes(20 << 10))
    sync(mounted, first)
    freed = set(blocks_of(first))
    remove(mounted, b"first", first)
    place = mounted.fs.volume.inode_table(0)
    for sector in range(place * 2, place * 2 + 8):
        mounted.disk.bad_sectors[sector] = True
    with pytest.raises(Errno):
        mounted.fs.settle()
    assert not freed & set(blocks_of(make(mounted, b"second", bytes(20 << 10))))
    mounted.disk.bad_sectors.clear()
    mounted.fs.sync()
    assert old.ino not in mounted.fs.inodes
    assert freed & set(blocks_of(make(mounted, b"third", bytes(20 << 10))))
    assert check_image(mounted.unmount()) == ""
