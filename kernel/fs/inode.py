"""The inode: one file of a file system, whatever names lead to it (inode(7)).

A file system derives its own classes and overrides what its files can do. Operations that a kind of file lacks raise
the errno that Linux returns for them. `nlink` counts names; `users` counts open descriptions and mappings. Once both
are zero `evict()` frees the contents.

A file system that sleeps says so (`FileSystem.sleeps`). Then `lookup` and everything that changes a directory (create …
exchange) is called under the file system's lock `names`, one call at a time, with the directories held in memory.
`evict` of an unlinked inode is called after that lock was given back. `read_directory`, `read_link` and the operations
on contents are called without it.

Context: operations run in a system call and may sleep; those of file systems in memory do not.
"""

from typing import TYPE_CHECKING, Final

from kernel.cache.store import SyncScope
from kernel.fs.access_list import ACCESS_LIST, DEFAULT_LIST, NO_LISTS, AccessList, AccessLists, from_attribute
from kernel.fs.constants import (
    FS_IMMUTABLE_FL,
    MAX_FILE_SIZE,
    MAY_EXEC,
    MAY_READ,
    MAY_WRITE,
    MODE_BITS,
    PAGE_SHIFT,
    PAGE_SIZE,
    READABLE,
    S_IFBLK,
    S_IFCHR,
    S_IFDIR,
    S_IFIFO,
    S_IFLNK,
    S_IFMT,
    S_IFREG,
    S_IFSOCK,
    WRITABLE,
)
from kernel.fs.marks import MARKS
from kernel.fs.notification import tell_inode_gone
from kernel.lang import (
    EACCES,
    EINVAL,
    EISDIR,
    ENODEV,
    ENOTDIR,
    ENOTTY,
    ENXIO,
    EOPNOTSUPP,
    EOVERFLOW,
    EPERM,
    Errno,
    inline,
    noraise,
)
from kernel.lib.capabilities import CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER
from kernel.lib.credentials import Actor, rules_owners, rules_user, sees_owners
from kernel.lib.ids import ROOT_GROUP, ROOT_USER, STRANGE_GROUP, STRANGER, KernelGid, KernelUid
from kernel.lib.namespace import USER_NAMESPACES
from kernel.lib.user import Buffer
from kernel.mm.objects import MappedFile
from kernel.sched import Mutex, mutex_or_new
from kernel.time import coarse_realtime_ns

if TYPE_CHECKING:
    from kernel.fs.attribute_store import Store
    from kernel.fs.file import DirectorySink, File
    from kernel.fs.filesystem import FileSystem
    from kernel.fs.locks import LockList
    from kernel.fs.notification import WatchList
    from kernel.fs.path import FsContext, Path
    from kernel.mm.objects import MemoryObject
    from kernel.sched import PollWaiter

_RIGHTS: Final = 7  # the part of MAY_* that a mode can grant
_PAGE_NUMBERS: Final = (1 << 52) - 1  # of the pages of 2**64 bytes

NOWHERE: Final = -1  # contents that lie in a hole


class CachedPages:
    """Pages of a file in memory, and those that left it, counted (cachestat(2))."""

    def __init__(self) -> None:
        self.count: int = 0
        self.dirty: int = 0
        self.writing: int = 0
        self.evicted: int = 0
        self.recently_evicted: int = 0  # of these, those that would still be here if pages used again had given way


class Inode(MappedFile):
    """Base of all inodes."""

    def __init__(self, file_system: "FileSystem", ino: int, mode: int) -> None:
        super().__init__(ino, mode)
        now = coarse_realtime_ns()
        self.file_system: FileSystem = file_system
        self.uid: KernelUid = ROOT_USER
        self.gid: KernelGid = ROOT_GROUP
        self.size: int = 0
        self.blocks: int = 0  # of 512 bytes
        self.rdev: int = 0
        self.flags: int = 0  # FS_*_FL: what chattr(1) sets
        self.atime_ns: int = now
        self.mtime_ns: int = now
        self.ctime_ns: int = now
        self.btime_ns: int = now
        self.users: int = 0
        self.names: int = 0  # dentries in the cache
        self.readers: int = 0  # descriptions that may only read
        self.writers: int = 0  # descriptions that may write
        self.write_hint: int = 0  # RWH_WRITE_LIFE_*: kept for whoever asks, without effect
        self.executions: int = 0  # descriptions of running programs: nobody may write meanwhile
        self.is_swap_area: bool = False  # in use for swapping (swapon(2)): nobody may write to it or remove a name
        self.seals: int = -1  # F_SEAL_*; negative where seals do not apply
        self.caches_children: bool = True  # False: each walk asks `lookup` anew (procfs)
        self.revalidates: bool = False  # of a directory that others change: a walk asks `lookup` about cached names
        self.has_magic_link: bool = False  # `follow` leads to a Path rather than to text
        self.locks: LockList | None = None
        self.watches: WatchList | None = None  # counts as one user
        self.lists: AccessLists | None = None  # once they were read
        self.contents_lock: Mutex | None = None  # created by `lock_contents`
        self.may_have_privileges: bool = True  # set-ID bits or capabilities (privileges.py); False: surely not

    def device_number(self) -> int:
        return self.file_system.device

    # ---- What kind of file ------------------------------------------------------------------------------------

    def stays_empty(self) -> bool:
        """Whether it is a directory that always stays empty: a mount point."""
        return False

    def is_only_read(self) -> bool:
        """Whether it supports only read(2) and its relatives: sendfile(2), splice(2) and io_submit(2) cannot read from
        it.
        """
        return False

    def gives_pages(self) -> bool:
        """Whether sendfile(2) and splice(2) can read from it, if it is no directory."""
        return not self.is_only_read()

    def is_directory(self) -> bool:
        return self.mode & S_IFMT == S_IFDIR

    def is_regular(self) -> bool:
        return self.mode & S_IFMT == S_IFREG

    def is_symlink(self) -> bool:
        return self.mode & S_IFMT == S_IFLNK

    def is_fifo(self) -> bool:
        return self.mode & S_IFMT == S_IFIFO

    def is_socket(self) -> bool:
        return self.mode & S_IFMT == S_IFSOCK

    def is_device(self) -> bool:
        kind = self.mode & S_IFMT
        return kind == S_IFCHR or kind == S_IFBLK

    def directory_entry_type(self) -> int:
        return (self.mode & S_IFMT) >> 12

    # ---- Counting ---------------------------------------------------------------------------------------------

    def acquire(self) -> None:
        self.users += 1

    def release(self) -> None:
        self.users -= 1
        if self.users == 0:
            if self.nlink == 0:
                if MARKS.count != 0:
                    tell_inode_gone(self)
                self.evict()
            elif self.names == 0:
                self.became_idle()
        elif self.users == 1:
            watches = self.watches
            if watches is not None:
                watches.alone(self.nlink, self.names)

    def mounted(self) -> None:
        """One more mount has it as its root."""

    @noraise
    def unmounted(self) -> None:
        """One mount less has it as its root. May sleep."""

    def drop_name(self) -> None:
        """A dentry was forgotten."""
        self.names -= 1
        if self.names != 0 or self.nlink == 0:
            return
        if self.users == 0:
            self.became_idle()
            return
        watches = self.watches
        if self.users == 1 and watches is not None:
            watches.leave_memory()

    def became_idle(self) -> None:
        """No dentry leads to it and nobody has it open: a disk file system may drop it from memory later, where it may
        sleep, if both are still true then. Never sleeps or raises.
        """

    def attribute_store(self) -> "Store | None":
        """The extended attributes; None where the file system keeps none. Raises MemoryError."""
        return self.file_system.attribute_store_of(self)

    def drop_link(self) -> None:
        """A name has gone; frees the contents with the last one if nobody has the file open."""
        self.nlink -= 1
        self.ctime_ns = coarse_realtime_ns()
        if self.nlink != 0:
            return
        watches = self.watches
        if self.users == 0:
            if MARKS.count != 0:
                tell_inode_gone(self)
            self.evict()
        elif self.users == 1 and watches is not None:
            watches.inode_removed()

    def may_have_attributes(self) -> bool:
        """False if there are surely no extended attributes, which saves looking for one."""
        return True

    def held_bytes(self) -> int:
        """How much memory is freed once the inode, which has no name any more, is closed."""
        return 0

    def evict(self) -> None:
        """Free the contents of an inode that nobody can reach any more."""

    # ---- Permissions ------------------------------------------------------------------------------------------

    def check_permission(self, actor: Actor, mask: int) -> None:
        """Raise EACCES unless the mode lets `actor` do all of `mask` (MAY_*), or a capability does. Nobody may write to
        an immutable inode: EPERM; nor to one whose owners are nobody (owner_map.py): EACCES.
        """
        if mask & MAY_WRITE != 0:
            if self.flags & FS_IMMUTABLE_FL != 0:
                raise Errno(EPERM)
            if not sees_owners(actor, self.uid, self.gid):
                raise Errno(EACCES)
        mode = self.mode
        if self.uid == actor.fsuid:
            granted = mode >> 6
        elif mode & 0o70 != 0 and not self._surely_overrides(actor) and self.has_access_list():
            granted = self._granted_by_list(actor, mask)
        elif mode & 0o70 != (mode & 0o7) << 3 and actor.in_group(self.gid):  # membership matters
            granted = mode >> 3
        else:
            granted = mode
        if mask & ~granted & 7 != 0 and (actor.effective == 0 or not self._may_override(actor, mask)):
            raise Errno(EACCES)

    @inline
    def _surely_overrides(self, actor: Actor) -> bool:
        """Whether lists need not be read, because what they deny is permitted all the same."""
        return actor.capable(CAP_DAC_OVERRIDE) and actor.owners is None

    def _may_override(self, actor: Actor, mask: int) -> bool:
        """Whether a capability permits what the mode does not."""
        mask &= MAY_READ | MAY_WRITE | MAY_EXEC
        is_directory = self.is_directory()
        only_looks = mask & MAY_WRITE == 0 if is_directory else mask == MAY_READ
        if only_looks and self.yields_to(actor, CAP_DAC_READ_SEARCH):
            return True
        if mask & MAY_EXEC != 0 and not is_directory and self.mode & 0o111 == 0:
            return False
        return self.yields_to(actor, CAP_DAC_OVERRIDE)

    def check_creation(self, actor: Actor) -> None:
        """Check that the caller may create a file in this directory. Raises EACCES, EPERM; EOVERFLOW if the file system
        belongs to a user namespace, or the mount maps owners, and the caller has no numbers there.
        """
        if USER_NAMESPACES.exist:
            if actor.fsuid == STRANGER or actor.fsgid == STRANGE_GROUP:
                raise Errno(EOVERFLOW)
            if not self.file_system.user_namespace.has_ids(actor.fsuid, actor.fsgid):
                raise Errno(EOVERFLOW)
        self.check_permission(actor, MAY_WRITE | MAY_EXEC)

    def yields_to(self, actor: Actor, capability: int) -> bool:
        """Whether a capability applies to this inode: below the first user namespace, the inode's user and group must
        have numbers there.
        """
        return actor.effective >> capability & 1 != 0 and rules_owners(actor, self.uid, self.gid)

    def has_access_list(self) -> bool:
        """Whether rights depend on more than the mode. May sleep. Raises EIO, MemoryError."""
        return self.file_system.has_access_lists and self.access_lists().access is not None

    def _granted_by_list(self, actor: Actor, mask: int) -> int:
        access = self.access_lists().access
        want = mask & _RIGHTS
        return want if access is not None and access.permits(self.uid, self.gid, actor, want) else 0

    def access_lists(self) -> AccessLists:
        """The access control lists, where the file system has them. May sleep. Raises EIO, EUCLEAN, EINVAL."""
        known = self.lists
        if known is None:
            known = self.read_access_lists()
            if self.lists is None:
                self.lists = known
        return known

    def read_access_lists(self) -> AccessLists:
        """The same from the extended attributes."""
        store = self.attribute_store()
        if store is None:
            return NO_LISTS
        store.load()
        access = store.values.get(ACCESS_LIST)
        default = store.values.get(DEFAULT_LIST)
        if access is None and default is None:
            return NO_LISTS
        return AccessLists(
            None if access is None else from_attribute(access), None if default is None else from_attribute(default)
        )

    def list_to_show(self, name: bytes) -> AccessList | None:
        """One of the access control lists, as a program asks for it. May sleep. Raises EIO, EUCLEAN, EINVAL."""
        lists = self.access_lists()
        return lists.access if name == ACCESS_LIST else lists.default

    def send_list(self, name: bytes, entries: AccessList | None) -> None:
        """Give a list, or none, to the server that keeps it. Sleeps."""
        raise Errno(EOPNOTSUPP)

    def owned_by(self, actor: Actor) -> bool:
        """Whether the actor has the owner's rights, or a server decides about them."""
        return self.belongs_to(actor)

    def belongs_to(self, actor: Actor) -> bool:
        """Whether the actor has the owner's rights."""
        return actor.fsuid == self.uid or (actor.capable_here(CAP_FOWNER) and rules_user(actor, self.uid))

    # ---- Automounting -----------------------------------------------------------------------------------------

    def stops(self, name: bytes, *, is_covered: bool, goes_in: bool) -> bool:
        """Whether a walk must wait in this directory for an automounter: at one of its names, or at the directory
        itself (b""). `is_covered`: something is mounted there; `goes_in`: the walk wants more than to look at it.
        """
        return False

    def await_mount(self, name: bytes) -> None:
        """Wait where `stops` says so; then look again. Raises what the automounter answers, EINTR, MemoryError."""

    # ---- Directories ------------------------------------------------------------------------------------------

    def lookup(self, name: bytes) -> "Inode | None":
        """The child called `name`, or None. `name` is not "." or ".." and not longer than NAME_MAX."""
        raise Errno(ENOTDIR)

    def doubts(self, name: bytes, child: "Inode | None") -> bool:
        """Of a directory that revalidates: whether `lookup` must be asked about a name that led to `child`."""
        return True

    def create(self, name: bytes, mode: int, rdev: int, actor: Actor) -> "Inode":
        """Create a regular file, directory, device node, FIFO or socket node; `mode` holds its type. The name is
        free.
        """
        raise Errno(EACCES if mode & S_IFMT == S_IFREG else EPERM)

    def make_node(self, name: bytes, mode: int, rdev: int, actor: Actor) -> "Inode":
        """`create` for mknod(2): nobody opens the file at once."""
        return self.create(name, mode, rdev, actor)

    def create_symlink(self, name: bytes, target: bytes, actor: Actor) -> "Inode":
        raise Errno(EPERM)

    def create_unnamed(self, mode: int, actor: Actor) -> "Inode":
        """A regular file without a name (O_TMPFILE)."""
        raise Errno(EOPNOTSUPP)

    def link(self, name: bytes, target: "Inode") -> None:
        raise Errno(EPERM)

    def unlink(self, name: bytes, target: "Inode") -> None:
        raise Errno(EPERM)

    def remove_directory(self, name: bytes, target: "Inode") -> None:
        raise Errno(EPERM)

    def create_whiteout(self, actor: Actor) -> "Inode":
        """A character device 0/0 without a name, for `rename` in this directory. Raises EINVAL if there is none."""
        raise Errno(EINVAL)

    def moves_names(self) -> bool:
        """Whether the directory has a `rename` of its own."""
        return False

    def rename(
        self,
        name: bytes,
        target: "Inode",
        new_parent: "Inode",
        new_name: bytes,
        replaced: "Inode | None",
        whiteout: "Inode | None" = None,
    ) -> None:
        """Move `target`; `replaced` has had the new name so far, and `whiteout` gets the old one. All checks of kind
        and permission are done. Either all of it is done, or it raises and nothing is.
        """
        raise Errno(EPERM)

    def rename_leaving_whiteout(
        self,
        name: bytes,
        target: "Inode",
        new_parent: "Inode",
        new_name: bytes,
        replaced: "Inode | None",
        actor: Actor,
    ) -> None:
        """The same, but the old name then leads to a whiteout, a character device with number 0, which tells a union of
        file systems that the file does not exist. It is created first, because that may fail. Raises what
        `create_whiteout` raises.
        """
        whiteout = self.create_whiteout(actor)
        whiteout.acquire()
        try:
            self.rename(name, target, new_parent, new_name, replaced, whiteout)
        finally:
            whiteout.release()

    def exchange(self, name: bytes, target: "Inode", other_parent: "Inode", other_name: bytes, other: "Inode") -> None:
        raise Errno(EINVAL)

    def is_empty(self) -> bool:
        """Whether rmdir(2) finds nothing in it. Where directories cannot be removed at all, that is its answer."""
        return True

    def read_directory(self, position: int, sink: "DirectorySink") -> None:
        """Emit the entries from `position` on, without "." and "..". Positions start at 2."""
        raise Errno(ENOTDIR)

    # ---- Symbolic links ---------------------------------------------------------------------------------------

    def read_link(self) -> bytes:
        raise Errno(EINVAL)

    def follow(self, context: "FsContext") -> "Path":
        """Where a magic link leads (`has_magic_link`)."""
        raise Errno(EINVAL)

    # ---- Contents ---------------------------------------------------------------------------------------------

    def open(self, path: "Path", flags: int) -> "File":
        """A new open description. Permissions are checked. May sleep (FIFO, terminal)."""
        if self.mode & S_IFMT == S_IFSOCK:
            raise Errno(ENXIO)
        raise Errno(ENODEV)

    def check_opening(self) -> None:
        """Raise Errno if nobody can open it, before O_TRUNC makes it shorter."""

    def lock_contents(self) -> Mutex:
        """Keep others from writing to the file until the caller releases the lock that this returns. It may read a
        program's memory: faults on mappings of the file take no such lock. Files on a disk have one of their own
        (cached_inode.py). Raises EINTR (the caller is dying), EIO, MemoryError.
        """
        lock = mutex_or_new(self.contents_lock)
        self.contents_lock = lock
        lock.acquire_unless_dying()
        return lock

    def read_at(self, buffer: Buffer, offset: int) -> int:
        raise Errno(EISDIR if self.is_directory() else EINVAL)

    def write_at(self, buffer: Buffer, offset: int) -> int:
        raise Errno(EINVAL)

    def truncate(self, size: int) -> None:
        raise Errno(EINVAL)

    def allocate(self, mode: int, offset: int, length: int) -> None:
        raise Errno(EOPNOTSUPP if self.is_regular() else ENODEV)

    def check_changeable(self) -> None:
        """Raise Errno if mode, owner and times cannot be changed even by those who may."""

    def keeps_mode(self) -> bool:
        """Whether nobody may give it another mode."""
        return False

    def keeps_owner(self) -> bool:
        """Whether nobody may give it another owner or group."""
        return False

    def seeks_from_end(self) -> bool:
        """Whether lseek(2) accepts more than SEEK_SET and SEEK_CUR."""
        return True

    def seek_data(self, offset: int) -> int:
        """The first offset from `offset` on that holds data; `offset` < size. ENXIO when there is none."""
        return offset

    def seek_hole(self, offset: int) -> int:
        return self.size

    def extent_at(self, offset: int, length: int) -> tuple[int, int]:
        """Where the contents from `offset` on lie, both in whole blocks: how many bytes are contiguous, at most
        `length` except for the last block, and at which byte of the device they begin, or NOWHERE. May sleep.
        """
        raise Errno(EOPNOTSUPP)

    def mapping_unit(self) -> int:
        """The size of the pages of which its mappings consist, in bytes."""
        return PAGE_SIZE

    def largest_size(self) -> int:
        """How long a file may become."""
        return MAX_FILE_SIZE

    def first_mapped_page(self, offset: int, length: int) -> int:
        """The page of the contents with which a mapping of that offset and length in bytes begins. Raises EOVERFLOW if
        it would go past the end of the longest file, however long this one may become. Devices and files without a kind
        take the offset as a number without a sign, and know what lies where.
        """
        kind = self.mode & S_IFMT
        last = MAX_FILE_SIZE - length | PAGE_SIZE - 1
        if (kind == S_IFREG or kind == S_IFBLK or kind == S_IFSOCK) and not 0 <= offset <= last:
            raise Errno(EOVERFLOW)
        first = offset >> PAGE_SHIFT & _PAGE_NUMBERS
        if first + (length >> PAGE_SHIFT) > _PAGE_NUMBERS:
            raise Errno(EOVERFLOW)
        return first

    def memory_object(self) -> "MemoryObject":
        raise Errno(ENODEV)

    def cached_pages(self, first: int, end: int) -> CachedPages:
        """Which of the pages first … end - 1 are in memory. Raises MemoryError."""
        return CachedPages()

    def is_mapped_for_writing(self) -> bool:
        """Whether a shared mapping of the contents may be written, even if no description is left."""
        return False

    def mapped_through(self, path: "Path") -> None:
        """The contents were mapped, opened as `path`: the name that /proc/PID/maps shows."""

    def poll_at(self, waiter: "PollWaiter | None", flags: int) -> int:
        """Readiness of a file that is always ready."""
        return READABLE | WRITABLE

    def ioctl(self, command: int, argument: int) -> int:
        raise Errno(ENOTTY)

    def sync(self, scope: SyncScope) -> None:
        """Write the contents out. Nothing to do where there is no disk."""

    # ---- Flags ------------------------------------------------------------------------------------------------

    def shown_flags(self) -> int:
        """The flags that programs see (FS_IOC_GETFLAGS). ENOTTY where the file system has none."""
        raise Errno(ENOTTY)

    def shown_attributes(self) -> int:
        """The flags that statx(2) knows here, by the same numbers."""
        return 0

    def set_flags(self, flags: int) -> None:
        """Set new flags (FS_IOC_SETFLAGS), after the checks that all file systems share. Raises EOPNOTSUPP."""
        raise Errno(ENOTTY)

    def version(self) -> int:
        """What distinguishes this inode from earlier ones with the same number (FS_IOC_GETVERSION): 32 bits."""
        raise Errno(ENOTTY)

    def set_version(self, version: int) -> None:
        """FS_IOC_SETVERSION."""
        raise Errno(ENOTTY)

    # ---- Attributes -------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Bring the attributes up to date before they are shown; for inodes whose attributes are computed."""

    def shown_device(self) -> int:
        """The device that stat(2) shows."""
        return self.file_system.device

    def has_birth_time(self) -> bool:
        """Whether `btime_ns` is meaningful."""
        return False

    def attributes_changed(self) -> None:
        """mode, uid, gid or times were set: a disk file system writes them back."""

    def times_changed(self) -> None:
        """Nothing but times changed: a disk file system writes them back, but fdatasync(2) does not wait for that."""
        self.attributes_changed()

    def set_mode(self, mode: int) -> None:
        self.mode = (self.mode & S_IFMT) | (mode & MODE_BITS)
        self.may_have_privileges = True
        self.ctime_ns = coarse_realtime_ns()
        self.attributes_changed()

    def set_owner(self, uid: KernelUid, gid: KernelGid) -> None:
        self.uid = uid
        self.gid = gid
        self.ctime_ns = coarse_realtime_ns()
        self.attributes_changed()

    def prepare_move(self) -> None:
        """It is about to get another name, and the names are not held yet: do what takes long now. Raises EROFS,
        ENOSPC, EIO, EINTR, and whatever else that raises.
        """

    def touch_changed(self) -> None:
        """Attributes other than times and contents changed."""
        self.ctime_ns = coarse_realtime_ns()
        self.attributes_changed()

    def touch_modified(self) -> None:
        now = coarse_realtime_ns()
        self.mtime_ns = now
        self.ctime_ns = now
