"""What statmount(2) and listmount(2) report of mounts, by numbers that are never reused.

A mount namespace that programs can be in has a number, too, which lsns(8) and others learn by ioctl_nsfs(2). Callers
outside it need CAP_SYS_ADMIN in the user namespace that owns it, and see it from its own root.

Context: thread context; listing takes safe points, and answers with the mounts that there were at its beginning.
"""

from typing import Final

from kernel.fs.constants import (
    MS_DIRSYNC,
    MS_LAZYTIME,
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
    MS_SYNCHRONOUS,
    MS_UNBINDABLE,
)
from kernel.fs.filesystem import FileSystem
from kernel.fs.mount_api import (
    ATTR_IDMAP,
    ATTR_NOATIME,
    ATTR_NODEV,
    ATTR_NODIRATIME,
    ATTR_NOEXEC,
    ATTR_NOSUID,
    ATTR_NOSYMFOLLOW,
    ATTR_RDONLY,
    ATTR_STRICTATIME,
)
from kernel.fs.mount_lists import numbers_in
from kernel.fs.mount_text import pace_up
from kernel.fs.path import (
    NAMESPACES,
    FsContext,
    Mount,
    MountNamespace,
    Path,
    is_below,
)
from kernel.lang import EINTR, ENOENT, EPERM, Errno, final
from kernel.lib.capabilities import CAP_SYS_ADMIN
from kernel.lib.pace import is_dying, pace
from kernel.lib.sorting import sort_paced

UNIQUE_MOUNTS: Final = 1 << 31  # mount numbers that are never reused lie above
WHOLE_NAMESPACE: Final = -1  # LSMT_ROOT, a pseudo mount that means the caller's root

_TURN: Final = 60  # instructions for a mount that is looked at


@final
class NamespaceView:
    """A namespace as seen from a root: only what lies below that root is visible."""

    def __init__(self, namespace: MountNamespace, root: Path, may_see_all: bool) -> None:
        self.namespace: MountNamespace = namespace
        self.root: Path = root
        self.may_see_all: bool = may_see_all

    def check(self, place: Path) -> None:
        """Raise EPERM for a place outside the root, which only an administrator may know."""
        if not is_below(place, self.root) and not self.may_see_all:
            raise Errno(EPERM)

    def find(self, number: int) -> Mount:
        """A mount by its number that is never reused. Raises ENOENT."""
        mount = self.namespace.mounts.get(number - UNIQUE_MOUNTS) if number > UNIQUE_MOUNTS else None
        if mount is None:
            raise Errno(ENOENT)
        return mount

    def list_below(self, top: Path, top_number: int, last: int, backwards: bool, count: int) -> list[int]:
        """The numbers of at most `count` mounts at or below a place, without that of `top_number`; upwards from above
        `last`, or downwards from below it. A `last` of 0 means none. Raises EINTR if the caller is killed, MemoryError.
        """
        numbers = numbers_in(self.namespace)
        sort_paced(numbers)
        if backwards:
            numbers.reverse()
        found: list[int] = []
        for each in numbers:
            number = UNIQUE_MOUNTS + each
            pace(_TURN)
            if is_dying():
                raise Errno(EINTR)
            if len(found) == count:
                break
            if number == top_number or (last != 0 and (number >= last if backwards else number <= last)):
                continue
            mount = self.namespace.mounts.get(each)  # it may be gone after a safe point
            if mount is not None and _is_reachable(mount, top):
                found.append(number)
        return found


def _is_reachable(mount: Mount, top: Path) -> bool:
    """`is_below` for the root of a mount, with its cost counted: mounts may be nested without limit."""
    pace_up(mount)
    return mount.attached and is_below(Path(mount, mount.root), top)


def find_namespace(context: FsContext, number: int, refusal: int) -> MountNamespace:
    """The caller's namespace for 0, or that of a number. Raises ENOENT, and `refusal` if it is another one that the
    caller may not look into.
    """
    if number == 0:
        return context.namespace
    namespace = NAMESPACES.get(number)
    if namespace is None:
        raise Errno(ENOENT)
    if namespace is not context.namespace and not context.credentials.capable_in(namespace.owner, CAP_SYS_ADMIN):
        raise Errno(refusal)
    return namespace


def view_of(context: FsContext, namespace: MountNamespace) -> NamespaceView:
    """A namespace as the caller sees it. Raises ENOENT if nothing is mounted there."""
    is_administrator = context.credentials.capable_in(namespace.owner, CAP_SYS_ADMIN)
    root = context.root
    if namespace is not context.namespace:
        top = namespace.top()
        if top is None:
            raise Errno(ENOENT)
        root = Path(top, top.root)
    return NamespaceView(namespace, root, is_administrator)


# ---- What there is to say of one ------------------------------------------------------------------------------------


def attributes_of(mount: Mount) -> int:
    """MOUNT_ATTR_…"""
    flags = mount.flags
    found = 0
    if flags & MS_RDONLY != 0:
        found |= ATTR_RDONLY
    if flags & MS_NOSUID != 0:
        found |= ATTR_NOSUID
    if flags & MS_NODEV != 0:
        found |= ATTR_NODEV
    if flags & MS_NOEXEC != 0:
        found |= ATTR_NOEXEC
    if flags & MS_NODIRATIME != 0:
        found |= ATTR_NODIRATIME
    if flags & MS_NOSYMFOLLOW != 0:
        found |= ATTR_NOSYMFOLLOW
    if mount.owners is not None:
        found |= ATTR_IDMAP
    if flags & MS_NOATIME != 0:
        return found | ATTR_NOATIME
    return found if flags & MS_RELATIME != 0 else found | ATTR_STRICTATIME


def instance_flags_of(file_system: FileSystem) -> int:
    """MS_… that belong to the file system, wherever it is mounted."""
    flags = (MS_RDONLY if file_system.read_only else 0) | file_system.shown_flags & (MS_DIRSYNC | MS_LAZYTIME)
    if file_system.is_synchronous:
        flags |= MS_SYNCHRONOUS
    return flags


def propagation_of(mount: Mount) -> int:
    """MS_SHARED, MS_SLAVE and MS_UNBINDABLE, or MS_PRIVATE."""
    kinds = 0
    if mount.group is not None:
        kinds |= MS_SHARED
    if mount.master is not None:
        kinds |= MS_SLAVE
    if mount.is_unbindable:
        kinds |= MS_UNBINDABLE
    return kinds if kinds != 0 else MS_PRIVATE


def parent_number(mount: Mount) -> int:
    """Of the mount that it is mounted on; the root is its own."""
    parent = mount.parent
    return parent.identifier if parent is not None else mount.identifier


def next_namespace(number: int, backwards: bool) -> MountNamespace:
    """The one with the next number. Raises ENOENT."""
    found: MountNamespace | None = None
    for each, namespace in NAMESPACES.items():  # in the order of their numbers
        if backwards:
            if each >= number:
                break
            found = namespace
        elif each > number:
            found = namespace
            break
    if found is None:
        raise Errno(ENOENT)
    return found
