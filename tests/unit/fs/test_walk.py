"""Path walks: links, dots, mounts, and which error wins."""

from collections.abc import Callable

import pytest

from kernel.fs.constants import O_CREAT, O_NOFOLLOW, O_PATH, O_RDONLY, O_WRONLY, S_IFDIR
from kernel.fs.dentry import CACHE, Dentry
from kernel.fs.filesystem import FileSystem
from kernel.fs.inode import Inode
from kernel.fs.mounts import mount_filesystem
from kernel.fs.names import make_directory, make_symlink, remove_directory, rename
from kernel.fs.open import open_file
from kernel.fs.tmpfs.filesystem import new_tmpfs
from kernel.fs.walk import FOLLOW, enter_listed, look_up_held, resolve
from kernel.lang import EACCES, EISDIR, ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR, Errno
from tests.unit.meanwhile import meanwhile

from .conftest import World


def code(function: Callable[..., object], *arguments: object) -> int:
    with pytest.raises(Errno) as caught:
        function(*arguments)
    return caught.value.code


def test_components_dots_and_slashes(world: World) -> None:
    make_directory(world.root, None, b"/a", 0o755)
    make_directory(world.root, None, b"a/b/", 0o755)
    world.write(b"/a/b/file", b"x")
    assert world.where(b"/a//b/./../b/file") == b"/a/b/file"
    assert world.where(b"/../../a/b/") == b"/a/b"
    assert world.where(b"/") == b"/"
    assert code(world.where, b"") == ENOENT
    assert code(world.where, b"/a/b/file/") == ENOTDIR
    assert code(world.where, b"/a/b/file/x") == ENOTDIR
    assert code(world.where, b"/a/b/file/..") == ENOTDIR
    assert code(world.where, b"/a/none") == ENOENT
    assert code(world.where, b"/a/none/x") == ENOENT
    assert code(world.where, b"/" + b"n" * 256) == ENAMETOOLONG


def test_symbolic_links(world: World) -> None:
    make_directory(world.root, None, b"/d", 0o755)
    world.write(b"/d/file", b"x")
    make_symlink(world.root, None, b"/link", b"d")
    make_symlink(world.root, None, b"/abs", b"/link/file")
    make_symlink(world.root, None, b"/d/up", b"../d/./file")
    make_symlink(world.root, None, b"/self", b"self")
    make_symlink(world.root, None, b"/dangling", b"nowhere")
    assert world.where(b"/link/file") == b"/d/file"
    assert world.where(b"/abs") == b"/d/file"
    assert world.where(b"/d/up") == b"/d/file"
    assert world.where(b"/link", 0) == b"/link"
    assert world.where(b"/link/", 0) == b"/d"
    assert code(world.where, b"/abs/") == ENOTDIR
    assert code(world.where, b"/self") == ELOOP
    assert code(world.where, b"/dangling") == ENOENT


def test_forty_links_and_no_more(world: World) -> None:
    world.write(b"/l0", b"x")
    for number in range(1, 42):
        make_symlink(world.root, None, b"/l%d" % number, b"l%d" % (number - 1))
    assert world.where(b"/l40") == b"/l0"
    assert code(world.where, b"/l41") == ELOOP


def test_search_permission_comes_first(world: World) -> None:
    make_directory(world.root, None, b"/secret", 0o700)
    world.write(b"/secret/file", b"x")
    assert code(resolve, world.user, None, b"/secret/none", FOLLOW) == EACCES
    assert code(resolve, world.user, None, b"/secret/" + b"n" * 300, FOLLOW) == EACCES
    assert world.read(b"/secret/file") == b"x"


def test_mount_points(world: World) -> None:
    make_directory(world.root, None, b"/mnt", 0o755)
    other = new_tmpfs(b"tmpfs", b"other", b"")
    mount_filesystem(world.root, other, resolve(world.root, None, b"/mnt", FOLLOW), 0)
    world.write(b"/mnt/inside", b"x")
    assert world.where(b"/mnt/inside") == b"/mnt/inside"
    assert world.where(b"/mnt/..") == b"/"
    assert resolve(world.root, None, b"/mnt", FOLLOW).mount.file_system is other


def test_chroot_is_not_left(world: World) -> None:
    make_directory(world.root, None, b"/jail", 0o755)
    context = world.root.copy()
    context.set_root(resolve(world.root, None, b"/jail", FOLLOW))
    context.set_working(context.root)
    assert resolve(context, None, b"/../../..", FOLLOW).same(context.root)
    assert code(resolve, context, None, b"/jail", FOLLOW) == ENOENT
    assert world.where(b"/jail") == b"/jail"


def test_opening_links(world: World) -> None:
    make_symlink(world.root, None, b"/new", b"made")
    assert code(open_file, world.root, None, b"/new", O_RDONLY | O_NOFOLLOW, 0) == ELOOP
    open_file(world.root, None, b"/new", O_PATH | O_NOFOLLOW, 0).release()
    open_file(world.root, None, b"/new", O_CREAT | O_WRONLY, 0o600).release()
    assert world.where(b"/made") == b"/made"
    assert code(open_file, world.root, None, b"/other/", O_CREAT | O_WRONLY, 0o600) == EISDIR


def test_removed_working_directory(world: World) -> None:
    make_directory(world.root, None, b"/gone", 0o755)
    world.root.set_working(resolve(world.root, None, b"/gone", FOLLOW))
    remove_directory(world.root, None, b"/gone")
    assert code(make_directory, world.root, None, b"x", 0o755) == ENOENT
    assert world.where(b"..") == b"/"
    assert world.where(b".") == b"/gone (deleted)"


def test_context_of_the_first_process_is_counted(world: World) -> None:
    mount = world.root.root.mount
    users = mount.users
    copy = world.root.copy()
    assert mount.users == users + 2
    copy.release()
    assert mount.users == users


class Replaced(Inode):
    """A directory in which the one name leads to something else, without notice."""

    def __init__(self, file_system: FileSystem, ino: int) -> None:
        super().__init__(file_system, ino, S_IFDIR | 0o755)
        self.revalidates = True
        self.inside: Inode | None = None

    def doubts(self, name: bytes, known: Inode | None) -> bool:
        return True

    def lookup(self, name: bytes) -> Inode | None:
        return self.inside


def names_below(world: World) -> tuple[Replaced, Dentry, Dentry]:
    """A directory, its dentry, and that of a name in it that has led to something else since, and has names in it."""
    top = Replaced(world.tmpfs, 1000)
    parent = Dentry(None, b"/", top)
    stale = CACHE.insert(parent, b"name", Replaced(world.tmpfs, 1001))
    CACHE.insert(stale, b"inner", None)
    top.inside = Replaced(world.tmpfs, 1002)
    return top, parent, stale


def test_a_name_that_changed_is_entered_once_whoever_asks(world: World) -> None:
    _, parent, stale = names_below(world)
    others: list[Dentry | None] = []
    with meanwhile(lambda: others.append(look_up_held(parent, b"name"))):
        found = look_up_held(parent, b"name")
    assert found is not None and found.cached and not found.deleted
    assert others == [found] and parent.children == {b"name": found}
    assert stale.deleted and not stale.cached and stale.children == {}


def test_a_listed_name_that_changed_is_entered_once(world: World) -> None:
    top, parent, _ = names_below(world)
    others: list[Dentry | None] = []
    assert top.inside is not None
    with meanwhile(lambda: others.append(look_up_held(parent, b"name"))):
        enter_listed(parent, b"name", top.inside)
    assert parent.children == {b"name": others[0]}


def test_a_replaced_directory_has_lost_its_name_when_others_look(world: World) -> None:
    """What the cache has of it is forgotten with safe points."""
    for name in (b"/a", b"/b"):
        make_directory(world.root, None, name, 0o755)
    CACHE.insert(resolve(world.root, None, b"/b", FOLLOW).dentry, b"none", None)
    seen: list[int] = []
    with meanwhile(lambda: seen.append(code(world.where, b"/a"))):
        rename(world.root, None, b"/a", None, b"/b", 0)
    assert seen == [ENOENT]


def test_the_name_of_a_removed_directory_is_free_when_others_look(world: World) -> None:
    make_directory(world.root, None, b"/a", 0o755)
    CACHE.insert(resolve(world.root, None, b"/a", FOLLOW).dentry, b"none", None)
    with meanwhile(lambda: make_directory(world.root, None, b"/a", 0o700)):
        remove_directory(world.root, None, b"/a")
    assert world.where(b"/a") == b"/a"
