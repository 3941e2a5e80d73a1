"""Operations of io_uring on names and descriptors: OPENAT, OPENAT2, CLOSE, STATX, RENAMEAT, UNLINKAT, MKDIRAT,
SYMLINKAT, LINKAT, the four of extended attributes, EPOLL_CTL, FILES_UPDATE, FIXED_FD_INSTALL.

They equal the system calls of the same names. Source: io_uring_enter(2).
"""

from typing import Final

from kernel.fs.constants import KNOWN_OPEN_FLAGS, O_CLOEXEC
from kernel.lang import EBADF, EINVAL, ENFILE, ENXIO, EPERM, Errno, UserAddr
from kernel.lib import user
from kernel.syscalls.descriptor_arguments import any_file_at
from kernel.syscalls.epoll import epoll_ctl
from kernel.syscalls.link import linkat, symlinkat
from kernel.syscalls.mkdir import mkdirat
from kernel.syscalls.open import openat, openat2
from kernel.syscalls.rename import renameat2
from kernel.syscalls.stat import statx
from kernel.syscalls.unlink import unlinkat
from kernel.syscalls.uring_arguments import Replacement, refuse_if
from kernel.syscalls.uring_files import place_files, update_files
from kernel.syscalls.xattr import fgetxattr, fsetxattr, getxattr, setxattr
from kernel.task import current
from kernel.task.words import signed_32
from kernel.uring import layout
from kernel.uring.file import UringFile
from kernel.uring.operation import Operation
from kernel.uring.request import Request
from kernel.uring.retirement import replace_file, retire_file
from kernel.uring.ring import Ring

_AT_REMOVEDIR: Final = 0x200
_ANY_SLOT: Final = 0xFFFF_FFFF
_WORD: Final = 0xFFFF_FFFF
_OP_STATX: Final = 21
_INSTALL_NO_CLOEXEC: Final = 1 << 0


def slot_of(request: Request) -> int:
    """`file_index`: 0 for a descriptor, else one more than the index among the ring's files, or any."""
    return request.entry.other & _WORD


def put_into_slot(ring: Ring, descriptor: int, slot: int) -> int:
    """Move the file of a new descriptor to an index among the ring's files (see `slot_of`); returns the result
    of the request. Raises ENXIO, EINVAL, ENFILE, MemoryError, and then the file is closed.
    """
    files = current().files
    file = any_file_at(descriptor).acquire()
    files.take_back(descriptor, file)
    done = False
    try:
        place = place_for(ring, slot)
        replace_file(ring, place, file)
        done = True
    finally:
        if not done:
            file.release()
    return place if slot == _ANY_SLOT else 0


def place_for(ring: Ring, slot: int) -> int:
    """The index that `slot_of` a request means. Raises ENFILE, ENXIO, EINVAL."""
    files = ring.registered.files
    place = slot - 1
    if slot == _ANY_SLOT:
        place = files.find_free()
        if place < 0:
            raise Errno(ENFILE)
    if not files.exists:
        raise Errno(ENXIO)
    if place < 0 or not files.has(place):
        raise Errno(EINVAL)
    return place


def _refuse_fixed(request: Request) -> None:
    """A directory is never a registered file."""
    if request.entry.flags & layout.FIXED_FILE != 0:
        raise Errno(EBADF)


# ---- Opening and closing ---------------------------------------------------------------------------------------------


def _prepare_open(request: Request) -> None:
    refuse_if(request.entry.buffer_index != 0)
    _refuse_fixed(request)
    refuse_if(slot_of(request) != 0 and request.entry.modifiers & O_CLOEXEC != 0)


def _open(request: Request) -> int:
    flags = request.entry.modifiers & KNOWN_OPEN_FLAGS
    descriptor = openat(request.entry.descriptor, request.memory(), flags, signed_32(request.entry.length))
    slot = slot_of(request)
    return descriptor if slot == 0 else put_into_slot(request.ring, descriptor, slot)


def _prepare_open2(request: Request) -> None:
    refuse_if(request.entry.buffer_index != 0)
    _refuse_fixed(request)
    refuse_if(request.entry.length < 24)
    if slot_of(request) != 0:
        refuse_if(user.read_i64(request.memory2()) & O_CLOEXEC != 0)


def _open2(request: Request) -> int:
    descriptor = openat2(request.entry.descriptor, request.memory(), request.memory2(), request.entry.length)
    slot = slot_of(request)
    return descriptor if slot == 0 else put_into_slot(request.ring, descriptor, slot)


def _prepare_close(request: Request) -> None:
    refuse_if(request.entry.offset != 0 or request.entry.address != 0 or request.entry.length != 0)
    refuse_if(request.entry.modifiers != 0 or request.entry.buffer_index != 0)
    _refuse_fixed(request)
    refuse_if(slot_of(request) != 0 and request.entry.descriptor != 0)


def _close(request: Request) -> int:
    slot = slot_of(request)
    if slot == 0:
        if isinstance(any_file_at(request.entry.descriptor), UringFile):
            raise Errno(EBADF)
        current().files.close(request.entry.descriptor)
        return 0
    ring = request.ring
    if not ring.registered.files.exists:
        raise Errno(ENXIO)
    if not ring.registered.files.has(slot - 1):
        raise Errno(EINVAL)
    ring.registered.files.file(slot - 1)
    retire_file(ring, slot - 1)
    return 0


def _prepare_update(request: Request) -> None:
    refuse_if(request.entry.flags & (layout.FIXED_FILE | layout.BUFFER_SELECT) != 0)
    refuse_if(request.entry.modifiers != 0 or request.entry.other != 0 or request.entry.length == 0)


def _update(request: Request) -> int:
    if request.entry.offset & _WORD == _ANY_SLOT:
        return place_files(request.ring, request.memory(), request.entry.length)
    wanted = Replacement(request.entry.offset & _WORD, request.memory(), request.entry.length, UserAddr(0))
    return update_files(request.ring, wanted)


def _prepare_install(request: Request) -> None:
    refuse_if(request.entry.offset != 0 or request.entry.address != 0 or request.entry.length != 0)
    refuse_if(request.entry.buffer_index != 0 or request.entry.other != 0 or request.entry.address3 != 0)
    if request.entry.flags & layout.FIXED_FILE == 0:
        raise Errno(EBADF)
    refuse_if(request.entry.modifiers & ~_INSTALL_NO_CLOEXEC != 0)
    if request.entry.personality != 0:
        raise Errno(EPERM)  # a descriptor is the task's own


def _install(request: Request) -> int:
    file = request.file
    assert file is not None
    return current().files.install(file.acquire(), cloexec=request.entry.modifiers & _INSTALL_NO_CLOEXEC == 0)


# ---- Names -----------------------------------------------------------------------------------------------------------


def _prepare_name(request: Request) -> None:
    refuse_if(request.entry.buffer_index != 0 or request.entry.other != 0)
    _refuse_fixed(request)


def _statx(request: Request) -> int:
    flags = signed_32(request.entry.modifiers)
    return statx(request.entry.descriptor, request.memory(), flags, request.entry.length, request.memory2())


def _prepare_names(request: Request) -> None:
    """Two names: invalid ones are reported before invalid flags."""
    _prepare_name(request)
    user.read_u8(request.memory())
    user.read_u8(request.memory2())


def _rename(request: Request) -> int:
    target = signed_32(request.entry.length)
    return renameat2(request.entry.descriptor, request.memory(), target, request.memory2(), request.entry.modifiers)


def _prepare_unlink(request: Request) -> None:
    refuse_if(request.entry.offset != 0 or request.entry.length != 0)
    _prepare_name(request)
    refuse_if(request.entry.modifiers & ~_AT_REMOVEDIR != 0)


def _unlink(request: Request) -> int:
    return unlinkat(request.entry.descriptor, request.memory(), signed_32(request.entry.modifiers))


def _prepare_mkdir(request: Request) -> None:
    refuse_if(request.entry.offset != 0 or request.entry.modifiers != 0)
    _prepare_name(request)


def _mkdir(request: Request) -> int:
    return mkdirat(request.entry.descriptor, request.memory(), signed_32(request.entry.length))


def _prepare_symlink(request: Request) -> None:
    refuse_if(request.entry.length != 0 or request.entry.modifiers != 0)
    _prepare_name(request)


def _symlink(request: Request) -> int:
    return symlinkat(request.memory(), request.entry.descriptor, request.memory2())


def _link(request: Request) -> int:
    target = signed_32(request.entry.length)
    flags = signed_32(request.entry.modifiers)
    return linkat(request.entry.descriptor, request.memory(), target, request.memory2(), flags)


# ---- Extended attributes ---------------------------------------------------------------------------------------------


def _prepare_setting(request: Request) -> None:
    _refuse_fixed(request)


def _prepare_getting(request: Request) -> None:
    _refuse_fixed(request)
    refuse_if(request.entry.modifiers != 0)


def _set_attribute(request: Request) -> int:
    flags = signed_32(request.entry.modifiers)
    return fsetxattr(request.entry.descriptor, request.memory(), request.memory2(), request.entry.length, flags)


def _set_attribute_at(request: Request) -> int:
    flags = signed_32(request.entry.modifiers)
    return setxattr(request.memory3(), request.memory(), request.memory2(), request.entry.length, flags)


def _get_attribute(request: Request) -> int:
    return fgetxattr(request.entry.descriptor, request.memory(), request.memory2(), request.entry.length)


def _get_attribute_at(request: Request) -> int:
    return getxattr(request.memory3(), request.memory(), request.memory2(), request.entry.length)


# ---- epoll -----------------------------------------------------------------------------------------------------------


def _prepare_epoll(request: Request) -> None:
    refuse_if(request.entry.buffer_index != 0 or request.entry.other != 0)


def _epoll(request: Request) -> int:
    operation = signed_32(request.entry.length)
    return epoll_ctl(request.entry.descriptor, operation, signed_32(request.entry.offset), request.memory())


Operation(18, _prepare_open, _open)
Operation(19, _prepare_close, _close)
Operation(20, _prepare_update, _update)
Operation(_OP_STATX, _prepare_name, _statx)
Operation(28, _prepare_open2, _open2)
Operation(29, _prepare_epoll, _epoll)
Operation(35, _prepare_names, _rename)
Operation(36, _prepare_unlink, _unlink)
Operation(37, _prepare_mkdir, _mkdir)
Operation(38, _prepare_symlink, _symlink)
Operation(39, _prepare_names, _link)
Operation(41, _prepare_setting, _set_attribute)
Operation(42, _prepare_setting, _set_attribute_at)
Operation(43, _prepare_getting, _get_attribute)
Operation(44, _prepare_getting, _get_attribute_at)
Operation(54, _prepare_install, _install, needs_file=True)
