"""Lines about mounts, with others at work at the safe points."""

import pytest

from kernel.fs.constants import (
    MS_BIND,
    MS_DIRSYNC,
    MS_LAZYTIME,
    MS_NOATIME,
    MS_NOUSER,
    MS_REMOUNT,
    MS_SHARED,
    MS_SLAVE,
)
from kernel.fs.mount_lock import MountTree
from kernel.fs.mount_status import instance_flags_of
from kernel.fs.mount_text import MountView, flag_names
from kernel.fs.mounts import mount, unmount
from kernel.fs.names import make_directory
from kernel.fs.walk import FOLLOW, resolve
from kernel.lang import EINVAL, Errno
from tests.unit.fs.conftest import World


def test_what_is_unmounted_meanwhile_has_no_line(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (b"/a", b"/b"):
        make_directory(world.root, None, name, 0o755)
    mount(world.root, b"none", b"/a", b"tmpfs", 0, b"")
    mount(world.root, b"none", b"/a", None, MS_SHARED, b"")
    mount(world.root, b"/a", b"/b", None, MS_BIND, b"")
    mount(world.root, b"none", b"/b", None, MS_SLAVE, b"")
    slave = resolve(world.root, None, b"/b", FOLLOW).mount
    view = MountView(world.root.root)
    assert b" /b " in view.mountinfo_line(slave)
    view = MountView(world.root.root)

    acquire = MountTree.acquire

    def acquire_after_another(tree: MountTree) -> None:
        monkeypatch.setattr(MountTree, "acquire", acquire)
        unmount(world.root, b"/b", 0)
        acquire(tree)

    monkeypatch.setattr(MountTree, "acquire", acquire_after_another)
    assert view.mountinfo_line(slave) == b""
    assert not slave.attached
    assert view.mountinfo_line(slave) == b""


def test_flags_without_a_meaning_are_shown(world: World) -> None:
    make_directory(world.root, None, b"/a", 0o755)
    mount(world.root, b"none", b"/a", b"tmpfs", MS_LAZYTIME | MS_DIRSYNC, b"mand")
    found = resolve(world.root, None, b"/a", FOLLOW).mount
    assert flag_names(found) == b"rw,dirsync,mand,lazytime,relatime"
    assert instance_flags_of(found.file_system) == MS_LAZYTIME | MS_DIRSYNC
    mount(world.root, b"none", b"/a", None, MS_REMOUNT | MS_BIND | MS_NOATIME, b"")
    assert flag_names(found) == b"rw,dirsync,mand,lazytime,noatime"
    mount(world.root, b"none", b"/a", None, MS_REMOUNT | MS_LAZYTIME, b"nolazytime,sync")
    assert flag_names(found) == b"rw,sync,dirsync,noatime"


def test_the_kernels_own_flag_is_refused(world: World) -> None:
    with pytest.raises(Errno) as refusal:
        mount(world.root, b"none", b"/", b"tmpfs", MS_NOUSER, b"")
    assert refusal.value.code == EINVAL
