"""Extended attributes: names with values that belong to an inode (xattr(7)).

A name begins with the name space that says who may see and change it: `user.` like the file's contents, on regular
files and directories; `trusted.` for root alone; `security.` read by all, changed by root. Access control lists are
attributes with rules of their own (`access_control.py`); there are no others in `system.`. A file system that keeps
attributes gives a `Store` from `Inode.attribute_store`.

Context: sleeps on file systems that do.
"""

from typing import Final

from kernel.fs.access_control import get_list, is_list, set_list
from kernel.fs.access_list import from_attribute
from kernel.fs.attribute_store import Store
from kernel.fs.constants import FS_UNCHANGEABLE, MAY_READ, MAY_WRITE
from kernel.fs.inode import Inode
from kernel.lang import EEXIST, EINVAL, ENODATA, EOPNOTSUPP, EPERM, Errno
from kernel.lib.capabilities import CAP_SETFCAP, CAP_SYS_ADMIN
from kernel.lib.credentials import Credentials
from kernel.lib.file_capabilities import CAPABILITIES, check_to_keep, to_show

CREATE: Final = 1
REPLACE: Final = 2
LARGEST_VALUE: Final = 65536

_USER: Final = b"user."
_TRUSTED: Final = b"trusted."
_SECURITY: Final = b"security."
_SYSTEM: Final = b"system."
_STICKY: Final = 0o1000


def _check_permission(credentials: Credentials, inode: Inode, name: bytes, mask: int) -> None:
    """Raises EPERM, EACCES, or ENODATA where a reader must not see whether there is such an attribute."""
    writes = mask & MAY_WRITE != 0
    if writes and inode.flags & FS_UNCHANGEABLE != 0:
        raise Errno(EPERM)
    if name.startswith(_SECURITY):
        if writes and not credentials.capable(CAP_SETFCAP if name == CAPABILITIES else CAP_SYS_ADMIN):
            raise Errno(EPERM)
        return
    if name.startswith(_SYSTEM):
        return  # no such attribute, whoever asks
    if name.startswith(_TRUSTED):
        if not credentials.capable(CAP_SYS_ADMIN):
            raise Errno(EPERM if writes else ENODATA)
        return
    if name.startswith(_USER):
        if not inode.is_regular() and not inode.is_directory():
            raise Errno(EPERM if writes else ENODATA)
        if writes and inode.is_directory() and inode.mode & _STICKY != 0 and not inode.owned_by(credentials):
            raise Errno(EPERM)
    inode.check_permission(credentials, mask)


def _store(inode: Inode, name: bytes) -> Store:
    """Where attributes of this name are kept. Raises EOPNOTSUPP, EINVAL (nothing after the prefix)."""
    store = inode.attribute_store()
    if store is None:
        raise Errno(EOPNOTSUPP)
    for prefix in (_USER, _TRUSTED, _SECURITY):
        if name.startswith(prefix):
            if name == prefix:
                raise Errno(EINVAL)
            return store
    raise Errno(EOPNOTSUPP)


def get(credentials: Credentials, inode: Inode, name: bytes) -> bytes:
    """The value. Raises ENODATA if there is no such attribute."""
    if is_list(name):
        return get_list(inode, name)
    _check_permission(credentials, inode, name, MAY_READ)
    store = _store(inode, name)
    store.load()
    value = store.values.get(name)
    if value is None:
        raise Errno(ENODATA)
    return to_show(value) if name == CAPABILITIES else value


def put(credentials: Credentials, inode: Inode, name: bytes, value: bytes, flags: int) -> None:
    """Set or change. Raises EEXIST (CREATE), ENODATA (REPLACE), ENOSPC. Lists have no use for the flags."""
    if is_list(name):
        set_list(credentials, inode, name, from_attribute(value) if len(value) > 0 else None)
        return
    if name == CAPABILITIES and len(value) > 0:
        check_to_keep(value)
    if name != CAPABILITIES or len(value) > 0 or inode.flags & FS_UNCHANGEABLE != 0:
        # An empty value gives no capabilities: as on Linux, anybody may set it.
        _check_permission(credentials, inode, name, MAY_WRITE)
    store = _store(inode, name)
    store.acquire()
    try:
        store.load()
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


def remove(credentials: Credentials, inode: Inode, name: bytes) -> None:
    """Raises ENODATA if there is no such attribute; but a list may be removed where there is none."""
    if is_list(name):
        set_list(credentials, inode, name, None)
        return
    _check_permission(credentials, inode, name, MAY_WRITE)
    store = _store(inode, name)
    store.acquire()
    try:
        store.load()
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
