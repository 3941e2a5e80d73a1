"""/dev/autofs: how an automounter reaches mounts that others cover, or that an earlier automounter has left.

Each command comes with a structure, in which a descriptor says which mount is meant, or a path.

Context: AUTOFS_DEV_IOCTL_EXPIRE sleeps, and walks to the path may.
Source: Linux's Documentation/filesystems/autofs-mount-control.rst.
"""

from typing import Final

from kernel.fs.autofs.directory import AutofsNode
from kernel.fs.autofs.expiry import expire, may_be_unmounted
from kernel.fs.autofs.instance import AutofsInstance
from kernel.fs.autofs.packets import MINOR_VERSION
from kernel.fs.autofs.root import IOCTL_TYPE
from kernel.fs.constants import O_RDONLY, PATH_MAX, READABLE, WRITABLE
from kernel.fs.file import File
from kernel.fs.path import Path
from kernel.fs.walk import FOLLOW, resolve
from kernel.lang import (
    EACCES,
    EBADF,
    EBUSY,
    EINVAL,
    ENAMETOOLONG,
    ENOENT,
    ENOTTY,
    EPERM,
    EPIPE,
    Errno,
    Span,
    UserAddr,
    final,
    span_of,
    u8,
    u64,
)
from kernel.lib import user
from kernel.lib.capabilities import CAP_SYS_ADMIN
from kernel.lib.credentials import gid_for_caller, uid_for_caller
from kernel.lib.user import Buffer
from kernel.sched import PollWaiter
from kernel.task import current

# Commands: the last byte of the number. Which size the rest names does not matter.
_VERSION: Final = 0x71
_PROTOVER: Final = 0x72
_PROTOSUBVER: Final = 0x73
_OPENMOUNT: Final = 0x74
_CLOSEMOUNT: Final = 0x75
_READY: Final = 0x76
_FAIL: Final = 0x77
_SETPIPEFD: Final = 0x78
_CATATONIC: Final = 0x79
_TIMEOUT: Final = 0x7A
_REQUESTER: Final = 0x7B
_EXPIRE: Final = 0x7C
_ASKUMOUNT: Final = 0x7D
_ISMOUNTPOINT: Final = 0x7E

# The structure: version (two words), size of all, descriptor, and eight bytes of arguments; then a path, or nothing.
_MAJOR_VERSION: Final = 1
_LATEST_MINOR: Final = 1
_SIZE: Final = 24
_SIZE_AT: Final = 8
_DESCRIPTOR_AT: Final = 12
_FIRST: Final = 16  # the arguments
_SECOND: Final = 20
_UNKNOWN_ID: Final = 0xFFFF_FFFF


@final
class AutofsDevice(File):
    """An open /dev/autofs."""

    def read(self, buffer: Buffer) -> int:
        raise Errno(EINVAL)

    def write(self, buffer: Buffer) -> int:
        raise Errno(EINVAL)

    def seek(self, offset: int, whence: int) -> int:
        return self.position

    def poll(self, waiter: PollWaiter | None) -> int:
        return READABLE | WRITABLE

    def ioctl(self, command: int, argument: int) -> int:
        number = command & 0xFF
        if command >> 8 & 0xFF != IOCTL_TYPE or not _VERSION <= number <= _ISMOUNTPOINT:
            raise Errno(ENOTTY)
        if number != _VERSION and not current().credentials.capable(CAP_SYS_ADMIN):
            raise Errno(EPERM)
        address = UserAddr(argument)
        head = bytearray(user.read_bytes(address, _SIZE))
        path = _read_path(address, head, number)
        fields = span_of(head)
        fields.store_u32(0, _MAJOR_VERSION)
        fields.store_u32(4, _LATEST_MINOR)
        result = _perform(number, head, path)
        user.write_bytes(address, bytes(head))
        return result


def _read_path(address: UserAddr, head: bytearray, number: int) -> bytes:
    """The path after the structure, b"" where there is none. Raises EINVAL (another version, or no path where one is
    needed), ENAMETOOLONG, EFAULT, MemoryError.
    """
    fields = span_of(head)
    size = fields.load_u32(_SIZE_AT)
    if size < _SIZE:
        raise Errno(EINVAL)
    if size > _SIZE + PATH_MAX:
        raise Errno(ENAMETOOLONG)
    path = user.read_bytes(user.at(address, _SIZE), size - _SIZE)
    if fields.load_u32(0) != _MAJOR_VERSION or fields.load_u32(4) > _LATEST_MINOR:
        raise Errno(EINVAL)
    if len(path) == 0:
        if number == _OPENMOUNT or number == _REQUESTER or number == _ISMOUNTPOINT:
            raise Errno(EINVAL)
        return path
    end = path.find(b"\0")
    if end < 0 or path[0] != ord("/"):
        raise Errno(EINVAL)
    return path[:end]


def _perform(number: int, head: bytearray, path: bytes) -> int:
    """Do what a command says, and put the results into its structure."""
    fields = span_of(head)
    descriptor = fields.load_u32(_DESCRIPTOR_AT)
    if descriptor >= 1 << 31:
        descriptor -= 1 << 32
    if number == _VERSION:
        return 0
    if number == _OPENMOUNT:
        fields.store_u32(_DESCRIPTOR_AT, _open_mount(path, fields.load_u32(_FIRST)))
        return 0
    files = current().files
    if number == _CLOSEMOUNT:
        files.close(descriptor)
        return 0
    file = files.find(descriptor)
    if number == _ISMOUNTPOINT and (file is None or file.is_path_only()):
        return _find_mount_point(fields, path)
    root = files.get(descriptor)
    instance = root.inode.file_system
    if not isinstance(instance, AutofsInstance):
        raise Errno(EINVAL)
    if number != _CATATONIC and not instance.obeys():
        raise Errno(EACCES)
    root.acquire()  # it may be closed meanwhile
    try:
        return _command(number, fields, path, root, instance)
    finally:
        root.release()


def _command(number: int, fields: Span[u8], path: bytes, root: File, instance: AutofsInstance) -> int:
    """A command about the mount that is open as `root`."""
    if number == _PROTOVER:
        fields.store_u32(_FIRST, instance.version)
    elif number == _PROTOSUBVER:
        fields.store_u32(_FIRST, MINOR_VERSION)
    elif number == _READY:
        instance.answer(fields.load_u32(_FIRST), 0)
    elif number == _FAIL:
        status = fields.load_u32(_SECOND)
        instance.answer(fields.load_u32(_FIRST), (1 << 32) - status if status >= 1 << 31 else ENOENT)
    elif number == _SETPIPEFD:
        _set_pipe(instance, fields.load_u32(_FIRST))
    elif number == _CATATONIC:
        instance.fall_silent()
    elif number == _TIMEOUT:
        wanted = u64(u64(fields.load_u32(_SECOND)) << 32) | u64(fields.load_u32(_FIRST))
        fields.store_u64(_FIRST, instance.set_timeout(wanted))
    elif number == _REQUESTER:
        _name_requester(fields, path, instance)
    elif number == _EXPIRE:
        expire(instance, root.path.mount, fields.load_u32(_FIRST))
    elif number == _ASKUMOUNT:
        fields.store_u32(_FIRST, 1 if may_be_unmounted(root.path.mount) else 0)
    else:
        return _describe_mount_point(fields, path, instance)
    return 0


# ---- Mounts by their paths ------------------------------------------------------------------------------------


def _find_mount(path: bytes, kinds: int, device: int) -> Path:
    """The root of an autofs of one of these kinds, and if `device` is not 0 with that number, that is mounted at a
    path, or covered there. Raises ENOENT, and what the walk raises.
    """
    at = resolve(current().fs, None, path, FOLLOW)
    while at.dentry is at.mount.root:
        found = at.mount.file_system
        if isinstance(found, AutofsInstance) and found.kind & kinds != 0 and (device == 0 or found.device == device):
            return at
        parent = at.mount.parent
        place = at.mount.mount_point
        if parent is None or place is None:
            break
        at = Path(parent, place)
    raise Errno(ENOENT)


_ANY_KIND: Final = 7


def _open_mount(path: bytes, device: int) -> int:
    """A descriptor of the root of a mount, whatever covers it. Raises ENOENT, EMFILE, ENFILE, MemoryError."""
    if device == 0:
        raise Errno(ENOENT)
    place = _find_mount(path, _ANY_KIND, device)
    with place:
        file = place.inode().open(place, O_RDONLY)
        return current().files.install(file, cloexec=True)


def _find_mount_point(fields: Span[u8], path: bytes) -> int:
    """AUTOFS_DEV_IOCTL_ISMOUNTPOINT without a descriptor: whether a path leads to a mount, and to which."""
    kinds = fields.load_u32(_FIRST)
    at = resolve(current().fs, None, path, FOLLOW) if kinds == 0 else _find_mount(path, kinds, 0)
    is_root = at.dentry is at.mount.root
    fields.store_u32(_FIRST, at.mount.file_system.device)
    fields.store_u32(_SECOND, at.mount.file_system.magic if is_root else 0)
    return 1 if is_root else 0


def _describe_mount_point(fields: Span[u8], path: bytes, instance: AutofsInstance) -> int:
    """The same of one mount: whether anything is mounted on it, and what covers it."""
    at = _find_mount(path, _ANY_KIND, instance.device)
    covering = at.mount.children.get(at.dentry)
    fields.store_u32(_FIRST, instance.device)
    fields.store_u32(_SECOND, covering.file_system.magic if covering is not None else 0)
    return 1 if len(at.mount.children) > 0 else 0


def _name_requester(fields: Span[u8], path: bytes, instance: AutofsInstance) -> None:
    """For whom something was mounted on the root last."""
    fields.store_u32(_FIRST, _UNKNOWN_ID)
    fields.store_u32(_SECOND, _UNKNOWN_ID)
    node = _find_mount(path, _ANY_KIND, instance.device).inode()
    if not isinstance(node, AutofsNode):
        raise Errno(ENOENT)
    fields.store_u32(_FIRST, uid_for_caller(node.requester))
    fields.store_u32(_SECOND, gid_for_caller(node.requester_group))


def _set_pipe(instance: AutofsInstance, descriptor: int) -> None:
    """A new automounter takes over a mount that asks nobody. Raises EINVAL, EBUSY, EBADF, EPIPE (it is no pipe)."""
    if descriptor >= 1 << 31:
        raise Errno(EINVAL)
    if not instance.is_catatonic:
        raise Errno(EBUSY)
    task = current()
    pipe = task.files.get(descriptor)
    if task.pids is not instance.pids:
        raise Errno(EINVAL)
    try:
        instance.connect(pipe, descriptor)
    except Errno as error:
        raise Errno(EPIPE if error.code == EBADF else error.code) from None
    instance.group = task.process.group


def open_autofs(path: Path, flags: int) -> File:
    return AutofsDevice(path, flags)

