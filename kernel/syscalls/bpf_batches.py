"""Commands of bpf(2) about many keys of a map at once.

Hash tables are walked by the numbers of their elements: the position that a lookup leaves is the next one. Others are
walked from key to key, and the position is the last key.

Others may change the map meanwhile: a key that is gone is passed over.
"""

from typing import Final

from kernel.bpf.hash_map import HashMap
from kernel.bpf.kinds import is_table
from kernel.bpf.maps import ARRAY, ARRAY_OF_MAPS, NOT_SUPPORTED, PERCPU_ARRAY, PREFIXES, Map
from kernel.fs.bpf.files import MapFile
from kernel.lang import EINTR, EINVAL, ENOENT, EPERM, Errno, UserAddr
from kernel.lib import user
from kernel.lib.pace import is_dying, pace
from kernel.syscalls.bpf_arguments import Attributes, map_file_at
from kernel.syscalls.bpf_maps import check_change, update_one

_END: Final = 56
_COUNT: Final = 32
_EACH_COST: Final = 1500
_WALKED: Final = [ARRAY, PERCPU_ARRAY, ARRAY_OF_MAPS, PREFIXES]


def _file(attributes: Attributes, reads: bool, writes: bool) -> MapFile:
    """Raises EBADF, EINVAL, EPERM."""
    attributes.end_at(_END)
    file = map_file_at(attributes.i32(36))
    if reads and not file.readable:
        raise Errno(EPERM)
    if writes and (not file.writable or file.map.is_frozen):
        raise Errno(EPERM)
    return file


def _check_flags(attributes: Attributes) -> None:
    """Raises EINVAL: no map has a lock."""
    if attributes.i64(40) != 0:
        raise Errno(EINVAL)


def _ended(done: int) -> bool:
    """After each key: whether the thread must end. Takes safe points."""
    pace(_EACH_COST)
    return done & 0xFF == 0 and is_dying()


def update_batch(attributes: Attributes) -> int:
    """BPF_MAP_UPDATE_BATCH."""
    map_ = _file(attributes, reads=False, writes=True).map
    if not is_table(map_.kind) and map_.kind not in _WALKED:
        raise Errno(NOT_SUPPORTED)
    return _change_each(attributes, map_, updates=True)


def delete_batch(attributes: Attributes) -> int:
    """BPF_MAP_DELETE_BATCH."""
    map_ = _file(attributes, reads=False, writes=True).map
    if not is_table(map_.kind) and map_.kind != PREFIXES:
        raise Errno(NOT_SUPPORTED)
    return _change_each(attributes, map_, updates=False)


def _change_each(attributes: Attributes, map_: Map, *, updates: bool) -> int:
    """Update or remove each of the keys. Tells in any case how many were done."""
    _check_flags(attributes)
    most = attributes.u32(_COUNT)
    if most == 0:
        return 0
    attributes.answer(_COUNT, 0)
    done = 0
    try:
        while done < most:
            key = user.read_bytes(user.at(attributes.pointer(16), done * map_.key_size), map_.key_size)
            if updates:
                value = user.read_bytes(user.at(attributes.pointer(24), done * map_.outer_size()), map_.outer_size())
                update_one(map_, key, value, flags=0)
            else:
                check_change(map_)
                map_.remove(key)
            done += 1
            if _ended(done):
                raise Errno(EINTR)
    finally:
        attributes.answer(_COUNT, done)
    return 0


def look_up_batch(attributes: Attributes, removes: bool) -> int:
    """BPF_MAP_LOOKUP_BATCH, BPF_MAP_LOOKUP_AND_DELETE_BATCH."""
    map_ = _file(attributes, reads=True, writes=removes).map
    if isinstance(map_, HashMap):
        return _look_up_table(attributes, map_, removes)
    if map_.kind not in _WALKED or removes:
        raise Errno(NOT_SUPPORTED)
    return _walk(attributes, map_)


def _put(attributes: Attributes, map_: Map, done: int, key: bytes, value: bytes) -> None:
    """Write the key and value of a number. Raises EFAULT."""
    user.write_bytes(user.at(attributes.pointer(16), done * map_.key_size), key)
    user.write_bytes(user.at(attributes.pointer(24), done * map_.outer_size()), value)


def _look_up_table(attributes: Attributes, map_: HashMap, removes: bool) -> int:
    _check_flags(attributes)
    if attributes.i64(48) != 0:
        raise Errno(EINVAL)
    most = attributes.u32(_COUNT)
    if most == 0:
        return 0
    attributes.answer(_COUNT, 0)
    at = 0
    if attributes.pointer(0) != UserAddr(0):
        at = user.read_u32(attributes.pointer(0))
    if at > map_.most:
        raise Errno(ENOENT)
    done = 0
    while done < most:
        at = map_.next_used(at)
        if at < 0:
            break
        key = map_.key(at)
        at += 1
        _put(attributes, map_, done, key, map_.look_up(key))
        if removes:
            _remove_if_there(map_, key)
        done += 1
        if _ended(done):
            raise Errno(EINTR)
    is_end = at < 0 or map_.next_used(at) < 0
    user.write_u32(attributes.pointer(8), map_.most if is_end else at)
    attributes.answer(_COUNT, done)
    if is_end:
        raise Errno(ENOENT)
    return 0


def _remove_if_there(map_: HashMap, key: bytes) -> None:
    """Others may have removed it while memory was written. Raises EPERM."""
    check_change(map_)
    if map_.find(key) >= 0:
        map_.remove(key)


def _walk(attributes: Attributes, map_: Map) -> int:
    _check_flags(attributes)
    most = attributes.u32(_COUNT)
    if most == 0:
        return 0
    attributes.answer(_COUNT, 0)
    last: bytes | None = None
    if attributes.pointer(0) != UserAddr(0):
        last = user.read_bytes(attributes.pointer(0), map_.key_size)
    done = 0
    looks = 0
    error = 0
    while done < most and error == 0:
        looks += 1
        if _ended(looks):
            raise Errno(EINTR)
        try:
            key = map_.next_key(last)
            last = key
            value = map_.look_up(key)
        except Errno as stop:
            if stop.code == ENOENT and done < most and last is not None and _has_more(map_, last):
                continue  # the map of maps has none there
            error = stop.code
            break
        _put(attributes, map_, done, key, value)
        done += 1
    attributes.answer(_COUNT, done)
    if done > 0 and last is not None:
        user.write_bytes(attributes.pointer(8), last)
    if error != 0:
        raise Errno(error)
    return 0


def _has_more(map_: Map, key: bytes) -> bool:
    """Whether a key comes after another."""
    try:
        map_.next_key(key)
    except Errno:
        return False
    return True
