"""Mount namespaces: a copy of the tree for a file context, and another tree (mount_namespaces(7))."""


from kernel.fs.mount_tree import copy_of, top_at
from kernel.fs.path import (
    FsContext,
    Mount,
    MountNamespace,
    Path,
)
from kernel.lang import EINVAL, EPERM, Errno
from kernel.lib.capabilities import CAP_SYS_ADMIN, CAP_SYS_CHROOT


def separate(context: FsContext) -> None:
    """Let a file context have a namespace of its own, with a copy of the tree that it sees (CLONE_NEWNS). Raises EPERM,
    MemoryError.
    """
    if not context.credentials.capable(CAP_SYS_ADMIN):
        raise Errno(EPERM)
    fresh = MountNamespace()
    fresh.acquire()
    try:
        fresh.publish()
        copies = _copy_tree(context.namespace, fresh)
        context.enter(fresh, _same_place(copies, context.root), _same_place(copies, context.working))
    finally:
        fresh.release()  # which takes it apart if nobody entered it


def _copy_tree(source: MountNamespace, fresh: MountNamespace) -> dict[Mount, Mount]:
    """Mount everything once more; which mount stands for which. Raises MemoryError."""
    copies: dict[Mount, Mount] = {}
    top = source.top()
    if top is None:
        return copies
    copy = copy_of(top, is_peer=True, is_shared=False)
    copy.attached = True
    try:
        fresh.enter(copy)
        copies[top] = copy
    except MemoryError:
        copy.detach()
        raise
    waiting: list[Mount] = [top]
    while len(waiting) > 0:
        each = waiting.pop()
        parent = copies[each]
        for child in each.children.values():
            point = child.mount_point
            if point is None:
                continue
            copy = copy_of(child, is_peer=True, is_shared=False)
            copy.attach(parent, point)
            copies[child] = copy
            waiting.append(child)
    return copies


def _same_place(copies: dict[Mount, Mount], path: Path) -> Path:
    """The place in the copied tree; itself if it is in none of the mounts that were copied."""
    copy = copies.get(path.mount)
    return path if copy is None else Path(copy, path.dentry)


def enter_namespace(context: FsContext, namespace: MountNamespace) -> None:
    """setns(2): see another tree, from its root. Raises EPERM, EINVAL if others would see it, too."""
    credentials = context.credentials
    if not credentials.capable(CAP_SYS_ADMIN) or not credentials.capable(CAP_SYS_CHROOT):
        raise Errno(EPERM)
    if context.users != 1:
        raise Errno(EINVAL)
    top = namespace.top()
    if top is None:
        raise Errno(EINVAL)
    place = top_at(Path(top, top.root))
    context.enter(namespace, place, place)
