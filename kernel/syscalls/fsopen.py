"""Mounting in steps: open_tree(2), move_mount(2), fsopen(2), fsconfig(2), fsmount(2), fspick(2), mount_setattr(2)."""

from typing import Final

from kernel.doors.table import syscall
from kernel.fs.anonymous import anonymous_path
from kernel.fs.constants import (
    AT_EMPTY_PATH,
    AT_FDCWD,
    AT_NO_AUTOMOUNT,
    AT_SYMLINK_NOFOLLOW,
    O_CLOEXEC,
    O_PATH,
    O_RDWR,
    PATH_MAX,
)
from kernel.fs.file import PathFile
from kernel.fs.filesystem import find_type
from kernel.fs.landlock import refuse_mounting
from kernel.fs.mount_api import ATTR_IDMAP, AttributeChange, ContextFile, mount_flags_of, open_apart
from kernel.fs.mounts import adopt_group, clone_tree, hold_instance, move_tree, require_administrator
from kernel.fs.namespace import NamespaceInode
from kernel.fs.walk import ENTER
from kernel.lang import E2BIG, EINVAL, ENOENT, EOPNOTSUPP, Errno, UserAddr, i32, u32
from kernel.lib import user
from kernel.lib.namespace import UserNamespace
from kernel.syscalls.descriptor_arguments import file_at
from kernel.syscalls.path_arguments import entering, place_at
from kernel.task.task import current

AT_RECURSIVE: Final = 0x8000
_OPEN_TREE_CLONE: Final = 1
_F_SYMLINKS: Final = 0x1  # MOVE_MOUNT_*
_F_AUTOMOUNTS: Final = 0x2
_F_EMPTY_PATH: Final = 0x4
_T_SYMLINKS: Final = 0x10
_T_AUTOMOUNTS: Final = 0x20
_T_EMPTY_PATH: Final = 0x40
_SET_GROUP: Final = 0x100
_BENEATH: Final = 0x200
_MOVE_FLAGS: Final = 0x77 | _SET_GROUP | _BENEATH
_CLOEXEC: Final = 1  # FSOPEN_, FSMOUNT_ and FSPICK_CLOEXEC
_PICK_NOFOLLOW: Final = 2
_PICK_NO_AUTOMOUNT: Final = 4
_PICK_EMPTY_PATH: Final = 8
_PICK_FLAGS: Final = 0xF
_SET_FLAG: Final = 0  # FSCONFIG_*
_SET_STRING: Final = 1
_SET_FD: Final = 5
_CREATE: Final = 6
_RECONFIGURE: Final = 7
_CREATE_EXCLUSIVE: Final = 8
_KEY_LIMIT: Final = 256
_ATTRIBUTES_SIZE: Final = 32  # struct mount_attr
_PAGE: Final = 4096
_INT_MAX: Final = 0x7FFF_FFFF
_LONGEST_BINARY: Final = 1 << 20
_SET_BINARY: Final = 2
_SET_PATH: Final = 3
_SET_PATH_EMPTY: Final = 4


@syscall(
    "open_tree", status="Full",
    args="dir path flags:1|O_CLOEXEC|AT_EMPTY_PATH|AT_NO_AUTOMOUNT|0x8000|AT_SYMLINK_NOFOLLOW -> fd",
)  # fmt: skip
def open_tree(directory: i32, path: UserAddr, flags: u32) -> int:
    """open_tree(2)."""
    allowed = (
        AT_EMPTY_PATH | AT_NO_AUTOMOUNT | AT_RECURSIVE | AT_SYMLINK_NOFOLLOW | _OPEN_TREE_CLONE | O_CLOEXEC
    )  # fmt: skip
    if flags & ~allowed != 0 or flags & (AT_RECURSIVE | _OPEN_TREE_CLONE) == AT_RECURSIVE:
        raise Errno(EINVAL)
    task = current()
    if flags & _OPEN_TREE_CLONE != 0:
        require_administrator(task.fs)
    task.files.lowest_free(0)
    place = place_at(directory, path, flags, entering(flags))
    if flags & _OPEN_TREE_CLONE != 0:
        file = open_apart(clone_tree(task.fs, place, flags & AT_RECURSIVE != 0))
    else:
        file = PathFile(place, O_PATH)
    return task.files.install(file, flags & O_CLOEXEC != 0)


@syscall(
    "move_mount", status="Full", args="dir path dir path flags:1|2|4|0x10|0x20|0x40|0x100|0x200",
)  # fmt: skip
def move_mount(from_directory: i32, from_path: UserAddr, to_directory: i32, to_path: UserAddr, flags: u32) -> int:
    """move_mount(2)."""
    context = current().fs
    require_administrator(context)
    if flags & ~_MOVE_FLAGS != 0 or flags & (_SET_GROUP | _BENEATH) == _SET_GROUP | _BENEATH:
        raise Errno(EINVAL)
    how = 0 if flags & _F_SYMLINKS != 0 else AT_SYMLINK_NOFOLLOW
    how |= AT_EMPTY_PATH if flags & _F_EMPTY_PATH != 0 else 0
    origin = place_at(from_directory, from_path, how, ENTER if flags & _F_AUTOMOUNTS != 0 else 0)
    how = 0 if flags & _T_SYMLINKS != 0 else AT_SYMLINK_NOFOLLOW
    with origin:
        how |= AT_EMPTY_PATH if flags & _T_EMPTY_PATH != 0 else 0
        target = place_at(to_directory, to_path, how, ENTER if flags & _T_AUTOMOUNTS != 0 else 0)
        refuse_mounting(context.credentials)
        if flags & _SET_GROUP != 0:
            adopt_group(context, origin, target)
        else:
            move_tree(context, origin, target, beneath=flags & _BENEATH != 0)
    return 0


@syscall("fsopen", status="Full", args="name:file_system flags:1 -> fd:fscontext")
def fsopen(name: UserAddr, flags: u32) -> int:
    """fsopen(2)."""
    task = current()
    require_administrator(task.fs)
    if flags & ~_CLOEXEC != 0:
        raise Errno(EINVAL)
    kind = find_type(user.read_string(name, PATH_MAX))
    file = ContextFile(anonymous_path(b"[fscontext]"), O_RDWR, kind, None, task.credentials)
    return task.files.install(file, flags != 0)


@syscall("fspick", status="Full", args="dir path flags:1|2|4|8 -> fd:fscontext")
def fspick(directory: i32, path: UserAddr, flags: u32) -> int:
    """fspick(2)."""
    task = current()
    require_administrator(task.fs)
    if flags & ~_PICK_FLAGS != 0:
        raise Errno(EINVAL)
    how = AT_SYMLINK_NOFOLLOW if flags & _PICK_NOFOLLOW != 0 else 0
    how |= AT_EMPTY_PATH if flags & _PICK_EMPTY_PATH != 0 else 0
    place = place_at(directory, path, how, 0 if flags & _PICK_NO_AUTOMOUNT != 0 else ENTER)
    if place.dentry is not place.mount.root:
        raise Errno(EINVAL)
    file_system = place.mount.file_system
    kind = find_type(file_system.type_name)
    held = hold_instance(file_system, place.dentry)
    try:
        file = ContextFile(anonymous_path(b"[fscontext]"), O_RDWR, kind, held, task.credentials)
    except (Errno, MemoryError):
        held.release()
        raise
    return task.files.install(file, flags & _CLOEXEC != 0)


def _context_file(descriptor: int) -> ContextFile:
    file = file_at(descriptor)
    if not isinstance(file, ContextFile):
        raise Errno(EINVAL)
    return file


@syscall(
    "fsconfig", status="Full", args="fd:fscontext one:0|1|5|6|7|8 name:mount_option name:mount_option int",
)  # fmt: skip
def fsconfig(descriptor: i32, command: u32, key: UserAddr, value: UserAddr, extra: i32) -> int:
    """fsconfig(2)."""
    if descriptor < 0:
        raise Errno(EINVAL)
    if command == _SET_FLAG:
        _require(key != 0 and value == 0 and extra == 0)
    elif command == _SET_STRING:
        _require(key != 0 and value != 0 and extra == 0)
    elif command == _SET_BINARY:
        _require(key != 0 and value != 0 and 0 < extra <= _LONGEST_BINARY)
    elif command == _SET_PATH or command == _SET_PATH_EMPTY:
        _require(key != 0 and value != 0 and (extra >= 0 or extra == AT_FDCWD))
    elif command == _SET_FD:
        _require(key != 0 and value == 0 and extra >= 0)
    elif command in (_CREATE, _RECONFIGURE, _CREATE_EXCLUSIVE):
        _require(key == 0 and value == 0 and extra == 0)
    elif command > _CREATE_EXCLUSIVE:
        raise Errno(EOPNOTSUPP)
    file = _context_file(descriptor)
    if command > _SET_STRING and command <= _SET_FD:
        _refuse_value(file, command, key, value, extra)
        return 0
    name = user.read_string(key, _KEY_LIMIT) if key != 0 else b""
    text = user.read_string(value, _KEY_LIMIT) if command == _SET_STRING else b""
    file.using.acquire_unless_dying()
    try:
        if command == _SET_FLAG:
            file.set_flag(current().fs, name)
        elif command == _SET_STRING:
            file.set_string(current().fs, name, text)
        elif command == _RECONFIGURE:
            refuse_mounting(current().credentials)
            file.reconfigure(current().fs)
        else:
            file.create(current().fs)
    finally:
        file.using.release()
    return 0


def _refuse_value(file: ContextFile, command: int, key: UserAddr, value: UserAddr, extra: int) -> None:
    """FSCONFIG_SET_BINARY, SET_PATH, SET_PATH_EMPTY, SET_FD: no parameter takes such a value, which is read first.
    Raises EOPNOTSUPP for types that take a string of options, and else EFAULT, EINVAL, EBADF, ENOENT, ENAMETOOLONG.
    """
    check_options = file.kind.check_options
    if check_options is None:
        raise Errno(EOPNOTSUPP)
    name = user.read_string(key, _KEY_LIMIT)
    if command == _SET_BINARY:
        user.read_bytes(value, extra)
    elif command == _SET_FD:
        file_at(extra)
    elif len(user.read_string(value, PATH_MAX)) == 0 and command == _SET_PATH:
        raise Errno(ENOENT)
    if not file.kind.ignores_unknown:
        raise Errno(EINVAL)
    if b"," not in name:
        check_options(current().fs, name)  # those that the type knows are wrong without text


def _user_namespace_at(descriptor: int) -> UserNamespace:
    """The user namespace whose file is open at a descriptor. Raises EBADF, EINVAL."""
    if not 0 <= descriptor <= _INT_MAX:
        raise Errno(EINVAL)
    inode = file_at(descriptor).inode
    namespace = inode.namespace if isinstance(inode, NamespaceInode) else None
    if not isinstance(namespace, UserNamespace):
        raise Errno(EINVAL)
    return namespace


def _require(condition: bool) -> None:
    if not condition:
        raise Errno(EINVAL)


@syscall("fsmount", status="Full", args="fd:fscontext flags:1 flags:1|2|4|8|0x10|0x20|0x80 -> fd")
def fsmount(descriptor: i32, flags: u32, attributes: u32) -> int:
    """fsmount(2)."""
    task = current()
    require_administrator(task.fs)
    if flags & ~_CLOEXEC != 0:
        raise Errno(EINVAL)
    mount_flags_of(attributes)
    file = _context_file(descriptor)
    task.files.lowest_free(0)
    file.using.acquire_unless_dying()
    try:
        namespace = file.mount(task.fs, attributes)
    finally:
        file.using.release()
    return task.files.install(open_apart(namespace), flags != 0)


@syscall(
    "mount_setattr", status="Full",
    args="dir path flags:AT_EMPTY_PATH|AT_NO_AUTOMOUNT|0x8000|AT_SYMLINK_NOFOLLOW <mount_attr[size] size",
)  # fmt: skip
def mount_setattr(directory: i32, path: UserAddr, flags: u32, address: UserAddr, size: int) -> int:
    """mount_setattr(2)."""
    if flags & ~(AT_EMPTY_PATH | AT_NO_AUTOMOUNT | AT_RECURSIVE | AT_SYMLINK_NOFOLLOW) != 0:
        raise Errno(EINVAL)
    if size < 0 or size > _PAGE:
        raise Errno(E2BIG)
    if size < _ATTRIBUTES_SIZE:
        raise Errno(EINVAL)
    context = current().fs
    require_administrator(context)
    user.require_zeros(address, _ATTRIBUTES_SIZE, size)
    set_ = user.read_u64(address)
    cleared = user.read_u64(user.at(address, 8))
    propagation = user.read_u64(user.at(address, 16))
    if set_ == 0 and cleared == 0 and propagation == 0:
        return 0
    change = AttributeChange(set_, cleared, propagation)
    if set_ & ATTR_IDMAP != 0:
        change.map_owners(context.credentials, _user_namespace_at(user.read_u64(user.at(address, 24))))
    place = place_at(directory, path, flags, entering(flags))
    change.apply(context, place, flags & AT_RECURSIVE != 0)
    return 0
