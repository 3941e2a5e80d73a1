"""overlayfs over tmpfs: what is seen, copied up, hidden and moved; and what fails without a trace."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, cast

import pytest

from kernel.fs import attributes, extended_attributes, names
from kernel.fs.access_control import set_list
from kernel.fs.access_list import DEFAULT_LIST, AccessList
from kernel.fs.constants import O_CREAT, O_RDONLY, O_RDWR, O_WRONLY, RENAME_EXCHANGE, S_IFCHR
from kernel.fs.file import DirectorySink
from kernel.fs.inode import Inode
from kernel.fs.mount_lock import TREE
from kernel.fs.mounts import mount, unmount
from kernel.fs.open import open_file
from kernel.fs.overlay import copy_up as copying
from kernel.fs.overlay import filesystem, leaving
from kernel.fs.overlay import inode as inode_module
from kernel.fs.overlay.instance import OverlayInstance, OverlayNode, leave_all
from kernel.fs.path import Path
from kernel.fs.tmpfs.file import TmpfsFile
from kernel.fs.walk import FOLLOW, resolve
from kernel.lang import EBUSY, EEXIST, EINVAL, EIO, ENOENT, ENOSPC, ENOTEMPTY, EROFS, ESTALE, EXDEV, Errno
from kernel.lib.credentials import plain_actor
from kernel.lib.user import Buffer, KernelBuffer
from kernel.mm.area import Area
from tests.unit.fs.conftest import World
from tests.unit.meanwhile import meanwhile

if TYPE_CHECKING:
    from kernel.mm.space import AddressSpace

assert filesystem  # registers the type
ALL = b"lowerdir=/l,upperdir=/u,workdir=/w"


class Overlay:
    """Layers in a world, and an overlay of them."""

    def __init__(self, world: World) -> None:
        self.world = world
        for name in (b"/l", b"/m", b"/u", b"/w", b"/t"):
            names.make_directory(world.root, None, name, 0o755)
        names.make_directory(world.root, None, b"/l/dir", 0o750)
        world.write(b"/l/file", b"lower")
        world.write(b"/l/dir/inner", b"inner")

    def mount(self, options: bytes = ALL) -> OverlayInstance:
        mount(self.world.root, b"overlay", b"/t", b"overlay", 0, options)
        instance = resolve(self.world.root, None, b"/t", FOLLOW).mount.file_system
        assert isinstance(instance, OverlayInstance)
        return instance

    def unmount(self) -> None:
        unmount(self.world.root, b"/t", 0)
        while not leaving.LEAVING.let_all_go():
            pass

    def names(self, directory: bytes) -> list[bytes]:
        file = open_file(self.world.root, None, directory, O_RDONLY, 0)
        sink = Names()
        file.read_directory(sink)
        file.release()
        return sorted(sink.found)

    def exists(self, name: bytes) -> bool:
        try:
            resolve(self.world.root, None, name, 0)
        except Errno as error:
            assert error.code == ENOENT
            return False
        return True

    def is_whiteout(self, name: bytes) -> bool:
        inode = resolve(self.world.root, None, name, 0).inode()
        return inode.mode & 0o170000 == S_IFCHR and inode.rdev == 0


class Names(DirectorySink):
    """All names but "." and ".."."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[bytes] = []

    def emit(self, name: bytes, ino: int, kind: int, next_position: int) -> bool:
        if name not in (b".", b".."):
            self.found.append(name)
        return True


@pytest.fixture
def overlay(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Overlay]:
    monkeypatch.setattr(leaving.LEAVING, "_runs", True)  # there are no threads here
    yield Overlay(world)
    leaving.LEAVING.let_all_go()


def error_of(call: Callable[[], object]) -> int:
    with pytest.raises(Errno) as caught:
        call()
    return caught.value.code


def test_shows_both_layers(overlay: Overlay) -> None:
    overlay.world.write(b"/u/above", b"upper")
    overlay.mount()
    assert overlay.names(b"/t") == [b"above", b"dir", b"file"]
    assert overlay.world.read(b"/t/file") == b"lower"
    assert overlay.world.read(b"/t/dir/inner") == b"inner"
    assert not overlay.exists(b"/t/none")


def test_a_layer_is_checked_with_safe_points(overlay: Overlay) -> None:
    """Others wait to change the tree."""
    world = overlay.world
    for name in (b"/a", b"/b"):
        names.make_directory(world.root, None, name, 0o755)
        mount(world.root, b"tmpfs", name, b"tmpfs", 0, b"")
    lower = resolve(world.root, None, b"/l", FOLLOW)
    owners: list[object] = []
    with meanwhile(lambda: owners.append(TREE.lock.owner), 2):
        layer = filesystem._private_mount(world.root, lower, 0, 0)
    assert owners != [None]
    assert layer.root is lower.dentry
    layer.release()


def test_writing_copies_up(overlay: Overlay) -> None:
    overlay.mount()
    world = overlay.world
    file = open_file(world.root, None, b"/t/dir/inner", O_RDWR, 0)
    assert file.write(KernelBuffer(bytearray(b"I"))) == 1
    file.release()
    assert world.read(b"/t/dir/inner") == world.read(b"/u/dir/inner") == b"Inner"
    assert world.read(b"/l/dir/inner") == b"inner"
    assert resolve(world.root, None, b"/u/dir", 0).inode().mode & 0o777 == 0o750
    assert overlay.names(b"/w/work") == []


def test_a_reader_sees_what_was_copied_up_since(overlay: Overlay) -> None:
    overlay.mount()
    world = overlay.world
    reader = open_file(world.root, None, b"/t/file", O_RDONLY, 0)
    world.write(b"/t/file", b"upper")
    buffer = KernelBuffer(bytearray(10))
    assert reader.read(buffer) == 5
    assert bytes(buffer.storage[:5]) == b"upper"
    reader.release()


def test_attributes_are_copied(overlay: Overlay) -> None:
    world = overlay.world
    below = resolve(world.root, None, b"/l/file", 0)
    extended_attributes.put(plain_actor(world.root.credentials), below.inode(), b"user.a", b"b", 0)
    below.inode().mtime_ns = 1000
    overlay.mount()
    place = resolve(world.root, None, b"/t/file", 0)
    with place:
        attributes.change_mode(world.root, place.mount, place.inode(), 0o4711)
    above = resolve(world.root, None, b"/u/file", 0).inode()
    assert above.mode & 0o7777 == 0o4711
    assert above.mtime_ns == 1000
    assert extended_attributes.get(plain_actor(world.root.credentials), above, b"user.a") == b"b"
    assert below.inode().mode & 0o7777 == 0o644


def test_removing_leaves_whiteouts(overlay: Overlay) -> None:
    overlay.mount()
    root = overlay.world.root
    names.unlink(root, None, b"/t/file")
    assert not overlay.exists(b"/t/file")
    assert overlay.is_whiteout(b"/u/file")
    assert error_of(lambda: names.remove_directory(root, None, b"/t/dir")) == ENOTEMPTY
    names.unlink(root, None, b"/t/dir/inner")
    names.remove_directory(root, None, b"/t/dir")
    assert overlay.is_whiteout(b"/u/dir")
    assert overlay.names(b"/t") == []
    names.make_directory(root, None, b"/t/dir", 0o700)
    assert overlay.names(b"/t/dir") == []
    assert len(overlay.names(b"/w/work")) == 1  # the file that all whiteouts are
    overlay.unmount()
    overlay.mount()
    assert overlay.names(b"/t") == [b"dir"]
    assert overlay.names(b"/t/dir") == []


def test_moving(overlay: Overlay) -> None:
    overlay.mount()
    root = overlay.world.root
    names.rename(root, None, b"/t/file", None, b"/t/dir/moved", 0)
    assert overlay.is_whiteout(b"/u/file")
    assert overlay.world.read(b"/t/dir/moved") == b"lower"
    assert error_of(lambda: names.rename(root, None, b"/t/dir", None, b"/t/other", 0)) == EXDEV
    names.make_directory(root, None, b"/t/new", 0o700)
    names.rename(root, None, b"/t/new", None, b"/t/file", 0)
    assert overlay.names(b"/t") == [b"dir", b"file"]
    assert error_of(lambda: names.rename(root, None, b"/t/file", None, b"/t/dir", RENAME_EXCHANGE)) == EXDEV


def test_moving_a_directory_with_a_redirect(overlay: Overlay) -> None:
    overlay.mount(ALL + b",redirect_dir=on")
    root = overlay.world.root
    names.rename(root, None, b"/t/dir", None, b"/t/other", 0)
    assert overlay.names(b"/t") == [b"file", b"other"]
    assert overlay.names(b"/t/other") == [b"inner"]
    place = resolve(root, None, b"/u/other", 0).inode()
    assert extended_attributes.get(plain_actor(root.credentials), place, b"trusted.overlay.redirect") == b"dir"
    overlay.unmount()
    overlay.mount()
    assert overlay.names(b"/t/other") == [b"inner"]


def test_without_an_upper_layer(overlay: Overlay) -> None:
    overlay.mount(b"lowerdir=/m:/l")
    root = overlay.world.root
    assert error_of(lambda: open_file(root, None, b"/t/file", O_WRONLY, 0)) == EROFS
    assert error_of(lambda: names.unlink(root, None, b"/t/file")) == EROFS


def test_links_and_unnamed_files(overlay: Overlay) -> None:
    overlay.mount()
    root = overlay.world.root
    with resolve(root, None, b"/t/file", 0) as place:
        names.make_link(root, place, None, b"/t/again")
    assert resolve(root, None, b"/t/again", 0).inode() is resolve(root, None, b"/t/file", 0).inode()
    assert resolve(root, None, b"/t/again", 0).inode().nlink == 2
    assert error_of(lambda: open_file(root, None, b"/t/again", O_CREAT | O_WRONLY | 0o200, 0)) == EEXIST


def test_refuses(overlay: Overlay) -> None:
    refused = (b"", b"lowerdir=/l", b"upperdir=/u,workdir=/w", b"lowerdir=/l,upperdir=/u", ALL + b",index=on")
    for options in refused:
        assert error_of(lambda text=options: overlay.mount(text)) == EINVAL  # type: ignore[misc]


def test_an_overlay_of_an_overlay(overlay: Overlay) -> None:
    root = overlay.world.root
    overlay.mount()
    for name in (b"/u2", b"/w2", b"/t2", b"/e"):
        names.make_directory(root, None, name, 0o755)
    mount(root, b"overlay", b"/t2", b"overlay", 0, b"lowerdir=/t,upperdir=/u2,workdir=/w2")
    overlay.world.write(b"/t2/dir/inner", b"INNER")
    assert overlay.world.read(b"/t2/dir/inner") == b"INNER"
    assert overlay.world.read(b"/t/dir/inner") == b"inner"
    names.unlink(root, None, b"/t2/file")
    assert not overlay.exists(b"/t2/file")
    assert overlay.exists(b"/t/file")
    names.make_directory(root, None, b"/t3", 0o755)
    assert error_of(lambda: mount(root, b"o", b"/t3", b"overlay", 0, b"lowerdir=/t2:/e")) == EINVAL


@pytest.mark.parametrize("step", range(4))
def test_a_copy_that_fails_leaves_nothing(overlay: Overlay, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """The disk is full at some step of copying up: the lower file stays, and nothing of the copy."""
    overlay.mount()
    world = overlay.world
    world.write(b"/l/large", bytes(range(256)) * 1024)
    calls = 0
    write_at = TmpfsFile.write_at

    def fails(self: TmpfsFile, buffer: Buffer, offset: int) -> int:
        nonlocal calls
        calls += 1
        if calls > step:
            raise Errno(ENOSPC)
        return write_at(self, buffer, offset)

    monkeypatch.setattr(TmpfsFile, "write_at", fails)
    assert error_of(lambda: open_file(world.root, None, b"/t/large", O_WRONLY, 0)) == ENOSPC
    monkeypatch.undo()
    assert overlay.names(b"/w/work") == []
    assert overlay.names(b"/u") == []
    assert world.read(b"/t/large") == bytes(range(256)) * 1024


def test_nothing_is_left_after_unmounting(overlay: Overlay) -> None:
    world = overlay.world
    used = world.tmpfs.inodes_used
    overlay.mount()
    world.write(b"/t/file", b"upper")
    names.unlink(world.root, None, b"/t/file")
    names.unlink(world.root, None, b"/u/file")
    overlay.unmount()
    for name in overlay.names(b"/w/work"):
        names.unlink(world.root, None, b"/w/work/" + name)
    names.remove_directory(world.root, None, b"/w/work")
    assert world.tmpfs.inodes_used == used
    for name in (b"/u", b"/l", b"/l/file", b"/w"):
        assert resolve(world.root, None, name, 0).inode().users == 0


def test_exchanging_files_and_new_directories(overlay: Overlay) -> None:
    overlay.mount()
    root = overlay.world.root
    names.make_directory(root, None, b"/t/new", 0o700)
    overlay.world.write(b"/t/new/x", b"x")
    names.rename(root, None, b"/t/new", None, b"/t/file", RENAME_EXCHANGE)
    assert overlay.names(b"/t/file") == [b"x"]
    assert overlay.world.read(b"/t/new") == b"lower"
    names.rename(root, None, b"/t/new", None, b"/t/file/x", 0)
    assert overlay.world.read(b"/t/file/x") == b"lower"


def test_replacing_an_empty_directory_of_both_layers(overlay: Overlay) -> None:
    overlay.mount()
    root = overlay.world.root
    names.unlink(root, None, b"/t/dir/inner")
    names.make_directory(root, None, b"/t/new", 0o700)
    overlay.world.write(b"/t/new/x", b"x")
    names.rename(root, None, b"/t/new", None, b"/t/dir", 0)
    assert overlay.names(b"/t/dir") == [b"x"]
    assert len(overlay.names(b"/w/work")) == 1
    overlay.unmount()
    overlay.mount()
    assert overlay.names(b"/t/dir") == [b"x"]


def test_an_unnamed_file_gets_a_name(overlay: Overlay) -> None:
    overlay.mount()
    root = overlay.world.root
    file = open_file(root, None, b"/t/dir", 0o20200000 | O_RDWR, 0o644)
    file.write(KernelBuffer(bytearray(b"text")))
    names.make_link(root, file.path, None, b"/t/dir/named")
    file.release()
    assert overlay.world.read(b"/t/dir/named") == b"text"
    assert overlay.world.read(b"/u/dir/named") == b"text"


def test_removed_while_open(overlay: Overlay) -> None:
    overlay.mount()
    root = overlay.world.root
    file = open_file(root, None, b"/t/file", O_RDONLY, 0)
    names.unlink(root, None, b"/t/file")
    assert error_of(lambda: attributes.change_mode(root, file.path.mount, file.inode, 0o600)) == EEXIST
    assert file.inode.mode & 0o777 == 0o644
    buffer = KernelBuffer(bytearray(10))
    assert file.read(buffer) == 5
    file.release()
    assert len(overlay.names(b"/w/work")) == 1


def test_own_attributes_are_hidden_and_those_of_programs_kept_apart(overlay: Overlay) -> None:
    overlay.mount()
    root = overlay.world.root
    who = plain_actor(root.credentials)
    inode = resolve(root, None, b"/t/dir", 0).inode()
    extended_attributes.put(who, inode, b"trusted.overlay.opaque", b"y", 0)
    assert extended_attributes.names(who, inode) == b"trusted.overlay.opaque\0"
    above = resolve(root, None, b"/u/dir", 0).inode()
    assert extended_attributes.names(who, above) == b"trusted.overlay.overlay.opaque\0"
    assert overlay.names(b"/t/dir") == [b"inner"]


def test_a_late_copy_takes_no_name_of_others(overlay: Overlay) -> None:
    """One of several names below is removed or made anew: what was opened by it stays below."""
    root = overlay.world.root
    with resolve(root, None, b"/l/file", 0) as place:
        names.make_link(root, place, None, b"/l/second")
        names.make_link(root, place, None, b"/l/third")
    overlay.mount()
    for name in (b"/t/file", b"/t/second"):
        file = open_file(root, None, name, O_RDONLY, 0)
        if name == b"/t/file":
            names.unlink(root, None, name)
        else:
            overlay.world.write(b"/t/new", b"new")
            names.rename(root, None, b"/t/new", None, name, 0)
        for again in range(2):
            assert error_of(partial(attributes.change_mode, root, file.path.mount, file.inode, 0o600)) == EEXIST
            if again == 0 and name == b"/t/file":
                overlay.world.write(name, b"somebody else's")
        file.release()
    assert overlay.world.read(b"/t/file") == b"somebody else's"
    assert overlay.world.read(b"/t/second") == b"new"
    assert overlay.world.read(b"/t/third") == b"lower"


def test_what_others_put_into_the_upper_layer_is_not_replaced(overlay: Overlay) -> None:
    overlay.mount()
    world = overlay.world
    assert not overlay.exists(b"/t/x")
    world.write(b"/u/x", b"host")
    assert error_of(lambda: open_file(world.root, None, b"/t/x", O_CREAT | O_WRONLY, 0o600)) == ESTALE
    assert error_of(lambda: names.make_directory(world.root, None, b"/t/x", 0o700)) == ESTALE
    assert error_of(lambda: names.rename(world.root, None, b"/t/file", None, b"/t/x", 0)) == ESTALE
    assert world.read(b"/u/x") == b"host"
    assert overlay.names(b"/w/work") == []
    names.make_directory(world.root, None, b"/t/new", 0o700)
    world.write(b"/u/new/hidden", b"host")
    assert not overlay.exists(b"/t/other")
    names.unlink(world.root, None, b"/u/x")
    world.write(b"/t/plain", b"plain")
    names.unlink(world.root, None, b"/u/plain")
    world.write(b"/u/plain", b"host")
    assert error_of(lambda: names.unlink(world.root, None, b"/t/plain")) == ESTALE
    assert world.read(b"/u/plain") == b"host"


def test_nothing_is_inherited_from_the_work_directory(overlay: Overlay) -> None:
    world = overlay.world
    who = plain_actor(world.root.credentials)
    entries = AccessList()
    entries.add(0x01, 7, 0xFFFF_FFFF)
    entries.add(0x02, 7, 1000)
    entries.add(0x04, 5, 0xFFFF_FFFF)
    entries.add(0x10, 7, 0xFFFF_FFFF)
    entries.add(0x20, 5, 0xFFFF_FFFF)
    set_list(who, resolve(world.root, None, b"/w", 0).inode(), DEFAULT_LIST, entries)
    overlay.mount()
    world.write(b"/t/file", b"upper")
    above = resolve(world.root, None, b"/u/file", 0).inode()
    assert above.access_lists().access is None
    work = resolve(world.root, None, b"/w/work", 0).inode()
    assert work.access_lists().default is None


def test_times_that_come_late_bring_no_bit_back(overlay: Overlay, monkeypatch: pytest.MonkeyPatch) -> None:
    """While somebody waits for a copy, a writer loses the set-user-ID bit."""
    world = overlay.world
    resolve(world.root, None, b"/l/file", 0).inode().mode |= 0o4000
    overlay.mount()
    node = resolve(world.root, None, b"/t/file", 0).inode()
    copy_up = copying.copy_up

    def slow(target: OverlayNode) -> None:
        copy_up(target)
        target.real().mode &= ~0o4000

    monkeypatch.setattr(inode_module, "copy_up", slow)
    node.mtime_ns = 5
    node.attributes_changed()
    assert node.mode & 0o4000 == 0
    above = resolve(world.root, None, b"/u/file", 0).inode()
    assert above.mode & 0o4000 == 0
    assert above.mtime_ns == 5


def test_names_that_a_directory_keeps_are_charged(overlay: Overlay) -> None:
    overlay.mount()
    file = open_file(overlay.world.root, None, b"/t", O_RDONLY, 0)
    before = file.held_bytes()
    first = Few()
    file.read_directory(first)
    assert file.held_bytes() > before
    rest = Names()
    file.read_directory(rest)
    assert file.held_bytes() == before
    assert sorted(first.found + rest.found) == [b"dir", b"file"]
    file.read_directory(rest)
    assert len(rest.found) == 1
    file.release()


def test_a_mapping_keeps_its_own_place(overlay: Overlay) -> None:
    """Two overlays share a lower file: each mapping is through one of them."""
    root = overlay.world.root
    for name in (b"/u2", b"/w2", b"/t2"):
        names.make_directory(root, None, name, 0o755)
    overlay.mount()
    mount(root, b"overlay", b"/t2", b"overlay", 0, b"lowerdir=/l,upperdir=/u2,workdir=/w2")
    areas = []
    for name in (b"/t/file", b"/t2/file"):
        file = open_file(root, None, name, O_RDONLY, 0)
        area = Area(0, 4096, 1, 1, 2, file.memory_object(), 0)
        area.attach(cast("AddressSpace", None))
        areas.append(area)
        file.release()
    assert [area.source_name() for area in areas] == [b"/t/file", b"/t2/file"]
    assert error_of(lambda: unmount(root, b"/t", 0)) == EBUSY
    areas[0].detach()
    unmount(root, b"/t", 0)
    assert error_of(lambda: unmount(root, b"/t2", 0)) == EBUSY
    areas[1].detach()
    unmount(root, b"/t2", 0)


class Few(Names):
    """One name."""

    def emit(self, name: bytes, ino: int, kind: int, next_position: int) -> bool:
        return len(self.found) == 0 and super().emit(name, ino, kind, next_position)


def test_nobody_waits_for_a_copy_before_a_move(overlay: Overlay, monkeypatch: pytest.MonkeyPatch) -> None:
    instance = overlay.mount()
    root = overlay.world.root
    held: list[bool] = []
    copy_contents = copying._Copy._copy_contents

    def looks(self: copying._Copy, source: Path, size: int) -> None:
        held.append(instance.names.owner is not None)
        copy_contents(self, source, size)

    monkeypatch.setattr(copying._Copy, "_copy_contents", looks)
    names.rename(root, None, b"/t/file", None, b"/t/moved", 0)
    with resolve(root, None, b"/t/dir/inner", 0) as place:
        names.make_link(root, place, None, b"/t/linked")
    assert held == [False, False]


class Late(leaving.LeavingInode):
    """Notes that it has left."""

    has_gone = False

    def leave(self) -> bool:
        self.has_gone = True
        return True


class Closing(leaving.LeavingSystem):
    """Lets an inode go when it leaves itself."""

    def __init__(self, waiting: leaving.Leaving, inode: Late) -> None:
        super().__init__(b"closing", b"closing", 0)
        self.waiting = waiting
        self.inode = inode

    def leave(self) -> bool:
        self.waiting.add_inode(self.inode)
        return True


def test_what_comes_while_others_leave_is_not_forgotten(overlay: Overlay) -> None:
    waiting = leaving.Leaving()
    late = Late(overlay.world.tmpfs, 1, 0o100644)
    waiting.add_system(Closing(waiting, late))
    assert waiting.let_all_go()
    assert late.has_gone


def test_a_copy_is_in_its_place_whatever_its_directory_says(
    overlay: Overlay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server of the upper layer may refuse the times of the directory; that leaves no half copy."""
    overlay.mount()
    world = overlay.world
    holder = resolve(world.root, None, b"/u", FOLLOW).inode()
    rename: Callable[..., object] = names.rename
    has_moved: list[bool] = []

    def move(*arguments: object) -> None:
        rename(*arguments)
        has_moved.append(True)

    def refuse(inode: Inode) -> None:
        if inode is holder and has_moved:
            raise Errno(EIO)

    with monkeypatch.context() as patch:
        patch.setattr(names, "rename", move)
        patch.setattr(type(holder), "attributes_changed", refuse)
        assert error_of(lambda: open_file(world.root, None, b"/t/file", O_RDWR, 0)) == EIO
    file = open_file(world.root, None, b"/t/file", O_RDWR, 0)
    assert file.write(KernelBuffer(bytearray(b"L"))) == 1
    file.release()
    assert world.read(b"/t/file") == world.read(b"/u/file") == b"Lower"
    overlay.unmount()


def test_an_overlay_ends_though_an_inode_has_left_before(overlay: Overlay) -> None:
    instance = overlay.mount()
    resolve(overlay.world.root, None, b"/t/file", FOLLOW)
    node = next(node for node in instance.nodes.values() if not node.is_directory())
    node.has_left = True
    leave_all(instance)
    assert len(instance.nodes) == 0


def test_a_layer_lives_that_is_removed_while_it_is_checked(overlay: Overlay) -> None:
    world = overlay.world
    names.make_directory(world.root, None, b"/m/inner", 0o755)
    used = world.tmpfs.inodes_used
    with meanwhile(lambda: names.remove_directory(world.root, None, b"/m/inner")):
        mount(world.root, b"overlay", b"/t", b"overlay", 0, b"lowerdir=/m/inner:/l")
    overlay.unmount()
    assert world.tmpfs.inodes_used == used - 1
