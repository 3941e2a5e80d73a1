"""The command of bpf(2) that loads programs."""

from typing import Final

from kernel.bpf.code import (
    CGROUP_DEVICE,
    CGROUP_SKB,
    CGROUP_SOCK,
    CGROUP_SOCK_ADDR,
    INSTRUCTION_SIZE,
    LOAD_CONSTANT,
    MAP_DESCRIPTOR,
    PLAIN,
    SOCKET_FILTER,
    Code,
)
from kernel.bpf.kept_maps import keep_map, release_map
from kernel.bpf.log import Log
from kernel.bpf.maps import ARRAY, NOT_SUPPORTED, Map
from kernel.bpf.program import Program, claim_arrays
from kernel.bpf.subject import (
    ADDRESS_PLACES,
    PACKETS_IN,
    PACKETS_OUT,
    SOCKET_CREATED,
    SOCKET_PLACES,
    Subject,
    is_of_tracing,
    subject_of,
)
from kernel.bpf.tag import tag_of, without_maps
from kernel.bpf.verifier import check_first, check_short, verify
from kernel.fs.bpf.files import open_program_file
from kernel.lang import E2BIG, EINVAL, EPERM, Errno, span_of
from kernel.lib import user
from kernel.lib.pace import pace
from kernel.mm.keeping import check_room_to_keep
from kernel.syscalls.bpf_arguments import (
    UNPRIVILEGED,
    Attributes,
    map_at,
    may_leak,
    may_program,
    require_net_admin,
)
from kernel.syscalls.bpf_logs import log_of, report
from kernel.syscalls.bpf_program_types import ProgramTypes
from kernel.syscalls.bpf_tokens import TOKEN_FLAG, token_at
from kernel.task import current
from kernel.time.clock import boottime_ns

_LOAD_END: Final = 148
_TOKEN_AT: Final = 144
_COMMAND: Final = 5  # BPF_PROG_LOAD
_LOAD_FLAGS: Final = 15  # alignment, and what tests the verifier
_TRUE_SIZE: Final = 140
_MOST_INSTRUCTIONS: Final = 65536
_MOST_UNPRIVILEGED: Final = 4096  # without CAP_BPF
_FOR_EVERYBODY: Final[list[int]] = [SOCKET_FILTER, CGROUP_SKB]  # where the administrator lets everybody in
_FOR_NETWORKERS: Final[list[int]] = [CGROUP_DEVICE, CGROUP_SOCK, CGROUP_SOCK_ADDR]  # CAP_NET_ADMIN
_MOST_MAPS: Final = 64
_LICENCE_SIZE: Final = 128
_LOOK_COST: Final = 100
_MAP_COST: Final = 1500  # for a descriptor, which may be a new one
_FREE_LICENCES: Final[list[bytes]] = [
    b"GPL", b"GPL v2", b"GPL and additional rights", b"Dual BSD/GPL", b"Dual MIT/GPL", b"Dual MPL/GPL",
]  # fmt: skip


def load(attributes: Attributes) -> int:
    """BPF_PROG_LOAD."""
    attributes.end_at(_LOAD_END)
    flags = attributes.u32(44)
    if flags & ~(_LOAD_FLAGS | TOKEN_FLAG) != 0:
        raise Errno(EINVAL)
    kind = attributes.u32(0)
    token = token_at(attributes, flags, _TOKEN_AT, _COMMAND)
    if token is not None and not token.lets_load(kind, _first_place(attributes.u32(68), kind)):
        token = None
    if UNPRIVILEGED.value != 0 and not may_program(token):
        raise Errno(EPERM)
    count = attributes.u32(4)
    if count == 0 or count > (_MOST_INSTRUCTIONS if may_program(token) else _MOST_UNPRIVILEGED):
        raise Errno(E2BIG)
    if kind not in _FOR_EVERYBODY and not may_program(token):
        raise Errno(EPERM)
    if kind in _FOR_NETWORKERS:
        require_net_admin(token)
    if is_of_tracing(kind) and not may_leak(token):
        raise Errno(EPERM)
    licence = user.read_string_start(attributes.pointer(16), _LICENCE_SIZE)
    place = _place(attributes.u32(68), kind)
    subject = subject_of(kind, place)
    if subject is None or not _has_no_more(attributes):
        raise Errno(EINVAL)
    subject.may_leak = may_leak(token)
    subject.may_program = may_program(token)
    subject.is_free = licence in _FREE_LICENCES
    name = attributes.name(48)
    check_room_to_keep()
    text = user.read_bytes(attributes.pointer(8), count * INSTRUCTION_SIZE)
    maps: list[Map] = []
    types = ProgramTypes(attributes)
    try:
        program = _verified(attributes, kind, name, text, subject, maps, types)
        program.asked_place = attributes.u32(68)
        program.token = token
        claim_arrays(program)
        program.tag = tag_of(without_maps(text))
        if subject.is_for_place:
            program.place = place
        program.loaded_ns = boottime_ns()
        program.owner = int(current().credentials.uid)
        program.is_free = subject.is_free
        program.reach = subject.reach
        return current().files.install(open_program_file(program), cloexec=True)
    finally:
        types.release()
        for map_ in maps:
            release_map(map_)


def _verified(
    attributes: Attributes,
    kind: int,
    name: bytes,
    text: bytes,
    subject: Subject,
    maps: list[Map],
    types: ProgramTypes,
) -> Program:
    """A program that the verifier accepts. `maps` and `types` get those that it uses: kept, also if this raises; their
    descriptors may be closed meanwhile. Raises EINVAL, EACCES, E2BIG and so on, with the reason in the log.
    """
    log = log_of(attributes, 24, 28, 32)
    types.log = log
    try:
        types.read_functions(Code(text))
        check_first(Code(text), log, may_program=subject.may_program)
        types.check(Code(text))
        if subject.most_instructions != 0:
            check_short(Code(text), subject.most_instructions, log)
        resolved = _resolve(text, maps, log)
        steps = verify(Code(resolved), maps, subject, log)
    finally:
        report(attributes, log, 24, 28, 32, _TRUE_SIZE)
    program = Program(kind, name, Code(resolved), maps)
    program.steps = steps
    program.btf = types.btf
    program.functions = types.functions
    program.lines = types.lines
    return program


def _first_place(asked: int, kind: int) -> int:
    """The place that a program says, or that programs of its type had before there were others."""
    return SOCKET_CREATED if asked == 0 and kind == CGROUP_SOCK else asked


def _place(asked: int, kind: int) -> int:
    """Where a program says that it will be attached. Raises EINVAL for types that cannot be there."""
    if kind == CGROUP_SOCK:
        place = _first_place(asked, kind)
        if place not in SOCKET_PLACES:
            raise Errno(EINVAL)
        return place
    if kind == CGROUP_SOCK_ADDR and asked not in ADDRESS_PLACES:
        raise Errno(EINVAL)
    if kind == CGROUP_SKB and asked != PACKETS_IN and asked != PACKETS_OUT:
        raise Errno(EINVAL)
    return asked


def _has_no_more(attributes: Attributes) -> bool:
    """Whether no unsupported feature is requested: devices, other programs."""
    for offset in (64, 108, 112, 116):
        if attributes.u32(offset) != 0:
            return False
    return True


def _resolve(text: bytes, maps: list[Map], log: Log) -> bytes:
    """The instructions with indexes of `maps` in place of descriptors. Raises EBADF, EINVAL, E2BIG."""
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
    """Its index among the maps that the program uses; it is added, and kept, if it is missing. Raises E2BIG."""
    if map_ in maps:
        return maps.index(map_)
    if len(maps) >= _MOST_MAPS:
        raise Errno(E2BIG)
    keep_map(map_)
    try:
        maps.append(map_)
    except MemoryError:
        release_map(map_)
        raise
    return len(maps) - 1


def _map_for(code: Code, at: int, log: Log) -> Map:
    try:
        return map_at(code.constant(at))
    except (Errno, MemoryError):
        log.say(f"fd {code.constant(at)} is not pointing to valid bpf_map")
        raise
