"""Commands of bpf(2) that load programs and attach them to control groups."""

from typing import Final

from kernel.bpf.attached import ALLOW_MULTI, ALLOW_OVERRIDE, REPLACE
from kernel.bpf.code import (
    CGROUP_DEVICE,
    CGROUP_SKB,
    INSTRUCTION_SIZE,
    LOAD_CONSTANT,
    MAP_DESCRIPTOR,
    PLAIN,
    SOCKET_FILTER,
    Code,
)
from kernel.bpf.log import Log
from kernel.bpf.maps import ARRAY, Map
from kernel.bpf.program import Program
from kernel.bpf.subject import subject_of
from kernel.bpf.tag import tag_of, without_maps
from kernel.bpf.verifier import check_first, verify
from kernel.cgroup.group import ControlGroup
from kernel.cgroup.programs import attach, detach, effective_programs, own_flags, own_programs
from kernel.fs.bpf.devices import judge_devices
from kernel.fs.bpf.files import open_program_file
from kernel.fs.cgroup.directory import GroupDirectory
from kernel.lang import E2BIG, EBADF, EINVAL, ENOENT, ENOSPC, EPERM, Errno, UserAddr, span_of
from kernel.lib import user
from kernel.lib.pace import pace
from kernel.mm.keeping import check_room_to_keep
from kernel.syscalls.bpf_arguments import (
    NOT_SUPPORTED,
    UNPRIVILEGED,
    Attributes,
    map_at,
    may_leak,
    may_program,
    program_file_at,
    require_net_admin,
)
from kernel.syscalls.descriptor_arguments import any_file_at
from kernel.task import current
from kernel.time.clock import boottime_ns

_LOAD_END: Final = 148
_LOG_LEVELS: Final = 7
_LOG_FIXED: Final = 8
_LOAD_FLAGS: Final = 15  # alignment, and what tests the verifier
_LOG_MOST: Final = 0x3FFF_FFFF
_TRUE_SIZE: Final = 140
_MOST_INSTRUCTIONS: Final = 65536
_MOST_UNPRIVILEGED: Final = 4096  # without CAP_BPF
_FOR_EVERYBODY: Final[list[int]] = [SOCKET_FILTER, CGROUP_SKB]  # none of which is there
_MOST_MAPS: Final = 64
_LICENCE_SIZE: Final = 128
_LOOK_COST: Final = 100
_MAP_COST: Final = 1500  # of a descriptor, which may be a new one
_FOR_DEVICES: Final = 6  # BPF_CGROUP_DEVICE
_EFFECTIVE: Final = 1
_ORDER: Final = 0x2078  # BPF_F_BEFORE, BPF_F_AFTER, BPF_F_ID, BPF_F_PREORDER, BPF_F_LINK
_FREE_LICENCES: Final[list[bytes]] = [
    b"GPL", b"GPL v2", b"GPL and additional rights", b"Dual BSD/GPL", b"Dual MIT/GPL", b"Dual MPL/GPL",
]  # fmt: skip


def load(attributes: Attributes) -> int:
    """BPF_PROG_LOAD."""
    attributes.end_at(_LOAD_END)
    if attributes.u32(44) & ~_LOAD_FLAGS != 0:
        raise Errno(EINVAL)
    if UNPRIVILEGED.value != 0 and not may_program():
        raise Errno(EPERM)
    count = attributes.u32(4)
    if count == 0 or count > (_MOST_INSTRUCTIONS if may_program() else _MOST_UNPRIVILEGED):
        raise Errno(E2BIG)
    kind = attributes.u32(0)
    if kind not in _FOR_EVERYBODY and not may_program():
        raise Errno(EPERM)
    if kind == CGROUP_DEVICE:
        require_net_admin()
    licence = user.read_string_start(attributes.pointer(16), _LICENCE_SIZE)
    subject = subject_of(kind)
    if subject is None or not _has_no_more(attributes):
        raise Errno(EINVAL)
    subject.may_leak = may_leak()
    name = attributes.name(48)
    check_room_to_keep()
    text = user.read_bytes(attributes.pointer(8), count * INSTRUCTION_SIZE)
    log = _log_of(attributes)
    maps: list[Map] = []
    steps = 0
    try:
        check_first(Code(text), log)
        resolved = _resolve(text, maps, log)
        steps = verify(Code(resolved), maps, subject, log)
    finally:
        _report(attributes, log)
    program = Program(kind, name, Code(resolved), maps)
    program.tag = tag_of(without_maps(text))
    program.steps = steps
    program.loaded_ns = boottime_ns()
    program.owner = int(current().credentials.uid)
    program.is_free = licence in _FREE_LICENCES
    return current().files.install(open_program_file(program), cloexec=True)


def _has_no_more(attributes: Attributes) -> bool:
    """Whether nothing is asked for that is not there: devices, BTF, other programs, tokens."""
    for offset in (64, 88, 104, 108, 112, 116, 144):
        if attributes.u32(offset) != 0:
            return False
    return True


def _log_of(attributes: Attributes) -> Log:
    """Raises EINVAL for a buffer without a level, and so on."""
    level = attributes.u32(24)
    size = attributes.u32(28)
    has_buffer = attributes.i64(32) != 0
    if has_buffer != (size != 0) or (has_buffer and level == 0) or level & ~(_LOG_LEVELS | _LOG_FIXED) != 0:
        raise Errno(EINVAL)
    if size > _LOG_MOST:
        raise Errno(EINVAL)
    return Log(level & _LOG_LEVELS)


def _report(attributes: Attributes, log: Log) -> None:
    """Write the log: its end, if the buffer is too small for it. Raises ENOSPC then, EFAULT."""
    size = attributes.u32(28)
    length = log.length + 1 if log.level != 0 else 0
    if attributes.size >= _TRUE_SIZE + 4:
        attributes.answer(_TRUE_SIZE, length)
    if size == 0 or log.level == 0:
        return
    fixed = attributes.u32(24) & _LOG_FIXED != 0
    skip = 0 if fixed else max(length - size, 0)
    place = attributes.pointer(32)
    left = size - 1
    for piece in log.pieces:
        start = min(skip, len(piece))
        skip -= start
        end = min(len(piece), start + left)
        user.write_bytes(place, piece[start:end])
        place = user.at(place, end - start)
        left -= end - start
        pace(_LOOK_COST)
    user.write_u8(place, 0)
    if length > size:
        raise Errno(ENOSPC)


def _resolve(text: bytes, maps: list[Map], log: Log) -> bytes:
    """The instructions with places in `maps` where descriptors were. Raises EBADF, EINVAL, E2BIG."""
    code = Code(text)
    resolved = bytearray(text)
    places: dict[int, int] = {}  # in `maps`, by descriptor
    at = 0
    while at < code.count:
        if code.operation(at) == LOAD_CONSTANT:
            if code.source(at) != PLAIN:
                offset = code.constant(at + 1)
                descriptor = code.constant(at)
                place = places.get(descriptor, -1)
                map_ = _map_for(code, at, log) if place < 0 else maps[place]
                if code.source(at) == MAP_DESCRIPTOR:
                    if offset != 0:
                        log.say("unrecognized bpf_ld_imm64 insn")
                        raise Errno(EINVAL)
                elif map_.kind != ARRAY or map_.most != 1:
                    log.say("invalid access to map value pointer")
                    raise Errno(NOT_SUPPORTED if map_.kind == ARRAY else EINVAL)
                elif not 0 <= offset < map_.value_size:
                    log.say("invalid access to map value pointer")
                    raise Errno(EINVAL)
                if place < 0:
                    place = _place_of(map_, maps)
                    places[descriptor] = place
                span_of(resolved).store_u32(at * INSTRUCTION_SIZE + 4, place)
                pace(_MAP_COST)
            at += 1
        at += 1
        pace(_LOOK_COST)
    return bytes(resolved)


def _place_of(map_: Map, maps: list[Map]) -> int:
    """Where it is among those that the program uses; it is added if it is not. Raises E2BIG."""
    if map_ in maps:
        return maps.index(map_)
    if len(maps) >= _MOST_MAPS:
        raise Errno(E2BIG)
    maps.append(map_)
    return len(maps) - 1


def _map_for(code: Code, at: int, log: Log) -> Map:
    try:
        return map_at(code.constant(at))
    except (Errno, MemoryError):
        log.say(f"fd {code.constant(at)} is not pointing to valid bpf_map")
        raise


# ---- Groups ----------------------------------------------------------------------------------------------------------


def _group_at(descriptor: int) -> ControlGroup:
    """Raises EBADF for what is no directory of a control group, ENOENT for one that was removed."""
    inode = any_file_at(descriptor).inode
    if not isinstance(inode, GroupDirectory):
        raise Errno(EBADF)
    if inode.group.is_removed:
        raise Errno(ENOENT)
    return inode.group


def _program_for(attributes: Attributes, offset: int) -> Program:
    program = program_file_at(attributes.i32(offset)).program
    if program.kind != CGROUP_DEVICE:
        raise Errno(EINVAL)
    return program


def attach_program(attributes: Attributes) -> int:
    """BPF_PROG_ATTACH."""
    attributes.end_at(32)
    flags = attributes.u32(12)
    # Where there is but one program, an order among several means nothing.
    known = ALLOW_MULTI | REPLACE if flags & ALLOW_MULTI != 0 else ALLOW_OVERRIDE | REPLACE | _ORDER
    if attributes.u32(8) != _FOR_DEVICES or flags & ~known != 0:
        raise Errno(EINVAL)
    if attributes.u32(20) != 0 or attributes.i64(24) != 0:
        raise Errno(EINVAL)
    program = _program_for(attributes, 4)
    require_net_admin()
    group = _group_at(attributes.i32(0))
    replaced: Program | None = None
    if flags & ALLOW_MULTI != 0 and flags & REPLACE != 0:
        replaced = _program_for(attributes, 16)
    if flags & REPLACE != 0 and flags & ALLOW_MULTI == 0:
        raise Errno(EINVAL)
    judge_devices()
    attach(group, program, flags, replaced)
    return 0


def detach_program(attributes: Attributes) -> int:
    """BPF_PROG_DETACH: without a program, the only one."""
    attributes.end_at(32)
    if attributes.u32(8) != _FOR_DEVICES or attributes.u32(12) != 0:
        raise Errno(EINVAL)
    if attributes.u32(20) != 0 or attributes.i64(24) != 0:
        raise Errno(EINVAL)
    require_net_admin()
    group = _group_at(attributes.i32(0))
    program: Program | None = None
    try:
        program = _program_for(attributes, 4)
    except Errno:
        program = None  # the group may have but one
    detach(group, program)
    return 0


def query(attributes: Attributes) -> int:
    """BPF_PROG_QUERY."""
    require_net_admin()
    attributes.end_at(64)
    flags = attributes.u32(8)
    if flags & ~_EFFECTIVE != 0 or attributes.u32(4) != _FOR_DEVICES:
        raise Errno(EINVAL)
    group = _group_at(attributes.i32(0))
    effective = flags & _EFFECTIVE != 0
    programs = effective_programs(group) if effective else own_programs(group)
    if effective and attributes.i64(32) != 0:
        raise Errno(EINVAL)
    attributes.answer(12, 0 if effective else own_flags(group))
    attributes.answer(24, len(programs))
    room = attributes.u32(24)
    place = attributes.pointer(16)
    if room == 0 or place == 0 or len(programs) == 0:
        return 0
    each_flags = attributes.pointer(32)
    for index in range(min(room, len(programs))):
        user.write_u32(user.at(place, 4 * index), programs[index].identifier)
        if each_flags != UserAddr(0):
            user.write_u32(user.at(each_flags, 4 * index), own_flags(group))
    if room < len(programs):
        raise Errno(ENOSPC)
    return 0
