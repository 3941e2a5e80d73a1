"""Commands of bpf(2) that find programs and maps by number, describe them and links, and count runs."""

from typing import Final

from kernel.bpf.kept_maps import MAPS, keep_map, release_map
from kernel.bpf.maps import READ_ONLY, WRITE_ONLY, Map
from kernel.bpf.numbers import Numbers
from kernel.bpf.program import KEPT, Program, bind, keep_program, release_program
from kernel.fs.bpf.files import BtfFile, LinkFile, MapFile, ProgramFile, StatisticsFile, open_program_file
from kernel.fs.constants import O_RDONLY, O_RDWR, O_WRONLY
from kernel.lang import E2BIG, EBADFD, EINVAL, ENOENT, Errno, UserAddr, span_of
from kernel.lib import user
from kernel.lib.pace import pace
from kernel.mm.keeping import check_room_to_keep
from kernel.syscalls.bpf_arguments import Attributes, map_at, may_program, program_file_at, require_administrator
from kernel.syscalls.bpf_btf import INFORMATION, btf_information
from kernel.syscalls.bpf_link_information import LINK_SIZE, link_information
from kernel.syscalls.bpf_maps import install_map
from kernel.syscalls.bpf_program_types import check_record_sizes, tell_types
from kernel.syscalls.descriptor_arguments import file_at
from kernel.task import current
from kernel.task.words import load_i64, store_i64

_PROGRAM_SIZE: Final = 232  # struct bpf_prog_info
_MAP_SIZE: Final = 88  # struct bpf_map_info
_PAGE: Final = 4096
_NUMBER_COST: Final = 100
_RUN_TIME: Final = 0  # BPF_STATS_RUN_TIME


def next_number(attributes: Attributes, numbers: Numbers) -> int:
    """BPF_PROG_GET_NEXT_ID, BPF_MAP_GET_NEXT_ID, BPF_LINK_GET_NEXT_ID: the least number above one. Raises ENOENT."""
    attributes.end_at(8)
    start = attributes.u32(0)
    if start >= 0x7FFF_FFFF:
        raise Errno(EINVAL)
    require_administrator()
    best = numbers.next_used(start)
    if best == 0:
        raise Errno(ENOENT)
    attributes.answer(4, best)
    return 0


def open_program(attributes: Attributes) -> int:
    """BPF_PROG_GET_FD_BY_ID."""
    attributes.end_at(4)
    require_administrator()
    program = KEPT.programs.get(attributes.u32(0))
    if program is None:
        raise Errno(ENOENT)
    return current().files.install(open_program_file(program), cloexec=True)


def open_map(attributes: Attributes) -> int:
    """BPF_MAP_GET_FD_BY_ID."""
    attributes.end_at(12)
    flags = attributes.u32(8)
    if flags & ~(READ_ONLY | WRITE_ONLY) != 0:
        raise Errno(EINVAL)
    require_administrator()
    if flags == READ_ONLY | WRITE_ONLY:
        raise Errno(EINVAL)
    map_ = MAPS.by_number.get(attributes.u32(0))
    if map_ is None:
        raise Errno(ENOENT)
    return install_map(map_, O_RDONLY if flags == READ_ONLY else O_WRONLY if flags == WRITE_ONLY else O_RDWR)


def tell(attributes: Attributes) -> int:
    """BPF_OBJ_GET_INFO_BY_FD. EBADFD where other commands have EBADF."""
    attributes.end_at(16)
    try:
        file = file_at(attributes.i32(0))
    except Errno:
        raise Errno(EBADFD) from None
    address = attributes.pointer(8)
    length = attributes.u32(4)
    if isinstance(file, ProgramFile):
        filled = _program_information(file.program, address, _checked(address, length, _PROGRAM_SIZE))
    elif isinstance(file, MapFile):
        _checked(address, length, _MAP_SIZE)
        filled = _map_information(file.map)
    elif isinstance(file, BtfFile):
        given = bytearray(INFORMATION)
        known = _checked(address, length, INFORMATION)
        user.read_into(span_of(given)[0:known], address)
        filled = btf_information(file.btf, given)
    elif isinstance(file, LinkFile):
        filled = link_information(file.link, address, _checked(address, length, LINK_SIZE))
    else:
        raise Errno(EINVAL)
    size = min(length, len(filled))
    user.write_from(address, span_of(filled)[0:size])
    attributes.answer(4, size)
    return 0


def _checked(address: UserAddr, length: int, known: int) -> int:
    """How many known bytes the caller's structure holds. Raises E2BIG."""
    if length > _PAGE:
        raise Errno(E2BIG)
    user.require_zeros(address, known, length)
    return min(length, known)


def _map_information(map_: Map) -> bytearray:
    storage = bytearray(_MAP_SIZE)
    words = span_of(storage)
    words.store_u32(0, map_.kind)
    words.store_u32(4, map_.identifier)
    words.store_u32(8, map_.key_size)
    words.store_u32(12, map_.value_size)
    words.store_u32(16, map_.most)
    words.store_u32(20, map_.flags)
    words[24 : 24 + len(map_.name)].copy_from(span_of(map_.name))
    btf = map_.btf
    if btf is not None:
        words.store_u32(64, btf.identifier)
        words.store_u32(68, map_.key_type)
        words.store_u32(72, map_.value_type)
    store_i64(words, 80, map_.extra)
    return storage


def _program_information(program: Program, address: UserAddr, known: int) -> bytearray:
    """Write the structure, and the arrays that it names."""
    given = bytearray(_PROGRAM_SIZE)
    user.read_into(span_of(given)[0:known], address)
    check_record_sizes(given)
    asked = span_of(given)
    storage = bytearray(_PROGRAM_SIZE)
    words = span_of(storage)
    words.store_u32(0, program.kind)
    words.store_u32(4, program.identifier)
    words[8:16].copy_from(span_of(program.tag))
    length = len(program.code.instructions) if may_program() else 0  # others may have been sent a descriptor
    words.store_u32(20, length)
    words.store_u64(24, asked.load_u64(24))
    words.store_u64(32, asked.load_u64(32))
    store_i64(words, 40, program.loaded_ns)
    words.store_u32(48, program.owner)
    words.store_u32(52, len(program.maps) + len(program.bound))
    words.store_u64(56, asked.load_u64(56))
    words[64 : 64 + len(program.name)].copy_from(span_of(program.name))
    words.store_u32(84, int(program.is_free))
    store_i64(words, 192, program.run_ns)
    store_i64(words, 200, program.runs)
    words.store_u32(216, program.steps)
    room = min(asked.load_u32(52), len(program.maps) + len(program.bound))
    numbers = UserAddr(load_i64(asked, 56))
    for index in range(room):
        used = len(program.maps)
        map_ = program.maps[index] if index < used else program.bound[index - used]
        user.write_u32(user.at(numbers, 4 * index), map_.identifier)
        pace(_NUMBER_COST)
    tell_types(program, given, storage)
    wanted = min(asked.load_u32(20), length)
    text = UserAddr(load_i64(asked, 32))
    if wanted > 0:
        user.write_bytes(text, program.code.instructions[:wanted])
    return storage


def bind_map(attributes: Attributes) -> int:
    """BPF_PROG_BIND_MAP."""
    attributes.end_at(12)
    if attributes.u32(8) != 0:
        raise Errno(EINVAL)
    program = program_file_at(attributes.i32(0)).program
    map_ = map_at(attributes.i32(4))
    check_room_to_keep()
    keep_program(program)
    try:
        keep_map(map_)
        try:
            bind(program, map_)
        finally:
            release_map(map_)
    finally:
        release_program(program)
    return 0


def enable_statistics(attributes: Attributes) -> int:
    """BPF_ENABLE_STATS: a descriptor; while it is open, runs are counted."""
    attributes.end_at(4)
    require_administrator()
    if attributes.u32(0) != _RUN_TIME:
        raise Errno(EINVAL)
    return current().files.install(StatisticsFile(), cloexec=True)
