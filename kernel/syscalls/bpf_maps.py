"""Commands of bpf(2) about maps."""

from typing import Final

from kernel.bpf.maps import ARRAY, HASH, READ_ONLY, WRITE_ONLY, Map, freeze, make_map
from kernel.fs.bpf.files import open_map_file
from kernel.fs.constants import O_RDONLY, O_RDWR, O_WRONLY
from kernel.lang import EINTR, EINVAL, ENOENT, EPERM, Errno, span_of
from kernel.lib import user
from kernel.lib.pace import is_dying
from kernel.mm.keeping import check_room_to_keep
from kernel.syscalls.bpf_arguments import NOT_SUPPORTED, UNPRIVILEGED, Attributes, map_file_at, may_program
from kernel.task import current

_CREATE_END: Final = 80
_CREATE_NAME: Final = 28
_LOCKED: Final = 4  # BPF_F_LOCK


def open_flags(flags: int) -> int:
    """How a descriptor of a map is opened with BPF_F_RDONLY or BPF_F_WRONLY. Raises EINVAL for both at once."""
    if flags & READ_ONLY != 0 and flags & WRITE_ONLY != 0:
        raise Errno(EINVAL)
    if flags & READ_ONLY != 0:
        return O_RDONLY
    return O_WRONLY if flags & WRITE_ONLY != 0 else O_RDWR


def create_map(attributes: Attributes) -> int:
    """BPF_MAP_CREATE."""
    attributes.end_at(_CREATE_END)
    for offset in (20, 44, 48, 52, 56, 60, 64, 68, 72, 76):  # maps in maps, devices, BTF, tokens
        if attributes.u32(offset) != 0:
            raise Errno(EINVAL)
    name = attributes.name(_CREATE_NAME)
    flags = attributes.u32(16)
    kind = attributes.u32(0)
    opened = open_flags(flags)
    if UNPRIVILEGED.value != 0 and not may_program() and (kind == ARRAY or kind == HASH):
        raise Errno(EPERM)
    if kind == HASH and not may_program():
        raise Errno(EPERM)
    map_ = make_map(kind, attributes.u32(4), attributes.u32(8), attributes.u32(12), flags)
    map_.name = name
    check_room_to_keep()
    while map_.grow():
        check_room_to_keep()
        if is_dying():
            raise Errno(EINTR)
    return install_map(map_, opened)


def install_map(map_: Map, flags: int) -> int:
    """A descriptor of a map."""
    return current().files.install(open_map_file(map_, flags), cloexec=True)


def _readable(attributes: Attributes) -> Map:
    file = map_file_at(attributes.i32(0))
    if not file.readable:
        raise Errno(EPERM)
    return file.map


def _writable(attributes: Attributes) -> Map:
    file = map_file_at(attributes.i32(0))
    if not file.writable or file.map.is_frozen:
        raise Errno(EPERM)
    return file.map


def _check_change(map_: Map) -> None:
    """Raise EPERM if it was frozen while memory was read."""
    if map_.is_frozen:
        raise Errno(EPERM)


def _key(attributes: Attributes, map_: Map) -> bytes:
    return user.read_bytes(attributes.pointer(8), map_.key_size)


def look_up(attributes: Attributes) -> int:
    """BPF_MAP_LOOKUP_ELEM."""
    attributes.end_at(32)
    flags = attributes.i64(24)
    if flags & ~_LOCKED != 0:
        raise Errno(EINVAL)
    map_ = _readable(attributes)
    if flags != 0:
        raise Errno(EINVAL)
    slot = map_.find(_key(attributes, map_))
    if slot < 0:
        raise Errno(ENOENT)
    user.write_bytes(attributes.pointer(16), map_.value(slot))
    return 0


def update(attributes: Attributes) -> int:
    """BPF_MAP_UPDATE_ELEM."""
    attributes.end_at(32)
    map_ = _writable(attributes)
    flags = attributes.i64(24)
    if flags & _LOCKED != 0:
        raise Errno(EINVAL)
    key = _key(attributes, map_)
    value = user.read_bytes(attributes.pointer(16), map_.value_size)
    if map_.find(key) < 0:
        check_room_to_keep()
    _check_change(map_)
    map_.update(key, span_of(value), flags)
    return 0


def delete(attributes: Attributes) -> int:
    """BPF_MAP_DELETE_ELEM."""
    attributes.end_at(16)
    map_ = _writable(attributes)
    key = _key(attributes, map_)
    _check_change(map_)
    map_.remove(key)
    return 0


def next_key(attributes: Attributes) -> int:
    """BPF_MAP_GET_NEXT_KEY."""
    attributes.end_at(24)
    map_ = _readable(attributes)
    key = None if attributes.pointer(8) == 0 else _key(attributes, map_)
    user.write_bytes(attributes.pointer(16), map_.next_key(key))
    return 0


def look_up_and_delete(attributes: Attributes) -> int:
    """BPF_MAP_LOOKUP_AND_DELETE_ELEM: of hash tables."""
    attributes.end_at(32)
    flags = attributes.i64(24)
    if flags & ~_LOCKED != 0:
        raise Errno(EINVAL)
    file = map_file_at(attributes.i32(0))
    map_ = file.map
    if not file.readable or not file.writable or map_.is_frozen:
        raise Errno(EPERM)
    if flags != 0:
        raise Errno(EINVAL)
    key = _key(attributes, map_)
    if map_.kind != HASH:
        raise Errno(NOT_SUPPORTED)
    _check_change(map_)
    slot = map_.find(key)
    if slot < 0:
        raise Errno(ENOENT)
    value = map_.value(slot)
    map_.remove(key)
    user.write_bytes(attributes.pointer(16), value)
    return 0


def freeze_map(attributes: Attributes) -> int:
    """BPF_MAP_FREEZE."""
    attributes.end_at(4)
    file = map_file_at(attributes.i32(0))
    if not file.writable:
        raise Errno(EPERM)
    freeze(file.map)
    return 0
