"""What /proc/PID/mounts, mountinfo and mountstats show (proc_pid_mountinfo(5))."""


from kernel.fs.constants import (
    MS_NOATIME,
    MS_NODEV,
    MS_NODIRATIME,
    MS_NOEXEC,
    MS_NOSUID,
    MS_RDONLY,
    MS_RELATIME,
)
from kernel.fs.dentry import Dentry
from kernel.fs.filesystem import FileSystem
from kernel.fs.path import (
    FsContext,
    Mount,
    Path,
    is_below,
    path_name,
)
from kernel.fs.peers import PeerGroup


def mount_lines(context: FsContext) -> bytes:
    """The text of /proc/mounts as seen from the context's root."""
    text = bytearray()
    for each in context.namespace.mounts.values():
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
    for each in context.namespace.mounts.values():
        name = path_name(Path(each, each.root), context.root)
        if name.startswith(b"(unreachable)"):
            continue
        parent = each.parent
        parent_identifier = parent.identifier if parent is not None else 1
        device = each.file_system.device
        top = name_in_filesystem(each.root)
        text.extend(f"{each.identifier} {parent_identifier} {device >> 8 & 0xFFF}:{device & 0xFF} ".encode())
        text.extend(escape(top) + b" " + escape(name) + b" " + mount_flag_names(each))
        text.extend(_propagation_of(each, context) + b" - ")
        text.extend(each.file_system.type_name + b" " + escape(each.file_system.source))
        text.extend((b" ro" if each.file_system.read_only else b" rw") + _write_flag_names(each.file_system))
        text.extend(each.file_system.options() + b"\n")
    return bytes(text)


def _propagation_of(each: Mount, context: FsContext) -> bytes:
    """The optional fields of a line of mountinfo."""
    text = b""
    if each.group is not None:
        text += f" shared:{each.group.number}".encode()
    if each.master is not None:
        text += f" master:{each.master.number}".encode()
        seen = nearest_master(each, context.root)
        if seen != 0 and seen != each.master.number:
            text += f" propagate_from:{seen}".encode()
    return text + b" unbindable" if each.is_unbindable else text


def nearest_master(mount: Mount, root: Path) -> int:
    """The number of the nearest group that a slave receives from and that has a mount below `root` in the same
    namespace; 0 if there is none.
    """
    group = mount.master
    while group is not None:
        above: PeerGroup | None = None
        for member in group.members:
            above = member.master
            if member.namespace is mount.namespace and is_below(Path(member, member.root), root):
                return group.number
        group = above
    return 0


def mountstats_lines(context: FsContext) -> bytes:
    """The text of /proc/PID/mountstats (proc_pid_mountstats(5))."""
    text = bytearray()
    for each in context.namespace.mounts.values():
        name = path_name(Path(each, each.root), context.root)
        if name.startswith(b"(unreachable)"):
            continue
        text.extend(b"device " + escape(each.file_system.source) + b" mounted on " + escape(name))
        text.extend(b" with fstype " + each.file_system.type_name + b"\n")
    return bytes(text)


def name_in_filesystem(dentry: Dentry) -> bytes:
    """The way from the root of its file system."""
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
        if byte == ord(" ") or byte == ord("\t") or byte == ord("\n") or byte == ord("\\"):
            text.append(92)
            text.append(48 + (byte >> 6))
            text.append(48 + (byte >> 3 & 7))
            text.append(48 + (byte & 7))
        else:
            text.append(byte)
    return bytes(text)
