"""Mounting in steps, through descriptors: the objects of open_tree(2), fsopen(2), fsmount(2), move_mount(2) and
mount_setattr(2).

A tree that is attached nowhere yet lives in a namespace of its own that nobody is in; closing the file that holds it
takes it apart, unless the tree has moved elsewhere.

Context: thread context; may sleep. Raises MemoryError.
"""

from typing import Final

from kernel.fs.constants import (
    MS_DIRSYNC,
    MS_NOATIME,
    MS_NODEV,
    MS_NODIRATIME,
    MS_NOEXEC,
    MS_NOSUID,
    MS_NOSYMFOLLOW,
    MS_PRIVATE,
    MS_RDONLY,
    MS_RELATIME,
    MS_SHARED,
    MS_SLAVE,
    MS_UNBINDABLE,
    O_PATH,
)
from kernel.fs.file import File, PathFile
from kernel.fs.filesystem import FileSystem, FileSystemType
from kernel.fs.general_mount_options import changed_flags, flag_of, is_general
from kernel.fs.mount_device import filesystem_on, find_block_device
from kernel.fs.mount_lists import tree_of
from kernel.fs.mount_lock import TREE
from kernel.fs.mounts import (
    change_instance,
    change_propagation,
    has_writers,
    hold_instance,
    keep_apart,
    make_instance,
    new_mount,
    root_of,
)
from kernel.fs.path import FsContext, Mount, MountNamespace, Path, end_filesystem
from kernel.lang import EBUSY, EINVAL, ENODATA, EPERM, Errno, final, noraise
from kernel.lib.capabilities import CAP_SYS_ADMIN
from kernel.lib.credentials import Credentials
from kernel.lib.namespace import UserNamespace
from kernel.lib.owner_map import OwnerMap
from kernel.lib.pace import pace
from kernel.lib.user import Buffer
from kernel.sched import Mutex

ATTR_RDONLY: Final = 0x1
ATTR_NOSUID: Final = 0x2
ATTR_NODEV: Final = 0x4
ATTR_NOEXEC: Final = 0x8
ATTR_ATIME: Final = 0x70  # one of three values
ATTR_NOATIME: Final = 0x10
ATTR_STRICTATIME: Final = 0x20
ATTR_NODIRATIME: Final = 0x80
ATTR_IDMAP: Final = 0x10_0000
ATTR_NOSYMFOLLOW: Final = 0x20_0000
ATTRIBUTES: Final = (
    ATTR_RDONLY | ATTR_NOSUID | ATTR_NODEV | ATTR_NOEXEC | ATTR_ATIME | ATTR_NODIRATIME | ATTR_NOSYMFOLLOW
)  # fmt: skip
_OPTIONS_LIMIT: Final = 4096  # bytes
_CHANGE_COST: Final = 300  # instructions
_PROPAGATION: Final = MS_SHARED | MS_PRIVATE | MS_SLAVE | MS_UNBINDABLE


@final
class TreeFile(PathFile):
    """A place in a detached tree."""

    def __init__(self, path: Path, namespace: MountNamespace) -> None:
        super().__init__(path, O_PATH)
        self.namespace: MountNamespace = namespace
        namespace.acquire()

    @noraise
    def close(self) -> None:
        self.namespace.release()


def open_apart(namespace: MountNamespace) -> File:
    """The file that holds a tree. Raises ENFILE, MemoryError; then the tree is gone."""
    top = namespace.top()
    if top is None:
        raise Errno(EINVAL)
    try:
        return TreeFile(Path(top, top.root), namespace)
    except (Errno, MemoryError):
        namespace.dissolve()
        raise


# ---- Attributes -----------------------------------------------------------------------------------------------------


def mount_flags_of(attributes: int) -> int:
    """MOUNT_ATTR_… as the flags of a mount. Raises EINVAL."""
    if attributes & ~ATTRIBUTES != 0:
        raise Errno(EINVAL)
    times = attributes & ATTR_ATIME
    if times not in (0, ATTR_NOATIME, ATTR_STRICTATIME):
        raise Errno(EINVAL)
    flags = MS_RELATIME if times == 0 else MS_NOATIME if times == ATTR_NOATIME else 0
    return flags | _plain_flags(attributes)


def _plain_flags(attributes: int) -> int:
    flags = 0
    if attributes & ATTR_RDONLY != 0:
        flags |= MS_RDONLY
    if attributes & ATTR_NOSUID != 0:
        flags |= MS_NOSUID
    if attributes & ATTR_NODEV != 0:
        flags |= MS_NODEV
    if attributes & ATTR_NOEXEC != 0:
        flags |= MS_NOEXEC
    if attributes & ATTR_NODIRATIME != 0:
        flags |= MS_NODIRATIME
    if attributes & ATTR_NOSYMFOLLOW != 0:
        flags |= MS_NOSYMFOLLOW
    return flags


@final
class AttributeChange:
    """What mount_setattr(2) asks for. `namespace` is the user namespace that maps owners, if that is asked for."""

    def __init__(self, set_: int, cleared: int, propagation: int) -> None:
        """Raises EINVAL."""
        if propagation & ~_PROPAGATION != 0 or propagation & (propagation - 1) != 0:
            raise Errno(EINVAL)
        if (set_ | cleared) & ~(ATTRIBUTES | ATTR_IDMAP) != 0:
            raise Errno(EINVAL)
        self.namespace: UserNamespace | None = None
        self.propagation: int = propagation
        self.set: int = _plain_flags(set_)
        self.cleared: int = _plain_flags(cleared)
        if cleared & ATTR_ATIME != 0:
            if cleared & ATTR_ATIME != ATTR_ATIME:
                raise Errno(EINVAL)
            self.cleared |= MS_NOATIME | MS_RELATIME
            self.set |= mount_flags_of(set_ & ~ATTR_IDMAP) & (MS_NOATIME | MS_RELATIME)
        elif set_ & ATTR_ATIME != 0:
            raise Errno(EINVAL)
        if cleared & ATTR_IDMAP != 0:
            raise Errno(EINVAL)  # a mount keeps its map

    def map_owners(self, who: Credentials, namespace: UserNamespace) -> None:
        """MOUNT_ATTR_IDMAP with a user namespace. Raises EPERM."""
        if namespace.level == 0 or not who.capable_in(namespace, CAP_SYS_ADMIN):
            raise Errno(EPERM)
        self.namespace = namespace

    def _require_maps(self) -> None:
        """Raise EINVAL unless both maps of the namespace have been written."""
        namespace = self.namespace
        if namespace is not None and (namespace.uids.is_empty() or namespace.gids.is_empty()):
            raise Errno(EINVAL)

    def apply(self, context: FsContext, at: Path, recursive: bool) -> None:
        """Change a mount, and those below it if `recursive`: all of them, or none. Raises EINVAL, EPERM, EBUSY (a file
        is open for writing, where that matters), MemoryError.
        """
        with TREE:
            self._apply(context, at, recursive)

    def _apply(self, context: FsContext, at: Path, recursive: bool) -> None:
        namespace = at.mount.namespace
        if at.dentry is not at.mount.root or namespace is None:
            raise Errno(EINVAL)
        if namespace is not context.namespace and not (namespace.is_anonymous and at.mount.parent is None):
            raise Errno(EINVAL)
        self._require_maps()
        changed: list[Mount] = [at.mount]
        if recursive:
            changed = tree_of(at.mount)
        before: list[int] = []  # the flags that those had which have changed
        try:
            for mount in changed:
                self._change(context, mount, before)
                pace(_CHANGE_COST)
        except (Errno, MemoryError):
            for index in range(len(before)):
                changed[index].flags = before[index]
                if self.namespace is not None:
                    changed[index].owners = None  # it had none
                pace(_CHANGE_COST)
            raise
        namespace.changed()
        if self.propagation != 0:
            change_propagation(changed, self.propagation)

    def _change(self, context: FsContext, mount: Mount, before: list[int]) -> None:
        """Change one mount, whose flags are noted: nobody starts to write there at the safe points that follow."""
        flags = mount.flags & ~self.cleared | self.set
        if not mount.may_change_flags(flags):
            raise Errno(EPERM)
        owners: OwnerMap | None = None
        if self.namespace is not None:
            _check_map(context.credentials, mount, self.namespace)
            owners = OwnerMap(self.namespace, mount.file_system.user_namespace)
        if self.namespace is not None or flags & ~mount.flags & MS_RDONLY != 0:
            if has_writers(mount):
                raise Errno(EBUSY)
        before.append(mount.flags)
        mount.flags = flags
        if owners is not None:
            mount.owners = owners


def _check_map(who: Credentials, mount: Mount, namespace: UserNamespace) -> None:
    """Whether a mount may get a map of owners (mount_setattr(2), "ID-mapped mounts"): it has none yet, has never been
    visible, and is of a file system that the caller controls. Raises EINVAL, EPERM.
    """
    file_system = mount.file_system
    if namespace is file_system.user_namespace:
        raise Errno(EINVAL)
    if mount.owners is not None:
        raise Errno(EPERM)
    if not file_system.maps_owners:
        raise Errno(EINVAL)
    if not who.capable_in(file_system.user_namespace, CAP_SYS_ADMIN):
        raise Errno(EPERM)
    if mount.namespace is None or not mount.namespace.is_anonymous:
        raise Errno(EINVAL)


# ---- A file system in the making ------------------------------------------------------------------------------------


@final
class ContextFile(File):
    """What fsopen(2) and fspick(2) open: a type, the parameters of an instance, and the instance once it is created.
    Whoever sets one or acts on them holds `using`.
    """

    def __init__(
        self, path: Path, flags: int, kind: FileSystemType, held: Mount | None, opener: Credentials
    ) -> None:
        """With a mount that holds an instance to be changed, which the file releases."""
        existing = None if held is None else held.file_system
        using = Mutex()
        super().__init__(path, flags)
        self.using: Mutex = using
        self.kind: FileSystemType = kind
        self.opener: Credentials = opener  # who called fsopen(2)
        self.source: bytes = b""
        self.options: bytes = b""
        self.flags_set: int = 0  # MS_RDONLY, MS_SYNCHRONOUS and others
        self.flags_named: int = 0  # ever: those that a change of the instance sets or clears
        self.existing: FileSystem | None = existing  # to be reconfigured
        self.made: FileSystem | None = None
        self.held: Mount | None = held  # keeps either, though others unmount it
        self.has_failed: bool = False

    def has_offsets(self) -> bool:
        return False

    def can_write(self) -> bool:
        return False

    def read(self, buffer: Buffer) -> int:
        """Error messages: none are kept."""
        raise Errno(ENODATA)

    def close(self) -> None:
        held = self.held
        self.held = None
        if held is not None:
            held.release()

    def set_flag(self, context: FsContext, name: bytes) -> None:
        """FSCONFIG_SET_FLAG. Raises EBUSY, EINVAL, MemoryError."""
        self._require_open()
        if is_general(name):
            self._set_general(name)
        elif name == b"source":
            raise Errno(EINVAL)
        else:
            self._add(context, name, name)

    def set_string(self, context: FsContext, name: bytes, value: bytes) -> None:
        """FSCONFIG_SET_STRING. Raises EBUSY, EINVAL, MemoryError."""
        self._require_open()
        if is_general(name):
            self._set_general(name)
        elif name == b"source":
            if len(self.source) > 0:
                raise Errno(EINVAL)
            self.source = value
        else:
            self._add(context, name, name + b"=" + (escaped(value) if self.kind.escapes_commas else value))

    def _set_general(self, name: bytes) -> None:
        self.flags_set = changed_flags(self.flags_set, name)
        self.flags_named |= flag_of(name)

    def _add(self, context: FsContext, name: bytes, option: bytes) -> None:
        """Keep an option for the file system, which may refuse it at once. A type that takes the text whole sees it
        when the file system is created.
        """
        kind = self.kind
        check_options = kind.check_options
        if kind.ignores_unknown and (len(name) == 0 or b"," in option):
            if check_options is not None:
                check_options(context, b";".join(option.split(b",")))  # wrong for those that the type knows
            return
        if check_options is not None:
            if len(name) == 0 or b"," in name or (b"," in option and not kind.escapes_commas):
                raise Errno(EINVAL)
            check_options(context, option)
        existing = self.existing
        if existing is not None and not existing.takes_options_later():
            raise Errno(EINVAL)
        if (b"," in option and not self.kind.escapes_commas) or len(self.options) + len(option) + 1 > _OPTIONS_LIMIT:
            raise Errno(EINVAL)
        self.options = option if len(self.options) == 0 else self.options + b"," + option

    def _require_open(self) -> None:
        if self.made is not None or self.has_failed:
            raise Errno(EBUSY)

    def create(self, context: FsContext) -> None:
        """FSCONFIG_CMD_CREATE. Raises EBUSY, EINVAL, and what the type raises."""
        if self.existing is not None:
            raise Errno(EBUSY)
        self._require_open()
        self.has_failed = True
        kind = self.kind
        if kind.needs_device:
            if not context.credentials.capable(CAP_SYS_ADMIN):
                raise Errno(EPERM)
            device = find_block_device(context, self.source)
            made = filesystem_on(device, kind, self.source, self.options, self.flags_set)
        else:
            source = self.source if len(self.source) > 0 else b"none"
            made = make_instance(context, kind, source, self.options, self.flags_set, self.opener)
        try:
            self.held = hold_instance(made, root_of(made))
        except (Errno, MemoryError):
            if made.mounts == 0:
                end_filesystem(made)
            raise
        self.made = made
        self.has_failed = False

    def reconfigure(self, context: FsContext) -> None:
        """FSCONFIG_CMD_RECONFIGURE. Raises EPERM, EBUSY, EINVAL, EROFS, EIO."""
        existing = self.existing
        if existing is None or self.has_failed:
            raise Errno(EBUSY)
        self.has_failed = True
        if not context.credentials.capable_in(existing.user_namespace, CAP_SYS_ADMIN):
            raise Errno(EPERM)
        if self.flags_named & MS_DIRSYNC != 0:
            raise Errno(EINVAL)
        change_instance(existing, existing.flags() & ~self.flags_named | self.flags_set, self.options)
        self._begin_again(existing)

    def _begin_again(self, existing: FileSystem) -> None:
        """The instance may be changed next. As on Linux, flags that were named are then cleared if not set again."""
        self.existing = existing
        self.made = None
        self.has_failed = False
        self.flags_set = 0
        self.options = b""
        self.source = b""

    def mount(self, context: FsContext, attributes: int) -> MountNamespace:
        """fsmount(2): create a detached mount of the instance. Raises EINVAL, EBUSY, EPERM, MemoryError."""
        flags = mount_flags_of(attributes)
        if self.existing is not None:
            raise Errno(EBUSY)
        made = self.made
        if made is None:
            raise Errno(EINVAL)
        held = self.held
        with TREE:
            namespace = keep_apart(context, new_mount(context, made, flags, None if held is None else held.root))
        self._begin_again(made)
        return namespace


def escaped(value: bytes) -> bytes:
    """Add a backslash before each comma that lacks one."""
    text = bytearray()
    index = 0
    while index < len(value):
        byte = value[index]
        if byte == ord(","):
            text.append(ord("\\"))
        text.append(byte)
        index += 1
        if byte == ord("\\") and index < len(value):
            text.append(value[index])
            index += 1
    return bytes(text)
