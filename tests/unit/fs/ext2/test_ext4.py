"""ext4 as mkfs.ext4 makes it by default, and other sets of features: read, checked, refused, never written."""

import os
from collections.abc import Callable

import pytest

from kernel.fs.ext2.directory import Ext2Directory
from kernel.fs.ext2.inode import Ext2Inode
from kernel.fs.inode import Inode
from kernel.lang import EBADMSG, EINVAL, EIO, EROFS, Errno
from kernel.lib import log

from .conftest import Mounted, index_directories, make_image, read_inode

Mount = Callable[..., Mounted]
MIB = 1024


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A directory of the host with a bit of everything."""
    top = tmp_path_factory.mktemp("tree")
    (top / "hello").write_bytes(b"hello\n")
    (top / "big").write_bytes(bytes(range(256)) * 4096)
    with (top / "holes").open("wb") as file:
        for place in range(8):
            file.seek(place * 200_000)
            file.write(b"piece %d" % place)
    (top / "deep" / "er").mkdir(parents=True)
    (top / "deep" / "er" / "file").write_bytes(b"deep")
    os.symlink("hello", top / "short")
    os.symlink("x" * 200, top / "long")
    os.mkfifo(top / "fifo")
    many = top / "many"
    many.mkdir()
    for number in range(400):
        (many / f"a file with quite a long name, number {number}").write_bytes(b"%d" % number)
    return str(top)


def child(directory: Inode, name: bytes) -> Inode:
    inode = directory.lookup(name)
    assert inode is not None
    return inode


def check_tree(mounted: Mounted) -> None:
    root = mounted.root
    assert read_inode(child(root, b"hello")) == b"hello\n"
    assert read_inode(child(root, b"big"), 0, 2 << 20) == bytes(range(256)) * 4096
    holes = child(root, b"holes")
    for place in range(8):
        assert read_inode(holes, place * 200_000, 7) == b"piece %d" % place
    assert read_inode(holes, 100_000, 50) == bytes(50)
    assert holes.seek_hole(0) < 200_000 <= holes.seek_data(holes.seek_hole(0)) + 4096
    assert read_inode(child(child(child(root, b"deep"), b"er"), b"file")) == b"deep"
    assert child(root, b"short").read_link() == b"hello"
    assert child(root, b"long").read_link() == b"x" * 200
    assert child(root, b"fifo").is_fifo()
    many = child(root, b"many")
    names = mounted.names(many, 33)
    assert sorted(names) == sorted(f"a file with quite a long name, number {number}".encode() for number in range(400))
    for number in range(0, 400, 37):
        name = f"a file with quite a long name, number {number}".encode()
        assert read_inode(child(many, name)) == b"%d" % number
    assert many.lookup(b"not there") is None


FEATURES = [
    (b"ext4", ("-t", "ext4")),
    (b"ext4", ("-t", "ext4", "-b", "1024")),
    (b"ext4", ("-t", "ext4", "-O", "^metadata_csum,uninit_bg")),
    (b"ext4", ("-t", "ext4", "-O", "^64bit,^flex_bg,^has_journal", "-b", "1024")),
    (b"ext4", ("-t", "ext4", "-O", "metadata_csum_seed,ea_inode", "-I", "512")),
    (b"ext4", ("-t", "ext4", "-O", "bigalloc", "-C", "16384")),
    (b"ext4", ("-t", "ext4", "-O", "^has_journal,sparse_super2", "-I", "128", "-b", "2048")),
    (b"ext3", ("-t", "ext3", "-b", "1024")),
    (b"ext4", ("-t", "ext3")),
    (b"ext2", ("-t", "ext3")),
    (b"ext2", ("-t", "ext2", "-b", "1024")),
    (b"ext4", ("-t", "ext2")),
]


@pytest.mark.parametrize(("kind", "options"), FEATURES)
def test_images_are_read(mount: Mount, tree: str, kind: bytes, options: tuple[str, ...]) -> None:
    image = make_image(16 * MIB, *options, tree=tree)
    # mke2fs -d makes no hash trees; e2fsck -D does.
    indexed = index_directories(image)
    before = indexed.copy()
    mounted = mount(indexed, kind, read_only=True)
    check_tree(mounted)
    assert mounted.unmount() == before


def refused(mount: Mount, image: bytearray, kind: bytes, options: bytes = b"", read_only: bool = False) -> int:
    before = image.copy()
    with pytest.raises(Errno) as caught:
        mount(image, kind, options, read_only)
    assert image == before
    return caught.value.code


def test_ext4_is_not_written(mount: Mount) -> None:
    image = make_image(16 * MIB, "-t", "ext4")
    assert refused(mount, image, b"ext4") == EROFS
    assert refused(mount, image, b"ext2", read_only=True) == EINVAL
    assert refused(mount, make_image(4 * MIB, "-t", "ext3", "-b", "1024"), b"ext3") == EROFS
    assert refused(mount, make_image(4 * MIB, "-t", "ext2"), b"ext3", read_only=True) == EINVAL


def test_features_nobody_knows(mount: Mount) -> None:
    image = make_image(4 * MIB, "-t", "ext2")
    image[1024 + 100 + 3] = 0x40  # ro_compat
    assert refused(mount, image, b"ext4") == EINVAL
    for kind in (b"ext4", b"ext2"):
        mounted = mount(image, kind, read_only=True)
        assert mounted.root.is_directory()
        with pytest.raises(Errno) as caught:
            mounted.fs.remount(False, b"")
        assert caught.value.code == EROFS
    image = make_image(4 * MIB, "-t", "ext2")
    image[1024 + 96 + 3] = 0x40  # incompat
    assert refused(mount, image, b"ext4", read_only=True) == EINVAL


def test_journal_to_replay(mount: Mount) -> None:
    image = make_image(16 * MIB, "-t", "ext4", "-O", "^metadata_csum")
    image[1024 + 96] |= 4
    assert refused(mount, image, b"ext4", read_only=True) == EROFS
    assert mount(image, b"ext4", b"noload", True).root.is_directory()


@pytest.mark.parametrize("place", ["super", "descriptor", "inode", "directory", "extents"])
def test_checksums_are_verified(mount: Mount, tree: str, place: str) -> None:
    image = make_image(16 * MIB, "-t", "ext4", "-b", "1024", tree=tree)
    mounted = mount(image.copy(), b"ext4", read_only=True)
    volume = mounted.fs.volume
    directory = child(mounted.root, b"many")
    if place == "super":
        image[1024 + 80] ^= 1
        assert refused(mount, image, b"ext4", read_only=True) == EBADMSG
        return
    if place == "descriptor":
        image[2048 + 12] ^= 1
        mount(image, b"ext4", read_only=True)  # reported in the log, no more
        assert any(b"descriptor" in record.text for record in log.log.records)
        return
    if place == "inode":
        image[volume.inode_table(0) * 1024 + (directory.ino - 1) * 256 + 8] ^= 1
    elif place == "directory":
        listed = mounted.fs.inode(directory.ino)
        assert isinstance(listed, Ext2Directory)
        first, _ = listed.find_blocks(3, 1)
        image[first * 1024 + 8] ^= 1
    else:
        # The inode of "holes" has too many extents for the inode, so they lie in a block of their own.
        node = mounted.fs.inode(child(mounted.root, b"holes").ino)
        assert isinstance(node, Ext2Inode) and node.extents is not None
        leaf = int.from_bytes(node.extents.root[16:20], "little")
        image[leaf * 1024 + 20] ^= 1
        again = mount(image, b"ext4", read_only=True)
        with pytest.raises(Errno) as caught:
            read_inode(child(again.root, b"holes"))
        assert caught.value.code in (EIO, EBADMSG)
        return
    again = mount(image, b"ext4", read_only=True)
    with pytest.raises(Errno) as caught:
        child(child(again.root, b"many"), b"not there")
    assert caught.value.code == EBADMSG
