"""mount(2), umount2(2), pivot_root(2), and what /proc/mounts shows.

Only root may change the tree. Propagation types are accepted and mean nothing: there is one namespace.
"""

from typing import Final

from kernel.cache.devices import sync_devices
from kernel.cache.writeback import FLUSHER
from kernel.fs.constants import (
    MNT_DETACH,
    MNT_EXPIRE,
    MNT_FORCE,
    MS_BIND,
    MS_DIRSYNC,
    MS_MOVE,
    MS_NOATIME,
    MS_NODEV,
    MS_NODIRATIME,
    MS_NOEXEC,
    MS_NOSUID,
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
from kernel.fs.filesystem import FileSystem, find_type, make_filesystem
from kernel.fs.mount_device import filesystem_on, find_block_device
from kernel.fs.path import MOUNT_FLAGS, MOUNTS, FsContext, Mount, Path, end_filesystem, is_below, path_name
from kernel.fs.walk import DIRECTORY, FOLLOW, resolve
from kernel.lang import EACCES, EAGAIN, EBUSY, EINVAL, ELOOP, ENOENT, ENOSPC, ENOTDIR, EPERM, Errno, final
from kernel.lib import log
from kernel.lib.capabilities import CAP_SYS_ADMIN
from kernel.lib.credentials import Credentials
from kernel.lib.settings import SystemSetting
from kernel.sched import Obligation, WaitQueue

_PROPAGATION: Final = MS_SHARED | MS_PRIVATE | MS_SLAVE | MS_UNBINDABLE
_MOST_MOUNTS: Final = SystemSetting(b"fs/mount-max", [100_000], 1, (1 << 31) - 1)
_KEEPER_LEFT: Final = WaitQueue()


def attach_root(file_system: FileSystem, credentials: Credentials) -> FsContext:
    """Mount the first file system; the context of the first process."""
    mount = Mount(file_system, root_dentry(file_system), MS_RELATIME)
    mount.attached = True
    MOUNTS[mount.identifier] = mount
    path = Path(mount, mount.root)
    return FsContext(path, path, 0o022, credentials)


def root_dentry(file_system: FileSystem) -> Dentry:
    """A dentry for the root of a file system that is mounted for the first time."""
    return Dentry(None, b"/", file_system.root())


def _existing_root(file_system: FileSystem) -> Dentry:
    """The root dentry of a file system that may be mounted already (devtmpfs): one tree of dentries each."""
    if file_system.mounts == 0:
        return root_dentry(file_system)
    for mount in MOUNTS.values():
        if mount.file_system is file_system and mount.root.parent is None:
            return mount.root
    return root_dentry(file_system)


def _top_at(at: Path) -> Path:
    """What one sees at a place: the root of the last mount that covers it, or the place itself.

    A walk ends at a covered place where it does not come by a name: `.` in a working directory, and `/`. Each mount
    point has one mount at most.
    """
    while True:
        above = at.mount.children.get(at.dentry)
        if above is None:
            return at
        at = Path(above, above.root)


def _place_for_mount(at: Path) -> Path:
    """Where a mount at a place goes: on top. Raises ENOENT for a place that has left the tree."""
    top = _top_at(at)
    if not top.mount.attached:
        raise Errno(ENOENT)
    return top


def _check_room(count: int) -> None:
    """Raise ENOSPC unless there may be that many more mounts."""
    if len(MOUNTS) + count > _MOST_MOUNTS.value:
        raise Errno(ENOSPC)


def mount_filesystem(file_system: FileSystem, at: Path, flags: int) -> Mount:
    """Attach a file system at a directory, which may be covered by others already."""
    at = _place_for_mount(at)
    inode = at.inode()
    if not inode.is_directory():
        raise Errno(ENOTDIR)
    if at.dentry.deleted:
        raise Errno(EINVAL)
    if at.dentry is at.mount.root and at.mount.file_system is file_system:
        raise Errno(EBUSY)  # the same thing on itself
    _check_room(1)
    mount = Mount(file_system, _existing_root(file_system), flags & MOUNT_FLAGS)
    mount.attach(at.mount, at.dentry)
    return mount


def mount(context: FsContext, source: bytes, target: bytes, type_name: bytes, flags: int, options: bytes) -> None:
    """mount(2), after its strings were read."""
    # Old programs put a magic number into the high half.
    if flags & 0xFFFF0000 == 0xC0ED0000:
        flags &= 0xFFFF
    at = resolve(context, None, target, FOLLOW)
    if not context.credentials.capable(CAP_SYS_ADMIN):
        raise Errno(EPERM)
    mount_flags = flags & MOUNT_FLAGS
    if flags & (MS_NOATIME | MS_STRICTATIME) == 0:
        mount_flags |= MS_RELATIME
    if flags & MS_STRICTATIME != 0:
        mount_flags &= ~(MS_RELATIME | MS_NOATIME)
    if flags & MS_REMOUNT != 0:
        _remount(at, flags, mount_flags, options)
    elif flags & MS_BIND != 0:
        _bind(context, source, at, flags & MS_REC != 0)
    elif flags & _PROPAGATION != 0:
        _change_propagation(at, flags)
    elif flags & MS_MOVE != 0:
        _move(context, source, at)
    else:
        if len(type_name) == 0:
            raise Errno(EINVAL)
        _mount_new(context, source, at, type_name, flags, mount_flags, options)


def _use_write_flags(file_system: FileSystem, flags: int) -> None:
    """MS_SYNCHRONOUS and MS_DIRSYNC belong to the file system, not to one place where it is seen."""
    file_system.is_synchronous = flags & MS_SYNCHRONOUS != 0
    file_system.syncs_directories = flags & MS_DIRSYNC != 0


def _mount_new(
    context: FsContext, source: bytes, at: Path, type_name: bytes, flags: int, mount_flags: int, options: bytes
) -> None:
    kind = find_type(type_name)
    if not kind.needs_device:
        fresh = make_filesystem(type_name, source, options)
        mount_filesystem_checked(fresh, at, mount_flags)
        if fresh.mounts == 1:
            fresh.read_only = flags & MS_RDONLY != 0
        _use_write_flags(fresh, flags)
        return
    at.pin()
    try:
        device = find_block_device(context, source)
        file_system = filesystem_on(device, kind, source, options, flags & MS_RDONLY != 0)
        mount_filesystem_checked(file_system, at, mount_flags)
        if file_system.mounts == 1:
            _use_write_flags(file_system, flags)
    finally:
        at.unpin()


def mount_filesystem_checked(file_system: FileSystem, at: Path, flags: int) -> None:
    """Mount a fresh instance; it is shut down if it cannot be attached."""
    try:
        mount_filesystem(file_system, at, flags)
    except (Errno, MemoryError):
        if file_system.mounts == 0:
            end_filesystem(file_system)
        raise


def _require_root(at: Path) -> None:
    if at.dentry is not at.mount.root:
        raise Errno(EINVAL)


def _remount(at: Path, flags: int, mount_flags: int, options: bytes) -> None:
    _require_root(at)
    if flags & (MS_NOATIME | MS_NODIRATIME | MS_RELATIME | MS_STRICTATIME) == 0:
        kept = MS_NOATIME | MS_NODIRATIME | MS_RELATIME
        mount_flags = (mount_flags & ~kept) | (at.mount.flags & kept)
    if flags & MS_BIND == 0:
        file_system = at.mount.file_system
        read_only = flags & MS_RDONLY != 0
        device = file_system.block_device
        if read_only and not file_system.read_only and file_system.writers > 0:
            raise Errno(EBUSY)
        if not read_only and device is not None and device.read_only:
            raise Errno(EACCES)
        at.pin()
        try:
            file_system.remount(read_only, options)
            file_system.is_synchronous = flags & MS_SYNCHRONOUS != 0  # a remount leaves `dirsync` alone
        finally:
            at.unpin()
    at.mount.flags = mount_flags


def _change_propagation(at: Path, flags: int) -> None:
    """Every mount is private: what is mounted below one shows at no other. So it is the slave of nobody, which is the
    same, and it may be forbidden to bind it; sharing is not supported.
    """
    kind = flags & _PROPAGATION
    if flags & ~(_PROPAGATION | MS_REC | MS_SILENT) != 0 or kind not in (MS_PRIVATE, MS_SLAVE, MS_UNBINDABLE):
        raise Errno(EINVAL)
    _require_root(at)
    at.mount.is_unbindable = kind == MS_UNBINDABLE
    if flags & MS_REC != 0:
        for mount in mounts_below(at):
            mount.is_unbindable = kind == MS_UNBINDABLE


def _bind(context: FsContext, source: bytes, at: Path, recursive: bool) -> None:
    if len(source) == 0:
        raise Errno(EINVAL)
    origin = resolve(context, None, source, FOLLOW)
    at = _place_for_mount(at)
    if origin.inode().is_directory() != at.inode().is_directory():
        raise Errno(ENOTDIR)
    if at.dentry.deleted:
        raise Errno(EINVAL)
    if origin.mount.is_unbindable:
        raise Errno(EINVAL)
    inner: list[Mount] = []
    if recursive:
        inner = mounts_below(origin)
    _check_room(1 + len(inner))
    copy = Mount(origin.mount.file_system, origin.dentry, origin.mount.flags)
    copy.attach(at.mount, at.dentry)
    copies: dict[Mount, Mount] = {origin.mount: copy}
    for each in inner:
        parent = each.parent
        point = each.mount_point
        if parent is None or point is None:
            continue
        new_parent = copies.get(parent)
        if new_parent is None or each.is_unbindable:
            continue
        new = Mount(each.file_system, each.root, each.flags)
        new.attach(new_parent, point)
        copies[each] = new


def mounts_below(top: Path) -> list[Mount]:
    """All mounts at or below a place, outer ones first."""
    found: list[Mount] = []
    for each in MOUNTS.values():
        parent = each.parent
        point = each.mount_point
        if parent is not None and point is not None and is_below(Path(parent, point), top):
            found.append(each)
    return found


def _move(context: FsContext, source: bytes, at: Path) -> None:
    if len(source) == 0:
        raise Errno(EINVAL)
    origin = resolve(context, None, source, FOLLOW)
    at = _place_for_mount(at)
    moved = origin.mount
    if origin.dentry is not moved.root or moved.parent is None:
        raise Errno(EINVAL)
    if moved.root_is_directory() != at.inode().is_directory():
        raise Errno(ENOTDIR)
    if is_below(at, origin):
        raise Errno(ELOOP)
    moved.move(at.mount, at.dentry)


def unmount(context: FsContext, target: bytes, flags: int) -> None:
    """umount2(2)."""
    if flags & ~(MNT_FORCE | MNT_DETACH | MNT_EXPIRE | UMOUNT_NOFOLLOW) != 0:
        raise Errno(EINVAL)
    follow = 0 if flags & UMOUNT_NOFOLLOW != 0 else FOLLOW
    at = _top_at(resolve(context, None, target, follow))
    mount_ = at.mount
    mount_.entries -= 1  # to unmount is not to use
    if not context.credentials.capable(CAP_SYS_ADMIN):
        raise Errno(EPERM)
    _require_root(at)
    if not mount_.attached:
        raise Errno(EINVAL)
    if flags & MNT_DETACH == 0:
        _wait_for_keepers(mount_)
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
    if flags & MNT_DETACH == 0:
        if mount_.users > 0 or len(mount_.children) > 0:
            raise Errno(EBUSY)
        mount_.detach()
        return
    inner = mounts_below(Path(mount_, mount_.root))
    inner.reverse()
    for each in inner:
        each.detach()
    if mount_.attached:
        mount_.detach()


def _wait_for_keepers(mount_: Mount) -> None:
    while mount_.keepers > 0:
        _KEEPER_LEFT.sleep(interruptible=False)
        if not mount_.attached:
            raise Errno(EINVAL)  # somebody else was faster


def pivot_root(context: FsContext, new_root: bytes, put_old: bytes) -> Path:
    """pivot_root(2): the tree's root moves to `put_old`. Returns the new root; the caller moves the processes."""
    if not context.credentials.capable(CAP_SYS_ADMIN):
        raise Errno(EPERM)
    new = resolve(context, None, new_root, FOLLOW | DIRECTORY)
    old = resolve(context, None, put_old, FOLLOW | DIRECTORY)
    root = context.root
    if new.mount is root.mount or old.mount is root.mount:
        raise Errno(EBUSY)
    if new.dentry is not new.mount.root or root.dentry is not root.mount.root or new.mount.parent is None:
        raise Errno(EINVAL)
    if not is_below(old, new) or root.mount.parent is not None:
        raise Errno(EINVAL)
    new.mount.become_root()
    root.mount.move(old.mount, old.dentry)
    return new


def mount_lines(context: FsContext) -> bytes:
    """The text of /proc/mounts as seen from the context's root."""
    text = bytearray()
    for each in MOUNTS.values():
        place = Path(each, each.root)
        name = path_name(place, context.root)
        if name.startswith(b"(unreachable)"):
            continue
        text.extend(escape(each.file_system.source) + b" " + escape(name) + b" " + each.file_system.type_name)
        text.extend(b" " + flag_names(each) + each.file_system.options() + b" 0 0\n")
    return bytes(text)


def mountinfo_lines(context: FsContext) -> bytes:
    """The text of /proc/PID/mountinfo (proc_pid_mountinfo(5))."""
    text = bytearray()
    for each in MOUNTS.values():
        name = path_name(Path(each, each.root), context.root)
        if name.startswith(b"(unreachable)"):
            continue
        parent = each.parent
        parent_identifier = parent.identifier if parent is not None else 1
        device = each.file_system.device
        top = _name_in_filesystem(each.root)
        text.extend(f"{each.identifier} {parent_identifier} {device >> 8 & 0xFFF}:{device & 0xFF} ".encode())
        text.extend(escape(top) + b" " + escape(name) + b" " + mount_flag_names(each))
        text.extend(b" unbindable - " if each.is_unbindable else b" - ")
        text.extend(each.file_system.type_name + b" " + escape(each.file_system.source))
        text.extend((b" ro" if each.file_system.read_only else b" rw") + _write_flag_names(each.file_system))
        text.extend(each.file_system.options() + b"\n")
    return bytes(text)


def mountstats_lines(context: FsContext) -> bytes:
    """The text of /proc/PID/mountstats (proc_pid_mountstats(5))."""
    text = bytearray()
    for each in MOUNTS.values():
        name = path_name(Path(each, each.root), context.root)
        if name.startswith(b"(unreachable)"):
            continue
        text.extend(b"device " + escape(each.file_system.source) + b" mounted on " + escape(name))
        text.extend(b" with fstype " + each.file_system.type_name + b"\n")
    return bytes(text)


def _name_in_filesystem(dentry: Dentry) -> bytes:
    parts: list[bytes] = []
    place = dentry
    while True:
        above = place.parent
        if above is None or above is place:
            break
        parts.append(place.name)
        place = above
    parts.reverse()
    return b"/" + b"/".join(parts)


def _write_flag_names(file_system: FileSystem) -> bytes:
    names = b",sync" if file_system.is_synchronous else b""
    return names + b",dirsync" if file_system.syncs_directories else names


def flag_names(mount_: Mount) -> bytes:
    """The options of a mount and its file system, as /proc/mounts shows them."""
    read_only = mount_.flags & MS_RDONLY != 0 or mount_.file_system.read_only
    return (b"ro" if read_only else b"rw") + _write_flag_names(mount_.file_system) + _place_flag_names(mount_)


def mount_flag_names(mount_: Mount) -> bytes:
    """The options that belong to the mount alone."""
    return (b"ro" if mount_.flags & MS_RDONLY != 0 else b"rw") + _place_flag_names(mount_)


def _place_flag_names(mount_: Mount) -> bytes:
    flags = mount_.flags
    names = b""
    if flags & MS_NOSUID != 0:
        names += b",nosuid"
    if flags & MS_NODEV != 0:
        names += b",nodev"
    if flags & MS_NOEXEC != 0:
        names += b",noexec"
    if flags & MS_NOATIME != 0:
        names += b",noatime"
    if flags & MS_NODIRATIME != 0:
        names += b",nodiratime"
    if flags & MS_RELATIME != 0:
        names += b",relatime"
    return names


def escape(name: bytes) -> bytes:
    """Spaces, tabs, newlines and backslashes as octal, so that a line stays a line (getmntent(3))."""
    text = bytearray()
    for byte in name:
        if byte == 32 or byte == 9 or byte == 10 or byte == 92:
            text.append(92)
            text.append(48 + (byte >> 6))
            text.append(48 + (byte >> 3 & 7))
            text.append(48 + (byte & 7))
        else:
            text.append(byte)
    return bytes(text)


@final
class Keeper(Obligation):
    """In a `with` statement: an attached mount stays for so long, and is not busy for umount(2), which waits."""

    def __init__(self, mount_: Mount) -> None:
        super().__init__()
        self.mount: Mount = mount_

    def __enter__(self) -> "Keeper":
        self.owe()
        self.mount.keepers += 1
        self.mount.acquire()
        return self

    def __exit__(self, kind: object, value: object, traceback: object) -> None:
        self.settle()
        self.mount.keepers -= 1
        self.mount.release()
        _KEEPER_LEFT.wake_all()

    def broken_off(self) -> None:
        self.mount.keepers -= 1  # it stays busy, but nobody waits
        _KEEPER_LEFT.wake_all()


def sync_all() -> None:
    """sync(2): every file system and every device, whatever fails. May sleep."""
    for each in list(MOUNTS.values()):
        if each.attached:
            with Keeper(each):
                try:
                    each.file_system.sync()
                except Errno as error:
                    log.error(f"sync: a file system could not be written: error {error.code}")
    sync_devices()


def write_back_all() -> None:
    """What the flusher does for file systems every few seconds. May sleep."""
    for each in list(MOUNTS.values()):
        if each.attached and each.file_system.sleeps:
            with Keeper(each):
                each.file_system.write_back()


def end_writing() -> None:
    """The machine is about to stop: file systems on disks become read-only, and so are clean. Sleeps.

    Linux leaves this to programs, which do it as well (umount -a -r); nothing is lost by being sure.
    """
    for each in list(MOUNTS.values()):
        file_system = each.file_system
        if file_system.block_device is None or file_system.read_only:
            continue
        try:
            file_system.remount(True, b"")
        except Errno as error:
            log.error(f"a file system could not be made read-only: error {error.code}")


FLUSHER.before = write_back_all
