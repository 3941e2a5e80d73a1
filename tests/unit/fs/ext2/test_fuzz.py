"""Damaged images: errors, and nothing else. No trap, no hang, no access outside the file system.

Each image is one that mke2fs made and filled, with some bytes of its metadata changed; then everything in it is read,
changed and removed. 100 images by default; KRAIT_EXT2_IMAGES says how many, KRAIT_EXT2_SEED where to begin.
"""

import os
import random
import signal
from functools import cache
from pathlib import Path as HostPath

import pytest

from kernel.block.device import Operation
from kernel.fs.constants import S_IFDIR, S_IFREG
from kernel.fs.ext2.directory import Ext2Directory
from kernel.fs.ext2.geometry import Geometry
from kernel.fs.ext2.inode import Ext2Inode
from kernel.fs.inode import Inode
from kernel.lang import Errno
from kernel.lib.credentials import Credentials, plain_actor

from .conftest import Listing, Mounted, index_directories, make_image, read_inode, start_machine, write_inode

ROOT = plain_actor(Credentials())
IMAGES = int(os.environ.get("KRAIT_EXT2_IMAGES", "100"))
SEED = int(os.environ.get("KRAIT_EXT2_SEED", "1"))
SECONDS_PER_IMAGE = 60
KINDS: list[tuple[bytes, tuple[str, ...]]] = [
    (b"ext2", ("-t", "ext2", "-b", "1024", "-N", "64")),
    (b"ext2", ("-t", "ext2", "-b", "1024", "-g", "256", "-N", "128", "-O", "^resize_inode", "-I", "128")),
    (b"ext2", ("-t", "ext2", "-b", "4096", "-N", "64")),
    (b"ext4", ("-t", "ext4", "-b", "1024", "-N", "64", "-O", "^has_journal")),
    (b"ext4", ("-t", "ext4", "-b", "1024", "-N", "64", "-O", "^has_journal,^metadata_csum")),
    (b"ext4", ("-t", "ext4", "-b", "4096", "-N", "64", "-O", "^has_journal,^metadata_csum,^64bit")),
]
SIZE_KIB = 1536
WORDS = [0, 1, 2, 11, 12, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> str:
    top = tmp_path_factory.mktemp("fuzz")
    (top / "file").write_bytes(b"some text " * 30)
    (top / "large").write_bytes(bytes(range(256)) * 1200)
    with (top / "sparse").open("wb") as file:
        for place in (0, 20_000, 290_000, 400_000):
            file.seek(place)
            file.write(b"here")
    with (top / "extents").open("wb") as file:
        for number in range(30):  # more extents than fit the inode: a tree
            file.seek(number * 8192)
            file.write(b"piece")
    below = top / "directory"
    below.mkdir()
    for number in range(30):
        (below / f"name {number} {'x' * number}").write_bytes(b"")
    (below / "deeper").mkdir()
    (below / "deeper" / "end").write_bytes(b"end")
    os.symlink("file", top / "short")
    os.symlink("y" * 90, top / "long")
    os.link(top / "file", top / "second")
    return str(top)


def interesting_blocks(geometry: Geometry, mounted: Mounted) -> list[tuple[int, int]]:
    """Byte ranges of the image that hold metadata: super block, descriptors, bitmaps, inodes, directories, pointers."""
    size = geometry.block_size
    volume = mounted.fs.volume
    found = [(1024, 360), (geometry.descriptor_place(0) * size, geometry.group_count * geometry.descriptor_size)]
    for group in range(geometry.group_count):
        found.append((volume.block_bitmap(group) * size, size))
        found.append((volume.inode_bitmap(group) * size, size))
    table = volume.inode_table(0) * size
    found += [(table + geometry.inode_size, geometry.inode_size)] * 2
    found += [(table + 10 * geometry.inode_size, 30 * geometry.inode_size)] * 6
    for name in (b"directory", b"large", b"sparse", b"extents", b"long"):
        node = mounted.fs.inode(child(mounted.root, name).ino)
        if isinstance(node, Ext2Directory):
            for index in range(node.size // size):
                found.append((node.find_blocks(index, 1)[0] * size, size))
            continue
        assert isinstance(node, Ext2Inode)
        if node.extents is not None:
            root = node.extents.root
            for entry in range(int.from_bytes(root[2:4], "little") if root[6] > 0 else 0):
                found += [(int.from_bytes(root[16 + 12 * entry : 20 + 12 * entry], "little") * size, 64)] * 6
        elif node.is_regular():
            for pointer in (node.map.pointers[place] for place in range(12, 15)):
                if pointer != 0:
                    found += [(pointer * size, 64)] * 3
    return found


@cache
def indexed(options: tuple[str, ...], tree: str) -> bytearray:
    """What mke2fs makes, with hash trees where the features have them."""
    return index_directories(make_image(SIZE_KIB, *options, tree=tree))


def child(directory: Inode, name: bytes) -> Inode:
    inode = directory.lookup(name)
    assert inode is not None
    return inode


def damage(image: bytearray, places: list[tuple[int, int]], generator: random.Random) -> None:
    for _ in range(generator.choice((1, 1, 2, 5, 30))):
        start, length = generator.choice(places)
        at = start + generator.randrange(length)
        kind = generator.randrange(4)
        if kind == 0:
            image[at] ^= 1 << generator.randrange(8)
        elif kind == 1:
            image[at] = generator.randrange(256)
        elif kind == 2:
            at &= ~3
            image[at : at + 4] = generator.choice(WORDS).to_bytes(4, "little")
        else:
            at &= ~3
            other = generator.choice(places)
            value = other[0] // generator.choice((1024, 4096)) + generator.randrange(2)
            image[at : at + 4] = value.to_bytes(4, "little")


class Explorer:
    """Does everything that can be done with a file system, and bears every error."""

    def __init__(self, mounted: Mounted, generator: random.Random) -> None:
        self.mounted = mounted
        self.generator = generator
        self.steps = 0

    def attempt(self, action: str, inode: Inode, name: bytes = b"", other: Inode | None = None) -> Inode | None:
        try:
            return self._do(action, inode, name, other)
        except Errno:
            return None

    def _do(self, action: str, inode: Inode, name: bytes, other: Inode | None) -> Inode | None:
        if action == "lookup":
            return inode.lookup(name)
        if action == "read":
            if inode.is_symlink():
                inode.read_link()
            elif inode.is_regular():
                for offset in (0, 12 * 1024, 268 * 1024, self.generator.randrange(1 << 30), inode.size - 100):
                    read_inode(inode, max(offset, 0), 5000)
                if inode.size > 0:
                    inode.seek_hole(0)
                    inode.seek_data(inode.size // 2)
        elif action == "write" and inode.is_regular():
            write_inode(inode, b"new text", self.generator.choice((0, inode.size, 300_000)))
        elif action == "truncate" and inode.is_regular():
            inode.truncate(self.generator.choice((0, 100, 15_000, 500_000)))
        elif action == "create":
            kind = self.generator.choice((S_IFREG, S_IFDIR))
            inode.create(b"new %d" % self.generator.randrange(1000), kind | 0o700, 0, ROOT)
        elif action == "unlink" and other is not None:
            if other.is_directory():
                if other.is_empty():
                    inode.remove_directory(name, other)
            else:
                inode.unlink(name, other)
        elif action == "rename" and other is not None:
            inode.rename(name, other, self.mounted.root, b"renamed %d" % self.generator.randrange(1000), None)
        return None

    def explore(self, directory: Inode, depth: int) -> None:
        sink = Listing(200)
        try:
            directory.read_directory(0, sink)
        except Errno:
            pass  # what was listed before the damage is used
        for name, _, _ in sink.entries:
            self.steps += 1
            if self.steps > 150:
                return
            inode = self.attempt("lookup", directory, name)
            if inode is None:
                continue
            self.attempt("read", inode)
            if inode.is_directory() and depth < 4:
                self.explore(inode, depth + 1)
            self.attempt(self.generator.choice(("write", "truncate", "unlink", "rename", "create")), inode, name)
            parent_action = self.generator.choice(("create", "unlink", "rename", "lookup"))
            self.attempt(parent_action, directory, name, inode)


def too_long(_signal: int, _frame: object) -> None:
    raise TimeoutError(f"an image took more than {SECONDS_PER_IMAGE} seconds")


def test_damaged_images(tree: str) -> None:
    signal.signal(signal.SIGALRM, too_long)
    mounted_images = 0
    places: dict[int, list[tuple[int, int]]] = {}
    for seed in range(SEED, SEED + IMAGES):
        generator = random.Random(seed)
        number = seed % len(KINDS)
        kind, options = KINDS[number]
        image = indexed(options, tree).copy()
        start_machine(1024)
        if number not in places:
            whole = Mounted(image, kind, read_only=True)
            places[number] = interesting_blocks(whole.fs.volume.geometry, whole)
            start_machine(1024)
        damage(image, places[number], generator)
        signal.alarm(SECONDS_PER_IMAGE)
        try:
            mounted = Mounted(image, kind, read_only=kind == b"ext4" or seed % 11 == 0)
        except Errno:
            continue
        except Exception as error:
            raise AssertionError(f"mounting image {seed}") from error
        try:
            mounted_images += 1
            explorer = Explorer(mounted, generator)
            explorer.explore(mounted.root, 0)
            mounted.fs.statistics()
            mounted.unmount()
        except Exception as error:
            HostPath(f"/tmp/krait-ext2-{seed}.img").write_bytes(image)
            raise AssertionError(f"image {seed}") from error
        finally:
            signal.alarm(0)
        for operation, sector, length in mounted.disk.log:
            assert operation == Operation.FLUSH or sector * 512 + length <= len(image), f"image {seed}"
    assert mounted_images > IMAGES // 4
