"""Protections against traps in directories where everybody may create files, such as /tmp (proc_sys_fs(5)).

Each protection can be switched off. The defaults are those of Debian's kernel.
"""

from typing import Final

from kernel.fs.constants import MAY_READ, MAY_WRITE, S_ISGID, S_ISUID, S_ISVTX, S_IXGRP
from kernel.fs.inode import Inode
from kernel.lang import EACCES, EOVERFLOW, Errno
from kernel.lib.credentials import Actor, sees_owners, sees_user
from kernel.lib.settings import SystemSetting

_WRITABLE_BY_ALL: Final = 0o002
_WRITABLE_BY_GROUP: Final = 0o020
_IN_GROUP_DIRECTORIES: Final = 2  # in sticky directories that a group may write to, as well

FIFOS: Final = SystemSetting(b"fs/protected_fifos", [0], 0, _IN_GROUP_DIRECTORIES)
HARD_LINKS: Final = SystemSetting(b"fs/protected_hardlinks", [1], 0, 1)
REGULAR_FILES: Final = SystemSetting(b"fs/protected_regular", [0], 0, _IN_GROUP_DIRECTORIES)
SYMBOLIC_LINKS: Final = SystemSetting(b"fs/protected_symlinks", [1], 0, 1)


def check_following(actor: Actor, directory: Inode, link: Inode) -> None:
    """Check that a symbolic link may be followed at the end of a path: in a world-writable sticky directory, only the
    caller's own links and those of the directory's owner. Raises EACCES.
    """
    if directory.mode & (S_ISVTX | _WRITABLE_BY_ALL) != S_ISVTX | _WRITABLE_BY_ALL:
        return
    if link.uid == directory.uid and sees_user(actor, link.uid):
        return
    if link.uid != actor.fsuid and SYMBOLIC_LINKS.value != 0:
        raise Errno(EACCES)


def may_link(actor: Actor, inode: Inode) -> bool:
    """Whether a hard link to a file may be created: for others' files only if they are harmless. May sleep. Raises
    EOVERFLOW if its owners are nobody through the mount.
    """
    if not sees_owners(actor, inode.uid, inode.gid):
        raise Errno(EOVERFLOW)
    if HARD_LINKS.value == 0 or inode.owned_by(actor):
        return True
    mode = inode.mode
    if not inode.is_regular() or mode & S_ISUID != 0 or mode & (S_ISGID | S_IXGRP) == S_ISGID | S_IXGRP:
        return False
    try:
        inode.check_permission(actor, MAY_READ | MAY_WRITE)
    except Errno:
        return False
    return True


def check_creation(actor: Actor, directory: Inode, found: Inode) -> None:
    """O_CREAT found a file: it may be a trap unless it belongs to the caller or to the owner of the sticky directory.
    Raises EACCES.
    """
    if directory.mode & S_ISVTX == 0 or found.uid == actor.fsuid:
        return
    if found.uid == directory.uid and sees_user(actor, found.uid):
        return
    if found.is_regular():
        level = REGULAR_FILES.value
    elif found.is_fifo():
        level = FIFOS.value
    else:
        # Linux continues as for level 1: any other file there does not belong to the caller either.
        level = 1
    if level == 0:
        return
    if directory.mode & _WRITABLE_BY_ALL != 0:
        raise Errno(EACCES)
    if directory.mode & _WRITABLE_BY_GROUP != 0 and level >= _IN_GROUP_DIRECTORIES:
        raise Errno(EACCES)
