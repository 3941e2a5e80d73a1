"""mount(2), umount2(2), pivot_root(2).

Only root may change the tree. Mounting on a shared mount, or unmounting from it, also happens on its peers and slaves
(peers.py).
"""

from typing import Final

from kernel.fs.constants import (
    MNT_DETACH,
    MNT_EXPIRE,
    MNT_FORCE,
    MS_BIND,
    MS_DIRSYNC,
    MS_MOVE,
    MS_NOATIME,
    MS_NOUSER,
    MS_PRIVATE,
    MS_RDONLY,
    MS_REC,
    MS_RELATIME,
    MS_REMOUNT,
    MS_SHARED,
    MS_SILENT,
    MS_SLAVE,
    MS_STRICTATIME,
    MS_SYNCHRONOUS,
    MS_UNBINDABLE,
    UMOUNT_NOFOLLOW,
)
from kernel.fs.dentry import Dentry
from kernel.fs.filesystem import FileSystem, FileSystemType, find_type, known_type, make_filesystem
from kernel.fs.general_mount_options import sift
from kernel.fs.landlock import refuse_mounting
from kernel.fs.mount_device import filesystem_on, find_block_device
from kernel.fs.mount_keepers import KEEPERS, leave_mount
from kernel.fs.mount_lists import tree_of
from kernel.fs.mount_lock import TREE
from kernel.fs.mount_sync import wait_for_keepers
from kernel.fs.mount_tree import (
    COPY_COST,
    attach_copy,
    check_memory,
    check_room,
    copy_of,
    detach_tree,
    place_for_mount,
    propagate,
    propagated,
    top_at,
)
from kernel.fs.namespace import NamespaceInode, mount_namespace_at
from kernel.fs.path import (
    FIRST_MOUNTS,
    MOUNT_FLAGS,
    TIME_FLAGS,
    FsContext,
    Mount,
    MountNamespace,
    Path,
    end_filesystem,
    is_below,
)
from kernel.fs.peers import inherit, lies_below, make_private, make_slave, share, shows
from kernel.fs.walk import ENTER, FOLLOW, look_up_held, resolve
from kernel.lang import EACCES, EAGAIN, EBUSY, EINVAL, ELOOP, ENOENT, ENOTDIR, EPERM, Errno
from kernel.lib.capabilities import CAP_SYS_ADMIN
from kernel.lib.credentials import Credentials
from kernel.lib.namespace import Namespace
from kernel.lib.pace import pace

_PROPAGATION: Final = MS_SHARED | MS_PRIVATE | MS_SLAVE | MS_UNBINDABLE
_CHANGE_COST: Final = 600  # instructions
_LOOK_COST: Final = 50
_ENTER_COST: Final = 500  # in a dictionary


def attach_root(file_system: FileSystem, credentials: Credentials) -> FsContext:
    """Mount the first file system; the context of the first process."""
    mount = Mount(file_system, root_dentry(file_system), MS_RELATIME)
    mount.attached = True
    FIRST_MOUNTS.enter(mount)
    path = Path(mount, mount.root)
    return FsContext(FIRST_MOUNTS, path, path, 0o022, credentials)


def require_administrator(context: FsContext) -> None:
    """Raise EPERM unless the context may change the tree that it sees."""
    if not context.credentials.capable_in(context.namespace.owner, CAP_SYS_ADMIN):
        raise Errno(EPERM)


def make_instance(
    context: FsContext,
    kind: FileSystemType,
    source: bytes,
    options: bytes,
    flags: int,
    opener: Credentials | None = None,
) -> FileSystem:
    """Create an instance of a type without a device, for a caller that may mount it. `opener` is whoever called
    fsopen(2). Raises EPERM, and what the type raises.
    """
    credentials = context.credentials
    if not kind.is_for_all and not credentials.capable(CAP_SYS_ADMIN):
        raise Errno(EPERM)
    make = kind.make_in_place
    make_for = kind.make_for
    if make_for is not None and opener is not None:
        made = make_for(context, opener, source, options)
    elif make is not None:
        if not credentials.capable_in(context.namespace.owner, CAP_SYS_ADMIN):
            raise Errno(EPERM)  # before it changes anything
        made = make(context, source, options)
    else:
        made = make_filesystem(kind.name, source, options)
    if not credentials.capable_in(made.ruler(), CAP_SYS_ADMIN):
        if made.mounts == 0:
            end_filesystem(made)
        raise Errno(EPERM)
    made.use(source, options)
    if _may_set_flags(credentials, made):
        made.take_flags(flags)
    return made


def _may_set_flags(credentials: Credentials, file_system: FileSystem) -> bool:
    """Whether the caller of mount(2) may set flags of the whole file system. The administrator of a user namespace may
    not, for a file system that all share.
    """
    return file_system.kept_root is None or credentials.capable_in(file_system.user_namespace, CAP_SYS_ADMIN)


def _seal_if_revealing(context: FsContext, file_system: FileSystem, mount: Mount) -> None:
    """A new mount of /proc or /sys in a namespace of less privilege must not reveal what is hidden there: a mount that
    shows all of it must exist, and the new one gets its locks. Raises EPERM.
    """
    if context.namespace.owner.level == 0 or not file_system.reveals:
        return
    for shown in context.namespace.mounts.values():
        pace(_LOOK_COST)
        if shown.file_system.type_name == file_system.type_name and _shows_all(shown, mount):
            if _stays_read_only(shown):
                mount.locks.flags |= MS_RDONLY
            mount.locks.times = shown.locks.times
            return
    raise Errno(EPERM)


def _stays_read_only(shown: Mount) -> bool:
    """Whether a mount is read-only in a way that its users cannot change."""
    return shown.locks.flags & MS_RDONLY != 0 or shown.file_system.read_only


def _shows_all(shown: Mount, fresh: Mount) -> bool:
    """Whether a mount shows all of its file system, and is not restricted where the new one is not."""
    if shown.root.parent is not None:
        return False
    if _stays_read_only(shown) and fresh.flags & MS_RDONLY == 0:
        return False
    if shown.locks.times and (shown.flags ^ fresh.flags) & TIME_FLAGS != 0:
        return False
    for child in shown.children.values():
        pace(_LOOK_COST)
        if child.locks.in_place and not _covers_nothing(child):
            return False
    return True


def _covers_nothing(mount: Mount) -> bool:
    """Whether a mount covers only a directory that has nothing to hide."""
    point = mount.mount_point
    inode = None if point is None else point.inode
    return inode is not None and inode.stays_empty()


def root_dentry(file_system: FileSystem) -> Dentry:
    """A dentry for the root of a file system that is mounted for the first time."""
    return Dentry(None, b"/", file_system.root())


def hold_instance(file_system: FileSystem, root: Dentry) -> Mount:
    """A mount without a place, which keeps an instance from ending until it is released. Raises MemoryError."""
    mount = Mount(file_system, root, 0)
    mount.acquire()
    return mount


def root_of(file_system: FileSystem) -> Dentry:
    """The root dentry of a file system that may be mounted already (devtmpfs): one tree of dentries each."""
    kept = file_system.kept_root
    if kept is not None:
        return kept
    top = file_system.tree_root
    return root_dentry(file_system) if top is None else top


def new_mount(context: FsContext, file_system: FileSystem, flags: int, root: Dentry | None = None) -> Mount:
    """A detached mount of an instance, with the dentry of its root if that is known. The caller has the lock of the
    tree. Raises EPERM if it would reveal what is hidden, MemoryError.
    """
    mount = Mount(file_system, root_of(file_system) if root is None else root, flags)
    mount.source = file_system.source
    try:
        _seal_if_revealing(context, file_system, mount)
        _show_part(file_system, mount)
    except (Errno, MemoryError):
        mount.forget()
        raise
    return mount


def _show_part(file_system: FileSystem, mount: Mount) -> None:
    """Make a mount show only a part of its file system, for types where that depends on the caller of mount(2). Raises
    ENOENT, MemoryError.
    """
    shown = mount.root
    for name in file_system.root_to_show():
        below = look_up_held(shown, name)
        if below is None:
            raise Errno(ENOENT)
        shown = below
    if shown is not mount.root:
        mount.show(shown)


def mount_filesystem(context: FsContext, file_system: FileSystem, at: Path, flags: int) -> Mount:
    """Attach a file system at a directory, which may be covered by others already."""
    namespace = context.namespace
    with TREE:
        at = place_for_mount(namespace, at)
        if at.dentry is at.mount.root and at.mount.file_system is file_system:
            raise Errno(EBUSY)  # the same file system on itself
        if not at.inode().is_directory():
            raise Errno(ENOTDIR)
        check_room(namespace, 1)
        check_memory(namespace)
        mount = new_mount(context, file_system, flags & MOUNT_FLAGS)
        mount.attach(at.mount, at.dentry)
        _propagate_or_detach(mount)
        return mount


def _propagate_or_detach(top: Mount) -> None:
    """A new tree was attached: propagate it to peers and slaves, or detach it again."""
    try:
        propagate(top)
    except (Errno, MemoryError):
        detach_tree(top)
        raise


def mount(
    context: FsContext, source: bytes, target: bytes, type_name: bytes | None, flags: int, options: bytes
) -> None:
    """mount(2), after its strings were read."""
    # Old programs put a magic number into the high half.
    if flags & 0xFFFF0000 == 0xC0ED0000:
        flags &= 0xFFFF
    at = resolve(context, None, target, FOLLOW)
    if flags & MS_NOUSER != 0:
        raise Errno(EINVAL)
    refuse_mounting(context.credentials)
    require_administrator(context)
    mount_flags = flags & MOUNT_FLAGS
    if flags & (MS_NOATIME | MS_STRICTATIME) == 0:
        mount_flags |= MS_RELATIME
    if flags & MS_NOATIME != 0:
        mount_flags &= ~MS_RELATIME
    if flags & MS_STRICTATIME != 0:
        mount_flags &= ~(MS_RELATIME | MS_NOATIME)
    with at:  # reading options and names may sleep
        if flags & MS_REMOUNT != 0:
            _remount(context, at, flags, mount_flags, options)
        elif flags & MS_BIND != 0:
            _bind(context, source, at, flags & MS_REC != 0)
        elif flags & _PROPAGATION != 0:
            _change_propagation_at(context, at, flags)
        elif flags & MS_MOVE != 0:
            _move(context, source, at)
        else:
            if type_name is None:
                raise Errno(EINVAL)
            _mount_new(context, source, at, type_name, flags, mount_flags, options)


def _mount_new(
    context: FsContext, source: bytes, at: Path, type_name: bytes, flags: int, mount_flags: int, options: bytes
) -> None:
    kind = find_type(type_name)
    if kind.has_subtypes and kind.name != type_name:
        if type_name.endswith(b"."):
            raise Errno(EINVAL)
        options = b"subtype=" + type_name[len(kind.name) + 1 :] + b"," + options
    check_right = kind.check_right
    if check_right is not None:
        check_right(context)
    sifted = sift(kind, source, flags, options)
    source = sifted.source
    flags = sifted.flags
    options = sifted.rest
    check_options = kind.check_options
    if check_options is not None:
        check_options(context, options)
    if not kind.needs_device:
        fresh = make_instance(context, kind, source, options, flags)
        mount_filesystem_checked(context, fresh, at, mount_flags)
        return
    if not context.credentials.capable(CAP_SYS_ADMIN):
        raise Errno(EPERM)
    device = find_block_device(context, source)
    file_system = filesystem_on(device, kind, source, options, flags)
    mount_filesystem_checked(context, file_system, at, mount_flags)


def mount_filesystem_checked(context: FsContext, file_system: FileSystem, at: Path, flags: int) -> None:
    """Mount an instance, which is shut down if it cannot be attached and nobody else has it mounted. Others may unmount
    it meanwhile.
    """
    try:
        held = hold_instance(file_system, root_of(file_system))
    except (Errno, MemoryError):
        if file_system.mounts == 0:
            end_filesystem(file_system)
        raise
    try:
        mount_filesystem(context, file_system, at, flags)
    finally:
        held.release()


def _require_root(at: Path) -> None:
    if at.dentry is not at.mount.root:
        raise Errno(EINVAL)


def _remount(context: FsContext, at: Path, flags: int, mount_flags: int, options: bytes) -> None:
    if at.mount.namespace is not context.namespace:
        raise Errno(EINVAL)
    _require_root(at)
    if flags & (TIME_FLAGS | MS_STRICTATIME) == 0:
        mount_flags = (mount_flags & ~TIME_FLAGS) | (at.mount.flags & TIME_FLAGS)
    if not at.mount.may_change_flags(mount_flags):
        raise Errno(EPERM)
    if flags & MS_BIND == 0:
        file_system = at.mount.file_system
        if not context.credentials.capable_in(file_system.user_namespace, CAP_SYS_ADMIN):
            raise Errno(EPERM)
        kind = known_type(file_system.type_name)
        if kind is not None:
            sifted = sift(kind, b"", flags & ~MS_DIRSYNC, options)
            flags = sifted.flags
            if flags & MS_DIRSYNC != 0:
                raise Errno(EINVAL)  # in the text; among the flags it means nothing
            options = sifted.rest
        change_instance(file_system, flags, options)
    elif mount_flags & ~at.mount.flags & MS_RDONLY != 0 and has_writers(at.mount):
        raise Errno(EBUSY)
    at.mount.set_flags(mount_flags)


def change_instance(file_system: FileSystem, flags: int, options: bytes) -> None:
    """Give an instance other flags, but for MS_DIRSYNC, and options. Raises EBUSY, EACCES, and what the type raises."""
    read_only = flags & MS_RDONLY != 0
    device = file_system.block_device
    if read_only:
        for keeper in KEEPERS:
            keeper.stop_writing(file_system.device)
    if read_only and not file_system.read_only and file_system.writers > 0:
        raise Errno(EBUSY)
    if not read_only and device is not None and device.read_only:
        raise Errno(EACCES)
    file_system.remount(read_only, options)
    file_system.is_synchronous = flags & MS_SYNCHRONOUS != 0
    file_system.keep_flags(flags)


def has_writers(mount_: Mount) -> bool:
    """Whether a file is open for writing through a mount, by others than the kernel's own keepers."""
    writers = mount_.writers
    for keeper in KEEPERS:
        writers -= keeper.held(mount_.identifier)
    return writers > 0


def _change_propagation_at(context: FsContext, at: Path, flags: int) -> None:
    """MS_SHARED, MS_PRIVATE, MS_SLAVE or MS_UNBINDABLE, perhaps for all mounts below as well. A descriptor may lead to
    a mount of another namespace: raises EPERM if the caller does not control that.
    """
    kind = flags & _PROPAGATION
    if flags & ~(_PROPAGATION | MS_REC | MS_SILENT) != 0 or kind not in (
        MS_SHARED, MS_PRIVATE, MS_SLAVE, MS_UNBINDABLE
    ):  # fmt: skip
        raise Errno(EINVAL)
    _require_root(at)
    namespace = at.mount.namespace
    if namespace is None:
        raise Errno(EINVAL)
    if not context.credentials.capable_in(namespace.owner, CAP_SYS_ADMIN):
        raise Errno(EPERM)
    with TREE:
        changed: list[Mount] = [at.mount]
        if flags & MS_REC != 0:
            changed = tree_of(at.mount)
        change_propagation(changed, kind)


def change_propagation(changed: list[Mount], kind: int) -> None:
    """Make mounts MS_SHARED, MS_PRIVATE, MS_SLAVE or MS_UNBINDABLE. The caller has the lock of the tree. Takes safe
    points. Raises MemoryError.
    """
    for mount in changed:
        pace(_CHANGE_COST)
        if mount.namespace is None:
            continue  # it was unmounted before
        if kind == MS_SHARED:
            share(mount)
        elif kind == MS_SLAVE:
            make_slave(mount)
        else:
            make_private(mount)
        if kind != MS_SLAVE or mount.group is None:
            mount.is_unbindable = kind == MS_UNBINDABLE


def adopt_group(context: FsContext, origin: Path, target: Path) -> None:
    """MOVE_MOUNT_SET_GROUP (move_mount(2)): a private mount becomes a peer of another of the same file system, and gets
    its master. What it shows must be visible through the other. Raises EINVAL; EPERM if the caller does not control the
    namespaces of both.
    """
    with TREE:
        _adopt_group(context, origin, target)


def _adopt_group(context: FsContext, origin: Path, target: Path) -> None:
    giver = origin.mount
    taker = target.mount
    giver_namespace = giver.namespace
    taker_namespace = taker.namespace
    if giver_namespace is None or taker_namespace is None:
        raise Errno(EINVAL)
    for namespace in (giver_namespace, taker_namespace):
        if not context.credentials.capable_in(namespace.owner, CAP_SYS_ADMIN):
            raise Errno(EPERM)
    _require_root(origin)
    _require_root(target)
    if giver.file_system is not taker.file_system or not shows(giver, taker.root):
        raise Errno(EINVAL)
    _require_no_locks(Path(giver, taker.root))
    if taker.group is not None or taker.master is not None:
        raise Errno(EINVAL)
    if giver.group is None and giver.master is None:
        raise Errno(EINVAL)
    inherit(taker, giver)
    if giver.group is not None:
        taker.is_unbindable = False  # what is shared can be bound


def _bind(context: FsContext, source: bytes, at: Path, recursive: bool) -> None:
    if len(source) == 0:
        raise Errno(EINVAL)
    origin = resolve(context, None, source, FOLLOW | ENTER)
    with origin:  # waiting for the lock sleeps
        kept = _hold_namespace(origin)
        try:
            with TREE:
                _bind_at(context, origin, at, recursive)
        finally:
            if kept is not None:
                kept.let_go()


def _bind_at(context: FsContext, origin: Path, at: Path, recursive: bool) -> None:
    at = place_for_mount(context.namespace, at)
    if origin.mount.namespace is not context.namespace and _namespace_of(origin) is None:
        raise Errno(EINVAL)
    kept = _namespace_of(origin)
    if isinstance(kept, MountNamespace) and kept.sequence <= context.namespace.sequence:
        raise Errno(EINVAL)  # they would keep each other alive
    if origin.mount.is_unbindable:
        raise Errno(EINVAL)
    inner: list[Mount] = []
    if recursive:
        inner = mounts_below(origin)
    else:
        _require_no_locks(origin)
    if origin.inode().is_directory() != at.inode().is_directory():
        raise Errno(ENOTDIR)
    if origin.dentry.deleted:
        raise Errno(ENOENT)
    check_room(context.namespace, 1 + len(inner))
    check_memory(context.namespace)
    copy = copy_of(origin.mount, is_peer=True, is_shared=False)
    copy.locks.in_place = False
    copy.show(origin.dentry)
    copy.attach(at.mount, at.dentry)
    _copy_inner(origin.mount, copy, inner)
    _propagate_or_detach(copy)


def _namespace_of(origin: Path) -> Namespace | None:
    """The namespace whose file it is, unless it is over: mounting the file keeps it alive."""
    inode = origin.inode()
    if not isinstance(inode, NamespaceInode) or inode.namespace.is_over():
        return None
    return inode.namespace


def _hold_namespace(origin: Path) -> Namespace | None:
    """The same, held: it must not end within the lock of the tree, where a mount of it may fail."""
    kept = _namespace_of(origin)
    if kept is not None:
        kept.hold()
    return kept


def clone_tree(context: FsContext, origin: Path, recursive: bool) -> MountNamespace:
    """open_tree(2): a detached copy of the mounts at a place, in a namespace of its own that nobody is in. Raises
    EPERM, EINVAL, MemoryError.
    """
    require_administrator(context)
    with origin:  # waiting for the lock sleeps
        kept = _hold_namespace(origin)
        try:
            with TREE:
                return _copy_apart(context, origin, recursive)
        finally:
            if kept is not None:
                kept.let_go()


def _copy_apart(context: FsContext, origin: Path, recursive: bool) -> MountNamespace:
    if origin.mount.namespace is not context.namespace and _namespace_of(origin) is None:
        raise Errno(EINVAL)
    if origin.mount.is_unbindable:
        raise Errno(EINVAL)
    inner: list[Mount] = []
    if recursive:
        inner = mounts_below(origin)
    else:
        _require_no_locks(origin)
    check_room(context.namespace, 1 + len(inner))
    check_memory(context.namespace)
    copy = copy_of(origin.mount, is_peer=True, is_shared=False)
    copy.locks.in_place = False
    copy.show(origin.dentry)
    namespace = keep_apart(context, copy)
    _copy_inner(origin.mount, copy, inner)
    return namespace


def _require_no_locks(origin: Path) -> None:
    """What is shown without the mounts below must not reveal what these hide. Raises EINVAL."""
    for child in origin.mount.children.values():
        pace(_LOOK_COST)
        point = child.mount_point
        if child.locks.in_place and point is not None and lies_below(point, origin.dentry):
            raise Errno(EINVAL)


def keep_apart(context: FsContext, top: Mount) -> MountNamespace:
    """Put a detached mount into a namespace that nobody is in. The caller has the lock of the tree. Raises MemoryError;
    then the mount is gone.
    """
    try:
        namespace = MountNamespace(context.namespace.owner)
        namespace.is_anonymous = True
        top.attached = True
        namespace.enter(top)
    except MemoryError:
        top.detach()
        raise
    return namespace


def _copy_inner(source: Mount, copy: Mount, inner: list[Mount]) -> None:
    """Copy what is mounted below a place to the copy of its mount; outer ones come first. Takes safe points. Raises
    EPERM, MemoryError; then the copy is detached.
    """
    try:
        copies: dict[Mount, Mount] = {source: copy}
        for each in inner:
            parent = each.parent
            point = each.mount_point
            new_parent = None if parent is None else copies.get(parent)
            if new_parent is None or point is None:
                continue
            if each.is_unbindable:
                if each.locks.in_place:
                    raise Errno(EPERM)
                continue
            if copy.namespace is not None:
                check_memory(copy.namespace)
            new = copy_of(each, is_peer=True, is_shared=False)
            attach_copy(new, new_parent, point)
            copies[each] = new
            pace(COPY_COST)
    except (Errno, MemoryError):
        detach_tree(copy)
        raise


def mounts_below(top: Path) -> list[Mount]:
    """All mounts at or below a place, each before those on it. The caller has the lock of the tree. Takes safe points.
    Raises MemoryError.
    """
    found: list[Mount] = []
    for each in top.mount.children.values():
        point = each.mount_point
        pace(_LOOK_COST)
        if point is not None and lies_below(point, top.dentry):
            for inner in tree_of(each):
                found.append(inner)
                pace(_LOOK_COST)
    return found


def _move(context: FsContext, source: bytes, at: Path) -> None:
    if len(source) == 0:
        raise Errno(EINVAL)
    origin = resolve(context, None, source, FOLLOW)
    if origin.mount.namespace is not context.namespace:
        raise Errno(EINVAL)
    with origin:  # waiting for the lock sleeps
        move_tree(context, origin, at)


def move_tree(context: FsContext, origin: Path, at: Path, *, beneath: bool = False) -> None:
    """Move a mount, with all below it, to another place in the caller's namespace: a mount of that namespace, or the
    top of a detached tree. With `beneath`, not onto what is mounted there last, but below it. Raises EINVAL, ENOENT,
    ELOOP, ENOSPC, MemoryError.
    """
    with TREE:
        _move_tree(context, origin, at, beneath)


def _move_tree(context: FsContext, origin: Path, at: Path, beneath: bool) -> None:
    namespace = context.namespace
    at = place_for_mount(namespace, at)
    moved = origin.mount
    old_namespace = moved.namespace
    old_parent = moved.parent
    old_point = moved.mount_point
    if origin.dentry is not moved.root or old_namespace is None or moved.locks.in_place:
        raise Errno(EINVAL)
    if old_parent is None or old_point is None:
        if not old_namespace.is_anonymous:
            raise Errno(EINVAL)
    elif old_namespace is not namespace or old_parent.group is not None:
        raise Errno(EINVAL)
    if moved.root_is_directory() != at.inode().is_directory():
        raise Errno(EINVAL)
    parent = at.mount
    if beneath:
        parent = _parent_to_share(context, moved, at)
    tree = tree_of(moved)
    if parent.group is not None:
        for each in tree:
            pace(_LOOK_COST)
            if each.is_unbindable:
                raise Errno(EINVAL)
    for each in tree:
        kept = mount_namespace_at(each)
        pace(_LOOK_COST)
        if kept is not None and kept.sequence <= namespace.sequence:
            raise Errno(ELOOP)
    if is_below(at, origin):
        raise Errno(ELOOP)
    if moved.root.deleted:
        raise Errno(ENOENT)
    if old_namespace is not namespace:
        check_room(namespace, len(tree))
    if beneath:
        moved.move_under(at.mount)
    else:
        moved.move(at.mount, at.dentry)
    try:
        for each in tree:
            each.change_namespace(namespace)
            pace(_CHANGE_COST)
        propagate(moved, at.mount if beneath else None, is_new=old_namespace is not namespace)
    except (Errno, MemoryError):
        if beneath:
            at.mount.take_place_of(moved)
        for each in tree:
            each.change_namespace(old_namespace)
            pace(_CHANGE_COST)
        if old_parent is not None and old_point is not None:
            moved.move(old_parent, old_point)
        else:
            moved.become_root()
        raise


def _parent_to_share(context: FsContext, moved: Mount, at: Path) -> Mount:
    """MOVE_MOUNT_BENEATH (move_mount(2)): the mount on which both the moved one and the one above it are to stand. That
    must not propagate to either of them: a copy of the moved one would come to lie on it. Raises EINVAL.
    """
    above = at.mount
    parent = above.parent
    point = above.mount_point
    if parent is None or point is None or at.dentry is not above.root or above.locks.in_place:
        raise Errno(EINVAL)
    if moved.root in moved.children or above is context.root.mount:
        raise Errno(EINVAL)
    if parent.parent is None and parent.file_system.type_name == b"rootfs":
        raise Errno(EINVAL)  # nothing comes between the first file system and what is mounted on it
    outer: Mount | None = moved
    while outer is not None:
        if outer is above:
            raise Errno(EINVAL)
        outer = outer.parent
    if _reaches(parent, above, point) or (moved.namespace is context.namespace and _reaches(parent, moved, point)):
        raise Errno(EINVAL)
    return parent


def _reaches(parent: Mount, mount: Mount, point: Dentry) -> bool:
    """Whether what is mounted on a place of `parent` is also mounted on the root of another mount, which then shows the
    same place: as a peer, or as a slave of peers.
    """
    if parent.group is None or mount.root is not point:
        return False
    if mount.group is parent.group:
        return True
    master = mount.master
    while master is not None:
        if master is parent.group:
            return True
        member = master.member
        master = None if member is None else member.master
    return False


def check_unmount_flags(flags: int) -> None:
    """Raise EINVAL for those that umount2(2) does not know."""
    if flags & ~(MNT_FORCE | MNT_DETACH | MNT_EXPIRE | UMOUNT_NOFOLLOW) != 0:
        raise Errno(EINVAL)


def unmount(context: FsContext, target: bytes, flags: int) -> None:
    """umount2(2); the flags have been checked."""
    follow = 0 if flags & UMOUNT_NOFOLLOW != 0 else FOLLOW
    at = top_at(resolve(context, None, target, follow))
    mount_ = at.mount
    mount_.entries -= 1  # unmounting does not count as use
    require_administrator(context)
    _require_root(at)
    _require_own(context, mount_)
    if flags & MNT_FORCE != 0 and not context.credentials.capable(CAP_SYS_ADMIN):
        raise Errno(EPERM)
    refuse_mounting(context.credentials)
    if flags & MNT_FORCE != 0:
        mount_.file_system.give_up()
    while True:
        if flags & MNT_DETACH == 0:
            wait_for_keepers(mount_)
        with TREE:
            if _unmount(context, mount_, flags):
                return
        leave_mount(mount_.identifier)


def _unmount(context: FsContext, mount_: Mount, flags: int) -> bool:
    """The same with the lock of the tree; False if a keeper has to leave first. Raises EINVAL, EBUSY, EAGAIN,
    MemoryError.
    """
    _require_own(context, mount_)
    if flags & MNT_EXPIRE != 0:
        if flags & (MNT_FORCE | MNT_DETACH) != 0 or mount_ is context.root.mount:
            raise Errno(EINVAL)
        if mount_.users > 0 or len(mount_.children) > 0:
            raise Errno(EBUSY)
        if mount_.expiry_mark != mount_.entries:
            mount_.expiry_mark = mount_.entries
            raise Errno(EAGAIN)
    if mount_.parent is None:
        raise Errno(EBUSY if flags & MNT_DETACH == 0 else EINVAL)
    copies = propagated(mount_)
    if flags & MNT_DETACH == 0:
        for each in copies:
            pace(_LOOK_COST)
            if each.users > 0 and len(each.children) == 0:
                raise Errno(EBUSY)
    held = 0
    for keeper in KEEPERS:
        held += keeper.held(mount_.identifier)
    if flags & MNT_DETACH == 0 and (mount_.users > held + mount_.keepers or len(mount_.children) > 0):
        raise Errno(EBUSY)
    if held > 0 or (flags & MNT_DETACH == 0 and mount_.keepers > 0):
        return False
    direct = len(copies)
    if flags & MNT_DETACH == 0:
        mount_.detach()
    else:
        for each in tree_of(mount_):
            if each is not mount_:
                for copy in propagated(each):
                    copies.append(copy)
                    pace(_LOOK_COST)
        detach_tree(mount_)
    going: dict[Mount, bool] = {}
    for index in range(len(copies)):
        if index < direct:
            copies[index].locks.in_place = False  # what it hides is visible in the other tree now
        going[copies[index]] = True
        pace(_ENTER_COST)
    for index in range(len(copies) - 1, -1, -1):  # inner ones first
        pace(_LOOK_COST)
        each = copies[index]
        if each.attached and not each.locks.in_place and _goes_whole(each, going):
            detach_tree(each)
    return True


def _require_own(context: FsContext, mount_: Mount) -> None:
    """Raise EINVAL unless a mount is in the caller's namespace, which may unmount it."""
    if mount_.namespace is not context.namespace or mount_.locks.in_place:
        raise Errno(EINVAL)


def _goes_whole(top: Mount, going: dict[Mount, bool]) -> bool:
    """Whether all mounts below go as well: those locked to a parent go only together with it."""
    for each in tree_of(top):
        pace(_LOOK_COST)
        if each is not top and (not each.locks.in_place or each not in going):
            return False
    return True


def pivot_root(context: FsContext, new: Path, old: Path) -> Path:
    """pivot_root(2): what is mounted on the caller's root moves to `old`, and the new root takes its place: the top
    of the tree, or a mount point, one over the first root for example. Returns what the root was, pinned; the caller
    moves the processes.
    """
    refuse_mounting(context.credentials)
    with old:
        with TREE:
            return _pivot(context, new, old).pin()


def _pivot(context: FsContext, new: Path, old: Path) -> Path:
    root = context.root
    namespace = context.namespace
    old = place_for_mount(namespace, old)
    if new.mount.namespace is not namespace or root.mount.namespace is not namespace:
        raise Errno(EINVAL)
    if new.mount is root.mount or old.mount is root.mount:
        raise Errno(EBUSY)
    parent = new.mount.parent
    if new.dentry is not new.mount.root or root.dentry is not root.mount.root or parent is None:
        raise Errno(EINVAL)
    if new.mount.locks.in_place:
        raise Errno(EINVAL)
    above = root.mount.parent
    if old.mount.group is not None or parent.group is not None or (above is not None and above.group is not None):
        raise Errno(EINVAL)
    if not is_below(old, new) or not is_below(new, root):
        raise Errno(EINVAL)
    new.mount.trade_places(root.mount, old.mount, old.dentry)
    new.mount.locks.in_place = root.mount.locks.in_place
    root.mount.locks.in_place = False
    return root
