"""cgroup2: the hierarchy of control groups as a file system. There is one, however often it is mounted.

What a mount shows begins at the root of the cgroup namespace of whoever mounts it.

Source: Linux's Documentation/admin-guide/cgroup-v2.rst.
"""

from typing import Final

from kernel.cgroup.group import TOP, ControlGroup
from kernel.cgroup.memory import MEMORY_CONTROLS
from kernel.cgroup.namespace import FIRST_GROUPS, GroupNamespace
from kernel.fs.cgroup.directory import Node
from kernel.fs.cgroup.options import OPTIONS, parse_options
from kernel.fs.dentry import Dentry
from kernel.fs.filesystem import FileSystem, OnlyInstance, register_filesystem
from kernel.fs.inode import Inode
from kernel.fs.path import FsContext
from kernel.lang import final
from kernel.lib.ids import ROOT_GROUP, ROOT_USER
from kernel.lib.namespace import UserNamespace
from kernel.task.task import current_or_none

CGROUP2_MAGIC: Final = 0x6367_7270
_TOP_MODE: Final = 0o555


def _namespace() -> GroupNamespace:
    """That of the running thread."""
    task = current_or_none()
    return FIRST_GROUPS if task is None else task.namespaces.groups


@final
class GroupFileSystem(FileSystem):
    """The one instance."""

    def __init__(self) -> None:
        super().__init__(b"cgroup2", b"cgroup2", CGROUP2_MAGIC)
        self.opens_devices = False
        self.has_fixed_names = True

    def node(self) -> Node:
        """The top group's files."""
        found = TOP.listener
        if not isinstance(found, Node):
            found = Node(self, TOP, _TOP_MODE, ROOT_USER, ROOT_GROUP)
            TOP.listener = found
        return found

    def root(self) -> Inode:
        return self.node().directory

    def root_to_show(self) -> list[bytes]:
        return _names_to(_namespace().root)

    def shown_place(self, names: bytes) -> bytes:
        root = _namespace().root
        if root is TOP:
            return names
        group: ControlGroup = TOP
        for name in names.split(b"/"):
            if len(name) > 0:
                child = group.children.get(name)
                if child is None:
                    return names
                group = child
        return group.path_from(root)

    def ruler(self) -> UserNamespace:
        return _namespace().owner

    def use(self, source: bytes, options: bytes) -> None:
        self.source = source
        self.reconfigure(options)

    def options(self) -> bytes:
        return OPTIONS.text()

    def reconfigure(self, options: bytes) -> None:
        chosen = parse_options(options)
        if _namespace() is FIRST_GROUPS:
            _choose(chosen)


def _names_to(group: ControlGroup) -> list[bytes]:
    names: list[bytes] = []
    walker = group
    while True:
        parent = walker.parent
        if parent is None:
            break
        names.append(walker.name)
        walker = parent
    names.reverse()
    return names


def _choose(chosen: int) -> None:
    OPTIONS.chosen = chosen
    MEMORY_CONTROLS.events_are_local = OPTIONS.memory_events_are_local
    MEMORY_CONTROLS.protects_below = OPTIONS.memory_protects_below


_INSTANCE: Final[OnlyInstance[GroupFileSystem]] = OnlyInstance()


def check_cgroup_options(context: FsContext, text: bytes) -> None:
    """Raise EINVAL."""
    parse_options(text)


def make_cgroup2(source: bytes, options: bytes) -> FileSystem:
    """The one instance. Raises EINVAL, MemoryError."""
    parse_options(options)  # they take effect once the caller is known to be allowed to mount it
    made = _INSTANCE.made
    if made is None:
        made = GroupFileSystem()
        made.kept_root = Dentry(None, b"/", made.root())
        _INSTANCE.made = made
    return made


register_filesystem(b"cgroup2", make_cgroup2, is_for_all=True).check_options = check_cgroup_options
