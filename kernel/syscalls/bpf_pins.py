"""Commands of bpf(2) about names of maps, programs and links."""

from typing import Final

from kernel.bpf.maps import READ_ONLY, WRITE_ONLY
from kernel.fs.bpf.files import Pinnable, pinnable_of
from kernel.fs.bpf.pinning import open_pinned, pin
from kernel.fs.constants import AT_FDCWD
from kernel.lang import EINVAL, Errno
from kernel.syscalls.bpf_arguments import Attributes
from kernel.syscalls.bpf_maps import open_flags
from kernel.syscalls.descriptor_arguments import file_at
from kernel.syscalls.path_arguments import base_for, path_at
from kernel.task import current

_END: Final = 20
_FROM_DESCRIPTOR: Final = 0x4000  # BPF_F_PATH_FD


def pin_object(attributes: Attributes) -> int:
    """BPF_OBJ_PIN."""
    attributes.end_at(_END)
    directory = _directory(attributes, 0)
    pinned = _pinnable_at(attributes.i32(8))
    pinned.keep()  # the walk may sleep, and the descriptor be closed meanwhile
    try:
        name = path_at(attributes.pointer(0))
        pin(current().fs, base_for(directory, name), name, pinned)
    finally:
        pinned.release()
    return 0


def get_object(attributes: Attributes) -> int:
    """BPF_OBJ_GET."""
    attributes.end_at(_END)
    if attributes.u32(8) != 0:
        raise Errno(EINVAL)
    directory = _directory(attributes, READ_ONLY | WRITE_ONLY)
    opened = open_flags(attributes.u32(12))
    name = path_at(attributes.pointer(0))
    file = open_pinned(current().fs, base_for(directory, name), name, opened)
    return current().files.install(file, cloexec=True)


def _directory(attributes: Attributes, more_flags: int) -> int:
    """Where a name begins that is not absolute: a descriptor, or AT_FDCWD. Raises EINVAL for flags other than that for
    a descriptor and `more_flags`.
    """
    flags = attributes.u32(12)
    descriptor = attributes.i32(16)
    if flags & ~(_FROM_DESCRIPTOR | more_flags) != 0:
        raise Errno(EINVAL)
    if flags & _FROM_DESCRIPTOR != 0:
        return descriptor
    if descriptor != 0:
        raise Errno(EINVAL)
    return AT_FDCWD


def _pinnable_at(descriptor: int) -> Pinnable:
    """Raises EINVAL for a descriptor of anything else, or none, too."""
    try:
        return pinnable_of(file_at(descriptor))
    except Errno:
        raise Errno(EINVAL) from None
