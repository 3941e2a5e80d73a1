"""What may happen while programs of a control group are asked about a device: they take safe points."""

from collections.abc import Callable, Iterator

import pytest

from kernel.block.device import BLOCK_DEVICES, BlockDevice
from kernel.cgroup.programs import DEVICE_PROGRAMS
from kernel.fs.attributes import check_access
from kernel.fs.character_devices import CHAR_DEVICES, CharDevice
from kernel.fs.constants import MS_RDONLY, S_IFBLK, S_IFCHR, device_number
from kernel.fs.device_guard import BLOCK, CHARACTERS, GUARD, MAKE, READ, WRITE, DeviceJudge
from kernel.fs.file import File
from kernel.fs.filesystem import FileSystem, FileSystemType
from kernel.fs.mount_device import filesystem_on
from kernel.fs.names import make_directory, make_node, remove_directory, unlink
from kernel.fs.open import open_file
from kernel.fs.walk import resolve
from kernel.lang import EEXIST, ENOENT, ENXIO, EPERM, Errno
from tests.unit.fs.conftest import World

NULL = device_number(1, 3)


class Judge(DeviceJudge):
    """Does what another thread might do at a program's safe point, once."""

    def __init__(self) -> None:
        self.meanwhile: Callable[[], object] | None = None
        self.asked: list[tuple[int, int, int]] = []
        self.answer = True

    def permits(self, kind: int, access: int, number: int) -> bool:
        self.asked.append((kind, access, number))
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        return self.answer


@pytest.fixture
def judge() -> Iterator[Judge]:
    before, GUARD.judge = GUARD.judge, Judge()
    DEVICE_PROGRAMS.count += 1
    assert isinstance(GUARD.judge, Judge)
    yield GUARD.judge
    GUARD.judge = before
    DEVICE_PROGRAMS.count -= 1


def test_a_name_that_another_makes_meanwhile_is_made_once(world: World, judge: Judge) -> None:
    used = world.tmpfs.inodes_used
    judge.meanwhile = lambda: make_node(world.root, None, b"/x", S_IFCHR | 0o666, NULL)
    with pytest.raises(Errno) as error:
        make_node(world.root, None, b"/x", S_IFCHR | 0o666, NULL)
    assert error.value.code == EEXIST
    assert judge.asked == [(CHARACTERS, MAKE, NULL)] * 2
    assert world.tmpfs.inodes_used == used + 1
    unlink(world.root, None, b"/x")
    assert world.tmpfs.inodes_used == used


def test_nothing_is_made_in_a_directory_that_goes_meanwhile(world: World, judge: Judge) -> None:
    used = world.tmpfs.inodes_used
    make_directory(world.root, None, b"/d", 0o755)
    judge.meanwhile = lambda: remove_directory(world.root, None, b"/d")
    with pytest.raises(Errno) as error:
        make_node(world.root, None, b"/d/x", S_IFBLK | 0o666, NULL)
    assert error.value.code == ENOENT
    assert world.tmpfs.inodes_used == used


def test_a_file_that_is_unlinked_meanwhile_ends_when_it_is_closed(
    world: World, judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CHAR_DEVICES, NULL, CharDevice(NULL, b"null", lambda path, flags: File(path, flags)))
    used = world.tmpfs.inodes_used
    make_node(world.root, None, b"/n", S_IFCHR | 0o666, NULL)
    judge.meanwhile = lambda: unlink(world.root, None, b"/n")
    file = open_file(world.root, None, b"/n", 0, 0)
    assert world.tmpfs.inodes_used == used + 1
    file.release()
    assert world.tmpfs.inodes_used == used


def test_access_asks_for_nothing_too_but_not_about_what_is_no_device(world: World, judge: Judge) -> None:
    make_node(world.root, None, b"/n", S_IFCHR | 0o666, NULL)
    make_node(world.root, None, b"/w", S_IFCHR, 0)
    judge.asked.clear()
    check_access(world.root.credentials, resolve(world.root, None, b"/w", 0), 0)
    assert judge.asked == []
    check_access(world.root.credentials, resolve(world.root, None, b"/n", 0), 0)
    assert judge.asked == [(CHARACTERS, 0, NULL)]


def test_a_mount_asks_for_its_device(judge: Judge) -> None:
    disk = BlockDevice(b"t", device_number(250, 1), 8)
    kind = FileSystemType(
        b"ext2", None, lambda device, options, read_only: FileSystem(b"ext2", b"", 0), is_for_all=False
    )
    judge.answer = False
    for flags, access in ((0, READ | WRITE), (MS_RDONLY, READ)):
        with pytest.raises(Errno) as error:
            filesystem_on(disk, kind, b"/dev/t", b"", flags)
        assert error.value.code == EPERM
        assert judge.asked.pop() == (BLOCK, access, disk.number)
    judge.answer = True
    BLOCK_DEVICES[disk.number] = disk
    judge.meanwhile = lambda: BLOCK_DEVICES.pop(disk.number)
    with pytest.raises(Errno) as error:
        filesystem_on(disk, kind, b"/dev/t", b"", MS_RDONLY)
    assert error.value.code == ENXIO
    assert not disk.claimed
