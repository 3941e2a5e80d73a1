"""Extended attributes on ext2, in inodes and in shared blocks; e2fsck and debugfs say whether they are right."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from kernel.fs import extended_attributes as attributes
from kernel.fs.constants import S_IFDIR, S_IFREG
from kernel.fs.inode import Inode
from kernel.lang import EEXIST, ENODATA, ENOSPC, EOPNOTSUPP, EPERM, Errno
from kernel.lib.credentials import Credentials, plain_actor

from .conftest import Mounted, check_image, debugfs, make_image

ROOT = plain_actor(Credentials())
Mount = Callable[..., Mounted]
LAYOUTS = [
    ("-t", "ext2", "-b", "1024", "-I", "128"),
    ("-t", "ext2", "-b", "1024", "-I", "256"),
    ("-t", "ext2", "-b", "4096", "-I", "512"),
]


def names(inode: Inode) -> list[bytes]:
    return attributes.names(ROOT, inode).split(b"\0")[:-1]


def fails(code: int, inode: Inode, name: bytes, value: bytes, flags: int = 0) -> bool:
    with pytest.raises(Errno) as error:
        attributes.put(ROOT, inode, name, value, flags)
    return error.value.code == code


@pytest.mark.parametrize("options", LAYOUTS)
def test_values_come_back(mount: Mount, options: tuple[str, ...]) -> None:
    mounted = mount(make_image(4096, *options))
    file = mounted.root.create(b"file", S_IFREG | 0o640, 0, ROOT)
    wanted = {b"user.a": b"1", b"user.empty": b"", b"trusted.long": b"v" * 300, b"security.x": bytes(range(200))}
    for name, value in wanted.items():
        attributes.put(ROOT, file, name, value, 0)
    assert sorted(names(file)) == sorted(wanted)
    attributes.put(ROOT, file, b"user.a", b"another, longer value" * 3, attributes.REPLACE)
    assert fails(EEXIST, file, b"user.a", b"", attributes.CREATE)
    assert fails(ENODATA, file, b"user.none", b"", attributes.REPLACE)
    assert fails(ENOSPC, file, b"user.large", bytes(4096))
    assert fails(EOPNOTSUPP, file, b"system.posix_acl_access", bytes(4))
    assert fails(EOPNOTSUPP, file, b"other.name", b"")
    wanted[b"user.a"] = b"another, longer value" * 3
    attributes.remove(ROOT, file, b"trusted.long")
    del wanted[b"trusted.long"]
    image = mounted.unmount()
    assert check_image(image) == ""
    assert "user.empty (0)" in debugfs(image, "ea_list file")
    again = mount(image)
    found = again.root.lookup(b"file")
    assert found is not None
    assert {name: attributes.get(ROOT, found, name) for name in names(found)} == wanted
    free = again.fs.statistics().blocks_free
    for name in wanted:
        attributes.remove(ROOT, found, name)
    assert names(found) == [] and found.blocks == 0
    assert again.fs.statistics().blocks_free - free == (1 if options[-1] != "512" else 0)
    assert check_image(again.unmount()) == ""


def test_inodes_share_a_block(mount: Mount) -> None:
    mounted = mount(make_image(4096, "-t", "ext2", "-b", "1024", "-I", "128"))
    free = mounted.fs.statistics().blocks_free
    files = [mounted.root.create(b"f%d" % i, S_IFREG | 0o600, 0, ROOT) for i in range(10)]
    for file in files:
        attributes.put(ROOT, file, b"user.same", b"value", 0)
        attributes.put(ROOT, file, b"user.other", b"value", 0)
    assert free - mounted.fs.statistics().blocks_free <= 2
    assert all(file.blocks == 2 for file in files)
    attributes.put(ROOT, files[3], b"user.same", b"changed", 0)
    assert attributes.get(ROOT, files[4], b"user.same") == b"value"
    mounted.root.unlink(b"f0", files[0])
    attributes.remove(ROOT, files[5], b"user.same")
    attributes.remove(ROOT, files[5], b"user.other")
    image = mounted.unmount()
    assert check_image(image) == ""
    again = mount(image)
    for i in range(1, 10):
        file_or_none = again.root.lookup(b"f%d" % i)
        assert file_or_none is not None
        again.root.unlink(b"f%d" % i, file_or_none)
    assert again.fs.statistics().blocks_free == free
    assert check_image(again.unmount()) == ""


def test_what_others_wrote_is_read(mount: Mount, tmp_path: Path) -> None:
    image_file = tmp_path / "image"
    for kind, options in (("ext2", ("-b", "1024")), ("ext4", ())):
        image_file.write_bytes(bytes(8 << 20))
        subprocess.run(["mke2fs", "-q", "-F", "-t", kind, *options, str(image_file)], check=True, capture_output=True)
        script = "write /etc/hostname file\n" + "".join(
            f"ea_set file {name} {value}\n"
            for name, value in (("user.b", "x" * 400), ("user.a", "y"), ("trusted.t", "z"))
        )
        command = ["debugfs", "-w", "-f", "-", str(image_file)]
        subprocess.run(command, input=script, text=True, check=True, capture_output=True)
        mounted = mount(bytearray(image_file.read_bytes()), read_only=True, kind=kind.encode())
        file = mounted.root.lookup(b"file")
        assert file is not None
        found = {name: attributes.get(ROOT, file, name) for name in names(file)}
        assert found == {b"user.a": b"y", b"user.b": b"x" * 400, b"trusted.t": b"z"}


def test_flags_protect_attributes(mount: Mount) -> None:
    mounted = mount(make_image(4096, "-t", "ext2"))
    directory = mounted.root.create(b"d", S_IFDIR | 0o755, 0, ROOT)
    attributes.put(ROOT, directory, b"user.a", b"1", 0)
    directory.set_flags(0x10)
    assert fails(EPERM, directory, b"user.a", b"2")
    assert attributes.get(ROOT, directory, b"user.a") == b"1"
    assert directory.shown_flags() == 0x10
    image = mounted.unmount()
    assert check_image(image) == ""
    assert "Flags: 0x10" in debugfs(image, "stat d")
