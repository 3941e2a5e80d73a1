"""What /proc/PID/mounts, mountinfo and mountstats show (proc_pid_mountinfo(5))."""

from typing import Final

from kernel.fs.constants import (
    MS_DIRSYNC,
    MS_LAZYTIME,
    MS_MANDLOCK,
    MS_NOATIME,
    MS_NODEV,
    MS_NODIRATIME,
    MS_NOEXEC,
    MS_NOSUID,
    MS_NOSYMFOLLOW,
    MS_RDONLY,
    MS_RELATIME,
)
from kernel.fs.dentry import Dentry
from kernel.fs.filesystem import FileSystem
from kernel.fs.mount_lock import STILL_TREE
from kernel.fs.namespace import namespace_at
from kernel.fs.path import (
    Mount,
    MountNamespace,
    Path,
    is_below,
    path_name,
)
from kernel.fs.peers import PeerGroup
from kernel.lang import final
from kernel.lib.pace import pace

_STEP: Final = 60  # instructions for a mount on the way to the root


@final
class MountView:
    """The mounts of a namespace as seen from `root`, for one listing. A line is empty for mounts outside the root.
    Lines take safe points, as the tree may be deep; it is empty, too, for a mount that others unmount there.
    """

    def __init__(self, root: Path) -> None:
        self.root: Path = root
        self.masters: dict[PeerGroup, int] = {}  # what `nearest_master` found

    def _name(self, each: Mount) -> bytes | None:
        """The place of a mount; None if it lies outside."""
        pace_up(each)
        name = path_name(Path(each, each.root), self.root, marks_outside=True)
        return None if name.startswith(b"(unreachable)") else name

    def mounts_line(self, each: Mount) -> bytes:
        """For /proc/PID/mounts (fstab(5))."""
        name = self._name(each)
        if name is None:
            return b""
        text = _shown_source(each) + b" " + escape(name) + b" " + escape(each.file_system.type_name)
        return text + b" " + flag_names(each) + each.file_system.options_at(each.root) + b" 0 0\n"

    def mountinfo_line(self, each: Mount) -> bytes:
        """For /proc/PID/mountinfo (proc_pid_mountinfo(5))."""
        name = self._name(each)
        if name is None:
            return b""
        parent = each.parent
        parent_identifier = parent.identifier if parent is not None else 1
        device = each.file_system.device
        text = bytearray(f"{each.identifier} {parent_identifier} {device >> 8 & 0xFFF}:{device & 0xFF} ".encode())
        shown = each.file_system.shown_place(root_name(each))
        text.extend(escape(shown) + b" " + escape(name) + b" " + mount_flag_names(each))
        text.extend(self._propagation_of(each) + b" - ")
        if not each.attached:
            return b""  # it was unmounted at a safe point, and its file system may have ended
        text.extend(escape(each.file_system.type_name) + b" " + _shown_source(each))
        text.extend((b" ro" if each.file_system.read_only else b" rw") + _write_flag_names(each.file_system))
        text.extend(each.file_system.options_at(each.root) + b"\n")
        return bytes(text)

    def _propagation_of(self, each: Mount) -> bytes:
        """The optional fields of a line of mountinfo."""
        text = b""
        if each.group is not None:
            text += f" shared:{each.group.number}".encode()
        master = each.master
        if master is not None:
            text += f" master:{master.number}".encode()
            seen = nearest_master(each, self.root, self.masters)
            if seen != 0 and seen != master.number:
                text += f" propagate_from:{seen}".encode()
        return text + b" unbindable" if each.is_unbindable else text

    def mountstats_line(self, each: Mount) -> bytes:
        """For /proc/PID/mountstats (proc_pid_mountstats(5))."""
        name = self._name(each)
        if name is None:
            return b""
        text = b"device " + _shown_source(each) + b" mounted on " + escape(name)
        return text + b" with fstype " + escape(each.file_system.type_name) + b"\n"


def source_of(mount: Mount) -> bytes:
    """The source that a mount shows."""
    own = mount.source
    return mount.file_system.source if own is None else own


def _shown_source(mount: Mount) -> bytes:
    """The same in a line, where "#" would begin a comment."""
    return b"\\043".join(escape(source_of(mount)).split(b"#"))


def pace_up(mount: Mount) -> None:
    """A safe point, if it is time for one, before walks to the root: mounts may be nested without limit."""
    above: Mount | None = mount
    depth = 0
    while above is not None:
        above = above.parent
        depth += 1
    pace(depth * _STEP)


def nearest_master(mount: Mount, root: Path, known: dict[PeerGroup, int]) -> int:
    """The number of the nearest group that a slave receives from and that has a mount below `root` in the same
    namespace; 0 if there is none. `known` remembers it for groups, while namespace and root are the same. Takes safe
    points. Raises MemoryError.
    """
    passed: list[PeerGroup] = []
    number = 0
    namespace = mount.namespace
    group = mount.master
    while group is not None:
        if group in known:
            number = known[group]
            break
        passed.append(group)
        if _has_member_below(group, namespace, root):
            number = group.number
            break
        member = group.member
        group = None if member is None else member.master
    for each in passed:
        known[each] = number
    return number


def _has_member_below(group: PeerGroup, namespace: MountNamespace | None, root: Path) -> bool:
    with STILL_TREE:
        members = group.members()
    for member in members:
        pace(_STEP)
        if member.namespace is namespace:
            pace_up(member)
            if member.group is group and is_below(Path(member, member.root), root):
                return True
    return False


def root_name(mount: Mount) -> bytes:
    """What of its file system a mount shows: a directory, or a namespace's file, which lies in none."""
    namespace = namespace_at(mount)
    if namespace is not None:
        return namespace.name + f":[{namespace.number}]".encode()
    return name_in_filesystem(mount.root)


def name_in_filesystem(dentry: Dentry) -> bytes:
    """The path from the root of its file system."""
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
    if file_system.shown_flags & MS_DIRSYNC != 0:
        names += b",dirsync"
    if file_system.shown_flags & MS_MANDLOCK != 0:
        names += b",mand"
    return names + b",lazytime" if file_system.shown_flags & MS_LAZYTIME != 0 else names


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
    if flags & MS_NOSYMFOLLOW != 0:
        names += b",nosymfollow"
    if mount_.owners is not None:
        names += b",idmapped"
    return names


def escape(name: bytes) -> bytes:
    """Spaces, tabs, newlines and backslashes as octal, so that a line stays a line (getmntent(3))."""
    text = bytearray()
    for byte in name:
        if byte == ord(" ") or byte == ord("\t") or byte == ord("\n") or byte == ord("\\"):
            text.append(ord("\\"))
            text.append(48 + (byte >> 6))
            text.append(48 + (byte >> 3 & 7))
            text.append(48 + (byte & 7))
        else:
            text.append(byte)
    return bytes(text)
