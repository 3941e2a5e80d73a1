"""Creating, removing and renaming names: mkdir(2), mknod(2), link(2), symlink(2), unlink(2), rmdir(2), rename(2).

The file systems' operations do the work; here are the walks, the permission checks and the order of errors.
"""

from kernel.cgroup.programs import DEVICE_PROGRAMS
from kernel.fs.access_control import Inheritance, inherit
from kernel.fs.constants import (
    FS_APPEND_FL,
    FS_UNCHANGEABLE,
    MAY_EXEC,
    MAY_WRITE,
    PATH_MAX,
    RENAME_EXCHANGE,
    RENAME_NOREPLACE,
    RENAME_WHITEOUT,
    S_IFBLK,
    S_IFCHR,
    S_IFDIR,
    S_IFIFO,
    S_IFLNK,
    S_IFMT,
    S_IFREG,
    S_IFSOCK,
    S_ISVTX,
)
from kernel.fs.dentry import CACHE, Dentry
from kernel.fs.device_guard import check_making
from kernel.fs.inode import Inode
from kernel.fs.landlock import (
    REMOVE_DIR,
    REMOVE_FILE,
    check_moving,
    check_new_link,
    creation_right,
    require,
)
from kernel.fs.mount_tree import detach_all_at, is_mount_point
from kernel.fs.notification import (
    IN_ATTRIB,
    IN_DELETE,
    IN_ISDIR,
    IN_MOVE_SELF,
    TELL_COST,
    WATCHES,
    tell_created,
    tell_inode,
    tell_moved,
    tell_name,
)
from kernel.fs.open import create_in
from kernel.fs.path import FsContext, Path
from kernel.fs.peers import lies_below
from kernel.fs.protections import may_link
from kernel.fs.walk import (
    LAST_DOT,
    LAST_DOT_DOT,
    LAST_NORMAL,
    Walk,
    give_back,
    look_up_held,
    reserve,
    resolve_parent,
    settle,
)
from kernel.lang import (
    EBUSY,
    EEXIST,
    EINVAL,
    EISDIR,
    ENAMETOOLONG,
    ENOENT,
    ENOTDIR,
    ENOTEMPTY,
    EOVERFLOW,
    EPERM,
    EXDEV,
    Errno,
    final,
    inline,
    noinline,
)
from kernel.lib.capabilities import CAP_FOWNER, CAP_MKNOD
from kernel.lib.credentials import Actor, sees_owners
from kernel.lib.pace import pace


def check_free(walk: Walk, for_directory: bool) -> None:
    """Check that the last component of a walk, whose names are held, is free where names can be created."""
    child = look_up_held(walk.dentry, walk.last)
    if child is not None:
        raise Errno(EEXIST)
    walk.check_open_ended()
    if walk.trailing_slash and not for_directory:
        raise Errno(ENOENT)
    walk.mount.require_writable()


@inline
def check_domain(walk: Walk, right: int) -> None:
    """Raise EACCES unless the thread's domain grants it a right (landlock.py) to a directory."""
    credentials = walk.context.credentials
    if credentials.domain is not None:
        require(credentials, walk.mount, walk.dentry, right)


def _prepare_creation(walk: Walk, mode: int, rdev: int = 0) -> Inode:
    """The same for a file of a type; also checks that the user may create it. Returns the directory's inode."""
    check_free(walk, mode & S_IFMT == S_IFDIR)
    check_domain(walk, creation_right(mode, rdev))
    directory = walk.directory()
    directory.check_creation(_actor(walk))
    return directory


@inline
def _actor(walk: Walk) -> Actor:
    """The caller, as the file system at a walk knows it. Raises MemoryError."""
    return walk.mount.actor(walk.context.credentials)


def walk_to_new(context: FsContext, base: Path | None, name: bytes) -> Walk:
    """Walk to where a name is to be created."""
    walk = resolve_parent(context, base, name)
    if walk.kind != LAST_NORMAL:
        raise Errno(EEXIST)
    return walk


def _hold_new_name(context: FsContext, base: Path | None, name: bytes) -> Walk:
    """The same, and hold the names there."""
    walk = walk_to_new(context, base, name)
    walk.hold_names()
    return walk


def name_created(directory: Inode, place: Dentry, inode: Inode) -> None:
    """The name of a reserved dentry was created in a directory: it leads to `inode`, and watchers are notified."""
    settle(place, inode)
    tell_created(directory, place)


def make_node(context: FsContext, base: Path | None, name: bytes, mode: int, rdev: int) -> Path:
    """mknod(2): a regular file, device, FIFO or socket."""
    kind = kind_to_make(mode)
    walk = walk_to_new(context, base, name)
    if DEVICE_PROGRAMS.count != 0 and (kind == S_IFCHR or kind == S_IFBLK):
        return _make_asked(walk, kind | mode & 0o7777, rdev)
    return _make_node_at(walk, kind | mode & 0o7777, rdev)


def make_node_unasked(context: FsContext, base: Path | None, name: bytes, mode: int, rdev: int) -> Path:
    """The same without asking programs about devices: for a file system stacked on another, which holds names; the
    programs ran when the node was created above.
    """
    return _make_node_at(walk_to_new(context, base, name), kind_to_make(mode) | mode & 0o7777, rdev)


def kind_to_make(mode: int) -> int:
    """The type of file that mknod(2) should create. Raises EPERM, EINVAL."""
    kind = mode & S_IFMT
    if kind == 0:
        kind = S_IFREG
    if kind == S_IFDIR:
        raise Errno(EPERM)
    if kind not in (S_IFREG, S_IFCHR, S_IFBLK, S_IFIFO, S_IFSOCK):
        raise Errno(EINVAL)
    return kind


@noinline
def _make_asked(walk: Walk, mode: int, rdev: int) -> Path:
    """The same for a device, if the programs of the thread's control group permit that. They take safe points, so no
    names are held meanwhile, and everything is checked again afterwards. Raises EPERM, MemoryError.
    """
    with walk.path():
        walk.hold_names()
        try:
            _prepare_node(walk, mode, rdev)
        finally:
            walk.let_names_go()
        check_making(mode, rdev)
        if walk.dentry.deleted:
            raise Errno(ENOENT)
        return _make_node_at(walk, mode, rdev)


def _prepare_node(walk: Walk, mode: int, rdev: int) -> Inode:
    """`_prepare_creation` for mknod(2)."""
    directory = _prepare_creation(walk, mode, rdev)
    kind = mode & S_IFMT
    is_whiteout = kind == S_IFCHR and rdev == 0
    if (kind == S_IFCHR or kind == S_IFBLK) and not is_whiteout and not walk.context.credentials.capable(CAP_MKNOD):
        raise Errno(EPERM)
    return directory


def _make_node_at(walk: Walk, mode: int, rdev: int) -> Path:
    """The same at the end of a walk, once all programs have been asked."""
    walk.hold_names()
    try:
        directory = _prepare_node(walk, mode, rdev)
        place = reserve(walk.dentry, walk.last)
        try:
            path = Path(walk.mount, place)
            name_created(
                directory, place, create_in(walk.context, _actor(walk), directory, walk.last, mode, rdev, opens=False)
            )
            return path
        finally:
            give_back(place)
    finally:
        walk.let_names_go()


def make_directory(context: FsContext, base: Path | None, name: bytes, mode: int) -> Path:
    """mkdir(2)."""
    walk = _hold_new_name(context, base, name)
    try:
        directory = _prepare_creation(walk, S_IFDIR)
        inherited = inherit(context, directory, S_IFDIR | mode & (0o777 | S_ISVTX))
        place = reserve(walk.dentry, walk.last)
        try:
            path = Path(walk.mount, place)
            name_created(directory, place, _create_directory(_actor(walk), directory, walk.last, inherited))
            return path
        finally:
            give_back(place)
    finally:
        walk.let_names_go()


def _create_directory(actor: Actor, directory: Inode, name: bytes, inherited: Inheritance) -> Inode:
    """Create a directory with what it inherits."""
    inode = directory.create(name, inherited.mode, 0, actor)
    try:
        inherited.give(inode)
    except (Errno, MemoryError):
        directory.remove_directory(name, inode)
        raise
    return inode


def make_symlink(context: FsContext, base: Path | None, name: bytes, target: bytes) -> None:
    """symlink(2)."""
    if len(target) == 0:
        raise Errno(ENOENT)
    if len(target) >= PATH_MAX:
        raise Errno(ENAMETOOLONG)
    walk = _hold_new_name(context, base, name)
    try:
        directory = _prepare_creation(walk, S_IFLNK)
        place = reserve(walk.dentry, walk.last)
        try:
            name_created(directory, place, directory.create_symlink(walk.last, target, _actor(walk)))
        finally:
            give_back(place)
    finally:
        walk.let_names_go()


def make_link(context: FsContext, old: Path, base: Path | None, name: bytes) -> None:
    """link(2): one more name for the file at `old`."""
    inode = old.inode()
    inode.acquire()
    try:
        if inode.file_system.stack_depth != 0:
            _prepare_link(context, inode, base, name)
        walk = _hold_new_name(context, base, name)
        try:
            check_free(walk, for_directory=False)
            if walk.mount is not old.mount:
                raise Errno(EXDEV)
            actor = _actor(walk)
            if not may_link(actor, inode):
                raise Errno(EPERM)
            if context.credentials.domain is not None:
                check_new_link(context.credentials, walk.mount, old.dentry, walk.dentry)
            directory = walk.directory()
            directory.check_creation(actor)
            if inode.is_directory() or inode.flags & FS_UNCHANGEABLE != 0:
                raise Errno(EPERM)
            if inode.nlink == 0 and not (old.dentry.deleted and old.dentry.name.startswith(b"#")):
                raise Errno(ENOENT)
            place = reserve(walk.dentry, walk.last)
            try:
                directory.link(walk.last, inode)
                tell_inode(inode, IN_ATTRIB)
                name_created(directory, place, inode)
            finally:
                give_back(place)
        finally:
            walk.let_names_go()
    finally:
        inode.release()


def _victim(walk: Walk, child: Dentry) -> Inode:
    """The inode of a name to be removed, after checking that the caller may remove it."""
    inode = child.inode
    if inode is None:
        raise Errno(ENOENT)
    check_removal(_actor(walk), walk.directory(), inode)
    return inode


def check_removal(actor: Actor, directory: Inode, inode: Inode) -> None:
    """Check that a name of `inode` in `directory` may be removed: write permission, flags, and the sticky bit's
    rule. Raises EACCES, EPERM; EOVERFLOW if the inode's owners are nobody through the mount.
    """
    if not sees_owners(actor, inode.uid, inode.gid):
        raise Errno(EOVERFLOW)
    directory.check_permission(actor, MAY_WRITE | MAY_EXEC)
    if directory.flags & FS_APPEND_FL != 0 or inode.flags & FS_UNCHANGEABLE != 0 or inode.is_swap_area:
        raise Errno(EPERM)
    is_owner = actor.fsuid == inode.uid or actor.fsuid == directory.uid
    if directory.mode & S_ISVTX != 0 and not is_owner and not inode.yields_to(actor, CAP_FOWNER):
        raise Errno(EPERM)


def unlink(context: FsContext, base: Path | None, name: bytes) -> None:
    """unlink(2)."""
    walk = resolve_parent(context, base, name)
    if walk.kind != LAST_NORMAL:
        raise Errno(EISDIR)
    walk.mount.require_writable()
    removed: Inode | None = None
    gone: Dentry | None = None
    walk.hold_names()
    try:
        child = look_up_held(walk.dentry, walk.last)
        if child is None:
            raise Errno(ENOENT)
        inode = child.inode
        if walk.trailing_slash and inode is not None:
            raise Errno(EISDIR if inode.is_directory() else ENOTDIR)
        check_domain(walk, REMOVE_FILE)
        inode = _victim(walk, child)
        if inode.is_directory():
            raise Errno(EISDIR)
        _require_no_mount(context, child)
        removed = _keep(inode)
        walk.directory().unlink(walk.last, inode)
        _forget(child)
        gone = child
        tell_inode(inode, IN_ATTRIB)
    finally:
        walk.let_names_go()
        _let_go(removed)
    if gone is not None and gone.mounts is not None:
        detach_all_at(gone)
    if WATCHES.count != 0:
        pace(TELL_COST)
        tell_name(walk.directory(), IN_DELETE, walk.last, 0, inode)


@inline
def _require_no_mount(context: FsContext, child: Dentry) -> None:
    """Raise EBUSY for a name on which something is mounted in the caller's namespace. Mounts in other namespaces do not
    keep the name: they go with it.
    """
    if child.mounts is not None and is_mount_point(child, context.namespace):
        raise Errno(EBUSY)


def _keep(inode: Inode) -> Inode:
    """Let an inode outlive its last name until `_let_go`, which runs after the lock of names was released, and the name
    has left the cache: freeing what a large file holds takes long. Watchers are notified of the end then.
    """
    inode.acquire()
    return inode


def _let_go(inode: Inode | None) -> None:
    if inode is not None:
        inode.release()


def remove_directory(context: FsContext, base: Path | None, name: bytes) -> None:
    """rmdir(2)."""
    walk = resolve_parent(context, base, name)
    if walk.kind == LAST_DOT:
        raise Errno(EINVAL)
    if walk.kind == LAST_DOT_DOT:
        raise Errno(ENOTEMPTY)
    if walk.kind != LAST_NORMAL:
        raise Errno(EBUSY)
    walk.mount.require_writable()
    removed: Inode | None = None
    gone: Dentry | None = None
    walk.hold_names()
    try:
        child = look_up_held(walk.dentry, walk.last)
        if child is None:
            raise Errno(ENOENT)
        check_domain(walk, REMOVE_DIR)
        inode = _victim(walk, child)
        if not inode.is_directory():
            raise Errno(ENOTDIR)
        _require_no_mount(context, child)
        removed = _keep(inode)
        if not inode.is_empty():
            raise Errno(ENOTEMPTY)
        walk.directory().remove_directory(walk.last, inode)
        _forget(child)
        CACHE.forget_children(child)
        gone = child
    finally:
        walk.let_names_go()
        _let_go(removed)
    if gone is not None and gone.mounts is not None:
        detach_all_at(gone)
    if WATCHES.count != 0:
        pace(TELL_COST)
        tell_name(walk.directory(), IN_DELETE | IN_ISDIR, walk.last, 0, inode)


def take_back(path: Path) -> None:
    """Remove a node that the caller has just created (`make_node`), by the name it has now. Needs no memory where the
    file system needs none. Sleeps. Raises what unlinking raises.
    """
    file_system = path.mount.file_system
    with path:
        if not file_system.sleeps:
            _take_back_held(path)
            return
        file_system.hold_names()
        try:
            _take_back_held(path)
        finally:
            file_system.let_names_go()


def _take_back_held(path: Path) -> None:
    """The same, while the file system's names are held."""
    place = path.dentry
    parent = place.parent
    directory = parent.inode if parent is not None else None
    if directory is None or place.deleted:
        return
    inode = path.inode()
    directory.unlink(place.name, inode)
    _forget(place)
    if WATCHES.count != 0:
        tell_name(directory, IN_DELETE, place.name, 0, inode)


def _forget(child: Dentry) -> None:
    child.deleted = True
    CACHE.detach(child)


def check_rename_flags(flags: int) -> None:
    """Raise EINVAL for flags that renameat2(2) does not know, or that exclude each other: before it looks at names."""
    if flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT) != 0:
        raise Errno(EINVAL)
    if flags & RENAME_EXCHANGE != 0 and flags != RENAME_EXCHANGE:
        raise Errno(EINVAL)


def rename(
    context: FsContext, old_base: Path | None, old_name: bytes, new_base: Path | None, new_name: bytes, flags: int
) -> None:
    """rename(2), renameat2(2), with flags that `check_rename_flags` has passed."""
    source = resolve_parent(context, old_base, old_name)
    target = resolve_parent(context, new_base, new_name)
    if source.mount is not target.mount:
        raise Errno(EXDEV)
    if source.kind != LAST_NORMAL:
        raise Errno(EBUSY)
    if target.kind != LAST_NORMAL:
        raise Errno(EEXIST if flags & RENAME_NOREPLACE != 0 else EBUSY)
    source.mount.require_writable()
    if source.mount.file_system.stack_depth != 0:
        _prepare_move(source)
        if flags & RENAME_EXCHANGE != 0:
            _prepare_move(target)
    target.pin()
    replaced: Inode | None = None
    change = _Change(source, target) if WATCHES.count != 0 else None
    try:
        source.hold_names()
        try:
            if target.dentry.deleted and target.mount.file_system.sleeps:
                raise Errno(ENOENT)
            replaced = _rename_held(context, source, target, flags, change)
        finally:
            source.let_names_go()
        if change is not None:
            change.tell()
    finally:
        target.unpin()
        if change is not None:
            change.let_go()
        _let_go(replaced)


@noinline
def _prepare_move(walk: Walk) -> None:
    """Copy what a move may have to copy before names are held, for which others wait. Refusals come later. Raises what
    copying raises.
    """
    try:
        child = walk.look_up(walk.last)
        inode = None if child is None else child.inode
        if inode is None:
            return
        check_removal(_actor(walk), walk.directory(), inode)
    except Errno:
        return
    inode.acquire()
    try:
        inode.prepare_move()
    finally:
        inode.release()


@noinline
def _prepare_link(context: FsContext, inode: Inode, base: Path | None, name: bytes) -> None:
    """The same for a file that gets one more name."""
    try:
        walk = resolve_parent(context, base, name)
        if walk.kind != LAST_NORMAL:
            return
        actor = _actor(walk)
        walk.directory().check_creation(actor)
        if not may_link(actor, inode) or walk.look_up(walk.last) is not None:
            return
    except Errno:
        return
    inode.prepare_move()


@final
class _Change:
    """What a rename has done. Watchers are notified once no names are held, because there may be many; the inodes are
    held until then.
    """

    def __init__(self, source: Walk, target: Walk) -> None:
        self.source: Walk = source
        self.target: Walk = target
        self.inode: Inode | None = None
        self.replaced: Inode | None = None
        self.is_exchange: bool = False
        self.directory: Inode | None = None  # of the source
        self.new_directory: Inode | None = None

    def hold_replaced(self, replaced: Inode | None) -> None:
        """Called before the name changes: what it leads to may lose its last name, and would end."""
        self.replaced = None if replaced is None else _held(replaced)

    def hold(self, inode: Inode, is_exchange: bool) -> None:
        """Record that `inode` now has the name of what is replaced, and perhaps the other way round."""
        self.inode = _held(inode)
        self.is_exchange = is_exchange
        self.directory = _held(self.source.directory())
        self.new_directory = _held(self.target.directory())

    def tell(self) -> None:
        """Notify watchers. Sleeps."""
        inode = self.inode
        replaced = self.replaced
        directory = self.directory
        new_directory = self.new_directory
        if inode is None or directory is None or new_directory is None:
            return
        old_name = self.source.last
        new_name = self.target.last
        tell_moved(directory, old_name, new_directory, new_name, inode)
        if replaced is not None and not self.is_exchange:
            tell_inode(replaced, IN_ATTRIB)
            pace(TELL_COST)
        tell_inode(inode, IN_MOVE_SELF)
        pace(TELL_COST)
        if replaced is not None and self.is_exchange:
            tell_moved(new_directory, new_name, directory, old_name, replaced)
            tell_inode(replaced, IN_MOVE_SELF)
            pace(TELL_COST)

    def let_go(self) -> None:
        """Undo `hold_replaced` and `hold`, if there were any. May sleep."""
        _let_go(self.inode)
        _let_go(self.replaced)
        _let_go(self.directory)
        _let_go(self.new_directory)


def _held(inode: Inode) -> Inode:
    inode.acquire()
    return inode


def _rename_held(context: FsContext, source: Walk, target: Walk, flags: int, change: _Change | None) -> Inode | None:
    """rename(2), with the names of both places held. Returns what was replaced, if it is to be let go (`_keep`)."""
    child = look_up_held(source.dentry, source.last)
    if child is None:
        raise Errno(ENOENT)
    inode = child.inode
    if inode is None:
        raise Errno(ENOENT)
    other = look_up_held(target.dentry, target.last)
    if other is None:
        target.check_open_ended()
    if other is not None and flags & RENAME_NOREPLACE != 0:
        raise Errno(EEXIST)
    if flags & RENAME_EXCHANGE != 0:
        if other is None:
            raise Errno(ENOENT)
        if not other.is_directory() and target.trailing_slash:
            raise Errno(ENOTDIR)
    if not inode.is_directory() and (source.trailing_slash or (target.trailing_slash and flags & RENAME_EXCHANGE == 0)):
        raise Errno(ENOTDIR)
    # A directory cannot move below itself; nor can its own ancestor be replaced.
    if lies_below(target.dentry, child):
        raise Errno(EINVAL)
    if other is not None and lies_below(source.dentry, other):
        raise Errno(EINVAL if flags & RENAME_EXCHANGE != 0 else ENOTEMPTY)
    replaced = other.inode if other is not None else None
    if context.credentials.domain is not None:
        exchanged = other if flags & RENAME_EXCHANGE != 0 else None
        leaves_whiteout = flags & RENAME_WHITEOUT != 0
        check_moving(context.credentials, source.mount, child, target.dentry, replaced, exchanged, leaves_whiteout)
    if replaced is inode or (replaced is not None and _is_same(source.directory(), inode, replaced)):
        return None
    _check_rename(source, inode, target, replaced, flags)
    has_fixed_names = source.mount.file_system.has_fixed_names
    if not source.directory().moves_names() and not has_fixed_names:
        raise Errno(EPERM)
    _require_no_mount(context, child)
    if other is not None:
        _require_no_mount(context, other)
    if has_fixed_names:
        raise Errno(EPERM if flags == 0 else EINVAL)
    if change is not None:
        change.hold_replaced(replaced)
    if other is not None and replaced is not None and flags & RENAME_EXCHANGE != 0:
        source.directory().exchange(source.last, inode, target.directory(), target.last, replaced)
        _exchange_dentries(child, other)
        if change is not None:
            change.hold(inode, is_exchange=True)
        return None
    if replaced is not None and replaced.is_directory() and not replaced.is_empty():
        raise Errno(ENOTEMPTY)
    place = CACHE.reserve(target.dentry, target.last)
    kept = _keep(replaced) if replaced is not None else None
    done = False
    try:
        if flags & RENAME_WHITEOUT != 0:  # nobody is notified of it, and the cache finds it like any other name
            source.directory().rename_leaving_whiteout(
                source.last, inode, target.directory(), target.last, replaced, _actor(source)
            )
        else:
            source.directory().rename(source.last, inode, target.directory(), target.last, replaced)
        _move_dentry(child, place)
        if change is not None:
            change.hold(inode, is_exchange=False)
        if place.mounts is not None:
            detach_all_at(place)
        done = True
    finally:
        give_back(place)
        if not done:
            _let_go(kept)
    return kept


def _is_same(directory: Inode, inode: Inode, other: Inode) -> bool:
    """Whether two look-ups in a directory that makes a new inode for each (procfs) have found the same file."""
    return not directory.caches_children and other.file_system is inode.file_system and other.ino == inode.ino


def _check_rename(source: Walk, inode: Inode, target: Walk, replaced: Inode | None, flags: int) -> None:
    actor = _actor(source)  # both are on one mount
    check_removal(actor, source.directory(), inode)
    destination = target.directory()
    if replaced is None:
        destination.check_creation(actor)
    else:
        check_removal(actor, destination, replaced)
        if flags & RENAME_EXCHANGE == 0:
            if inode.is_directory() and not replaced.is_directory():
                raise Errno(ENOTDIR)
            if replaced.is_directory() and not inode.is_directory():
                raise Errno(EISDIR)
    if source.dentry is target.dentry:
        return
    # Moving a directory changes its "..", so it must be writable itself.
    if inode.is_directory():
        inode.check_permission(actor, MAY_WRITE)
    if flags & RENAME_EXCHANGE != 0 and replaced is not None and replaced.is_directory():
        replaced.check_permission(actor, MAY_WRITE)


def _move_dentry(child: Dentry, place: Dentry) -> None:
    """Make the name of `place` lead to the file of `child`. Raises nothing: the name has changed on the disk."""
    place.deleted = True
    if child.cached and place.cached:
        CACHE.move(child, place)
    else:
        CACHE.detach(place)
        child.name = place.name
        child.parent = place.parent
    CACHE.forget_children(place)  # last: it takes safe points


def _exchange_dentries(first: Dentry, second: Dentry) -> None:
    """Exchange two names. Raises nothing."""
    if first.cached and second.cached:
        CACHE.exchange(first, second)
        return
    # The cache forgot one of them meanwhile: look up both again.
    CACHE.detach(first)
    CACHE.detach(second)
    first_parent = first.parent
    first_name = first.name
    first.parent = second.parent
    first.name = second.name
    second.parent = first_parent
    second.name = first_name
