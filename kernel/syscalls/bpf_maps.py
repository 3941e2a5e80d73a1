"""Commands of bpf(2) about maps: creation, and single keys. Those about many are in `bpf_batches.py`."""

from typing import Final

from kernel.bpf.held import Held
from kernel.bpf.kept_maps import HeldMap
from kernel.bpf.kinds import is_for_everybody, is_known, make_map
from kernel.bpf.maps import (
    BLOOM,
    EVENT_ARRAY,
    FOR_EACH_PROCESSOR,
    GROUP_ARRAY,
    HASH_OF_MAPS,
    MAPPED,
    NOT_SUPPORTED,
    NUMA_NODE,
    PREFIXES,
    PROGRAM_ARRAY,
    READ_ONLY,
    RING,
    WRITE_ONLY,
    Map,
    freeze,
)
from kernel.bpf.objects import fits, is_of_maps, is_of_objects
from kernel.bpf.program import claim
from kernel.bpf.storage import StorageMap, is_storage
from kernel.bpf.token import MAPS
from kernel.cgroup.held import HeldGroup
from kernel.fs.bpf.files import open_map_file
from kernel.fs.constants import O_RDONLY, O_RDWR, O_WRONLY
from kernel.lang import E2BIG, EINTR, EINVAL, EPERM, Errno, UserAddr, span_of
from kernel.lib import user
from kernel.lib.pace import is_dying
from kernel.mm.keeping import check_room_to_keep
from kernel.sched.later import start_thread
from kernel.sched.processor import PROCESSORS
from kernel.syscalls.bpf_arguments import (
    UNPRIVILEGED,
    Attributes,
    map_at,
    map_file_at,
    may_program,
    program_file_at,
)
from kernel.syscalls.bpf_btf import describe_map
from kernel.syscalls.bpf_events import held_event_at
from kernel.syscalls.bpf_groups import group_at
from kernel.syscalls.bpf_owners import drop_owned, owned_value, set_owned
from kernel.syscalls.bpf_tokens import TOKEN_FLAG, token_at
from kernel.task import current
from kernel.task.words import load_i32

_CREATE_END: Final = 80
_CREATE_NAME: Final = 28
_TOKEN_AT: Final = 76
_COMMAND: Final = 0  # BPF_MAP_CREATE
_LOCKED: Final = 4  # BPF_F_LOCK
_NO_KEY: Final = UserAddr(0)


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
    kind = attributes.u32(0)
    extra = attributes.i64(64)
    if extra != 0 and kind != BLOOM:
        raise Errno(EINVAL)
    if attributes.u32(44) != 0 or attributes.u32(60) != 0:  # devices, the kernel's own types
        raise Errno(EINVAL)
    if attributes.u32(52) != 0 and attributes.u32(56) == 0:  # a type of keys, none of values
        raise Errno(EINVAL)
    flags = attributes.u32(16) & ~TOKEN_FLAG
    opened = open_flags(flags)
    if flags & NUMA_NODE != 0 and (attributes.u32(24) != 0 or kind in FOR_EACH_PROCESSOR):
        raise Errno(EINVAL)
    if not is_known(kind):
        raise Errno(EINVAL)
    if is_storage(kind) and attributes.u32(52) == 0:  # no types
        raise Errno(EINVAL)
    if kind == PREFIXES or kind == RING:
        _check_rights(attributes, kind)  # first, as on Linux
    key_size = attributes.u32(4)
    value_size = attributes.u32(8)
    map_ = make_map(kind, key_size, value_size, attributes.u32(12), flags, extra, len(PROCESSORS))
    _check_rights(attributes, kind)
    if is_of_maps(kind):
        map_.inner = _like(attributes.i32(20))
    map_.name = attributes.name(_CREATE_NAME)
    if not map_.has_values or flags & MAPPED != 0 or is_storage(kind):
        start_thread()
    try:
        describe_map(map_, attributes)
        check_room_to_keep()
        while map_.grow():
            check_room_to_keep()
            if is_dying():
                raise Errno(EINTR)
        return install_map(map_, opened)
    except (Errno, MemoryError):
        if map_.users == 0:
            map_.end()
        raise


def _check_rights(attributes: Attributes, kind: int) -> None:
    """Raises EPERM; EBADF, EINVAL for what is no token."""
    token = token_at(attributes, attributes.u32(16), _TOKEN_AT, _COMMAND)
    if token is not None and not token.has(MAPS, kind):
        token = None
    if may_program(token):
        return
    if UNPRIVILEGED.value != 0 or not is_for_everybody(kind):
        raise Errno(EPERM)


def _like(descriptor: int) -> Map:
    """What the maps in a map must be like: a map without values. Raises EBADF, EINVAL, ENOTSUPP, MemoryError."""
    example = map_at(descriptor)
    if is_of_maps(example.kind):
        raise Errno(EINVAL)
    if example.kind == PROGRAM_ARRAY:
        raise Errno(NOT_SUPPORTED)
    return make_map(
        example.kind, example.key_size, example.value_size, example.most, example.flags, example.extra, len(PROCESSORS)
    )


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


def check_change(map_: Map) -> None:
    """Raise EPERM if it was frozen while memory was read."""
    if map_.is_frozen:
        raise Errno(EPERM)


def _key(attributes: Attributes, map_: Map) -> bytes:
    """Raises EFAULT, EINVAL for one that the map's values do not have."""
    address = attributes.pointer(8)
    if map_.key_size == 0 and address != _NO_KEY:
        raise Errno(EINVAL)
    return user.read_bytes(address, map_.key_size)


def look_up(attributes: Attributes) -> int:
    """BPF_MAP_LOOKUP_ELEM."""
    attributes.end_at(32)
    flags = attributes.i64(24)
    if flags & ~_LOCKED != 0:
        raise Errno(EINVAL)
    map_ = _readable(attributes)
    if flags != 0:
        raise Errno(EINVAL)
    key = _key(attributes, map_)
    if map_.kind == BLOOM:
        value = bytearray(map_.value_size)
        user.read_into(span_of(value), attributes.pointer(16))
        map_.peek(span_of(value))
        return 0
    found = owned_value(map_, key) if isinstance(map_, StorageMap) else map_.look_up(key)
    user.write_bytes(attributes.pointer(16), found)
    return 0


def update(attributes: Attributes) -> int:
    """BPF_MAP_UPDATE_ELEM."""
    attributes.end_at(32)
    map_ = _writable(attributes)
    flags = attributes.i64(24)
    if flags & _LOCKED != 0:
        raise Errno(EINVAL)
    key = _key(attributes, map_)
    value = user.read_bytes(attributes.pointer(16), map_.outer_size())
    update_one(map_, key, value, flags)
    return 0


def update_one(map_: Map, key: bytes, value: bytes, flags: int) -> None:
    """What an update does once key and value are read. Raises EPERM if the map was frozen meanwhile, MemoryError, and
    what the map says of it.
    """
    if map_.needs_room(key):
        check_room_to_keep()
    check_change(map_)
    if isinstance(map_, StorageMap):
        set_owned(map_, key, span_of(value), flags)
        return
    if not is_of_objects(map_.kind):
        map_.update(key, span_of(value), flags)
        return
    if map_.kind != HASH_OF_MAPS:  # what is wrong with the key comes first
        if flags != 0:
            raise Errno(EINVAL)
        if map_.find(key) < 0:
            raise Errno(E2BIG)
    map_.put(key, _object_at(map_, load_i32(span_of(value), 0)), flags)


def _object_at(map_: Map, descriptor: int) -> Held:
    """What a descriptor stands for in a map. Raises EBADF, EINVAL, MemoryError."""
    if map_.kind == PROGRAM_ARRAY:
        program = program_file_at(descriptor).program
        claim(map_, program)
        return program
    if map_.kind == EVENT_ARRAY:
        return held_event_at(descriptor)
    if map_.kind == GROUP_ARRAY:
        return HeldGroup(group_at(descriptor))
    inner = map_at(descriptor)
    like = map_.inner
    if like is None or not fits(like, inner):
        raise Errno(EINVAL)
    return HeldMap(inner)


def delete(attributes: Attributes) -> int:
    """BPF_MAP_DELETE_ELEM."""
    attributes.end_at(16)
    map_ = _writable(attributes)
    key = _key(attributes, map_)
    check_change(map_)
    if isinstance(map_, StorageMap):
        drop_owned(map_, key)
    else:
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
    """BPF_MAP_LOOKUP_AND_DELETE_ELEM: of hash tables, queues and stacks."""
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
    check_change(map_)
    user.write_bytes(attributes.pointer(16), map_.take_out(key))
    return 0


def freeze_map(attributes: Attributes) -> int:
    """BPF_MAP_FREEZE."""
    attributes.end_at(4)
    file = map_file_at(attributes.i32(0))
    if not file.writable:
        raise Errno(EPERM)
    freeze(file.map)
    return 0
