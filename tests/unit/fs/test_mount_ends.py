"""A file system ends with its last mount, while others mount the same one."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest

from kernel.fs import mount_tree, mounts
from kernel.fs.binfmt import filesystem as binfmt
from kernel.fs.binfmt.filesystem import BinfmtFileSystem
from kernel.fs.cgroup import filesystem as cgroup
from kernel.fs.configfs import filesystem as configfs
from kernel.fs.constants import (
    MNT_DETACH,
    MS_BIND,
    MS_MOVE,
    MS_PRIVATE,
    MS_RDONLY,
    MS_REC,
    MS_SHARED,
    MS_SLAVE,
    MS_UNBINDABLE,
    PROC_SUPER_MAGIC,
)
from kernel.fs.dentry import CACHE
from kernel.fs.devices.filesystem import add_block_node, remove_block_node
from kernel.fs.filesystem import FileSystem
from kernel.fs.mount_lists import attached_mounts, numbers_in
from kernel.fs.mount_lock import TREE
from kernel.fs.mount_namespaces import separate
from kernel.fs.mount_sync import sync_all, write_back_all
from kernel.fs.mount_tree import place_for_mount
from kernel.fs.mounts import mount, mount_filesystem, unmount
from kernel.fs.names import make_directory
from kernel.fs.path import MOUNTS, FsContext, MountNamespace, Path
from kernel.fs.procfs import filesystem as procfs
from kernel.fs.sysfs import filesystem as sysfs
from kernel.fs.tmpfs.filesystem import new_tmpfs
from kernel.fs.walk import FOLLOW, resolve
from kernel.lang import ENOSPC, Errno
from kernel.lib.namespace import FIRST_USER
from kernel.lib.pace import PACE, PACE_BUDGET, Rest
from kernel.sched import current_thread
from kernel.task.format_text import parse_format
from tests.unit.fs.conftest import World
from tests.unit.meanwhile import meanwhile

assert sysfs and binfmt and cgroup and configfs and procfs  # they register types


class Waits(Exception):
    """Somebody waits for a change."""


def mounted(world: World, kind: bytes, name: bytes = b"/m", flags: int = 0) -> FileSystem:
    mount(world.root, b"none", name, kind, flags, b"")
    return at(world, name).mount.file_system


def at(world: World, name: bytes) -> Path:
    return resolve(world.root, None, name, FOLLOW)


@pytest.fixture
def places(world: World) -> World:
    for name in (b"/m", b"/n"):
        make_directory(world.root, None, name, 0o755)
    return world


def test_another_mount_of_sysfs_is_another_instance(places: World) -> None:
    """Its names are forgotten with safe points before it ends."""
    first = mounted(places, b"sysfs")
    CACHE.insert(at(places, b"/m").dentry, b"none", None)
    found: list[FileSystem] = []
    with meanwhile(lambda: found.append(mounted(places, b"sysfs", b"/n"))):
        unmount(places.root, b"/m", 0)
    assert found[0] is not first
    assert at(places, b"/n/class").inode().is_directory()
    assert mounted(places, b"sysfs") is found[0]


def test_a_mount_of_binfmt_misc_waits_for_the_end_of_the_last(places: World, monkeypatch: pytest.MonkeyPatch) -> None:
    first = mounted(places, b"binfmt_misc")
    assert isinstance(first, BinfmtFileSystem)
    first.directory().add(parse_format(b":name:E::x::/bin/sh:"))
    waited: list[bool] = []

    def others() -> None:
        def wait() -> None:
            raise Waits

        monkeypatch.setattr(PACE.rest, "wait_for_change", wait)
        with pytest.raises(Waits):
            mounted(places, b"binfmt_misc", b"/n")
        waited.append(True)

    with meanwhile(others):
        unmount(places.root, b"/m", 0)
    second = mounted(places, b"binfmt_misc")
    assert waited == [True] and second is not first
    assert isinstance(second, BinfmtFileSystem) and second.table.formats == []
    assert at(places, b"/m/status").inode() is second.directory().status


@pytest.mark.parametrize("kind", [b"cgroup2", b"configfs"])
def test_a_file_system_that_stays_keeps_its_names(places: World, kind: bytes) -> None:
    first = mounted(places, kind)
    name = CACHE.insert(at(places, b"/m").dentry, b"none", None)
    unmount(places.root, b"/m", 0)
    assert not name.deleted
    assert mounted(places, kind, flags=MS_RDONLY) is first and first.read_only
    unmount(places.root, b"/m", 0)
    assert not first.read_only


def test_formats_of_the_next_instance_stay(places: World) -> None:
    """Somebody still has the directory of the one before open when it ends."""
    first = mounted(places, b"binfmt_misc")
    assert isinstance(first, BinfmtFileSystem)
    for name in (b"name", b"other"):
        first.directory().add(parse_format(b":%s:E::%s::/bin/sh:" % (name, name)))
    second: list[BinfmtFileSystem] = []

    def others() -> None:
        first.table.file_system = None
        mount(places.root, b"none", b"/n", b"binfmt_misc", 0, b"")
        instance = at(places, b"/n").mount.file_system
        assert isinstance(instance, BinfmtFileSystem) and instance is not first
        first.table.remove(first.directory().files[b"name"].format)
        instance.directory().add(parse_format(b":name:E::y::/bin/sh:"))
        second.append(instance)

    with meanwhile(others):
        first.directory().remove_all()
    assert [each.name for each in second[0].table.formats] == [b"name"]


def test_what_is_mounted_on_is_held(places: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking at what is to be bound sleeps, and another unmounts the target."""
    mount(places.root, b"none", b"/m", b"tmpfs", 0, b"")
    target = at(places, b"/m").mount
    held: list[int] = []
    find = place_for_mount

    def meet(namespace: MountNamespace, place: Path) -> Path:
        held.append(target.users)
        return find(namespace, place)

    monkeypatch.setattr(mounts, "place_for_mount", meet)
    mount(places.root, b"/n", b"/m", None, MS_BIND, b"")
    assert held == [1] and target.users == 0


def test_namespaces_that_mount_on_the_same_new_name_both_find_it(places: World) -> None:
    """Each walked to it before the other had mounted something, so each has a dentry of its own."""
    mounted(places, b"proc")
    namespaces: list[FsContext] = [places.root, places.root.copy()]
    separate(namespaces[1], places.root.namespace.owner)
    walked = [resolve(context, None, b"/m/sys/kernel", FOLLOW) for context in namespaces]
    shown = [new_tmpfs(b"tmpfs", name, b"") for name in (b"first", b"second")]
    for context, place, file_system in zip(namespaces, walked, shown, strict=True):
        mount_filesystem(context, file_system, place, 0)
    for context, file_system in zip(namespaces, shown, strict=True):
        assert resolve(context, None, b"/m/sys/kernel", FOLLOW).mount.file_system is file_system
    unmount(namespaces[0], b"/m/sys/kernel", 0)
    assert resolve(namespaces[0], None, b"/m/sys/kernel", FOLLOW).mount.file_system.magic == PROC_SUPER_MAGIC
    assert resolve(namespaces[1], None, b"/m/sys/kernel", FOLLOW).mount.file_system is shown[1]




def steps(act: Callable[[], object]) -> int:
    """How many safe points there are within a call at which all turns pass for the longest ones, each of which finds
    the tree locked.
    """
    seen: list[bool] = []

    class Counting(Rest):
        def take(self) -> None:
            seen.append(TREE.lock.owner is not None)
            PACE.left = 0

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PACE, "rest", Counting())
        PACE.left = 0
        try:
            act()
        finally:
            PACE.left = PACE_BUDGET
    return sum(seen)


def test_work_on_many_mounts_has_safe_points_within_the_lock(places: World) -> None:
    """Copying, sharing, propagating, moving, detaching and ending a tree: one or more for each mount."""
    count = 20
    mount(places.root, b"none", b"/m", b"tmpfs", 0, b"")
    make_directory(places.root, None, b"/m/a", 0o755)
    for number in range(count):
        name = b"/m/a/%d" % number
        make_directory(places.root, None, name, 0o755)
        mount(places.root, b"/m/a", name, None, MS_BIND, b"")
    for name in (b"/o", b"/p"):
        make_directory(places.root, None, name, 0o755)
    namespace = places.root.namespace

    def all_at_least(act: Callable[[], object]) -> None:
        assert steps(act) >= count

    all_at_least(lambda: mount(places.root, b"/m", b"/n", None, MS_BIND | MS_REC, b""))
    all_at_least(lambda: mount(places.root, b"none", b"/n", None, MS_SHARED | MS_REC, b""))
    all_at_least(lambda: mount(places.root, b"/n", b"/o", None, MS_BIND | MS_REC, b""))
    all_at_least(lambda: mount(places.root, b"/m", b"/n/a", None, MS_BIND | MS_REC, b""))
    assert at(places, b"/o/a/a/7").mount.parent is at(places, b"/o/a").mount
    all_at_least(lambda: unmount(places.root, b"/n/a", MNT_DETACH))
    assert at(places, b"/o/a").mount is at(places, b"/o").mount
    all_at_least(lambda: mount(places.root, b"none", b"/n", None, MS_PRIVATE | MS_REC, b""))
    all_at_least(lambda: unmount(places.root, b"/n", MNT_DETACH))
    all_at_least(lambda: unmount(places.root, b"/o", MNT_DETACH))
    all_at_least(lambda: mount(places.root, b"none", b"/m", None, MS_UNBINDABLE | MS_REC, b""))
    all_at_least(lambda: mount(places.root, b"/m", b"/p", None, MS_MOVE, b""))
    assert len(namespace.mounts) == count + 2
    context = places.root.copy()
    all_at_least(lambda: separate(context, FIRST_USER))
    assert len(context.namespace.mounts) == count + 2
    all_at_least(context.namespace.dissolve)
    all_at_least(attached_mounts)
    all_at_least(lambda: numbers_in(namespace))


def test_others_wait_for_who_changes_the_tree(places: World) -> None:
    mount(places.root, b"none", b"/m", b"tmpfs", 0, b"")
    owner: list[object] = []
    with meanwhile(lambda: owner.append(TREE.lock.owner)):
        mount(places.root, b"none", b"/m", None, MS_PRIVATE, b"")
    assert owner == [current_thread()] and TREE.lock.owner is None


def test_a_copy_that_is_taken_back_leaves_what_lay_there(places: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last of three slaves cannot get its copy. One copy is in use by then, and ends with its use."""
    slaves = (b"/b", b"/c", b"/d")
    mount(places.root, b"none", b"/m", b"tmpfs", 0, b"")
    make_directory(places.root, None, b"/m/x", 0o755)
    mount(places.root, b"none", b"/m", None, MS_SHARED, b"")
    for name in slaves:
        make_directory(places.root, None, name, 0o755)
        mount(places.root, b"/m", name, None, MS_BIND, b"")
        mount(places.root, b"none", name, None, MS_SLAVE, b"")
        mount(places.root, b"none", name + b"/x", b"tmpfs", 0, b"")
    lay = [at(places, name + b"/x").mount for name in slaves]
    before = len(places.root.namespace.mounts)
    monkeypatch.setattr(mount_tree, "_MOST_MOUNTS", SimpleNamespace(value=before + 3))
    used: list[Path] = []

    def use() -> None:
        copy = lay[2].parent
        if copy is not None and copy.root is lay[2].mount_point and not used:
            used.append(Path(copy, copy.root).pin())

    class Using(Rest):
        def take(self) -> None:
            use()
            PACE.left = 0

    monkeypatch.setattr(PACE, "rest", Using())
    PACE.left = 0
    with pytest.raises(Errno) as caught:
        mount(places.root, b"none", b"/m/x", b"tmpfs", 0, b"")
    monkeypatch.undo()
    PACE.left = PACE_BUDGET
    assert caught.value.code == ENOSPC
    assert len(places.root.namespace.mounts) == before
    for name, each in zip(slaves, lay, strict=True):
        assert at(places, name + b"/x").mount is each and each.parent is at(places, name).mount
    assert not used[0].mount.is_gone and not used[0].mount.attached
    used[0].unpin()
    assert used[0].mount.is_gone


def test_the_mounts_of_a_namespace_leave_with_safe_points(places: World) -> None:
    """All of them are detached first, and the numbers go one by one."""
    mounted(places, b"tmpfs")
    mounted(places, b"tmpfs", b"/n")
    namespace = separate(places.root, FIRST_USER)
    mine = list(namespace.mounts.values())
    seen: list[list[bool]] = []

    def look() -> None:
        assert not any(mount.attached or mount.namespace is not None for mount in mine)
        seen.append([mount.identifier in MOUNTS for mount in mine])

    assert len(mine) == 3 and all(mount.identifier in MOUNTS for mount in mine)
    with meanwhile(look, len(mine) + 1):
        namespace.dissolve()
    assert seen == [[False, True, True]]
    assert not any(mount.identifier in MOUNTS for mount in mine)


def test_a_removed_block_device_has_no_name_left(world: World) -> None:
    """Whatever else is mounted: the names of all mounts of devtmpfs are the same."""
    make_directory(world.root, None, b"/d", 0o755)
    mounted(world, b"devtmpfs", b"/d")
    add_block_node(b"gone0", 0x7FF)
    assert not at(world, b"/d/gone0").dentry.deleted
    remove_block_node(b"gone0", 0x7FF)
    with pytest.raises(Errno):
        at(world, b"/d/gone0")


@pytest.mark.parametrize("write", [sync_all, write_back_all])
def test_all_mounts_are_written_with_safe_points(places: World, write: Callable[[], None]) -> None:
    """One that is unmounted meanwhile is left out."""
    first = mounted(places, b"tmpfs")
    last = mounted(places, b"tmpfs", b"/n")
    written: list[FileSystem] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(first, "sleeps", True)
        patch.setattr(last, "sleeps", True)
        patch.setattr(type(last), "sync", lambda self: written.append(self))
        patch.setattr(type(last), "write_back", lambda self: written.append(self))
        with meanwhile(lambda: unmount(places.root, b"/n", 0), len(MOUNTS) + 1):
            write()
    assert first in written and last not in written
