"""Mount namespaces: a copy of the tree for a file context, and another tree (mount_namespaces(7)).

Where the new namespace belongs to another user namespace, the copy is less privileged: it receives changes from shared
mounts and propagates none back, and its administrator can neither change the flags of mounts nor take them away one by
one.
"""

from kernel.fs.mount_lists import tree_of
from kernel.fs.mount_lock import TREE
from kernel.fs.mount_tree import COPY_COST, attach_copy, check_memory, copy_of, top_at
from kernel.fs.namespace import mount_namespace_at
from kernel.fs.path import (
    FsContext,
    Mount,
    MountNamespace,
    Path,
)
from kernel.lang import EINVAL, EPERM, Errno
from kernel.lib.capabilities import CAP_SYS_ADMIN, CAP_SYS_CHROOT
from kernel.lib.namespace import UserNamespace
from kernel.lib.pace import pace


def separate(context: FsContext, owner: UserNamespace) -> MountNamespace:
    """Let a file context have a namespace of its own, with a copy of the tree that it sees (CLONE_NEWNS). `owner` is
    the user namespace of the new one. Raises MemoryError.
    """
    fresh = MountNamespace(owner)
    fresh.acquire()
    try:
        fresh.publish()
        with TREE:
            copies = _copy_tree(context.namespace, fresh)
        context.enter(fresh, _same_place(copies, context.root), _same_place(copies, context.working))
    finally:
        fresh.release()  # takes it apart if nobody entered it
    return fresh


def _copy_tree(source: MountNamespace, fresh: MountNamespace) -> dict[Mount, Mount]:
    """Copy all mounts; returns the copy of each. The caller has the lock of the tree. Takes safe points. Raises
    MemoryError.
    """
    copies: dict[Mount, Mount] = {}
    check_memory(fresh)
    is_of_another = source.owner is not fresh.owner
    top = source.top()
    if top is None:
        return copies
    copy = _copy_of(top, is_of_another)
    copy.attached = True
    try:
        fresh.enter(copy)
        copies[top] = copy
    except MemoryError:
        copy.detach()
        raise
    for each in tree_of(top):
        above = each.parent
        point = each.mount_point
        parent = None if above is None else copies.get(above)
        if parent is None or point is None or mount_namespace_at(each) is not None:
            continue  # the copy would be in a newer namespace than the one that it keeps
        check_memory(fresh)
        copy = _copy_of(each, is_of_another)
        attach_copy(copy, parent, point)
        copies[each] = copy
        pace(COPY_COST)
    return copies


def _copy_of(source: Mount, is_of_another: bool) -> Mount:
    """A copy of a mount for another namespace, which may belong to another user namespace. Raises MemoryError."""
    copy = copy_of(source, is_peer=source.group is None or not is_of_another, is_shared=False)
    if is_of_another:
        copy.lock()
    return copy


def _same_place(copies: dict[Mount, Mount], path: Path) -> Path:
    """The place in the copied tree; unchanged if none of the copied mounts has it."""
    copy = copies.get(path.mount)
    return path if copy is None else Path(copy, path.dentry)


def is_chrooted(context: FsContext) -> bool:
    """Whether a file context has another root than its namespace."""
    top = context.namespace.top()
    return top is None or not top_at(Path(top, top.root)).same(context.root)


def check_entry(context: FsContext, namespace: MountNamespace, inside: UserNamespace) -> None:
    """setns(2): check that the caller, about to enter the user namespace `inside`, may enter the namespace. Raises
    EPERM; EINVAL if others would see it, too.
    """
    credentials = context.credentials
    if (
        not credentials.capable_in(namespace.owner, CAP_SYS_ADMIN)
        or not credentials.capable_in(inside, CAP_SYS_CHROOT)
        or not credentials.capable_in(inside, CAP_SYS_ADMIN)
    ):
        raise Errno(EPERM)
    if context.users != 1 or namespace.is_anonymous or namespace.top() is None:
        raise Errno(EINVAL)


def enter_namespace(context: FsContext, namespace: MountNamespace) -> None:
    """Enter another tree, at its root."""
    top = namespace.top()
    if top is None:
        raise Errno(EINVAL)
    place = top_at(Path(top, top.root))
    context.enter(namespace, place, place)
