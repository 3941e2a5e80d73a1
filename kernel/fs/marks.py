"""Marks: which events of an inode, a mount, or a whole file system groups of fanotify(7) want.

A group (`MarkGroup`; task/fanotify.py) has one mark at most on each thing, and gets each event once, whichever of its
marks ask for it. Events come from notification.py, in the same way as for inotify. Events have Linux's numbers, which
are inotify's where both have them.

Invariants: a mark is both in the list of the thing that it marks and in its group's dictionary, or in neither.
`MARKS.guards` counts the marks of groups that may forbid: while it is 0, no group is asked.

Context: reporting neither sleeps nor raises; a user may have many groups, so each event's cost is counted (`spend`),
which brings the next safe point nearer. Asking (`ask_to_open`, `ask_to_read`) sleeps until each group has answered.
Source: fanotify(7), fanotify_mark(2).
"""

from typing import TYPE_CHECKING, Final

from kernel.fs.constants import O_SILENT
from kernel.lang import final, noraise
from kernel.lib.pace import spend

if TYPE_CHECKING:
    from kernel.fs.file import File
    from kernel.fs.filesystem import FileSystem
    from kernel.fs.inode import Inode
    from kernel.fs.path import Mount, Path

OPENED_FOR_RUNNING: Final = 0x1000  # FAN_OPEN_EXEC
FAN_FS_ERROR: Final = 0x8000
FAN_OPEN_PERM: Final = 0x1_0000
FAN_ACCESS_PERM: Final = 0x2_0000
FAN_OPEN_EXEC_PERM: Final = 0x4_0000
FAN_RENAME: Final = 0x1000_0000
FAN_ONDIR: Final = 0x4000_0000
_END_COST: Final = 500  # instructions, for `spend`


class MarkGroup:
    """The group that set marks. Base class: see task/fanotify.py."""

    def __init__(self, priority: int) -> None:
        self.priority: int = priority  # higher ones are asked first; 0: never asked
        self.inodes: dict[Inode, Mark] = {}
        self.mounts: dict[Mount, Mark] = {}
        self.file_systems: dict[FileSystem, Mark] = {}

    def happened(
        self, mask: int, inode: "Inode", path: "Path | None", directory: "Inode | None", name: bytes, is_entry: bool
    ) -> None:
        """Something happened to an inode, opened through `path` if it was open, or to its name (`is_entry`).
        `directory` and `name` are its place, if known.
        """

    def renamed(
        self, mask: int, inode: "Inode", source: "Inode", old_name: bytes, target: "Inode", new_name: bytes
    ) -> None:
        """A name was changed (FAN_RENAME)."""

    def ask(self, mask: int, inode: "Inode", path: "Path", directory: "Inode | None") -> None:
        """Ask whether an access is allowed. Sleeps until there is an answer. Raises EPERM, ENOMEM, ERESTARTSYS."""

    def damaged(self, file_system: "FileSystem", handle: bytes, code: int) -> None:
        """A file system met damage, for which it returns an error: in the file with a handle, or (b"") elsewhere."""

    @noraise
    def ended(self, mark: "Mark") -> None:
        """The marked thing is gone, and the mark with it."""


@final
class Mark:
    """The events that one group wants of one thing. Exactly one of `inode`, `mount` and `file_system` is set while it
    is in force.
    """

    def __init__(self, group: MarkGroup) -> None:
        self.group: MarkGroup = group
        self.inode: Inode | None = None
        self.mount: Mount | None = None
        self.file_system: FileSystem | None = None
        self.mask: int = 0
        self.ignored: int = 0
        self.survives: bool = False  # what is ignored stays ignored when the file is modified
        self.has_flags: bool = False  # `ignored` says itself whether it is about directories and children
        self.is_evictable: bool = False  # goes when nobody else uses the inode, and that leaves memory
        self.newer: Mark | None = None  # of the same group
        self.older: Mark | None = None  # kept when the mark goes: a walk of the list continues from there

    def wants(self, is_directory: bool, is_child: bool) -> int:
        """The events that it asks for, of a directory or another file, which is the marked thing or its child."""
        if (is_directory and self.mask & FAN_ONDIR == 0) or (is_child and self.mask & EVENT_ON_CHILD == 0):
            return 0
        return self.mask

    def ignores(self, is_directory: bool, is_child: bool) -> int:
        """The events that it keeps from its group."""
        ignored = self.ignored & ~(FAN_ONDIR | EVENT_ON_CHILD)
        if ignored == 0 or not (is_directory or is_child):
            return ignored
        of_children = (self.ignored if self.has_flags else self.mask) & EVENT_ON_CHILD != 0
        of_directories = not self.has_flags or self.ignored & FAN_ONDIR != 0
        if (is_directory and not of_directories) or (is_child and not of_children):
            return 0
        return ignored | FAN_ONDIR if is_directory else ignored  # the rest of the event loses that flag, as on Linux


EVENT_ON_CHILD: Final = 0x0800_0000


@final
class Marks:
    """All marks of the machine."""

    def __init__(self) -> None:
        self.count: int = 0
        self.guards: int = 0
        self.reported: int = 0  # events reported to groups: what they create for one lasts until the next


MARKS: Final = Marks()


@noraise
def count_mark(mark: Mark, change: int) -> None:
    """A mark is in force (1), or no longer (-1)."""
    MARKS.count += change
    if mark.group.priority > 0:
        MARKS.guards += change


def tell_marks(
    mask: int, inode: "Inode", path: "Path | None", directory: "Inode | None", name: bytes, is_entry: bool
) -> None:
    """Notify each group with a mark on the inode, its directory, the mount or the file system: once, at its first mark.
    Events of a name happen to the directory.
    """
    MARKS.reported += 1
    first = directory if is_entry and directory is not None else inode
    second = None if is_entry else directory
    mount = None if path is None else path.mount
    watches = first.watches
    if watches is not None:
        for mark in watches.marks:
            mark.group.happened(mask, inode, path, directory, name, is_entry)
    above = None if second is None else second.watches
    if above is not None:
        for mark in above.marks:
            if first not in mark.group.inodes:
                mark.group.happened(mask, inode, path, directory, name, is_entry)
    on_mount = None if mount is None else mount.marks
    if on_mount is not None:
        for mark in on_mount:
            if not _has_inode(mark.group, first, second):
                mark.group.happened(mask, inode, path, directory, name, is_entry)
    on_all = inode.file_system.marks
    if on_all is not None:
        for mark in on_all:
            group = mark.group
            if not _has_inode(group, first, second) and (mount is None or mount not in group.mounts):
                group.happened(mask, inode, path, directory, name, is_entry)


def _has_inode(group: MarkGroup, first: "Inode", second: "Inode | None") -> bool:
    return first in group.inodes or (second is not None and second in group.inodes)


def tell_renamed(mask: int, inode: "Inode", source: "Inode", old_name: bytes, target: "Inode", new_name: bytes) -> None:
    """A name moved. Groups that watch either directory, or everything, get both names at once."""
    MARKS.reported += 1
    mask |= FAN_RENAME
    watches = source.watches
    if watches is not None:
        for mark in watches.marks:
            mark.group.renamed(mask, inode, source, old_name, target, new_name)
    other = target.watches
    if other is not None and target is not source:
        for mark in other.marks:
            if source not in mark.group.inodes:
                mark.group.renamed(mask, inode, source, old_name, target, new_name)
    on_all = inode.file_system.marks
    if on_all is not None:
        for mark in on_all:
            if not _has_inode(mark.group, source, target):
                mark.group.renamed(mask, inode, source, old_name, target, new_name)


def tell_damage(file_system: "FileSystem", handle: bytes, code: int) -> None:
    """Notify each group that watches a file system for damage (FAN_FS_ERROR)."""
    marks = file_system.marks
    if marks is not None:
        for mark in marks:
            if mark.mask & ~mark.ignored & FAN_FS_ERROR != 0:
                mark.group.damaged(file_system, handle, code)


# ---- Asking ---------------------------------------------------------------------------------------------------------


def ask_to_open(path: "Path", for_running: bool) -> None:
    """A file is about to be opened. Raises EPERM if a group forbids it, ERESTARTSYS if the caller is killed,
    MemoryError.
    """
    if for_running:
        _ask(path, FAN_OPEN_EXEC_PERM)
    _ask(path, FAN_OPEN_PERM)


def ask_to_read(file: "File") -> None:
    """The same before each read."""
    if file.flags & O_SILENT == 0:
        _ask(file.path, FAN_ACCESS_PERM)


def _ask(path: "Path", mask: int) -> None:
    inode = path.inode()
    if inode.is_directory():
        mask |= FAN_ONDIR
    parent = path.dentry.parent
    directory = None if parent is None or parent is path.dentry else parent.inode
    groups: list[MarkGroup] = []
    watches = inode.watches
    if watches is not None:
        _add_groups(groups, watches.marks)
    above = None if directory is None else directory.watches
    if above is not None:
        _add_groups(groups, above.marks)
    on_mount = path.mount.marks
    if on_mount is not None:
        _add_groups(groups, on_mount)
    on_all = inode.file_system.marks
    if on_all is not None:
        _add_groups(groups, on_all)
    if len(groups) == 0:
        return
    path.pin()
    inode.acquire()
    try:
        for priority in (2, 1):
            for group in groups:
                if group.priority == priority:
                    group.ask(mask, inode, path, directory)
    finally:
        inode.release()
        path.unpin()


def _add_groups(groups: list[MarkGroup], marks: list[Mark]) -> None:
    """Add the groups that may forbid. Raises MemoryError."""
    for mark in marks:
        group = mark.group
        if group.priority > 0 and not _is_in(group, groups):
            groups.append(group)


def _is_in(group: MarkGroup, groups: list[MarkGroup]) -> bool:
    for other in groups:
        if other is group:
            return True
    return False


# ---- Ends -----------------------------------------------------------------------------------------------------------


@noraise
def end_marks(marks: list[Mark]) -> None:
    """End all marks of a thing that goes away."""
    while len(marks) > 0:
        mark = marks.pop()
        spend(_END_COST)
        count_mark(mark, -1)
        mark.group.ended(mark)
        mark.inode = None
        mark.mount = None
        mark.file_system = None


def forget_mark(marks: list[Mark], mark: Mark) -> None:
    """Remove a mark from the list of the marked thing; its group has dropped it."""
    for index in range(len(marks)):
        if marks[index] is mark:
            marks.pop(index)
            count_mark(mark, -1)
            return


def tell_removed(inode: "Inode", mask: int) -> None:
    """An unwatched inode is gone for good: notify groups that marked its file system."""
    if inode.is_directory():
        mask |= FAN_ONDIR
    tell_marks(mask, inode, None, None, b"", is_entry=False)
