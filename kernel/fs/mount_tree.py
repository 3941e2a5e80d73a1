"""Trees of mounts: where a mount is attached, copies of trees, and propagation to the peers and slaves of a mount.

Context: thread context, with the lock of the tree (mount_lock.py); takes safe points. Raises MemoryError and ENOSPC,
with nothing changed.
"""

from typing import Final

from kernel.fs.constants import PROC_SUPER_MAGIC, SYSFS_MAGIC
from kernel.fs.dentry import CACHE, Dentry
from kernel.fs.mount_lists import TREE_COST, tree_of
from kernel.fs.mount_lock import TREE
from kernel.fs.namespace import mount_namespace_at
from kernel.fs.path import (
    Mount,
    MountNamespace,
    Path,
    keeps_name,
)
from kernel.fs.peers import Receiver, enslave, inherit, make_private, receivers_of, share, shows
from kernel.lang import EINVAL, ENOENT, ENOSPC, Errno
from kernel.lib.pace import pace
from kernel.lib.settings import SystemSetting
from kernel.mm.keeping import check_room_to_keep

_MOST_MOUNTS: Final = SystemSetting(b"fs/mount-max", [100_000], 1, (1 << 31) - 1)
_MOST_OF_USERS: Final = 5_000  # where anybody may mount
_DETACH_COST: Final = 2000  # instructions
_LEAVE_COST: Final = 500
_RECEIVE_COST: Final = 150
COPY_COST: Final = 3000


def top_at(at: Path) -> Path:
    """What is visible at a place: the root of the last mount that covers it, or the place itself.

    A walk ends at a covered place if it did not get there by a name: `.` in a working directory, and `/`. Each mount
    point has one mount at most.
    """
    while True:
        above = at.mount.children.get(at.dentry)
        if above is None:
            return at
        at = Path(above, above.root)


def place_for_mount(namespace: MountNamespace, at: Path) -> Path:
    """Where a mount at a place is attached: on top. Raises ENOENT for a place that has left the tree or lost its name,
    EINVAL for one of another namespace, MemoryError.
    """
    top = top_at(Path(at.mount, _name_that_stays(at.dentry)))
    if not top.mount.attached or top.dentry.deleted:
        raise Errno(ENOENT)
    if top.mount.namespace is not namespace:
        raise Errno(EINVAL)
    return top


def _name_that_stays(place: Dentry) -> Dentry:
    """The dentry by which walks find a place of procfs or sysfs. They create dentries anew, but those that lead to a
    mount stay (`Mount.attach`), and one of these may have the name by now. Raises MemoryError.
    """
    inode = place.inode
    if inode is None or inode.file_system.magic not in (PROC_SUPER_MAGIC, SYSFS_MAGIC):
        return place
    way: list[Dentry] = []  # from the place up
    step = place
    while step.parent is not None and step.parent is not step:
        way.append(step)
        step = step.parent
    while len(way) > 0:
        below = way.pop()
        known = None if step.children is None else step.children.get(below.name)
        if known is None and step is not below.parent and keeps_name(step, below):
            step.pins += 1  # entering a name may forget others
            try:
                known = CACHE.insert(step, below.name, below.inode)
            finally:
                step.pins -= 1
        if known is None:
            known = below
        elif known.inode is not below.inode:
            return place
        step = known
    return step


def check_room(namespace: MountNamespace, count: int) -> None:
    """Raise ENOSPC unless there may be that many more mounts."""
    most = _MOST_MOUNTS.value
    if namespace.owner.level != 0:
        most = min(most, _MOST_OF_USERS)
    if len(namespace.mounts) + count > most:
        raise Errno(ENOSPC)


def check_memory(namespace: MountNamespace) -> None:
    """Called before a mount is created in a namespace where anybody could create many: raise MemoryError if memory is
    short.
    """
    if namespace.owner.level != 0:
        check_room_to_keep()


def propagate(top: Mount, covering: Mount | None = None, *, is_new: bool = True) -> None:
    """A tree of mounts was attached, perhaps below a mount that covers it: if to a shared mount, all its peers and
    slaves get a copy, but those of the tree only if it is not new in its namespace. Raises ENOSPC, MemoryError; then
    none has one, and the caller detaches the tree again.
    """
    parent = top.parent
    point = top.mount_point
    if parent is None or point is None or parent.group is None or parent.namespace is None:
        return
    owner = parent.namespace.owner
    receivers: list[Receiver] = []
    try:
        tree = tree_of(top, covering)
        news: dict[Mount, bool] = {}
        for each in tree:
            share(each)
            if is_new:
                news[each] = True
            pace(TREE_COST)
        receivers = receivers_of(parent)
        receivers[0].copy = top
        receivers[0].covered = covering
        for receiver in receivers:
            pace(_RECEIVE_COST)
            source = receiver.source
            if source is None or receiver.mount in news or not shows(receiver.mount, point):
                continue
            is_peer = receiver.is_peer
            while source.copy is None and source.source is not None:
                is_peer = is_peer and source.is_peer
                source = source.source
            original = source.copy
            namespace = receiver.mount.namespace
            if original is None or namespace is None:
                continue
            check_room(namespace, len(tree))
            receiver.covered = receiver.mount.children.get(point)
            made = _copy_to(tree_of(original, source.covered), receiver.mount, point, is_peer)
            receiver.copy = made
            if owner is not namespace.owner:
                for each in tree_of(made, receiver.covered):
                    each.lock()
                    pace(TREE_COST)
            made.locks.in_place = False
    except (Errno, MemoryError):
        for receiver in receivers:
            copy = receiver.copy
            if copy is not None and copy is not top:
                _take_back(copy, receiver.covered)
        raise


def _copy_to(tree: list[Mount], parent: Mount, point: Dentry, is_peer: bool) -> Mount:
    """Mount a copy of a tree, whose top comes first, on a receiver, below what is mounted there already. Files of mount
    namespaces are left out: the receiver's may be newer. Raises EINVAL for one as the top, MemoryError, with nothing
    changed.
    """
    namespace = parent.namespace
    covered = parent.children.get(point)
    is_shared = parent.group is not None
    copies: dict[Mount, Mount] = {}
    original = tree[0]
    top: Mount | None = None
    if mount_namespace_at(original) is not None:
        raise Errno(EINVAL)
    try:
        for each in tree:
            above = parent
            place = point
            if each is not original:
                outer = each.parent
                mounted_at = each.mount_point
                copied = None if outer is None else copies.get(outer)
                if copied is None or mounted_at is None or mount_namespace_at(each) is not None:
                    continue
                above = copied
                place = mounted_at
            if namespace is not None:
                check_memory(namespace)
            copy = copy_of(each, is_peer, is_shared)
            attach_copy(copy, above, place)
            if each is original:
                top = copy
            copies[each] = copy
            pace(COPY_COST)
    except MemoryError:
        if top is not None:
            _take_back(top, covered)
        raise
    return copies[original]


def attach_copy(copy: Mount, parent: Mount, point: Dentry) -> None:
    """Attach a mount, below what is there already. Raises MemoryError; then it is gone."""
    covering = parent.children.get(point)
    if covering is None:
        copy.attach(parent, point)
    else:
        copy.slip_under(covering)


def _take_back(top: Mount, covered: Mount | None) -> None:
    """Remove a copy again, and restore what has come to lie on it. Others may use the copy meanwhile, but all copies
    go, and the caller undoes what it did, before anybody could move or unmount one of them.
    """
    if covered is not None:
        covered.take_place_of(top)
    for each in _out_of_namespaces(top):
        each.depart()
        pace(_DETACH_COST)


def copy_of(source: Mount, is_peer: bool, is_shared: bool) -> Mount:
    """A copy that is not attached yet: a peer of its source, or its slave. Raises MemoryError."""
    copy = Mount(source.file_system, source.root, source.flags)
    copy.owners = source.owners
    copy.is_unbindable = source.is_unbindable
    copy.source = source.source
    copy.take_locks(source)
    try:
        if is_peer:
            inherit(copy, source)
        else:
            if source.group is not None:
                enslave(copy, source.group)
            if is_shared:
                share(copy)
    except MemoryError:
        make_private(copy)
        copy.forget()
        raise
    return copy


def detach_tree(top: Mount) -> None:
    """Take a mount and all below it out of the tree."""
    for each in _out_of_namespaces(top):
        each.depart()
        pace(_DETACH_COST)


def _out_of_namespaces(top: Mount) -> list[Mount]:
    """Take a mount and all below it, which are returned, inner ones first, out of their namespaces. Raises
    MemoryError.
    """
    tree = tree_of(top)
    tree.reverse()
    for each in tree:
        namespace = each.namespace
        if namespace is not None:
            namespace.leave(each)
            namespace.changed()
        each.attached = False
        make_private(each)
        pace(_LEAVE_COST)
    return tree


def is_mount_point(place: Dentry, namespace: MountNamespace) -> bool:
    """Whether something is mounted on a name in that namespace."""
    each = place.mounts
    while each is not None:
        if each.namespace is namespace:
            return True
        each = each.next_there
    return False


def detach_all_at(gone: Dentry) -> None:
    """A name was removed: detach what is mounted on it, in any namespace. Takes the lock of the tree. Sleeps."""
    with TREE:
        while True:
            mount = gone.mounts
            if mount is None:
                return
            if mount.attached:
                try:
                    detach_tree(mount)
                except MemoryError:
                    mount.detach()  # what is on it becomes unreachable, and ends with its namespace
            mount.lose_place()
            pace(_DETACH_COST)


def propagated(mount_: Mount) -> list[Mount]:
    """The mounts at the same place of the parent's peers and slaves, without those that have mounts on them."""
    found: list[Mount] = []
    parent = mount_.parent
    point = mount_.mount_point
    if parent is None or point is None or parent.group is None:
        return found
    for receiver in receivers_of(parent):
        copy = receiver.mount.children.get(point)
        if copy is not None and copy is not mount_:
            found.append(copy)
        pace(_RECEIVE_COST)
    return found
