"""Access control lists of inodes: showing and changing them, chmod(2), and what new files inherit.

Lists are kept as extended attributes and, parsed, in `Inode.lists`. A list and the mode agree on the rights of the
owner, the mask and all others; code that changes one changes the other. Which rights they give is decided in
`Inode.check_permission`.

Context: sleeps on file systems that do.
"""

from typing import Final

from kernel.fs.access_list import ACCESS_LIST, DEFAULT_LIST, NO_LISTS, AccessList, AccessLists
from kernel.fs.constants import FS_UNCHANGEABLE, S_IFDIR, S_IFMT, S_ISGID
from kernel.fs.inode import Inode
from kernel.fs.path import FsContext
from kernel.fs.privileges import may_keep_set_group
from kernel.lang import EACCES, EIO, ENODATA, EOPNOTSUPP, EPERM, Errno
from kernel.lib.credentials import Actor, sees_owners

_PERMISSIONS: Final = 0o777


def is_list(name: bytes) -> bool:
    """Whether an extended attribute of this name is an access control list."""
    return name == ACCESS_LIST or name == DEFAULT_LIST


def get_list(actor: Actor, inode: Inode, name: bytes) -> bytes:
    """A list as the calling program sees it; everybody may read it. Raises ENODATA if there is none."""
    _require_lists(inode)
    found = inode.list_to_show(name)
    if found is None:
        raise Errno(ENODATA)
    return found.seen_through(actor.owners).to_attribute(actor.user_namespace)


def set_list(actor: Actor, inode: Inode, name: bytes, entries: AccessList | None) -> None:
    """Give an inode a list, of users and groups as the actor sees them, or none. Raises EPERM, EACCES (a default list
    for what is no directory), EINVAL.
    """
    if inode.flags & FS_UNCHANGEABLE != 0 or not sees_owners(actor, inode.uid, inode.gid):
        raise Errno(EPERM)
    _require_lists(inode)
    if name == DEFAULT_LIST and not inode.is_directory():
        if entries is not None:
            raise Errno(EACCES)
        return
    if not inode.belongs_to(actor):
        raise Errno(EPERM)
    if entries is not None:
        entries = entries.kept_through(actor.owners)
        entries.check()
        entries.require_numbers_in(inode.file_system.user_namespace)
    inode.file_system.check_alive()
    if inode.file_system.serves_lists:
        inode.send_list(name, entries)
        return
    cleared = 0
    bits = 0
    if entries is not None and name == ACCESS_LIST:
        cleared = _PERMISSIONS
        bits = entries.mode_bits()
        if not may_keep_set_group(actor, inode, inode.gid):
            cleared |= S_ISGID
        if entries.is_mode():
            entries = None
    _keep_one(inode, name, entries)
    inode.mode = inode.mode & ~cleared | bits
    inode.touch_changed()


def _require_lists(inode: Inode) -> None:
    if not inode.file_system.has_access_lists or inode.is_symlink():
        raise Errno(EOPNOTSUPP)


def _keep_one(inode: Inode, name: bytes, entries: AccessList | None) -> None:
    """Write one of the lists; others may write the other one meanwhile. Raises ENOSPC, EIO, MemoryError."""
    inode.access_lists()  # known from here on
    fresh = AccessLists(entries, entries)
    _store(inode, name, entries)
    known = inode.access_lists()
    if name == ACCESS_LIST:
        fresh.default = known.default
    else:
        fresh.access = known.access
    inode.lists = fresh


def _keep(inode: Inode, lists: AccessLists) -> None:
    """Write both lists to the extended attributes. Raises ENOSPC, EIO, MemoryError."""
    _store(inode, ACCESS_LIST, lists.access)
    _store(inode, DEFAULT_LIST, lists.default)
    inode.lists = lists


def _store(inode: Inode, name: bytes, entries: AccessList | None) -> None:
    store = inode.attribute_store()
    if store is None:
        raise Errno(EIO)
    store.acquire()
    try:
        store.load()
        old = store.values.get(name)
        if entries is None:
            if old is not None:
                store.drop(name)
            return
        value = entries.to_attribute()
        if value != old:
            store.put(name, value, old)
    finally:
        store.release()


def change_list_mode(inode: Inode, mode: int) -> None:
    """chmod(2) changes the list as well, if there is one; the caller changes the mode itself."""
    if not inode.file_system.has_access_lists or inode.file_system.serves_lists:
        return
    access = inode.access_lists().access
    if access is not None:
        fresh = access.copy()
        fresh.set_mode(mode)
        _keep_one(inode, ACCESS_LIST, fresh)


# ---- New files ------------------------------------------------------------------------------------------------


class Inheritance:
    """What a new file gets from its directory: the mode that it is to be created with, and lists."""

    def __init__(self, mode: int, lists: AccessLists) -> None:
        self.mode: int = mode
        self.lists: AccessLists = lists

    def give(self, inode: Inode) -> None:
        """Give the file that was created its lists. Raises ENOSPC, EIO, MemoryError."""
        if self.lists is not NO_LISTS:
            _keep(inode, self.lists)


def inherit(context: FsContext, directory: Inode, mode: int) -> Inheritance:
    """For a file with this type and mode. Where the directory has a default list, that decides instead of the umask."""
    if directory.file_system.serves_lists:
        return Inheritance(mode if directory.file_system.masks_modes() else mode & ~context.umask, NO_LISTS)
    default = directory.access_lists().default if directory.file_system.has_access_lists else None
    if default is None:
        return Inheritance(mode & ~context.umask, NO_LISTS)
    access = default.copy()
    mode = access.restrict(mode)
    own = None if access.is_mode() else access
    handed_down = default if mode & S_IFMT == S_IFDIR else None
    return Inheritance(mode, NO_LISTS if own is None and handed_down is None else AccessLists(own, handed_down))
