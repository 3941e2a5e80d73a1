"""A file system ends with its last mount, while others mount the same one."""

import pytest

from kernel.fs.binfmt import filesystem as binfmt
from kernel.fs.binfmt.filesystem import BinfmtFileSystem
from kernel.fs.cgroup import filesystem as cgroup
from kernel.fs.configfs import filesystem as configfs
from kernel.fs.constants import MS_RDONLY
from kernel.fs.dentry import CACHE
from kernel.fs.filesystem import FileSystem
from kernel.fs.mounts import mount, unmount
from kernel.fs.names import make_directory
from kernel.fs.path import Path
from kernel.fs.sysfs import filesystem as sysfs
from kernel.fs.walk import FOLLOW, resolve
from kernel.lib.pace import PACE
from kernel.task.format_text import parse_format
from tests.unit.fs.conftest import World
from tests.unit.meanwhile import meanwhile

assert sysfs and binfmt and cgroup and configfs  # they register types


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
