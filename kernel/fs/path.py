"""Mounts, paths and the file context of a process (path_resolution(7), mount(2), chroot(2)).

A `Path` is a place in the tree: a dentry seen through a mount. A long-lived path (working directory, root, open file)
is pinned, so that the mount counts as busy and the dentry cache keeps the dentry.

A mount belongs to a mount namespace as long as it is attached. Invariant: for every mount but the first of its
namespace, `parent.children[mount_point] is mount` until it is detached, and it is in the chain of `mount_point`.
"""

from typing import Final

from kernel.fs.constants import (
    FS_NOATIME_FL,
    MS_NOATIME,
    MS_NODEV,
    MS_NODIRATIME,
    MS_NOEXEC,
    MS_NOSUID,
    MS_NOSYMFOLLOW,
    MS_RDONLY,
    MS_RELATIME,
    PROC_SUPER_MAGIC,
    SYSFS_MAGIC,
)
from kernel.fs.dentry import CACHE, Dentry
from kernel.fs.filesystem import FileSystem
from kernel.fs.inode import Inode
from kernel.fs.marks import Mark
from kernel.fs.mount_keepers import leave_mount_soon
from kernel.fs.mount_lock import TREE
from kernel.fs.notification import tell_file_system_ended, tell_mount_ended
from kernel.fs.peers import PeerGroup, make_private
from kernel.lang import EINVAL, EROFS, Errno, final, inline, noraise, panic, recursion
from kernel.lib.credentials import Actor, Credentials, acting_through
from kernel.lib.ids import NO_GROUP, NO_USER, KernelGid, KernelUid
from kernel.lib.linked import Links
from kernel.lib.namespace import CLONE_NEWNS, FIRST_USER, Namespace, UserNamespace, count_no_more, next_number
from kernel.lib.owner_map import OwnerMap
from kernel.lib.pace import pace, spend
from kernel.sched import WaitQueue, current_thread
from kernel.time import coarse_realtime_ns

TIME_FLAGS: Final = MS_NOATIME | MS_NODIRATIME | MS_RELATIME
_LOCKABLE: Final = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC
MOUNT_FLAGS: Final = _LOCKABLE | MS_NOSYMFOLLOW | TIME_FLAGS
_LEAVE_COST: Final = 50  # instructions
_DEPART_COST: Final = 1000
_TELL_COST: Final = 50_000
_DAY_NS: Final = 24 * 3600 * 1_000_000_000

_next_mount_id: int = 1


@final
class MountLocks:
    """What the administrator of another user namespace has set: one of this namespace must not undo it."""

    def __init__(self) -> None:
        self.in_place: bool = False  # the mount hides what is below it
        self.flags: int = 0  # of MS_RDONLY, MS_NOSUID, MS_NODEV and MS_NOEXEC
        self.times: bool = False  # MS_NOATIME, MS_NODIRATIME and MS_RELATIME stay as they are


class Mount:
    """One file system, or a directory of it, attached to the tree."""

    slave_links: Links["Mount"]  # of the same master; of those that have left the tree (mount_lock.py)

    def __init__(self, file_system: FileSystem, root: Dentry, flags: int) -> None:
        global _next_mount_id
        self.identifier: int = _next_mount_id
        _next_mount_id += 1
        self.file_system: FileSystem = file_system
        self.source: bytes | None = None  # where each mount of one file system has a name of its own
        self.root: Dentry = root
        self.flags: int = flags
        self.owners: OwnerMap | None = None  # of an id-mapped mount; stays once it is set
        self.parent: Mount | None = None
        self.mount_point: Dentry | None = None
        self.children: dict[Dentry, Mount] = {}
        self.next_there: Mount | None = None  # of all that are mounted on the mount point, in whatever namespace
        self.previous_there: Mount | None = None
        self.users: int = 0  # pinned paths, and keepers
        self.writers: int = 0  # open descriptions of regular files that may write
        self.keepers: int = 0  # threads that write its file system out: unmounting waits; the mount is not busy
        self.attached: bool = False
        self.is_gone: bool = False  # and it has no users any more
        self.outer: Mount | None = None  # released after it
        self.namespace: MountNamespace | None = None  # while it is attached
        self.entries: int = 0  # walks that entered, for MNT_EXPIRE
        self.expiry_mark: int = -1  # how many there were at the first MNT_EXPIRE
        self.is_unbindable: bool = False
        self.group: PeerGroup | None = None  # mounts that show the same
        self.next_peer: Mount | None = None  # of its group, which is a ring
        self.previous_peer: Mount | None = None
        self.master: PeerGroup | None = None  # from which it receives
        self.is_internal: bool = False  # pipes, sockets and the like: no place in the tree
        self.marks: list[Mark] | None = None  # of fanotify's groups, on events through it
        self.locks: MountLocks = MountLocks()
        if file_system.mounts == 0:
            file_system.tree_root = root
        file_system.mounts += 1
        _show_root(root)

    def require_writable(self) -> None:
        """Raise EROFS if the mount or its file system is read-only."""
        if self.flags & MS_RDONLY != 0 or self.file_system.read_only:
            raise Errno(EROFS)

    def require_changeable(self) -> None:
        """The same for what a name has led to: EIO if its file system was aborted."""
        self.require_writable()
        self.file_system.check_alive()

    # Who is who through the mount ------------------------------------------------------------------------------

    @inline
    def actor(self, who: Credentials) -> Actor:
        """Credentials as the file system knows them: what checks of its files take. Raises MemoryError."""
        owners = self.owners
        return Actor(who) if owners is None else acting_through(owners, who)

    def seen_uid(self, kept: KernelUid) -> KernelUid:
        """The user that an owner kept by the file system seems to be; NO_USER for nobody."""
        owners = self.owners
        return kept if owners is None else owners.seen_uid(kept)

    def seen_gid(self, kept: KernelGid) -> KernelGid:
        """The same for a group; NO_GROUP for none."""
        owners = self.owners
        return kept if owners is None else owners.seen_gid(kept)

    def kept_uid(self, seen: KernelUid) -> KernelUid:
        """What the file system keeps for a user; NO_USER for nobody."""
        owners = self.owners
        return seen if owners is None else owners.kept_uid(seen)

    def kept_gid(self, seen: KernelGid) -> KernelGid:
        """The same for a group; NO_GROUP for none."""
        owners = self.owners
        return seen if owners is None else owners.kept_gid(seen)

    def _shows_nobody(self, inode: Inode) -> bool:
        """Whether an owner of a file is nobody: times are not changed then, as writing an inode writes its owners."""
        owners = self.owners
        return owners is not None and (owners.seen_uid(inode.uid) == NO_USER or owners.seen_gid(inode.gid) == NO_GROUP)

    def take_locks(self, source: "Mount") -> None:
        """Take over locks: it is a copy of another mount."""
        self.locks.in_place = source.locks.in_place
        self.locks.flags = source.locks.flags
        self.locks.times = source.locks.times

    def lock(self) -> None:
        """It now belongs to a user namespace whose administrator did not create it."""
        self.locks.in_place = True
        self.locks.flags |= self.flags & _LOCKABLE
        self.locks.times = True

    def set_flags(self, flags: int) -> None:
        """Change the flags."""
        self.flags = flags
        self.tell_change()

    def tell_change(self) -> None:
        """Notify the namespace: what its tables show of this mount has changed."""
        namespace = self.namespace
        if namespace is not None:
            namespace.changed()

    def may_change_flags(self, flags: int) -> bool:
        """Whether locks permit these flags."""
        if self.locks.times and (self.flags ^ flags) & TIME_FLAGS != 0:
            return False
        return self.locks.flags & ~flags == 0

    def attach(self, parent: "Mount", mount_point: Dentry) -> None:
        """Enter the mount in the tree. Raises MemoryError; then it has released its file system: drop it."""
        namespace = parent.namespace
        if namespace is None:
            panic("a mount outside of the tree")
        try:
            _keep_names(mount_point)
            namespace.enter(self)
            parent.children[mount_point] = self
        except MemoryError:
            namespace.leave(self)
            make_private(self)
            self.forget()
            raise
        self._stand_at(parent, mount_point)
        self.attached = True
        namespace.changed()

    def slip_under(self, covering: "Mount") -> None:
        """Enter the tree between a mount and its place. Raises MemoryError; then it has released its file system."""
        parent = covering.parent
        mount_point = covering.mount_point
        if parent is None or mount_point is None or parent.namespace is None:
            panic("a mount that covers nothing")
        namespace = parent.namespace
        try:
            namespace.enter(self)
            self.children[self.root] = covering
        except MemoryError:
            namespace.leave(self)
            make_private(self)
            self.forget()
            raise
        parent.children[mount_point] = self  # it has the key: that needs no memory
        covering._step_off()
        covering._stand_at(self, self.root)
        self._stand_at(parent, mount_point)
        self.attached = True
        namespace.changed()

    def take_place_of(self, other: "Mount") -> None:
        """Replace another mount, which loses its place. Needs no memory."""
        self._leave_place()
        parent = other.parent
        mount_point = other.mount_point
        if parent is not None and mount_point is not None:
            parent.children[mount_point] = self
            other._step_off()
            self._stand_at(parent, mount_point)

    def detach(self) -> None:
        """Take the mount out of the tree; its file system goes when nobody uses the mount any more."""
        self._leave_place()
        self.attached = False
        namespace = self.namespace
        if namespace is not None:
            namespace.leave(self)
            namespace.changed()
        self.depart()

    @noraise
    def depart(self) -> None:
        """The mount has left its namespace. If it hides what is below it, and its parent has left as well, it keeps
        hiding that from users of the parent. It ends when the lock of the tree is released.
        """
        make_private(self)
        parent = self.parent
        if parent is not None and (not self.locks.in_place or parent.attached):
            self._leave_place()
        if self.users > 0:
            leave_mount_soon(self.identifier)
        TREE.add_gone(self)

    def move(self, parent: "Mount", mount_point: Dentry) -> None:
        """Move the mount to a free place in the tree. Raises MemoryError; then it keeps the old one."""
        _keep_names(mount_point)
        parent.children[mount_point] = self
        self._leave_place()
        self._stand_at(parent, mount_point)
        self.tell_change()

    def move_under(self, covering: "Mount") -> None:
        """Move the mount between another one and its place. Raises MemoryError; then it keeps the old one."""
        parent = covering.parent
        mount_point = covering.mount_point
        if parent is None or mount_point is None:
            panic("a mount that covers nothing")
        self.children[self.root] = covering
        self._leave_place()
        parent.children[mount_point] = self  # it has the key: that needs no memory
        covering._step_off()
        covering._stand_at(self, self.root)
        self._stand_at(parent, mount_point)
        self.tell_change()

    def trade_places(self, root: "Mount", parent: "Mount", mount_point: Dentry) -> None:
        """Replace the root of a tree, which moves to another place (pivot_root). Raises MemoryError, with nothing
        changed.
        """
        _keep_names(mount_point)
        parent.children[mount_point] = root
        self.take_place_of(root)
        root._stand_at(parent, mount_point)
        if self.namespace is not None and self.parent is None:
            self.namespace.known_top = self
        self.tell_change()

    def change_namespace(self, namespace: "MountNamespace") -> None:
        """Move to another namespace. Raises MemoryError; then it still belongs to the old one."""
        old = self.namespace
        if old is namespace or old is None:
            return
        namespace.mounts[self.identifier] = self
        old.mounts.pop(self.identifier)
        self.namespace = namespace
        namespace.changed()

    def become_root(self) -> None:
        """Leave its place to become the top of a tree."""
        self._leave_place()

    def lose_place(self) -> None:
        """Its mount point is gone. It ends when the lock of the tree is released."""
        self._leave_place()
        TREE.add_gone(self)

    def _stand_at(self, parent: "Mount", mount_point: Dentry) -> None:
        """Record the place, already among the parent's children. Linked by hand: a dentry has one word for all."""
        self.parent = parent
        self.mount_point = mount_point
        first = mount_point.mounts
        self.next_there = first
        if first is not None:
            first.previous_there = self
        mount_point.mounts = self
        mount_point.pins += 1

    def _step_off(self) -> None:
        """Leave its place; the parent has another child there by then."""
        mount_point = self.mount_point
        if mount_point is None:
            return
        after = self.next_there
        before = self.previous_there
        if after is not None:
            after.previous_there = before
        if before is not None:
            before.next_there = after
        else:
            mount_point.mounts = after
        self.next_there = None
        self.previous_there = None
        mount_point.pins -= 1
        self.parent = None
        self.mount_point = None

    def _leave_place(self) -> None:
        parent = self.parent
        mount_point = self.mount_point
        if parent is not None and mount_point is not None:
            del parent.children[mount_point]
            self._step_off()

    def root_is_directory(self) -> bool:
        inode = self.root.inode
        return inode is not None and inode.is_directory()

    def show(self, root: Dentry) -> None:
        """Show a directory of the file system only. Called before the mount is attached."""
        old = self.root
        _show_root(root)
        self.root = root
        _hide_root(old)

    def forget(self) -> None:
        """Drop a mount that was never attached."""
        _hide_root(self.root)
        self.uncount()

    def uncount(self) -> None:
        """It is no mount of its file system any more."""
        file_system = self.file_system
        file_system.mounts -= 1
        if file_system.mounts == 0:
            file_system.tree_root = None

    def acquire(self) -> None:
        self.users += 1

    def release(self) -> None:
        self.users -= 1
        self.finish_if_unused()

    def finish_if_unused(self) -> None:
        """End, with what it hides, if nobody sees or uses it any more. May sleep."""
        if self.users != 0 or self.attached or self.is_internal or self.parent is not None or self.is_gone:
            return
        self.is_gone = True
        mount = self
        while True:
            inner = _any_child(mount)
            if inner is None:
                mount._finish()
                outer = mount.outer
                mount.outer = None
                if outer is None:
                    return
                mount = outer
                continue
            inner._leave_place()
            if inner.users == 0 and not inner.attached and not inner.is_gone:
                inner.is_gone = True
                inner.outer = mount
                mount = inner

    def _finish(self) -> None:
        if self.marks is not None:
            tell_mount_ended(self)
        _hide_root(self.root)
        file_system = self.file_system
        file_system.mounts -= 1
        if file_system.mounts == 0:
            top = file_system.tree_root
            file_system.tree_root = None
            file_system.withdraw()
            tell_file_system_ended(file_system)
            if file_system.kept_root is None and top is not None:  # others could mount it meanwhile, and use the names
                CACHE.forget_children(top)
            if file_system.mounts == 0:
                end_filesystem(file_system)

    def touch_accessed(self, inode: Inode) -> None:
        """Set the access time as the mount's options say: relatime unless another was asked for."""
        if self.flags & (MS_NOATIME | MS_RDONLY) != 0 or (self.flags & MS_NODIRATIME != 0 and inode.is_directory()):
            return
        if self.file_system.read_only or inode.flags & FS_NOATIME_FL != 0 or self._shows_nobody(inode):
            return
        accessed = inode.atime_ns
        if self.flags & MS_RELATIME != 0 and accessed > inode.mtime_ns and accessed > inode.ctime_ns:
            now = coarse_realtime_ns()
            if now - accessed < _DAY_NS:
                return
            inode.atime_ns = now
        else:
            now = coarse_realtime_ns()
            if now == accessed:
                return
            inode.atime_ns = now
        inode.times_changed()


def _show_root(root: Dentry) -> None:
    """One more mount has it as its root."""
    root.pins += 1
    inode = root.inode
    if inode is not None:
        inode.mounted()


@noraise
def _hide_root(root: Dentry) -> None:
    """One mount less has it as its root. May sleep."""
    root.pins -= 1
    inode = root.inode
    if inode is not None:
        inode.unmounted()


def _keep_names(mount_point: Dentry) -> None:
    """Walks create dentries of procfs and sysfs anew, and so would not find a mount on one: keep the names that lead to
    it in the cache, if they always lead to the same inodes. Names of processes and devices do not. Raises MemoryError.
    """
    place = mount_point
    while True:
        parent = place.parent
        if parent is None or parent is place:
            return
        known = None if parent.children is None else parent.children.get(place.name)
        if not place.cached and known is None and keeps_name(parent, place):
            CACHE.attach(parent, place)
        place = parent


def keeps_name(parent: Dentry, child: Dentry) -> bool:
    """Whether the name of a child leads to the same inode each time that procfs or sysfs is asked."""
    directory = parent.inode
    if directory is None or directory.file_system.magic not in (PROC_SUPER_MAGIC, SYSFS_MAGIC):
        return False
    try:
        return directory.lookup(child.name) is child.inode
    except Errno:
        return False


# The file systems on devices, whether mounts of them are attached or not, by the device's number.
ON_DEVICES: Final[dict[int, FileSystem]] = {}


def end_filesystem(file_system: FileSystem) -> None:
    """Nobody mounts it any more: it writes everything out, and its device is free. May sleep."""
    file_system.shut_down()
    if file_system.kept_root is not None:
        file_system.read_only = False  # the next mount sets its own flags
    device = file_system.block_device
    if device is not None:
        file_system.block_device = None
        if ON_DEVICES.get(device.number) is file_system:
            del ON_DEVICES[device.number]
        device.unclaim()
        device.closed()


# All attached mounts, by number, in the order of mounting.
MOUNTS: Final[dict[int, Mount]] = {}


class MountNamespace(Namespace):
    """A tree of mounts (mount_namespaces(7)). Counted by the file contexts that see it, and its open files."""

    def __init__(self, maker: UserNamespace) -> None:
        super().__init__(CLONE_NEWNS, b"mnt", next_number(), maker)
        self.mounts: dict[int, Mount] = {}  # by number, in the order of mounting: the source of /proc/mounts
        self.users: int = 0
        self.is_anonymous: bool = False  # of a tree that only a file holds, and that nobody is in
        self.changes: int = 0  # of the tree and its mounts' settings
        self.watchers: WaitQueue = WaitQueue()  # of these changes
        self.is_told: bool = False  # notified of a change since one of them last looked
        self.known_top: Mount | None = None  # what `top` found last
        self.sequence: int = 0  # the number by which statmount(2) knows it; 0 for an anonymous one
        self.next_ending: MountNamespace | None = None

    def publish(self) -> None:
        """Let statmount(2) and others find it. Raises MemoryError."""
        global _last_namespace
        NAMESPACES[_last_namespace + 1] = self
        _last_namespace += 1
        self.sequence = _last_namespace

    def enter(self, mount: Mount) -> None:
        """A mount is attached here. Raises MemoryError; then call `leave`."""
        mount.namespace = self
        self.mounts[mount.identifier] = mount
        MOUNTS[mount.identifier] = mount

    @noraise
    def leave(self, mount: Mount) -> None:
        """A mount is no longer attached here."""
        mount.namespace = None
        MOUNTS.pop(mount.identifier, mount)
        self.mounts.pop(mount.identifier, mount)

    @noraise
    def changed(self) -> None:
        """Wake pollers of tables of mounts (proc_pid_mounts(5)), once until one of them looks: a call may change
        thousands of mounts.
        """
        self.changes += 1
        if self.watchers.head is not None and not self.is_told:
            self.is_told = True
            self.watchers.wake_all()
            spend(_TELL_COST)

    def top(self) -> Mount | None:
        """The root of the tree."""
        known = self.known_top
        if known is not None and known.parent is None and known.namespace is self:
            return known
        for mount in self.mounts.values():
            if mount.parent is None:
                self.known_top = mount
                return mount
        return None

    def acquire(self) -> None:
        self.users += 1

    @noraise
    def release(self) -> None:
        self.users -= 1
        if self.users == 0:
            self.end()

    def is_over(self) -> bool:
        return self.users == 0

    def hold(self) -> None:
        """Only mounts of older namespaces may: so no two keep each other alive."""
        self.users += 1

    @noraise
    @recursion(2)  # while one ends, those that its mounts kept wait in a list
    def let_go(self) -> None:
        self.users -= 1
        if self.users == 0:
            ENDING.add(self)

    @noraise
    def end(self) -> None:
        """Its last user has gone. May sleep."""
        count_no_more(self)
        self.dissolve()

    @noraise
    def dissolve(self) -> None:
        """Nobody sees the tree: take it apart. May sleep."""
        NAMESPACES.pop(self.sequence, self)
        if not TREE.take():
            return
        try:
            for mount in self.mounts.values():
                mount.attached = False
                mount.namespace = None
                pace(_LEAVE_COST)
            for mount in self.mounts.values():
                MOUNTS.pop(mount.identifier, mount)
                mount.depart()
                pace(_DEPART_COST)
            self.mounts.clear()
            self.known_top = None
        finally:
            TREE.release()


@final
class EndingNamespaces:
    """Those that only mounts kept, which have gone: they end one after the other."""

    def __init__(self) -> None:
        self._first: MountNamespace | None = None
        self._is_busy: bool = False  # somebody takes them out

    @noraise
    def add(self, namespace: MountNamespace) -> None:
        """It ends, and so do those that are added meanwhile. May sleep."""
        namespace.next_ending = self._first
        self._first = namespace
        if self._is_busy:
            return
        self._is_busy = True
        while True:
            each = self._first
            if each is None:
                break
            self._first = each.next_ending
            each.next_ending = None
            each.end()
        self._is_busy = False


ENDING: Final = EndingNamespaces()


@noraise
def _any_child(mount: Mount) -> Mount | None:
    for child in mount.children.values():
        return child
    return None


# Namespaces that processes can be in, by number, in the order of creation.
NAMESPACES: Final[dict[int, MountNamespace]] = {}
_last_namespace: int = 1  # the first namespace is number 2, as on Linux

FIRST_MOUNTS: Final = MountNamespace(FIRST_USER)
FIRST_MOUNTS.acquire()  # it never ends
FIRST_MOUNTS.publish()


def first_mount() -> Mount | None:
    """The mount that was attached first: the root of the tree, unless another took its place."""
    for mount in MOUNTS.values():
        return mount
    return None


class Path:
    """A dentry seen through a mount."""

    def __init__(self, mount: Mount, dentry: Dentry) -> None:
        self.mount: Mount = mount
        self.dentry: Dentry = dentry

    def inode(self) -> Inode:
        inode = self.dentry.inode
        if inode is None:
            raise Errno(EINVAL)  # a negative dentry never becomes a path
        return inode

    def pin(self) -> "Path":
        self.mount.users += 1
        self.dentry.pins += 1
        return self

    def unpin(self) -> None:
        self.dentry.pins -= 1
        self.mount.release()

    def __enter__(self) -> "Path":
        """`with path:` around what may sleep: whatever is unlinked, unmounted or closed meanwhile, neither mount nor
        inode ends before the block does. Raises EINVAL.
        """
        self.inode().acquire()
        return self.pin()

    def __exit__(self, kind: object, value: object, traceback: object) -> None:
        self.inode().release()
        self.unpin()

    def same(self, other: "Path") -> bool:
        return self.mount is other.mount and self.dentry is other.dentry


class FsContext:
    """What a path walk depends on: root, working directory, umask, credentials. Shared by threads (CLONE_FS), hence
    counted.

    Both paths are pinned. The credentials are those of the running thread, whichever of the sharing threads that is,
    and however long it has slept meanwhile; `own` is set only in a context created to act for somebody else.
    """

    def __init__(
        self, namespace: MountNamespace, root: Path, working: Path, umask: int, own: Credentials | None = None
    ) -> None:
        namespace.acquire()
        self.namespace: MountNamespace = namespace
        self.root: Path = root.pin()
        self.working: Path = working.pin()
        self.umask: int = umask
        self.own: Credentials | None = own
        self.restrictions: int = 0  # RESOLVE_* of openat2(2)
        self.users: int = 1
        self.executions: int = 0  # calls of execve(2) that rely on no new thread sharing it

    @property
    def credentials(self) -> Credentials:
        """The credentials that users of the context act with. A kernel thread only uses contexts that have their
        own.
        """
        own = self.own
        if own is None:
            own = current_thread().acts_for()
            if own is None:
                panic("a kernel thread looks at files for nobody in particular")
        return own

    def restricted(self, root: Path, working: Path, restrictions: int) -> "FsContext":
        """A context for one walk: other places to start from, and RESOLVE_* flags that restrict it. The caller releases
        it.
        """
        context = FsContext(self.namespace, root, working, self.umask, self.own)
        context.restrictions = restrictions
        return context

    def acting_for(self, who: Credentials) -> "FsContext":
        """The same places, with other credentials than the running thread's. The caller releases it."""
        return FsContext(self.namespace, self.root, self.working, self.umask, who)

    def copy(self) -> "FsContext":
        return FsContext(self.namespace, self.root, self.working, self.umask, self.own)

    def acquire(self) -> None:
        self.users += 1

    @noraise
    def release(self) -> None:
        self.users -= 1
        if self.users == 0:
            self.root.unpin()
            self.working.unpin()
            self.namespace.release()

    def enter(self, namespace: MountNamespace, root: Path, working: Path) -> None:
        """Switch to another tree of mounts."""
        old = self.namespace
        namespace.acquire()
        self.namespace = namespace
        self.set_root(root)
        self.set_working(working)
        old.release()

    def set_working(self, path: Path) -> None:
        old = self.working
        self.working = path.pin()
        old.unpin()

    def set_root(self, path: Path) -> None:
        old = self.root
        self.root = path.pin()
        old.unpin()


def path_name(path: Path, root: Path, marks_outside: bool = False) -> bytes:
    """The name of `path` as seen from `root`. What lies outside has its name from the top of its tree, as in
    /proc/PID/fd; where that `marks_outside`, with "(unreachable)" in front (getcwd(2)).
    """
    mount = path.mount
    if mount.is_internal:
        name = path.dentry.name
        return name + f"[{path.inode().ino}]".encode() if name.endswith(b":") else name
    dentry = path.dentry
    deleted = dentry.deleted
    parts: list[bytes] = []
    reachable = True
    while not (mount is root.mount and dentry is root.dentry):
        if dentry is mount.root:
            parent = mount.parent
            point = mount.mount_point
            if parent is None or point is None:
                reachable = False
                break
            mount = parent
            dentry = point
            continue
        above = dentry.parent
        if above is None or above is dentry:
            reachable = False
            break
        parts.append(dentry.name)
        dentry = above
    parts.reverse()
    name = b"/" + b"/".join(parts)
    if marks_outside and not reachable:
        name = b"(unreachable)" + name
    if deleted:
        name += b" (deleted)"
    return name


def is_below(path: Path, root: Path) -> bool:
    """Whether `path` lies at or below `root` in the tree."""
    mount = path.mount
    dentry = path.dentry
    while True:
        if mount is root.mount and dentry is root.dentry:
            return True
        if dentry is mount.root:
            parent = mount.parent
            point = mount.mount_point
            if parent is None or point is None:
                return False
            mount = parent
            dentry = point
            continue
        above = dentry.parent
        if above is None or above is dentry:
            return False
        dentry = above
