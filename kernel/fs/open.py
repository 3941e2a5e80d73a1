"""open(2): from a name and flags to an open file description.

Context: may sleep (FIFO, terminals).
"""

from collections.abc import Callable
from typing import Final

from kernel.cgroup.programs import DEVICE_PROGRAMS
from kernel.fs.access_control import Inheritance, inherit
from kernel.fs.character_devices import open_device
from kernel.fs.constants import (
    FS_APPEND_FL,
    FS_IMMUTABLE_FL,
    FS_UNCHANGEABLE,
    MAY_EXEC,
    MAY_READ,
    MAY_WRITE,
    MS_NODEV,
    MS_NOEXEC,
    O_ACCMODE,
    O_APPEND,
    O_CLOEXEC,
    O_CREAT,
    O_DIRECT,
    O_DIRECTORY,
    O_EXCL,
    O_NOATIME,
    O_NOCTTY,
    O_NOFOLLOW,
    O_PATH,
    O_RDONLY,
    O_SILENT,
    O_TMPFILE_BIT,
    O_TRUNC,
    O_WRONLY,
    S_IFCHR,
    S_IFIFO,
    S_IFMT,
    S_IFREG,
    S_ISGID,
    S_IXGRP,
)
from kernel.fs.dentry import CACHE, Dentry
from kernel.fs.device_guard import check_device
from kernel.fs.file import File, PathFile, check_room_for_file
from kernel.fs.inode import Inode
from kernel.fs.landlock import MAKE_REG, TRUNCATE, require, rights_denied
from kernel.fs.leases import break_leases_for_opening
from kernel.fs.marks import MARKS, ask_to_open
from kernel.fs.notification import IN_MODIFY, TELL_COST, WATCHES, tell_created, tell_opened, tell_place
from kernel.fs.path import FsContext, Mount, Path
from kernel.fs.privileges import SET_ID, drop_privileges, may_keep_set_group
from kernel.fs.protections import check_creation
from kernel.fs.walk import (
    ENTER,
    FOLLOW,
    LAST_NORMAL,
    PARENT,
    Walk,
    give_back,
    look_up_held,
    reserve,
    resolve,
    settle,
    start,
)
from kernel.lang import (
    EACCES,
    EEXIST,
    EINVAL,
    EISDIR,
    ELOOP,
    ENOENT,
    ENOTDIR,
    ENXIO,
    EPERM,
    ETXTBSY,
    Errno,
    inline,
    noinline,
)
from kernel.lib.credentials import Actor, Credentials
from kernel.lib.pace import pace

OpenSpecial = Callable[[Path, int], File]

# Flags that only affect the opening and are not kept.
_TRANSIENT: Final = O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_CLOEXEC


class SpecialFiles:
    """Opens files that are implemented in a package above this one; entered by that package."""

    def __init__(self) -> None:
        self.open_fifo: OpenSpecial | None = None
        self.open_block_device: OpenSpecial | None = None


SPECIAL: SpecialFiles = SpecialFiles()


def open_file(context: FsContext, base: Path | None, name: bytes, flags: int, mode: int) -> File:
    """Open `name`; with O_CREAT create it with `mode` (less the umask)."""
    check_room_for_file()
    if flags & O_PATH != 0:
        flags &= O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC
    elif flags & O_TMPFILE_BIT != 0:
        return _open_unnamed(context, base, name, flags, mode)
    if flags & O_CREAT != 0:
        if flags & O_DIRECTORY != 0:
            raise Errno(EINVAL)
        return _open_or_create(context, base, name, flags, mode)
    path = resolve(context, base, name, _way_to(flags))
    return open_path(context, path, flags)


def _way_to(flags: int) -> int:
    """The flags of the walk to what is opened: O_PATH alone only looks at it."""
    how = 0 if flags & O_NOFOLLOW != 0 else FOLLOW
    return how if flags & (O_PATH | O_DIRECTORY) == O_PATH else how | ENTER


def open_path(context: FsContext, path: Path, flags: int) -> File:
    """Open the existing file at `path`, after checking that `context` may."""
    inode = path.inode()
    if flags & O_DIRECTORY != 0 and not inode.is_directory():
        raise Errno(ENOTDIR)
    if flags & O_PATH != 0:
        return PathFile(path, flags & ~O_CLOEXEC)
    if inode.is_symlink():
        raise Errno(ELOOP)
    if inode.file_system.sleeps:
        return _check_and_open_held(context, path, inode, flags)
    return _check_and_open(context, path, inode, flags)


@inline
def _check_and_open(context: FsContext, path: Path, inode: Inode, flags: int) -> File:
    credentials = context.credentials
    check_open(credentials, path.mount, inode, flags)
    return open_permitted(context, credentials, path, inode, flags)


@noinline
def _check_and_open_held(context: FsContext, path: Path, inode: Inode, flags: int) -> File:
    """The same where checking may sleep, for an access control list or a program: the file must not vanish before it is
    open.
    """
    path.pin()
    inode.acquire()
    try:
        return _check_and_open(context, path, inode, flags)
    finally:
        inode.release()
        path.unpin()


@inline
def _mask_of(flags: int) -> int:
    """What opening with flags needs: MAY_READ, MAY_WRITE."""
    access = flags & O_ACCMODE
    mask = MAY_READ if access == O_RDONLY else MAY_WRITE if access == O_WRONLY else MAY_READ | MAY_WRITE
    if flags & O_TRUNC != 0:
        mask |= MAY_WRITE
    return mask


def check_open(credentials: Credentials, mount: Mount, inode: Inode, flags: int) -> None:
    """Check that the credentials permit opening the inode with these flags, in Linux's order of errors."""
    mask = _mask_of(flags)
    if inode.is_directory() and mask & MAY_WRITE != 0:
        raise Errno(EISDIR)
    if inode.is_device() and (mount.flags & MS_NODEV != 0 or not inode.file_system.opens_devices):
        raise Errno(EACCES)
    if mask & MAY_WRITE != 0 and (inode.is_regular() or inode.is_directory()):
        mount.require_writable()
    actor = mount.actor(credentials)
    inode.check_permission(actor, mask)
    if inode.flags & FS_UNCHANGEABLE != 0:
        _check_marked(inode, flags)
    if flags & O_NOATIME != 0 and not inode.owned_by(actor):
        raise Errno(EPERM)
    if mask & MAY_WRITE != 0 and inode.executions > 0 and (flags & O_ACCMODE != O_ACCMODE or flags & O_TRUNC != 0):
        raise Errno(ETXTBSY)


def _check_marked(inode: Inode, flags: int) -> None:
    """Raise EPERM if the inode is immutable or append-only and the flags conflict with that."""
    writes = flags & O_ACCMODE != O_RDONLY
    if inode.flags & FS_IMMUTABLE_FL != 0 and (writes or flags & O_TRUNC != 0):
        raise Errno(EPERM)
    if inode.flags & FS_APPEND_FL != 0 and ((writes and flags & O_APPEND == 0) or flags & O_TRUNC != 0):
        raise Errno(EPERM)


def open_silently(context: FsContext, path: Path, flags: int) -> File:
    """Open the file of an event of fanotify(7), which the caller holds: no group is asked or notified. The
    mode does not matter, the thread's domain does. May sleep. Raises ENFILE, EACCES, EROFS, ETXTBSY, ENXIO, and what
    opening raises.
    """
    check_room_for_file()
    inode = path.inode()
    _check_writable(path, inode, flags)
    denied = 0
    if context.credentials.domain is not None:
        denied = rights_denied(context.credentials, path, flags, is_program=False)
    break_leases_for_opening(path, inode, flags)
    file = _finish(context, path, inode, flags)
    file.denied = denied
    file.flags |= O_SILENT | flags & O_CLOEXEC
    return file


def _check_writable(path: Path, inode: Inode, flags: int) -> None:
    """If the file is opened for writing, check that it can be written to at all. Raises EROFS, ETXTBSY."""
    if flags & O_ACCMODE == O_RDONLY and flags & O_TRUNC == 0:
        return
    if inode.is_regular() or inode.is_directory():
        path.mount.require_writable()
    if inode.executions > 0:
        raise Errno(ETXTBSY)


def check_executable(context: FsContext, path: Path) -> None:
    """Whether execve(2) may run the file at `path`."""
    inode = path.inode()
    if not inode.is_regular() or path.mount.flags & MS_NOEXEC != 0:
        raise Errno(EACCES)
    inode.check_permission(path.mount.actor(context.credentials), MAY_EXEC)


def open_permitted(context: FsContext, credentials: Credentials, path: Path, inode: Inode, flags: int) -> File:
    """Create the description if the thread's domain permits it, and notify watchers. The mode permits it."""
    if DEVICE_PROGRAMS.count != 0 and inode.is_device():
        return _open_asked(context, path, inode, flags)
    return open_unasked(context, credentials, path, inode, flags)


@noinline
def _open_asked(context: FsContext, path: Path, inode: Inode, flags: int) -> File:
    """The same for a device, if the programs of the thread's control group permit its use. They take safe points, so
    the file must not vanish before it is open. May sleep. Raises EPERM, MemoryError.
    """
    path.pin()
    inode.acquire()
    try:
        check_device(inode.mode, inode.rdev, _mask_of(flags))
        return open_unasked(context, context.credentials, path, inode, flags)
    finally:
        inode.release()
        path.unpin()


@inline
def open_unasked(context: FsContext, credentials: Credentials, path: Path, inode: Inode, flags: int) -> File:
    """The same without asking programs."""
    if credentials.domain is not None:
        return _open_in_domain(context, path, inode, flags)
    return _open_allowed(context, path, inode, flags)


@noinline
def _open_in_domain(context: FsContext, path: Path, inode: Inode, flags: int) -> File:
    """The same, if the thread's domain permits it. The rights that the domain denies are noted in the description."""
    denied = rights_denied(context.credentials, path, flags, is_program=False)
    if denied & TRUNCATE != 0 and flags & O_TRUNC != 0 and inode.is_regular():
        raise Errno(EACCES)
    file = _open_allowed(context, path, inode, flags)
    file.denied = denied
    return file


@inline
def _open_allowed(context: FsContext, path: Path, inode: Inode, flags: int) -> File:
    """The same once all of the thread's restrictions have been checked."""
    if MARKS.guards != 0 or inode.locks is not None:
        return _open_held(context, path, inode, flags)
    return _open_now(context, path, inode, flags)


@noinline
def _open_held(context: FsContext, path: Path, inode: Inode, flags: int) -> File:
    """The same where it may have to wait for others: groups of fanotify(7) that may forbid it, holders of leases. The
    file must not vanish meanwhile.
    """
    path.pin()
    inode.acquire()
    try:
        if MARKS.guards != 0:
            ask_to_open(path, for_running=False)
            _check_writable(path, inode, flags)  # checked again after the wait
            _check_marked(inode, flags)
        break_leases_for_opening(path, inode, flags)
        return _open_now(context, path, inode, flags)
    finally:
        inode.release()
        path.unpin()


def _open_now(context: FsContext, path: Path, inode: Inode, flags: int) -> File:
    """The same once there is nobody left to wait for."""
    file = _finish(context, path, inode, flags)
    if WATCHES.count != 0:
        tell_opened(file, for_running=False)
        if flags & O_TRUNC != 0 and inode.is_regular():
            pace(TELL_COST)
            tell_place(path.dentry, IN_MODIFY)
    return file


def _check_direct(inode: Inode, flags: int) -> None:
    """O_DIRECT of a regular file. Raises EINVAL."""
    if flags & O_DIRECT != 0 and not inode.file_system.allows_direct():
        raise Errno(EINVAL)


def _finish(context: FsContext, path: Path, inode: Inode, flags: int) -> File:
    """Create the description; permissions have been checked."""
    kept = flags & ~_TRANSIENT
    kind = inode.mode & S_IFMT
    if kind == S_IFREG and (flags & O_DIRECT == 0 or inode.file_system.allows_direct()):
        if flags & O_TRUNC == 0:
            return inode.open(path, kept)
        inode.check_opening()
        path.pin()
        inode.acquire()  # its name may be removed while it is truncated
        try:
            drop_privileges(inode, path.mount.actor(context.credentials))
            inode.truncate(0)
            return inode.open(path, kept)
        finally:
            inode.release()
            path.unpin()
    if inode.is_device():
        if kind == S_IFCHR:
            # Pass all flags on: opening a terminal checks O_NOCTTY.
            return _not_directly(open_device(path, inode, flags & ~(_TRANSIENT & ~O_NOCTTY)), flags)
        open_block_device = SPECIAL.open_block_device
        if open_block_device is None:
            raise Errno(ENXIO)
        # O_EXCL is kept: it claims the device.
        return open_block_device(path, kept | (flags & O_EXCL if flags & O_CREAT == 0 else 0))
    if kind == S_IFIFO:
        opener = SPECIAL.open_fifo
        if opener is None:
            raise Errno(ENXIO)
        return _not_directly(opener(path, kept), flags)
    return _not_directly(inode.open(path, kept), flags)


def _not_directly(file: File, flags: int) -> File:
    """A description of what has no pages to pass by. Raises EINVAL for O_DIRECT, once opening had its effects."""
    if flags & O_DIRECT != 0:
        file.release()
        raise Errno(EINVAL)
    return file


def _open_or_create(context: FsContext, base: Path | None, name: bytes, flags: int, mode: int) -> File:
    if len(name) == 0:
        raise Errno(ENOENT)
    walk = start(context, base)
    walk.run(name, PARENT)
    while True:
        if walk.kind != LAST_NORMAL or walk.trailing_slash:
            raise Errno(EEXIST if flags & O_EXCL != 0 and walk.kind != LAST_NORMAL else EISDIR)
        parent = walk.dentry
        child = walk.look_up(walk.last)
        if child is None:
            walk.check_open_ended()
            created = _create(context, walk, flags, mode)
            if created is not None:
                return created
            continue  # another thread was quicker
        if flags & O_EXCL != 0:
            raise Errno(EEXIST)
        outer = walk.mount
        walk.enter(child)
        inode = walk.directory()
        if not inode.is_symlink() or flags & O_NOFOLLOW != 0:
            path = walk.path()
            if inode.is_symlink():
                raise Errno(ELOOP)
            if inode.is_directory():
                raise Errno(EISDIR)
            holder = parent.inode
            if holder is not None:
                check_creation(path.mount.actor(context.credentials), holder, inode)
            if inode.file_system.sleeps:
                return _check_and_open_held(context, path, inode, flags)
            return _check_and_open(context, path, inode, flags)
        walk.mount = outer
        walk.dentry = parent
        walk.check_link(walk.directory(), inode)
        target = walk.link_target(inode)
        if not target:
            if walk.directory().is_directory():
                raise Errno(EISDIR)
            return open_path(context, walk.path(), flags)
        walk.run(target, PARENT)


def _create(context: FsContext, walk: Walk, flags: int, mode: int) -> File | None:
    """Create a regular file at the end of a walk and open it, even if its mode forbids that. None if it exists by
    now.
    """
    directory = walk.directory()
    walk.mount.require_writable()
    credentials = context.credentials
    if credentials.domain is not None:
        require(credentials, walk.mount, walk.dentry, MAKE_REG)
    actor = walk.mount.actor(credentials)
    directory.check_creation(actor)
    walk.hold_names()
    try:
        if walk.mount.file_system.sleeps and look_up_held(walk.dentry, walk.last) is not None:
            return None
        place = reserve(walk.dentry, walk.last)
        try:
            path = Path(walk.mount, place)
            inode = create_in(context, actor, directory, walk.last, S_IFREG | mode & 0o7777, 0, opens=True)
            settle(place, inode)
            file = _open_new(context, directory, path, inode, flags)
        finally:
            give_back(place)
    finally:
        walk.let_names_go()
    if MARKS.guards != 0:
        _ask_for_new(file)  # while nobody's names are held
    if WATCHES.count != 0:
        pace(TELL_COST)  # between two events
        tell_opened(file, for_running=False)
    return file


def _open_new(context: FsContext, directory: Inode, path: Path, inode: Inode, flags: int) -> File:
    """Open a file that was just created in a directory, whose names are held, and notify watchers of its name. Without
    memory it is removed again, before anybody has heard of it. Raises EACCES; then it exists.
    """
    denied = 0
    place = path.dentry
    try:
        if context.credentials.domain is not None:
            denied = rights_denied(context.credentials, path, flags, is_program=False)
        _check_direct(inode, flags)
        file = inode.open(path, flags & ~_TRANSIENT)
    except Errno:
        tell_created(directory, place)
        raise
    except MemoryError:
        directory.unlink(place.name, inode)
        place.deleted = True
        CACHE.detach(place)
        raise
    tell_created(directory, place)
    file.denied = denied
    file.is_new = True
    return file


def _ask_for_new(file: File) -> None:
    """Raise EPERM if a file that was just created may not be opened. Then its close is not reported."""
    may_be = False
    try:
        ask_to_open(file.path, for_running=False)
        may_be = True
    finally:
        if not may_be:
            file.flags |= O_SILENT
            file.release()


def create_in(
    context: FsContext, actor: Actor, directory: Inode, name: bytes, mode: int, rdev: int, *, opens: bool
) -> Inode:
    """Create anything but a directory, with the mode and the access control lists that it should have there. `opens`:
    the caller opens it next.
    """
    inherited = _new_file(context, actor, directory, mode)
    if opens:
        inode = directory.create(name, inherited.mode, rdev, actor)
    else:
        inode = directory.make_node(name, inherited.mode, rdev, actor)
    inode.may_have_privileges = inherited.mode & SET_ID != 0
    try:
        inherited.give(inode)
    except (Errno, MemoryError):
        directory.unlink(name, inode)
        raise
    return inode


def _new_file(context: FsContext, actor: Actor, directory: Inode, mode: int) -> Inheritance:
    """What a new file inherits; only members of the directory's group may set set-group-ID."""
    is_executable_by_group = mode & (S_ISGID | S_IXGRP) == S_ISGID | S_IXGRP  # before the umask clears it
    if is_executable_by_group and directory.mode & S_ISGID != 0:
        if not may_keep_set_group(actor, directory, directory.gid):
            mode &= ~S_ISGID
    return inherit(context, directory, mode)


def _open_unnamed(context: FsContext, base: Path | None, name: bytes, flags: int, mode: int) -> File:
    """O_TMPFILE: a regular file in the file system of the directory `name`, without a name."""
    if flags & O_DIRECTORY == 0 or flags & O_ACCMODE == O_RDONLY or flags & O_CREAT != 0:
        raise Errno(EINVAL)
    place = resolve(context, base, name, FOLLOW | ENTER)
    if not place.inode().is_directory():
        raise Errno(ENOTDIR)
    with place:
        return _open_unnamed_in(context, place, flags, mode)


def _open_unnamed_in(context: FsContext, place: Path, flags: int, mode: int) -> File:
    """The same in a directory that the caller holds."""
    directory = place.inode()
    place.mount.require_writable()
    actor = place.mount.actor(context.credentials)
    directory.check_creation(actor)
    inherited = _new_file(context, actor, directory, S_IFREG | mode & 0o7777)
    inode = directory.create_unnamed(inherited.mode, actor)
    inode.acquire()  # without a name or a user it would be lost if something fails
    try:
        inode.may_have_privileges = inherited.mode & SET_ID != 0
        inherited.give(inode)
        at = unnamed_path(place.mount, place, inode)
        denied = 0
        if context.credentials.domain is not None:
            denied = rights_denied(context.credentials, at, flags, is_program=False)
        _check_direct(inode, flags)
        file = inode.open(at, flags & ~_TRANSIENT & ~(O_TMPFILE_BIT | O_DIRECTORY))
        file.denied = denied
        if MARKS.guards != 0:
            _ask_for_new(file)
        tell_opened(file, for_running=False)
        return file
    finally:
        inode.release()


def unnamed_path(mount: Mount, directory: Path, inode: Inode) -> Path:
    """A place for an inode that has no name; shown as /directory/#ino (deleted)."""
    name = f"#{inode.ino}".encode()
    dentry = Dentry(directory.dentry, name, inode)
    dentry.deleted = True
    return Path(mount, dentry)
