"""The privileges that a file grants when it is executed: set-user-ID, set-group-ID, capabilities
(`security.capability`).

They were granted for certain contents and a certain owner, so they are dropped when one of these changes. A writer with
CAP_FSETID leaves set-ID bits in place, but a new owner does not; capabilities of a file are always dropped. Stores to a
shared mapping drop nothing, as on Linux.

Context: sleeps on file systems that do; the inode's lock is not held.
Source: write(2), chown(2), inode(7), capabilities(7).
"""

from typing import Final

from kernel.fs.constants import S_ISGID, S_ISUID, S_IXGRP
from kernel.fs.inode import Inode
from kernel.fs.path import Mount
from kernel.lang import Errno
from kernel.lib.capabilities import CAP_FSETID
from kernel.lib.credentials import Actor
from kernel.lib.file_capabilities import CAPABILITIES, FileCapabilities, read_file_capabilities
from kernel.lib.ids import KernelGid
from kernel.lib.namespace import UserNamespace

SET_ID: Final = S_ISUID | S_ISGID


def may_keep_set_group(actor: Actor, inode: Inode, gid: KernelGid) -> bool:
    """Whether a thread with these actor may set or keep the set-group-ID bit of a file that is of this group."""
    return inode.yields_to(actor, CAP_FSETID) or actor.in_group(gid)


def capabilities_of(mount: Mount, inode: Inode, runner: UserNamespace) -> FileCapabilities | None:
    """What the file adds to the capabilities of programs in a user namespace that execute it. Raises EINVAL, ERANGE
    (the attribute makes no sense), EIO. Nearly free if there is surely nothing.
    """
    if not inode.may_have_privileges or not inode.may_have_attributes():
        return None
    store = inode.attribute_store()
    if store is None:
        return None
    store.acquire()
    try:
        store.load_value(CAPABILITIES)
        value = store.values.get(CAPABILITIES)
        if value is None:
            inode.may_have_privileges = inode.mode & SET_ID != 0
            return None
    finally:
        store.release()
    return read_file_capabilities(value, inode.file_system.user_namespace, runner, mount.owners)


def drop_privileges(inode: Inode, actor: Actor) -> None:
    """Called before `actor` change the contents. Nearly free if there is nothing to drop."""
    if not inode.may_have_privileges or not inode.is_regular():
        return
    mode = inode.mode
    if mode & SET_ID != 0 and not inode.yields_to(actor, CAP_FSETID):
        mode &= ~S_ISUID
        if mode & S_IXGRP != 0 or not actor.in_group(inode.gid):
            mode &= ~S_ISGID
        if mode != inode.mode:
            inode.mode = mode
            inode.touch_changed()
    # First, because a change of the attributes during a sleep sets it again.
    inode.may_have_privileges = mode & SET_ID != 0
    _drop_capabilities(inode)


def drop_for_owner(inode: Inode, actor: Actor, gid: KernelGid) -> None:
    """Called before `actor` give the inode to another owner, or to the group `gid`, which it may do."""
    if inode.is_directory():
        return
    mode = inode.mode & ~S_ISUID
    if mode & S_IXGRP != 0 or not may_keep_set_group(actor, inode, inode.gid):
        mode &= ~S_ISGID
    if mode != inode.mode:
        if not may_keep_set_group(actor, inode, gid):
            mode &= ~S_ISGID
        inode.mode = mode
    _drop_capabilities(inode)


def _drop_capabilities(inode: Inode) -> None:
    if not inode.may_have_attributes():
        return
    store = inode.attribute_store()
    if store is None:
        return
    store.acquire()
    try:
        try:
            store.load_value(CAPABILITIES)
        except Errno:
            return  # nobody gets privileges that cannot be read
        if CAPABILITIES in store.values:
            store.drop(CAPABILITIES)
            inode.touch_changed()
    finally:
        store.release()
