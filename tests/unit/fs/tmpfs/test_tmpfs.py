"""tmpfs: contents, holes, sizes, names, space."""

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernel.fs.constants import (
    FALLOC_FL_KEEP_SIZE,
    FALLOC_FL_PUNCH_HOLE,
    O_APPEND,
    O_CREAT,
    O_DIRECTORY,
    O_EXCL,
    O_RDWR,
    O_TRUNC,
    O_WRONLY,
    RENAME_EXCHANGE,
    RENAME_NOREPLACE,
    SEEK_DATA,
    SEEK_HOLE,
)
from kernel.fs.file import DirectorySink, File
from kernel.fs.names import make_directory, make_link, make_symlink, remove_directory, rename, unlink
from kernel.fs.open import open_file, open_path
from kernel.fs.tmpfs.file import TmpfsFile
from kernel.fs.tmpfs.filesystem import new_tmpfs
from kernel.fs.walk import resolve
from kernel.lang import EEXIST, EFAULT, EINVAL, EISDIR, ENOENT, ENOSPC, ENOTDIR, ENOTEMPTY, ENXIO, EPERM, Errno
from kernel.lib.credentials import plain_actor
from kernel.lib.ids import KernelUid
from kernel.lib.user import KernelBuffer
from kernel.mm.frames import free_frame_count
from tests.unit.fs.conftest import World
from tests.unit.meanwhile import meanwhile


def code(function: Callable[..., object], *arguments: object) -> int:
    with pytest.raises(Errno) as caught:
        function(*arguments)
    return caught.value.code


class Names(DirectorySink):
    def __init__(self, limit: int = 1000) -> None:
        super().__init__()
        self.names: list[bytes] = []
        self.limit = limit

    def emit(self, name: bytes, ino: int, kind: int, next_position: int) -> bool:
        if len(self.names) == self.limit:
            return False
        self.names.append(name)
        return True


def read_all(file: File, offset: int, length: int) -> bytes:
    buffer = KernelBuffer(bytearray(length))
    count = file.pread(buffer, offset)
    return bytes(buffer.storage[:count])


OPERATION = st.one_of(
    st.tuples(st.just("write"), st.integers(0, 40_000), st.binary(min_size=1, max_size=9000)),
    st.tuples(st.just("truncate"), st.integers(0, 50_000), st.just(b"")),
    st.tuples(st.just("punch"), st.integers(0, 40_000), st.binary(min_size=1, max_size=9000)),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(OPERATION, max_size=8))
def test_contents_equal_a_bytearray(world: World, operations: list[tuple[str, int, bytes]]) -> None:
    before = free_frame_count()
    file = open_file(world.root, None, b"/f", O_RDWR | O_CREAT, 0o600)
    model = bytearray()
    for kind, offset, data in operations:
        if kind == "write":
            assert file.pwrite(KernelBuffer(bytearray(data)), offset) == len(data)
            model.extend(bytes(max(0, offset + len(data) - len(model))))
            model[offset : offset + len(data)] = data
        elif kind == "truncate":
            file.truncate(offset)
            model.extend(bytes(max(0, offset - len(model))))
            del model[offset:]
        else:
            file.allocate(3, offset, len(data))
            end = min(len(model), offset + len(data))
            if offset < end:
                model[offset:end] = bytes(end - offset)
        assert file.inode.size == len(model)
        assert read_all(file, 0, 60_000) == bytes(model)
    unlink(world.root, None, b"/f")
    file.release()
    assert free_frame_count() == before


def test_append_and_positions(world: World) -> None:
    world.write(b"/f", b"abc")
    file = open_file(world.root, None, b"/f", O_WRONLY | O_APPEND, 0)
    file.write(KernelBuffer(bytearray(b"def")))
    file.pwrite(KernelBuffer(bytearray(b"ghi")), 0)
    file.release()
    assert world.read(b"/f") == b"abcdefghi"


def test_holes(world: World) -> None:
    file = open_file(world.root, None, b"/f", O_RDWR | O_CREAT, 0o600)
    file.pwrite(KernelBuffer(bytearray(b"x")), 1 << 40)
    assert file.inode.blocks == 8
    assert file.seek(0, SEEK_DATA) == 1 << 40
    assert file.seek(0, SEEK_HOLE) == 0
    assert file.seek(1 << 40, SEEK_HOLE) == (1 << 40) + 1
    assert code(file.seek, 1 << 41, SEEK_DATA) == ENXIO
    assert read_all(file, (1 << 40) - 3, 10) == b"\0\0\0x"
    file.truncate(0)
    assert file.inode.blocks == 0


def test_space_ends(world: World) -> None:
    small = new_tmpfs(b"tmpfs", b"s", b"size=8k,nr_inodes=3")
    inode = small.root().create(b"f", 0o100644, 0, plain_actor(world.root.credentials))
    assert inode.write_at(KernelBuffer(bytearray(10_000)), 0) == 8192
    assert code(inode.write_at, KernelBuffer(bytearray(1)), 9000) == ENOSPC
    small.root().create(b"g", 0o100644, 0, plain_actor(world.root.credentials))
    assert code(small.root().create, b"h", 0o100644, 0, plain_actor(world.root.credentials)) == ENOSPC
    assert code(new_tmpfs, b"tmpfs", b"s", b"size=12x") == EINVAL


def test_links_count(world: World) -> None:
    world.write(b"/a", b"data")
    make_link(world.root, resolve(world.root, None, b"/a", 0), None, b"/b")
    inode = resolve(world.root, None, b"/b", 0).inode()
    assert inode.nlink == 2
    unlink(world.root, None, b"/a")
    assert inode.nlink == 1 and world.read(b"/b") == b"data"
    make_directory(world.root, None, b"/d", 0o755)
    assert code(make_link, world.root, resolve(world.root, None, b"/d", 0), None, b"/e") == EPERM
    assert code(unlink, world.root, None, b"/d") == EISDIR
    assert code(unlink, world.root, None, b"/b/") == ENOTDIR
    assert code(remove_directory, world.root, None, b"/b") == ENOTDIR


def test_rename(world: World) -> None:
    root = world.root
    make_directory(root, None, b"/d", 0o755)
    make_directory(root, None, b"/d/sub", 0o755)
    make_directory(root, None, b"/e", 0o755)
    world.write(b"/f", b"f")
    world.write(b"/g", b"g")
    assert code(rename, root, None, b"/d", None, b"/d/sub/x", 0) == EINVAL
    assert code(rename, root, None, b"/d/sub", None, b"/d", 0) == ENOTEMPTY
    assert code(rename, root, None, b"/f", None, b"/g", RENAME_NOREPLACE) == EEXIST
    assert code(rename, root, None, b"/f", None, b"/e", 0) == EISDIR
    assert code(rename, root, None, b"/e", None, b"/f", 0) == ENOTDIR
    assert code(rename, root, None, b"/e", None, b"/d", 0) == ENOTEMPTY
    assert code(rename, root, None, b"/none", None, b"/x", 0) == ENOENT
    rename(root, None, b"/f", None, b"/g", RENAME_EXCHANGE)
    assert world.read(b"/f") == b"g" and world.read(b"/g") == b"f"
    rename(root, None, b"/f", None, b"/g", 0)
    assert world.read(b"/g") == b"g" and code(world.read, b"/f") == ENOENT
    rename(root, None, b"/d/sub", None, b"/e", 0)
    assert resolve(root, None, b"/d", 0).inode().nlink == 2
    assert resolve(root, None, b"/", 0).inode().nlink == 4
    assert world.where(b"/e") == b"/e"
    rename(root, None, b"/d", None, b"/e", RENAME_EXCHANGE)
    rename(root, None, b"/d", None, b"/e/moved", 0)
    assert world.where(b"/e/moved") == b"/e/moved"


def test_reading_a_directory_that_changes(world: World) -> None:
    for number in range(20):
        world.write(b"/f%d" % number, b"")
    directory = open_file(world.root, None, b"/", 0, 0)
    seen: list[bytes] = []
    while True:
        sink = Names(3)
        directory.read_directory(sink)
        if not sink.names:
            break
        for name in sink.names:
            if name.startswith(b"f"):
                unlink(world.root, None, b"/" + name)
        seen += sink.names
    assert sorted(seen) == sorted([b".", b".."] + [b"f%d" % number for number in range(20)])


def test_sticky_directory(world: World) -> None:
    make_directory(world.root, None, b"/tmp", 0o777)
    resolve(world.root, None, b"/tmp", 0).inode().set_mode(0o1777)
    world.write(b"/tmp/roots", b"")
    assert code(unlink, world.user, None, b"/tmp/roots") == EPERM
    open_file(world.user, None, b"/tmp/mine", O_CREAT | O_WRONLY, 0o600).release()
    unlink(world.user, None, b"/tmp/mine")
    make_symlink(world.user, None, b"/tmp/l", b"x")
    assert resolve(world.root, None, b"/tmp/l", 0).inode().uid == KernelUid(1000)


def remove_name(world: World, name: bytes) -> None:
    unlink(world.root, None, name)


def move_name(world: World, name: bytes) -> None:
    rename(world.root, None, name, None, b"/elsewhere", 0)


def make_anew(world: World, name: bytes) -> None:
    open_file(world.root, None, name, O_CREAT | O_EXCL | O_WRONLY, 0o600).release()


@pytest.mark.parametrize(("act", "code"), [(remove_name, ENOENT), (move_name, ENOENT), (make_anew, 0)])
@pytest.mark.parametrize("is_replaced", [False, True])
def test_a_name_is_gone_before_its_contents_are(
    world: World, act: Callable[[World, bytes], None], code: int, *, is_replaced: bool
) -> None:
    """Freeing many pages has safe points, at which others find the directory as it will be."""
    file = open_file(world.root, None, b"/big", O_RDWR | O_CREAT, 0o644)
    for index in range(8):
        file.pwrite(KernelBuffer(bytearray(b"x")), index << 12)
    file.release()
    world.write(b"/new", b"1")
    name = b"/new" if is_replaced else b"/big"
    codes: list[int] = []

    def others() -> None:
        try:
            act(world, name)
            codes.append(0)
        except Errno as error:
            codes.append(error.code)

    used = world.tmpfs.inodes_used
    with meanwhile(others):
        if is_replaced:
            rename(world.root, None, b"/new", None, b"/big", 0)
        else:
            unlink(world.root, None, b"/big")
    assert codes == [code]
    assert world.tmpfs.inodes_used == used - (0 if act is make_anew else 1)


def test_no_page_comes_after_the_end_of_a_truncated_file(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault waits while others drop pages, and the file is truncated before it goes on."""
    file = open_file(world.root, None, b"/f", O_RDWR | O_CREAT, 0o644)
    inode = file.inode
    assert isinstance(inode, TmpfsFile)
    inode.truncate(8 << 12)
    inode.allocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 1 << 12)
    settle = TmpfsFile.settle

    def act(self: TmpfsFile) -> None:
        monkeypatch.undo()
        settle(self)
        self.truncate(0)

    monkeypatch.setattr(TmpfsFile, "settle", act)
    with pytest.raises(Errno) as caught:
        inode.mapped_page(5)
    assert caught.value.code == EFAULT and inode.pages.count == 0
    file.release()


def test_a_file_lives_that_loses_its_name_while_it_is_opened(world: World) -> None:
    """Opening truncates it, which has safe points; the last name goes at one of them."""
    file = open_file(world.root, None, b"/big", O_RDWR | O_CREAT, 0o644)
    for index in range(8):
        file.pwrite(KernelBuffer(bytearray(b"x")), index << 12)
    file.release()
    used = world.tmpfs.inodes_used
    with meanwhile(lambda: remove_name(world, b"/big")):
        file = open_file(world.root, None, b"/big", O_RDWR | O_TRUNC, 0)
    assert file.inode.nlink == 0
    assert world.tmpfs.inodes_used == used
    file.pwrite(KernelBuffer(bytearray(b"y")), 0)
    file.release()
    assert world.tmpfs.inodes_used == used - 1 and world.tmpfs.pages_used == 0


def test_a_removed_directory_is_counted_off_once(world: World) -> None:
    """A program that has it as its working directory can open and close it as often as it likes."""
    make_directory(world.root, None, b"/d", 0o755)
    place = resolve(world.root, None, b"/d", 0).pin()
    used = world.tmpfs.inodes_used
    remove_directory(world.root, None, b"/d")
    for _ in range(3):
        open_path(world.root, place, O_DIRECTORY).release()
    assert world.tmpfs.inodes_used == used - 1
    place.unpin()
