"""What an autofs no longer needs: mounts and links that nobody has used for a while.

The automounter asks which those are, and is then asked to unmount one. Walks into it wait until it has answered.

Context: `expire` sleeps; nothing else does.
"""

from typing import Final

from kernel.fs.autofs.directory import AutofsDirectory, AutofsNode
from kernel.fs.autofs.instance import AutofsInstance
from kernel.fs.autofs.packets import EXPIRE_FORCED, EXPIRE_IMMEDIATE, EXPIRE_LEAVES, INDIRECT
from kernel.fs.dentry import Dentry
from kernel.fs.mount_keepers import KEEPERS
from kernel.fs.mount_tree import top_at
from kernel.fs.path import Mount, Path
from kernel.lang import EAGAIN, Errno
from kernel.time.clock import monotonic_ns

_OWN_USE: Final = 1  # the automounter's own open root


def expire(instance: AutofsInstance, mount: Mount, how: int) -> None:
    """Ask the automounter to unmount something, and wait until it has. Raises EAGAIN (there is nothing), what it
    answers, EINTR, MemoryError.
    """
    node = _direct_candidate(instance, mount, how) if instance.is_trigger() else candidate(instance, mount, how)
    if node is None:
        raise Errno(EAGAIN)
    node.is_expiring = True
    try:
        instance.wait(instance.ask(node.key(), is_expiry=True))
    finally:
        put_off(instance, node)


def put_off(instance: AutofsInstance, node: AutofsNode) -> None:
    """It was not, or need not be, unmounted: it is not looked at again before its time."""
    node.last_used_ns = monotonic_ns()
    node.is_expiring = False
    instance.settled.wake_all()


def may_be_unmounted(mount: Mount) -> bool:
    """Whether nobody but the automounter, which has its root open, uses a mount."""
    return len(mount.children) == 0 and _users_of(mount) <= _OWN_USE


def _direct_candidate(instance: AutofsInstance, mount: Mount, how: int) -> AutofsNode | None:
    """The root of a direct mount, if it has expired."""
    top = instance.top
    if not isinstance(top, AutofsDirectory) or top.is_awaited():
        return None
    if how & EXPIRE_FORCED != 0:
        return top
    if _is_tree_used(mount, _OWN_USE):
        top.last_used_ns = monotonic_ns()
        return None
    return top if _is_due(instance, top, how) else None


def candidate(instance: AutofsInstance, mount: Mount, how: int) -> AutofsNode | None:
    """A node of an indirect mount that has expired: one in its root, or with EXPIRE_LEAVES one in a tree. Raises
    MemoryError.
    """
    top = instance.top
    names = mount.root.children
    if not isinstance(top, AutofsDirectory) or instance.kind != INDIRECT:
        return None
    for index in range(len(top.order) - 1, -1, -1):
        node = top.order[index]
        if not node.is_awaited():
            found = _expired_at(instance, mount, node, names.get(node.name) if names is not None else None, how)
            if found is not None:
                return found
    return None


def _expired_at(
    instance: AutofsInstance, mount: Mount, node: AutofsNode, dentry: Dentry | None, how: int
) -> AutofsNode | None:
    """What has expired at a name in the root, which nobody uses if it is not in the cache. Raises MemoryError."""
    if dentry is not None and dentry in mount.children:
        if _is_mount_used(instance, mount, node, dentry, how):
            return None
        return node if how & EXPIRE_FORCED != 0 or _is_due(instance, node, how) else None
    if not isinstance(node, AutofsDirectory):
        return node if how & EXPIRE_FORCED != 0 or _is_due(instance, node, how) else None
    if node.is_empty():
        return None
    if dentry is None:
        return node if how & (EXPIRE_FORCED | EXPIRE_LEAVES) == 0 and _is_due(instance, node, how) else None
    if how & EXPIRE_LEAVES != 0:
        return _expired_leaf(instance, mount, node, dentry, how)
    return None if _is_used_below(instance, mount, node, dentry, how) else node


def _expired_leaf(
    instance: AutofsInstance, mount: Mount, top: AutofsDirectory, place: Dentry, how: int
) -> AutofsNode | None:
    """A mount in a tree that has expired. Raises MemoryError."""
    nodes: list[AutofsNode] = [top]
    dentries: list[Dentry] = [place]
    while len(nodes) > 0:
        node = nodes.pop()
        dentry = dentries.pop()
        if dentry in mount.children:
            is_used = _is_mount_used(instance, mount, node, dentry, how)
            if not is_used and (how & EXPIRE_FORCED != 0 or _is_due(instance, node, how)):
                return node
        elif isinstance(node, AutofsDirectory):
            _add_below(node, dentry, nodes, dentries)
    return None


def _is_used_below(instance: AutofsInstance, mount: Mount, top: AutofsDirectory, place: Dentry, how: int) -> bool:
    """Whether a tree of directories, or what is mounted in it, is in use, or was lately. Raises MemoryError."""
    nodes: list[AutofsNode] = [top]
    dentries: list[Dentry] = [place]
    while len(nodes) > 0:
        node = nodes.pop()
        dentry = dentries.pop()
        if dentry in mount.children:
            is_used = _is_mount_used(instance, mount, node, dentry, how)
        else:
            is_used = dentry.pins > _mounts_on(dentry) and how & EXPIRE_FORCED == 0
        if is_used:
            top.last_used_ns = monotonic_ns()
            return True
        if isinstance(node, AutofsDirectory):
            _add_below(node, dentry, nodes, dentries)
    return how & EXPIRE_FORCED == 0 and not _is_due(instance, top, how)


def _add_below(directory: AutofsDirectory, dentry: Dentry, nodes: list[AutofsNode], dentries: list[Dentry]) -> None:
    """Add what a directory holds, as far as it was ever used, newer entries last. Raises MemoryError."""
    names = dentry.children
    if names is None:
        return
    for node in directory.order:
        child = names.get(node.name)
        if child is not None:
            nodes.append(node)
            dentries.append(child)


def _is_mount_used(instance: AutofsInstance, mount: Mount, node: AutofsNode, dentry: Dentry, how: int) -> bool:
    """Whether what is mounted on a node is in use. Another autofs is its own automounter's affair. Raises
    MemoryError.
    """
    if isinstance(top_at(Path(mount, dentry)).mount.file_system, AutofsInstance):
        return True
    if how & EXPIRE_FORCED != 0:
        return False
    if _is_tree_used(mount.children[dentry], 0):
        node.last_used_ns = monotonic_ns()
        return True
    return False


def _is_tree_used(top: Mount, own: int) -> bool:
    """Whether a tree of mounts has more users than those. Raises MemoryError."""
    users = 0
    waiting: list[Mount] = [top]
    while len(waiting) > 0:
        mount = waiting.pop()
        users += _users_of(mount)
        if users > own:
            return True
        for child in mount.children.values():
            waiting.append(child)
    return False


def _users_of(mount: Mount) -> int:
    """How many use a mount, without the kernel's own keepers."""
    users = mount.users
    for keeper in KEEPERS:
        users -= keeper.held(mount.identifier)
    return users


def _mounts_on(dentry: Dentry) -> int:
    count = 0
    mount = dentry.mounts
    while mount is not None:
        count += 1
        mount = mount.next_there
    return count


def _is_due(instance: AutofsInstance, node: AutofsNode, how: int) -> bool:
    return how & EXPIRE_IMMEDIATE != 0 or instance.is_due(node.last_used_ns)
