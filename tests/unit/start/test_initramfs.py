"""The initial root file system: plain, compressed, concatenated, damaged."""

import gzip
import random

from kernel.fs.walk import resolve
from kernel.start.initramfs import unpack_bytes
from tests.unit.fs.conftest import World, world

__all__ = ["world"]


def entry(
    name: str, data: bytes = b"", mode: int = 0o100644, ino: int = 1, links: int = 1, rdev: tuple[int, int] = (0, 0)
) -> bytes:
    raw = name.encode() + b"\0"
    fields = [ino, mode, 7, 8, links, 1_000_000, len(data), 0, 0, rdev[0], rdev[1], len(raw), 0]
    header = b"070701" + b"".join(b"%08X" % field for field in fields)
    head = header + raw
    head += bytes(-len(head) % 4)
    return head + data + bytes(-len(data) % 4)


def trailer() -> bytes:
    return entry("TRAILER!!!", mode=0)


def archive() -> bytes:
    noise = random.Random(1).randbytes(70_000)
    return (
        entry("dir", mode=0o40755)
        + entry("dir/file", b"hello")
        + entry("./big", noise + bytes(50_000))
        + entry("link", b"dir/file", mode=0o120777)
        + entry("null", mode=0o20666, rdev=(1, 3))
        + entry("hard1", b"", ino=9, links=2)
        + entry("hard2", b"shared", ino=9, links=2)
        + trailer()
    )


def check(world: World) -> None:
    assert world.read(b"/dir/file") == b"hello"
    assert world.read(b"/link") == b"hello"
    assert world.read(b"/big") == random.Random(1).randbytes(70_000) + bytes(50_000)
    assert world.read(b"/hard1") == b"shared"
    assert resolve(world.root, None, b"/hard1", 0).inode().nlink == 2
    null = resolve(world.root, None, b"/null", 0).inode()
    assert null.rdev == 0x103 and null.mode == 0o20666
    directory = resolve(world.root, None, b"/dir", 0).inode()
    assert (int(directory.uid), int(directory.gid), directory.mtime_ns) == (7, 8, 1_000_000 * 10**9)


def test_plain(world: World) -> None:
    assert unpack_bytes(world.root, archive() + bytes(512))
    check(world)


def test_gzip(world: World) -> None:
    assert unpack_bytes(world.root, gzip.compress(archive(), 9))
    check(world)


def test_stored_blocks(world: World) -> None:
    assert unpack_bytes(world.root, gzip.compress(archive(), 0))
    check(world)


def test_several_archives(world: World) -> None:
    second = entry("more", b"more") + trailer()
    assert unpack_bytes(world.root, archive() + bytes(64) + gzip.compress(second) + bytes(3) + second)
    check(world)
    assert world.read(b"/more") == b"more"


def test_damaged_archives_are_errors(world: World) -> None:
    plain = entry("a", b"data" * 100) + trailer()
    packed = gzip.compress(plain)
    generator = random.Random(2)
    for _ in range(60):
        for image in (plain, packed):
            broken = bytearray(image)
            for _ in range(generator.randint(1, 4)):
                broken[generator.randrange(len(broken))] = generator.randrange(256)
            unpack_bytes(world.root, bytes(broken))
            unpack_bytes(world.root, image[: generator.randrange(len(image))])
    assert not unpack_bytes(world.root, b"nonsense")
    assert not unpack_bytes(world.root, packed[:-1])


def test_names_stay_below_the_root(world: World) -> None:
    assert unpack_bytes(world.root, entry("../../up", b"x") + entry("/abs", b"y") + trailer())
    assert world.read(b"/up") == b"x" and world.read(b"/abs") == b"y"
