"""Extended attributes: names with values that belong to an inode (xattr(7)).

A name begins with a name space, which decides who may see and change it: `user.` like the file's contents, on regular
files and directories; `trusted.` for root alone; `security.` read by all, changed by root. Access control lists are
attributes with rules of their own (`access_control.py`); there are no others in `system.`. A file system that keeps
attributes gives a `Store` from `Inode.attribute_store`.

Context: sleeps on file systems that do.
"""

from typing import Final

from kernel.fs.access_control import get_list, is_list, set_list
from kernel.fs.access_list import AccessList, from_attribute
from kernel.fs.attribute_store import Store
from kernel.fs.constants import ANON_INODE_FS_MAGIC, FS_UNCHANGEABLE, MAY_READ, MAY_WRITE, SOCKFS_MAGIC
from kernel.fs.inode import Inode
from kernel.lang import EAGAIN, EEXIST, EINVAL, ENODATA, EOPNOTSUPP, EPERM, Errno
from kernel.lib.capabilities import CAP_SETFCAP, CAP_SYS_ADMIN
from kernel.lib.credentials import Actor, Credentials, sees_owners
from kernel.lib.file_capabilities import CAPABILITIES, check_form, to_keep, to_show

CREATE: Final = 1
REPLACE: Final = 2
LARGEST_VALUE: Final = 65536

_USER: Final = b"user."
_TRUSTED: Final = b"trusted."
_SECURITY: Final = b"security."
_SYSTEM: Final = b"system."
_STICKY: Final = 0o1000


def _check_permission(actor: Actor, inode: Inode, name: bytes, mask: int) -> None:
    """Raises EPERM, EACCES, or ENODATA where a reader must not learn whether the attribute exists."""
    writes = mask & MAY_WRITE != 0
    if writes and (inode.flags & FS_UNCHANGEABLE != 0 or not sees_owners(actor, inode.uid, inode.gid)):
        raise Errno(EPERM)
    if name.startswith(_SECURITY):
        # No security module looks at the inode that descriptors without a file share.
        is_asked = inode.file_system.magic != ANON_INODE_FS_MAGIC
        if writes and is_asked and not _may_change_security(actor, inode, name):
            raise Errno(EPERM)
        return
    if name.startswith(_SYSTEM):
        return  # no such attribute, whoever asks
    if name.startswith(_TRUSTED):
        if not actor.capable(CAP_SYS_ADMIN):
            raise Errno(EPERM if writes else ENODATA)
        return
    if name.startswith(_USER):
        if not inode.is_regular() and not inode.is_directory():
            raise Errno(EPERM if writes else ENODATA)
        if writes and inode.is_directory() and inode.mode & _STICKY != 0 and not inode.owned_by(actor):
            raise Errno(EPERM)
    inode.check_permission(actor, mask)


def _may_change_security(actor: Actor, inode: Inode, name: bytes) -> bool:
    if name == CAPABILITIES:
        return inode.yields_to(actor, CAP_SETFCAP)
    return actor.capable_in(inode.file_system.user_namespace, CAP_SYS_ADMIN)


def _store(inode: Inode, name: bytes, writes: bool = False, removes: bool = False) -> Store:
    """The store of attributes of this name. Raises EOPNOTSUPP, EINVAL (nothing after the prefix), EAGAIN (to remove a
    label of a socket, which is for a security module to keep).
    """
    store = inode.attribute_store()
    inode.file_system.check_alive()
    if store is None:
        if inode.file_system.magic == SOCKFS_MAGIC and name.startswith(_SECURITY):
            raise Errno(EINVAL if name == _SECURITY else EAGAIN if removes else EOPNOTSUPP)
        raise Errno(EOPNOTSUPP)
    for prefix in (_USER, _TRUSTED, _SECURITY):
        if name.startswith(prefix):
            if name == prefix:
                raise Errno(EINVAL)
            if prefix == _USER and writes and not inode.file_system.takes_user_attributes():
                raise Errno(EOPNOTSUPP)
            return store
    raise Errno(EOPNOTSUPP)


def get(actor: Actor, inode: Inode, name: bytes) -> bytes:
    """The value. Raises ENODATA if there is no such attribute."""
    if is_list(name):
        return get_list(actor, inode, name)
    _check_permission(actor, inode, name, MAY_READ)
    store = _store(inode, name)
    store.load_value(name)
    value = store.values.get(name)
    if value is None:
        raise Errno(ENODATA)
    if name != CAPABILITIES:
        return value
    return to_show(value, actor.user_namespace, inode.file_system.user_namespace, actor.owners)


def _list_of(actor: Actor, value: bytes) -> AccessList | None:
    return from_attribute(value, actor.user_namespace) if len(value) > 0 else None


def put(actor: Actor, inode: Inode, name: bytes, value: bytes, flags: int) -> None:
    """Set or change. Raises EEXIST (CREATE), ENODATA (REPLACE), ENOSPC. Lists ignore the flags."""
    if is_list(name):
        set_list(actor, inode, name, _list_of(actor, value))
        return
    if name == CAPABILITIES and len(value) > 0:
        check_form(value)
    if name != CAPABILITIES or len(value) > 0 or inode.flags & FS_UNCHANGEABLE != 0:
        # An empty value gives no capabilities: as on Linux, anybody may set it.
        _check_permission(actor, inode, name, MAY_WRITE)
    store = _store(inode, name, writes=True)
    if name == CAPABILITIES and len(value) > 0:
        keeper = inode.file_system.user_namespace
        rules_keeper = actor.capable_in(keeper, CAP_SETFCAP)
        value = to_keep(value, actor.user_namespace, keeper, rules_keeper, actor.owners)
    store.acquire()
    try:
        store.load_value(name)
        old = store.values.get(name)
        if old is not None and flags & CREATE != 0:
            raise Errno(EEXIST)
        if old is None and flags & REPLACE != 0:
            raise Errno(ENODATA)
        store.put(name, value, old)
        inode.may_have_privileges = True
        inode.touch_changed()
    finally:
        store.release()


def remove(actor: Actor, inode: Inode, name: bytes) -> None:
    """Raises ENODATA if there is no such attribute; but removing a list that does not exist succeeds."""
    if is_list(name):
        set_list(actor, inode, name, None)
        return
    _check_permission(actor, inode, name, MAY_WRITE)
    store = _store(inode, name, writes=True, removes=True)
    store.acquire()
    try:
        store.load_value(name)
        if name not in store.values:
            raise Errno(ENODATA)
        store.drop(name)
        inode.touch_changed()
    finally:
        store.release()


def names(credentials: Credentials, inode: Inode) -> bytes:
    """All names that the caller may see, each with a NUL after it."""
    store = inode.attribute_store()
    text = bytearray()
    if inode.stays_empty():
        raise Errno(EOPNOTSUPP)
    if store is None:
        return b""
    store.load()
    for name in store.values.keys():
        if is_list(name) and not inode.file_system.has_access_lists:
            continue
        if credentials.capable(CAP_SYS_ADMIN) or not name.startswith(_TRUSTED):
            text.extend(name)
            text.append(0)
    return bytes(text)
