"""Lines about mounts, with others at work at the safe points."""

from kernel.fs.constants import MS_BIND, MS_SHARED, MS_SLAVE
from kernel.fs.mount_text import MountView
from kernel.fs.mounts import mount, unmount
from kernel.fs.names import make_directory
from kernel.fs.walk import FOLLOW, resolve
from tests.unit.fs.conftest import World
from tests.unit.meanwhile import meanwhile


def test_what_is_unmounted_meanwhile_has_no_line(world: World) -> None:
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
    with meanwhile(lambda: unmount(world.root, b"/b", 0), number=2):  # the first precedes the look at its place
        assert view.mountinfo_line(slave) == b""
    assert view.mountinfo_line(slave) == b""
