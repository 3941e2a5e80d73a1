"""The file system bpf: names of maps and programs, and how long these live."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from kernel.bpf.code import CGROUP_DEVICE, Code
from kernel.bpf.kept_maps import MAPS, keep_map, release_map
from kernel.bpf.kinds import make_map
from kernel.bpf.link import LINKS
from kernel.bpf.maps import ARRAY, Map
from kernel.bpf.program import KEPT, Program, keep_program, release_program
from kernel.bpf.subject import DEVICES
from kernel.cgroup import links
from kernel.cgroup.group import ControlGroup
from kernel.fs.bpf.files import (
    MapFile,
    PinnableLink,
    PinnableMap,
    PinnableProgram,
    ProgramFile,
    open_map_file,
    pinnable_of,
)
from kernel.fs.bpf.filesystem import BpfFileSystem, new_bpf
from kernel.fs.bpf.pinning import open_pinned, pin
from kernel.fs.constants import (
    O_CREAT,
    O_PATH,
    O_RDONLY,
    O_RDWR,
    O_TMPFILE_BIT,
    O_TRUNC,
    O_WRONLY,
    RENAME_EXCHANGE,
    S_IFIFO,
    S_IFREG,
)
from kernel.fs.file import DirectorySink
from kernel.fs.mounts import mount_filesystem, unmount
from kernel.fs.names import (
    make_directory,
    make_link,
    make_node,
    make_symlink,
    remove_directory,
    rename,
    unlink,
)
from kernel.fs.open import open_file
from kernel.fs.walk import resolve
from kernel.lang import (
    EACCES,
    EBUSY,
    EEXIST,
    EFBIG,
    EINVAL,
    EIO,
    ENOENT,
    ENOTEMPTY,
    EOPNOTSUPP,
    EPERM,
    EROFS,
    Errno,
)
from tests.unit.fs.conftest import World


class Names(DirectorySink):
    """A listing of at most `limit` entries."""

    def __init__(self, limit: int = 1000) -> None:
        super().__init__()
        self.names: list[bytes] = []
        self.limit = limit

    def emit(self, name: bytes, ino: int, kind: int, next_position: int) -> bool:
        if len(self.names) == self.limit:
            return False
        self.names.append(name)
        return True


def code(function: Callable[..., object], *arguments: object) -> int:
    with pytest.raises(Errno) as caught:
        function(*arguments)
    return caught.value.code


class Pins:
    """The file system at /bpf, a map and a program."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.context = world.root
        make_directory(self.context, None, b"/bpf", 0o755)
        self.mounted: BpfFileSystem = new_bpf(b"none", b"", None)
        mount_filesystem(self.context, self.mounted, resolve(self.context, None, b"/bpf", 0), 0)
        self.map: Map = make_map(ARRAY, 4, 8, 2, 0)
        while self.map.grow():
            pass
        keep_map(self.map)
        self.program = Program(CGROUP_DEVICE, b"", Code(b"\xb7" + bytes(7) + b"\x95" + bytes(7)), [])
        keep_program(self.program)

    def pin(self, name: bytes) -> None:
        pin(self.context, None, name, PinnableMap(self.map))

    def get(self, name: bytes, flags: int = O_RDWR) -> None:
        file = open_pinned(self.context, None, name, flags)
        assert isinstance(file, MapFile) and file.map is self.map
        file.release()

    def listed(self, limit: int = 1000) -> list[bytes]:
        """All names of the root, read in pieces."""
        found: list[bytes] = []
        position = 2
        while True:
            names = Names(limit)
            names.position = position
            self.mounted.root().read_directory(position, names)
            if not names.names:
                return found
            found += names.names
            position = names.position


@pytest.fixture
def pins(world: World) -> Iterator[Pins]:
    made = Pins(world)
    maps, programs = len(MAPS.by_number), len(KEPT.programs)
    yield made
    if made.mounted.mounts != 0:
        unmount(world.root, b"/bpf", 0)
    assert (len(MAPS.by_number), len(KEPT.programs)) == (maps, programs)
    assert (made.map.users, made.program.users) == (1, 1)
    release_map(made.map)
    release_program(made.program)


def test_a_name_keeps_its_object(pins: Pins) -> None:
    pins.pin(b"/bpf/map")
    assert pins.map.users == 2
    pins.get(b"/bpf/map")
    make_link(pins.context, resolve(pins.context, None, b"/bpf/map", 0), None, b"/bpf/more")
    assert pins.map.users == 2
    unlink(pins.context, None, b"/bpf/map")
    assert pins.map.users == 2 and code(pins.get, b"/bpf/map") == ENOENT
    pins.get(b"/bpf/more")
    unlink(pins.context, None, b"/bpf/more")
    assert pins.map.users == 1


def test_a_name_outlives_the_descriptor(pins: Pins) -> None:
    file = open_map_file(pins.map, O_RDWR)
    pin(pins.context, None, b"/bpf/map", pinnable_of(file))
    file.release()
    release_map(pins.map)
    assert MAPS.by_number[pins.map.identifier] is pins.map
    pins.get(b"/bpf/map")
    keep_map(pins.map)


def test_programs(pins: Pins) -> None:
    pin(pins.context, None, b"/bpf/program", PinnableProgram(pins.program))
    for flags in (O_RDWR, O_RDONLY):
        file = open_pinned(pins.context, None, b"/bpf/program", flags)
        assert isinstance(file, ProgramFile) and file.flags & 3 == O_RDWR
        assert pinnable_of(file) is not None
        file.release()
    assert pins.program.users == 2


def test_links(pins: Pins) -> None:
    group = ControlGroup(None, b"", 1)
    bond = links.make_link(group, DEVICES, pins.program)
    pin(pins.context, None, b"/bpf/bond", PinnableLink(bond))
    PinnableLink(bond).release()
    assert LINKS.by_number[bond.identifier] is bond and bond.users == 1
    assert code(open_pinned, pins.context, None, b"/bpf/bond", O_RDONLY) == EINVAL
    file = open_pinned(pins.context, None, b"/bpf/bond", O_RDWR)
    unlink(pins.context, None, b"/bpf/bond")
    assert bond.users == 1
    file.release()
    assert bond.identifier not in LINKS.by_number


def test_the_last_unmount_empties_it(pins: Pins) -> None:
    make_directory(pins.context, None, b"/bpf/a", 0o755)
    make_directory(pins.context, None, b"/bpf/a/b", 0o755)
    for name in (b"/bpf/x", b"/bpf/a/x", b"/bpf/a/b/x"):
        pins.pin(name)
    assert pins.map.users == 4
    held = open_file(pins.context, None, b"/bpf/a/x", O_PATH, 0)
    assert code(unmount, pins.context, b"/bpf", 0) == EBUSY
    unlink(pins.context, None, b"/bpf/a/x")
    assert pins.map.users == 4  # the descriptor of the file's place
    held.release()
    assert pins.map.users == 3
    unmount(pins.context, b"/bpf", 0)
    assert pins.map.users == 1


def test_files_cannot_be_opened(pins: Pins) -> None:
    pins.pin(b"/bpf/map")
    for flags in (O_RDONLY, O_WRONLY, O_RDWR, O_RDWR | O_CREAT):
        assert code(open_file, pins.context, None, b"/bpf/map", flags, 0) == EIO
    assert code(open_file, pins.context, None, b"/bpf/new", O_RDWR | O_CREAT, 0o600) == EACCES
    assert code(open_file, pins.context, None, b"/bpf", O_RDWR | O_TMPFILE_BIT | 0o200000, 0o600) == EOPNOTSUPP
    assert code(make_node, pins.context, None, b"/bpf/new", S_IFREG | 0o600, 0) == EACCES
    assert code(make_node, pins.context, None, b"/bpf/new", S_IFIFO | 0o600, 0) == EPERM
    inode = resolve(pins.context, None, b"/bpf/map", 0).inode()
    inode.truncate(100)
    assert code(open_file, pins.context, None, b"/bpf/map", O_WRONLY | O_TRUNC, 0) == EIO
    assert inode.size == 100 and code(inode.truncate, 0x8000_0000) == EFBIG


def test_dots(pins: Pins) -> None:
    pins.pin(b"/bpf/map")
    assert code(pins.pin, b"/bpf/with.dot") == code(pins.get, b"/bpf/with.dot") == EPERM
    assert code(make_directory, pins.context, None, b"/bpf/a.b", 0o755) == EPERM
    assert code(make_symlink, pins.context, None, b"/bpf/a.b", b"map") == EPERM
    assert code(rename, pins.context, None, b"/bpf/map", None, b"/bpf/a.b", 0) == EPERM
    make_directory(pins.context, None, b"/bpf/free", 0)
    pins.pin(b"/bpf/free/with.dot")
    resolve(pins.context, None, b"/bpf/free", 0).inode().set_mode(0o700)
    pins.get(b"/bpf/free/with.dot")
    assert code(pins.pin, b"/bpf/free/more.dot") == EPERM
    assert code(remove_directory, pins.context, None, b"/bpf/free") == ENOTEMPTY


def test_places_without_objects(pins: Pins) -> None:
    make_symlink(pins.context, None, b"/bpf/link", b"map")
    assert code(pins.pin, b"/elsewhere") == EPERM
    assert code(pins.pin, b"/bpf") == code(pins.pin, b"/bpf/link") == EEXIST
    assert code(pins.get, b"/bpf") == code(pins.get, b"/") == EACCES
    assert code(pins.get, b"/bpf/link") == ENOENT
    pins.pin(b"/bpf/map")
    pins.get(b"/bpf/link")


def test_rights(pins: Pins) -> None:
    pins.pin(b"/bpf/map")
    inode = resolve(pins.context, None, b"/bpf/map", 0).inode()
    assert inode.mode == S_IFREG | 0o600
    user = pins.world.user
    assert code(open_pinned, user, None, b"/bpf/map", O_RDONLY) == EACCES
    inode.set_mode(0o604)
    open_pinned(user, None, b"/bpf/map", O_RDONLY).release()
    assert code(open_pinned, user, None, b"/bpf/map", O_WRONLY) == EACCES
    assert code(open_pinned, user, None, b"/bpf/map", O_RDWR) == EACCES
    pins.mounted.read_only = True
    pins.get(b"/bpf/map", O_RDONLY)
    assert code(pins.get, b"/bpf/map", O_RDWR) == code(pins.pin, b"/bpf/new") == EROFS


def test_the_newest_name_is_the_first(pins: Pins) -> None:
    for name in (b"a", b"b", b"c", b"d", b"e"):
        pins.pin(b"/bpf/" + name)
    assert pins.listed() == pins.listed(2) == [b"e", b"d", b"c", b"b", b"a"]
    rename(pins.context, None, b"/bpf/b", None, b"/bpf/f", 0)
    rename(pins.context, None, b"/bpf/e", None, b"/bpf/c", 0)
    assert pins.listed() == pins.listed(1) == [b"c", b"f", b"d", b"a"]
    rename(pins.context, None, b"/bpf/d", None, b"/bpf/a", RENAME_EXCHANGE)
    assert pins.listed() == [b"a", b"d", b"c", b"f"]


def test_a_long_listing(pins: Pins) -> None:
    names = [b"n%d" % number for number in range(1000)]
    for name in names:
        pins.pin(b"/bpf/" + name)
    for name in names[300:700]:
        unlink(pins.context, None, b"/bpf/" + name)
    kept = names[:300] + names[700:]
    assert pins.listed() == pins.listed(7) == kept[::-1]


def test_options_show_the_directory(pins: Pins) -> None:
    mounted = new_bpf(b"none", b"mode=0755,uid=5,delegate_maps=array", None)
    top = resolve(pins.context, None, b"/bpf", 0).dentry
    assert top.inode is not None
    assert mounted.root().mode & 0o7777 == 0o1755 and int(mounted.root().uid) == 5
    assert pins.mounted.options_at(top) == b""
    assert mounted.options_at(top) == b",delegate_maps=array"
    top.inode.set_mode(0o2000)
    assert mounted.options_at(top) == b",mode=2000,delegate_maps=array"
    mounted.shut_down()
