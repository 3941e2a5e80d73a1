"""xattr(7): setxattr(2), getxattr(2), listxattr(2), removexattr(2), and those for links and descriptors."""

from typing import Final

from kernel.doors.table import syscall
from kernel.fs import extended_attributes as attributes
from kernel.fs.constants import AT_FDCWD, AT_SYMLINK_NOFOLLOW
from kernel.fs.notification import IN_ATTRIB, tell_place
from kernel.fs.path import Path
from kernel.lang import E2BIG, EINVAL, ENAMETOOLONG, ERANGE, Errno, UserAddr, i32, span_of
from kernel.lib import user
from kernel.lib.credentials import Actor
from kernel.net.sockets.protocol_names import protocol_name
from kernel.net.sockets.socket import Socket
from kernel.syscalls.descriptor_arguments import file_at
from kernel.syscalls.path_arguments import place_at
from kernel.task import current

_NAME_LIMIT: Final = 256  # with its NUL
_PROTOCOL_ATTRIBUTE: Final = b"system.sockprotoname"  # the one attribute of sockets: as /proc/net/protocols names them


def _name(address: UserAddr) -> bytes:
    try:
        name = user.read_string(address, _NAME_LIMIT)
    except Errno as error:
        raise Errno(ERANGE if error.code == ENAMETOOLONG else error.code) from None
    if len(name) == 0:
        raise Errno(ERANGE)
    return name


def _give(value: bytes, address: UserAddr, size: int) -> int:
    """Return a value or a list to the program. Size 0 asks for its length."""
    if size == 0:
        return len(value)
    if size < 0 or len(value) <= size:
        user.write_bytes(address, value)
        return len(value)
    raise Errno(ERANGE)


def _actor(place: Path) -> Actor:
    return place.mount.actor(current().credentials)


def _get(place: Path, name: UserAddr, value: UserAddr, size: int) -> int:
    with place:  # which is still there once the name was read
        found = attributes.get(_actor(place), place.inode(), _name(name))
    return _give(found, value, size)


def _list(place: Path, names: UserAddr, size: int) -> int:
    with place:
        found = attributes.names(current().credentials, place.inode())
    return _give(found, names, size)


def _given(name: UserAddr, value: UserAddr, size: int, flags: int) -> tuple[bytes, bytes]:
    """A name and its new value. Raises EINVAL, EFAULT, ERANGE, E2BIG."""
    if flags & ~(attributes.CREATE | attributes.REPLACE) != 0:
        raise Errno(EINVAL)
    text = _name(name)
    if size < 0 or size > attributes.LARGEST_VALUE:
        raise Errno(E2BIG)
    storage = bytearray(size)
    user.read_into(span_of(storage), value)
    return text, bytes(storage)


def _put(place: Path, text: bytes, value: bytes, flags: int) -> int:
    with place:
        place.mount.require_writable()
        attributes.put(_actor(place), place.inode(), text, value, flags)
        tell_place(place.dentry, IN_ATTRIB)
    return 0


def _remove(place: Path, text: bytes) -> int:
    with place:
        place.mount.require_writable()
        attributes.remove(_actor(place), place.inode(), text)
        tell_place(place.dentry, IN_ATTRIB)
    return 0


@syscall(
    "setxattr", status="Full", args="path name:attribute <attribute[size] size flags:XATTR_CREATE|XATTR_REPLACE",
)  # fmt: skip
def setxattr(path: UserAddr, name: UserAddr, value: UserAddr, size: int, flags: i32) -> int:
    text, data = _given(name, value, size, flags)
    return _put(place_at(AT_FDCWD, path, 0), text, data, flags)


@syscall(
    "lsetxattr", status="Full", args="path name:attribute <attribute[size] size flags:XATTR_CREATE|XATTR_REPLACE",
)  # fmt: skip
def lsetxattr(path: UserAddr, name: UserAddr, value: UserAddr, size: int, flags: i32) -> int:
    text, data = _given(name, value, size, flags)
    return _put(place_at(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW), text, data, flags)


@syscall(
    "fsetxattr", status="Full", args="fd name:attribute <attribute[size] size flags:XATTR_CREATE|XATTR_REPLACE",
)  # fmt: skip
def fsetxattr(descriptor: i32, name: UserAddr, value: UserAddr, size: int, flags: i32) -> int:
    place = file_at(descriptor).path
    with place:  # which is still there once the value was read
        text, data = _given(name, value, size, flags)
        _put(place, text, data, flags)
    return 0


@syscall("getxattr", status="Full", args="path name:attribute >bytes[size] size")
def getxattr(path: UserAddr, name: UserAddr, value: UserAddr, size: int) -> int:
    return _get(place_at(AT_FDCWD, path, 0), name, value, size)


@syscall("lgetxattr", status="Full", args="path name:attribute >bytes[size] size")
def lgetxattr(path: UserAddr, name: UserAddr, value: UserAddr, size: int) -> int:
    return _get(place_at(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW), name, value, size)


@syscall("fgetxattr", status="Full", args="fd name:attribute >bytes[size] size")
def fgetxattr(descriptor: i32, name: UserAddr, value: UserAddr, size: int) -> int:
    file = file_at(descriptor)
    if isinstance(file, Socket) and _name(name) == _PROTOCOL_ATTRIBUTE:
        return _give(protocol_name(file) + b"\0", value, size)
    return _get(file.path, name, value, size)


@syscall("listxattr", status="Full", args="path >bytes[size] size")
def listxattr(path: UserAddr, names: UserAddr, size: int) -> int:
    return _list(place_at(AT_FDCWD, path, 0), names, size)


@syscall("llistxattr", status="Full", args="path >bytes[size] size")
def llistxattr(path: UserAddr, names: UserAddr, size: int) -> int:
    return _list(place_at(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW), names, size)


@syscall("flistxattr", status="Full", args="fd >bytes[size] size")
def flistxattr(descriptor: i32, names: UserAddr, size: int) -> int:
    file = file_at(descriptor)
    if isinstance(file, Socket):
        return _give(_PROTOCOL_ATTRIBUTE + b"\0", names, size)
    return _list(file.path, names, size)


@syscall("removexattr", status="Full", args="path name:attribute")
def removexattr(path: UserAddr, name: UserAddr) -> int:
    text = _name(name)
    return _remove(place_at(AT_FDCWD, path, 0), text)


@syscall("lremovexattr", status="Full", args="path name:attribute")
def lremovexattr(path: UserAddr, name: UserAddr) -> int:
    text = _name(name)
    return _remove(place_at(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW), text)


@syscall("fremovexattr", status="Full", args="fd name:attribute")
def fremovexattr(descriptor: i32, name: UserAddr) -> int:
    place = file_at(descriptor).path
    with place:
        _remove(place, _name(name))
    return 0
