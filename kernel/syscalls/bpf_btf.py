"""Commands of bpf(2) about descriptions of types (BTF), and what programs and maps say by them."""

from typing import Final

from kernel.bpf.btf import (
    DESCRIPTIONS,
    INT,
    MISSING,
    MOST_BYTES,
    SECTION,
    STRUCT,
    Btf,
    is_struct,
    keep_btf,
)
from kernel.bpf.btf_check import Check
from kernel.bpf.btf_resolve import Resolution
from kernel.bpf.maps import ARRAY as ARRAY_MAP
from kernel.bpf.maps import ARRAY_OF_MAPS, BLOOM, GROUP_ARRAY, NOT_SUPPORTED, PERCPU_ARRAY, PREFIXES, Map
from kernel.bpf.storage import is_storage
from kernel.fs.bpf.files import BtfFile, open_btf_file
from kernel.lang import E2BIG, EINVAL, ENOENT, Errno, UserAddr, span_of
from kernel.lib import user
from kernel.lib.pace import pace
from kernel.mm.keeping import check_room_to_keep
from kernel.syscalls.bpf_arguments import Attributes, require_administrator, require_bpf
from kernel.syscalls.bpf_logs import log_of, report
from kernel.syscalls.bpf_tokens import TOKEN_FLAG, token_at
from kernel.syscalls.descriptor_arguments import file_at
from kernel.task import current
from kernel.task.words import load_i64

_LOAD_END: Final = 40
_TOKEN_AT: Final = 36
_COMMAND: Final = 18  # BPF_BTF_LOAD
_SPECIAL: Final[list[bytes]] = [
    b"bpf_spin_lock", b"bpf_timer", b"bpf_wq", b"bpf_list_head", b"bpf_list_node", b"bpf_rb_root", b"bpf_rb_node",
    b"bpf_refcount",
]  # fmt: skip
_NAME: Final = 32
_LOOK_COST: Final = 500


def load_btf(attributes: Attributes) -> int:
    """BPF_BTF_LOAD."""
    attributes.end_at(_LOAD_END)
    flags = attributes.u32(32)
    if flags & ~TOKEN_FLAG != 0:
        raise Errno(EINVAL)
    require_bpf(token_at(attributes, flags, _TOKEN_AT, _COMMAND))
    size = attributes.u32(16)
    if size > MOST_BYTES:
        raise Errno(E2BIG)
    log = log_of(attributes, 24, 20, 8)
    check_room_to_keep()
    btf = Btf(user.read_bytes(attributes.pointer(0), size))
    try:
        Check(btf, log).run()
        Resolution(btf, log).run()
    finally:
        report(attributes, log, 24, 20, 8, 28)
    return current().files.install(open_btf_file(btf), cloexec=True)


def open_btf(attributes: Attributes) -> int:
    """BPF_BTF_GET_FD_BY_ID."""
    attributes.end_at(4)
    require_administrator()
    btf = DESCRIPTIONS.by_number.get(attributes.u32(0))
    if btf is None:
        raise Errno(ENOENT)
    return current().files.install(open_btf_file(btf), cloexec=True)


def btf_at(descriptor: int) -> Btf:
    """Raises EBADF, EINVAL."""
    file = file_at(descriptor)
    if not isinstance(file, BtfFile):
        raise Errno(EINVAL)
    return file.btf


# ---- Maps ------------------------------------------------------------------------------------------------------------


def describe_map(map_: Map, attributes: Attributes) -> None:
    """Let a new map have the types that its creator names. Raises EBADF, EINVAL, ENOTSUPP, MemoryError."""
    key, value = attributes.u32(52), attributes.u32(56)
    if key == 0 and value == 0:
        return
    btf = btf_at(attributes.i32(48))
    _check_key(btf, key, map_)
    end = btf.sized(value) if btf.kind(value) > 0 else MISSING
    if end == MISSING or btf.size(end) != map_.value_size:
        raise Errno(EINVAL)
    _check_value(btf, end)
    _check_kind(btf, key, end, map_)
    keep_btf(btf)
    map_.btf = btf
    map_.key_type = key
    map_.value_type = value


def _check_key(btf: Btf, key: int, map_: Map) -> None:
    if key == 0:
        if map_.kind not in (ARRAY_MAP, PERCPU_ARRAY, PREFIXES, BLOOM):
            raise Errno(EINVAL)
        return
    end = btf.sized(key) if btf.kind(key) > 0 else MISSING
    if end == MISSING or btf.size(end) != map_.key_size:
        raise Errno(EINVAL)


def _check_value(btf: Btf, value: int) -> None:
    """Raises ENOTSUPP for what a program may do more with than read and write it."""
    if not is_struct(btf.kind(value)):
        return
    for index in range(btf.length(value)):
        member = btf.more(value, 3 * index + 1)
        if is_struct(btf.kind(member)) and btf.name(btf.named(member), _NAME) in _SPECIAL:
            raise Errno(NOT_SUPPORTED)
        pace(_LOOK_COST)


def _check_kind(btf: Btf, key: int, value: int, map_: Map) -> None:
    """What a kind of maps demands."""
    if map_.kind == GROUP_ARRAY or map_.kind == ARRAY_OF_MAPS:
        raise Errno(NOT_SUPPORTED)
    if map_.kind == BLOOM:
        if key != 0:
            raise Errno(EINVAL)
    elif map_.kind == PREFIXES:
        if btf.kind(btf.sized(key)) != STRUCT:
            raise Errno(EINVAL)
    elif map_.kind == ARRAY_MAP or map_.kind == PERCPU_ARRAY:
        if key == 0:
            if map_.kind != ARRAY_MAP or map_.most != 1 or btf.kind(value) != SECTION:
                raise Errno(EINVAL)
            return
        _check_word(btf, key)
    elif is_storage(map_.kind):
        _check_word(btf, key)


def _check_word(btf: Btf, key: int) -> None:
    """Raises EINVAL for another type than an integer of 32 bits."""
    end = btf.sized(key)
    if btf.kind(end) != INT or btf.more(end, 0) & 0xFF_00FF != 32:
        raise Errno(EINVAL)


# ---- Information -----------------------------------------------------------------------------------------------------

INFORMATION: Final = 32  # struct bpf_btf_info


def btf_information(btf: Btf, given: bytearray) -> bytearray:
    """What is known of a description, in place of what a caller gave; its data go where that says. Raises EFAULT,
    EINVAL.
    """
    words = span_of(given)
    room = min(words.load_u32(8), len(btf.data))
    has_name = words.load_u64(16) != 0
    user.write_from(UserAddr(load_i64(words, 0)), span_of(btf.data)[0:room])
    words.store_u32(8, len(btf.data))
    words.store_u32(12, btf.identifier)
    if has_name != (words.load_u32(24) != 0):
        raise Errno(EINVAL)
    if has_name:
        user.write_u8(UserAddr(load_i64(words, 16)), 0)  # the name of a description that a process loaded
    words.store_u32(24, 0)
    words.store_u32(28, 0)
    return given
