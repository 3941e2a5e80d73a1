"""Directories of control groups, and the files in them.

The inodes of a group are created when they are looked up, and stay as long as they are in use, or their owners or
attributes were changed. A change is reported to pollers (POLLPRI until the file is read again) and watchers
(inotify(7)).

Invariants: a group refers to its node, and that to the inodes, which refer to the group; `end` undoes that.
"""

from typing import TYPE_CHECKING, Final

from kernel.cache.store import SyncScope
from kernel.cgroup.group import NUMBER_STEP, ControlGroup
from kernel.cgroup.tree import make_group, remove_group
from kernel.fs.attribute_store import Store, kept_store
from kernel.fs.cgroup.core_files import CORE_FILES
from kernel.fs.cgroup.disk_files import DISK_FILES
from kernel.fs.cgroup.memory_files import MEMORY_FILES
from kernel.fs.cgroup.number_files import NUMBER_FILES
from kernel.fs.cgroup.pressure_files import PRESSURE_FILES, GroupPressureFile
from kernel.fs.cgroup.processor_files import PROCESSOR_FILES
from kernel.fs.cgroup.table import CORE, NO_RESOURCE, FileRow, GroupNode, Writer
from kernel.fs.cgroup.time_files import TIME_FILES
from kernel.fs.constants import MAY_WRITE, S_IFDIR, S_IFMT, S_IFREG
from kernel.fs.file import DirectorySink, File, InodeFile
from kernel.fs.filesystem import FileSystem
from kernel.fs.inode import Inode
from kernel.fs.notification import IN_MODIFY, WATCHES, tell_inode, tell_name
from kernel.fs.path import Path
from kernel.fs.procfs.entries import FIRST_POSITION, TextFile, TextInode
from kernel.lang import E2BIG, EINVAL, ENODEV, ENOENT, EPERM, Errno, final
from kernel.lib.credentials import Actor, Credentials, plain_actor
from kernel.lib.ids import ROOT_GROUP, ROOT_USER, KernelGid, KernelUid
from kernel.lib.pace import pace
from kernel.lib.user import Buffer
from kernel.mm.keeping import check_room_to_keep
from kernel.sched.wait import WaitQueue
from kernel.task.task import current, current_or_none

if TYPE_CHECKING:
    from kernel.sched import PollWaiter

ROWS: Final[list[FileRow]] = [
    *CORE_FILES, *MEMORY_FILES, *NUMBER_FILES, *PROCESSOR_FILES, *TIME_FILES, *PRESSURE_FILES,
    *DISK_FILES,
]  # fmt: skip

_PAGE: Final = 4096
_REGULAR: Final = 8
_DIRECTORY: Final = 4
_POLL_ALWAYS: Final = 0x145  # POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM
_POLL_CHANGED: Final = 0xA  # POLLPRI, POLLERR
_ENTRY_COST: Final = 150  # instructions


def row_number(name: bytes) -> int:
    """Which row has a name; -1 if none has."""
    for index in range(len(ROWS)):
        if ROWS[index].name == name:
            return index
    return -1


PROCESSES: Final = row_number(b"cgroup.procs")


@final
class GroupFile(TextInode):
    """A file of a group."""

    def __init__(self, file_system: FileSystem, group: ControlGroup, number: int) -> None:
        row = ROWS[number]
        super().__init__(file_system, group.number + 1 + number, S_IFREG | row.mode)
        self.group: ControlGroup = group
        self.row: FileRow = row
        self.changes: int = 0
        self.waiters: WaitQueue = WaitQueue()
        self.attributes: Store | None = None

    def make_text(self) -> bytes:
        if self.group.is_removed:
            raise Errno(ENODEV)
        make = self.row.make
        return make(self.group)

    def attribute_store(self) -> Store:
        store = kept_store(self.attributes)
        self.attributes = store
        return store

    def may_have_attributes(self) -> bool:
        return self.attributes is not None

    def became_idle(self) -> None:
        node = self.group.listener
        if isinstance(node, Node) and self.watches is None:
            node.forget_if_plain(self)

    def open(self, path: Path, flags: int) -> File:
        task = current()
        writer = Writer(task.credentials, task.namespaces.groups)
        if self.row.resource != NO_RESOURCE:
            return GroupPressureFile(path, flags, writer, self.group, self.row.resource, self.waiters)
        return OpenGroupFile(path, flags, self, writer)


@final
class OpenGroupFile(TextFile):
    """An open file of a group."""

    def __init__(self, path: Path, flags: int, source: GroupFile, writer: Writer) -> None:
        super().__init__(path, flags, source)
        self.of_group: GroupFile = source
        self.writer: Writer = writer
        self.seen: int = -1  # nothing was read yet

    def make_text(self) -> bytes:
        self.seen = self.of_group.changes
        return self.of_group.make_text()

    def write_at(self, buffer: Buffer, offset: int) -> int:
        count = buffer.remaining
        if count > _PAGE:
            raise Errno(E2BIG)
        text = buffer.take_bytes(count)
        if len(text) < count or count == 0:
            return len(text)
        of_group = self.of_group
        if of_group.group.is_removed:
            raise Errno(ENODEV)
        if not of_group.row.is_delegated and self.writer.is_ruled_from_outside(of_group.group):
            raise Errno(EPERM)
        end = text.find(b"\0")
        store = of_group.row.store
        store(of_group.group, text if end < 0 else text[:end], self.writer)
        return count

    def poll(self, waiter: "PollWaiter | None") -> int:
        of_group = self.of_group
        if waiter is not None:
            waiter.wait_on(of_group.waiters)
        return _POLL_ALWAYS | (_POLL_CHANGED if of_group.changes != self.seen else 0)


@final
class GroupDirectory(Inode):
    """The directory of a group."""

    def __init__(self, file_system: FileSystem, group: ControlGroup, mode: int) -> None:
        super().__init__(file_system, group.number, S_IFDIR | mode)
        self.group: ControlGroup = group
        self.revalidates = True
        self.nlink = 2
        self.attributes: Store | None = None

    def attribute_store(self) -> Store:
        store = kept_store(self.attributes)
        self.attributes = store
        return store

    def may_have_attributes(self) -> bool:
        return self.attributes is not None

    def sync(self, scope: SyncScope) -> None:
        raise Errno(EINVAL)

    def refresh(self) -> None:
        if not self.group.is_removed:
            self.nlink = 2 + len(self.group.children)

    def node(self) -> "Node | None":
        """The files of the group; None once it was removed."""
        node = self.group.listener
        return node if isinstance(node, Node) else None

    def lookup(self, name: bytes) -> Inode | None:
        node = self.node()
        if node is None:
            return None
        child = self.group.children.get(name)
        if child is not None:
            below = child.listener
            return below.directory if isinstance(below, Node) else None
        number = row_number(name)
        return node.file(number) if number >= 0 and node.has(number) else None

    def read_directory(self, position: int, sink: DirectorySink) -> None:
        node = self.node()
        if node is None:
            raise Errno(ENOENT)
        place = max(0, position - FIRST_POSITION)
        while place < len(ROWS):
            number = place
            place += 1
            if node.has(number):
                ino = self.ino + 1 + number
                if not sink.emit(ROWS[number].name, ino, _REGULAR, FIRST_POSITION + place):
                    return
            sink.position = FIRST_POSITION + place
        # Children are found again by their numbers, which increase in order of creation.
        after = place - len(ROWS)
        for name in list(self.group.children.keys()):
            pace(_ENTRY_COST)
            child = self.group.children.get(name)
            if child is None or child.number // NUMBER_STEP < after:
                continue
            following = FIRST_POSITION + len(ROWS) + child.number // NUMBER_STEP + 1
            if not sink.emit(name, child.number, _DIRECTORY, following):
                return
            sink.position = following

    def open(self, path: Path, flags: int) -> File:
        return InodeFile(path, flags)

    def is_empty(self) -> bool:
        return True  # `remove_directory` decides

    def create(self, name: bytes, mode: int, rdev: int, actor: Actor) -> Inode:
        if mode & S_IFMT != S_IFDIR:
            return super().create(name, mode, rdev, actor)
        check_room_to_keep()
        group = make_group(self.group, name)
        try:
            node = Node(self.file_system, group, mode & ~S_IFMT, actor.fsuid, actor.fsgid)
        except MemoryError:
            remove_group(group)
            raise
        group.listener = node
        return node.directory

    def remove_directory(self, name: bytes, target: Inode) -> None:
        if not isinstance(target, GroupDirectory):
            raise Errno(EPERM)
        remove_group(target.group)
        node = target.node()
        if node is not None:
            node.end()
        target.nlink = 1
        target.drop_link()


@final
class Node(GroupNode):
    """The directory and the files of a group."""

    def __init__(self, file_system: FileSystem, group: ControlGroup, mode: int, uid: KernelUid, gid: KernelGid) -> None:
        self.group: ControlGroup = group
        self.directory: GroupDirectory = GroupDirectory(file_system, group, mode)
        self.directory.uid = uid
        self.directory.gid = gid
        self.files: dict[int, GroupFile] = {}  # by row, once they were looked up
        # The owner of each controller's files, by its bit: whoever delegated it.
        self.uids: dict[int, KernelUid] = {}
        self.gids: dict[int, KernelGid] = {}
        for kind in (CORE, 1, 2, 4, 8, 16):
            self.uids[kind] = uid
            self.gids[kind] = gid

    def has(self, number: int) -> bool:
        """Whether the group has a file of ROWS."""
        row = ROWS[number]
        if row.resource != NO_RESOURCE and not self.group.pressure.is_kept:
            return False
        if self.group.parent is None:
            return row.on_top
        return not row.only_on_top and (row.controller == CORE or self.group.available() & row.controller != 0)

    def file(self, number: int) -> GroupFile:
        """One of the group's files. Raises MemoryError."""
        found = self.files.get(number)
        if found is None:
            found = GroupFile(self.directory.file_system, self.group, number)
            found.uid = self.uids.get(found.row.controller, ROOT_USER)
            found.gid = self.gids.get(found.row.controller, ROOT_GROUP)
            self.files[number] = found
        return found

    def forget_if_plain(self, file: GroupFile) -> None:
        """Nobody uses the inode of a file: drop it unless it was changed, since it can be created again."""
        controller = file.row.controller
        is_owned = file.uid == self.uids.get(controller, ROOT_USER)
        is_owned = is_owned and file.gid == self.gids.get(controller, ROOT_GROUP)
        if is_owned and file.attributes is None and file.mode == S_IFREG | file.row.mode:
            number = row_number(file.row.name)
            if self.files.get(number) is file:  # not another since the controller was taken and given again
                self.files.pop(number)

    def changed(self, file: bytes) -> None:
        number = row_number(file)
        found = self.files.get(number)
        if found is None:
            return
        found.changes += 1
        found.waiters.wake_all()
        if WATCHES.count != 0:
            tell_name(self.directory, IN_MODIFY, file, 0, found)
            tell_inode(found, IN_MODIFY)

    def check_writer(self, who: Credentials) -> None:
        self.file(PROCESSES).check_permission(plain_actor(who), MAY_WRITE)

    def controllers_given(self, controllers: int) -> None:
        task = current_or_none()
        for kind in (1, 2, 4, 8, 16):
            if controllers & kind != 0 and task is not None:
                self.uids[kind] = task.credentials.fsuid
                self.gids[kind] = task.credentials.fsgid

    def controllers_taken(self, controllers: int) -> None:
        for number in range(len(ROWS)):
            if ROWS[number].controller & controllers != 0 and number in self.files:
                gone = self.files.pop(number)
                gone.waiters.wake_all()

    def end(self) -> None:
        """The group was removed: wake those that poll its files."""
        self.group.listener = None
        for found in self.files.values():
            found.waiters.wake_all()
        self.files.clear()
