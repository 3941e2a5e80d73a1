"""Commands of bpf(2) that attach programs to control groups, detach them, and list them."""

from typing import Final

from kernel.bpf.attached import ALLOW_MULTI, ALLOW_OVERRIDE, REPLACE
from kernel.bpf.code import CGROUP_DEVICE, CGROUP_SKB, CGROUP_SOCK, CGROUP_SOCK_ADDR
from kernel.bpf.program import Program
from kernel.bpf.subject import ADDRESS_PLACES, DEVICES, PACKETS_IN, PACKETS_OUT, SOCKET_PLACES
from kernel.cgroup.group import ControlGroup
from kernel.cgroup.programs import (
    attach,
    detach,
    effective_programs,
    own_flags,
    own_programs,
)
from kernel.fs.bpf.devices import judge_devices
from kernel.fs.cgroup.directory import GroupDirectory
from kernel.lang import EBADF, EINVAL, ENOENT, ENOSPC, Errno, UserAddr
from kernel.lib import user
from kernel.lib.capabilities import CAP_NET_ADMIN
from kernel.syscalls.bpf_arguments import Attributes, may, program_file_at, require_net_admin
from kernel.syscalls.descriptor_arguments import any_file_at

_EFFECTIVE: Final = 1
_ORDER: Final = 0x2078  # BPF_F_BEFORE, BPF_F_AFTER, BPF_F_ID, BPF_F_PREORDER, BPF_F_LINK


def group_at(descriptor: int) -> ControlGroup:
    """Raises EBADF for anything but a directory of a control group, ENOENT for a removed group."""
    inode = any_file_at(descriptor).inode
    if not isinstance(inode, GroupDirectory):
        raise Errno(EBADF)
    if inode.group.is_removed:
        raise Errno(ENOENT)
    return inode.group


def _purpose(attributes: Attributes, offset: int) -> int:
    """Raises EINVAL for an unknown purpose."""
    purpose = attributes.u32(offset)
    type_for(purpose)
    return purpose


def type_for(purpose: int) -> int:
    """The type of the programs. Raises EINVAL."""
    if purpose == DEVICES:
        return CGROUP_DEVICE
    if purpose == PACKETS_IN or purpose == PACKETS_OUT:
        return CGROUP_SKB
    if purpose in SOCKET_PLACES:
        return CGROUP_SOCK
    if purpose in ADDRESS_PLACES:
        return CGROUP_SOCK_ADDR
    raise Errno(EINVAL)


def _program_for(attributes: Attributes, offset: int, purpose: int) -> Program:
    """Raises EINVAL for a program of another type."""
    program = program_file_at(attributes.i32(offset)).program
    if program.kind != type_for(purpose):
        raise Errno(EINVAL)
    return program


def attach_program(attributes: Attributes) -> int:
    """BPF_PROG_ATTACH."""
    attributes.end_at(32)
    flags = attributes.u32(12)
    # If there is only one program, an order among several is meaningless.
    known = ALLOW_MULTI | REPLACE if flags & ALLOW_MULTI != 0 else ALLOW_OVERRIDE | REPLACE | _ORDER
    purpose = _purpose(attributes, 8)
    if flags & ~known != 0:
        raise Errno(EINVAL)
    if attributes.u32(20) != 0 or attributes.i64(24) != 0:
        raise Errno(EINVAL)
    program = _program_for(attributes, 4, purpose)
    if program.kind == CGROUP_SKB and not may(CAP_NET_ADMIN, program.token):
        raise Errno(EINVAL)  # those of other types could not have been loaded without it
    if program.place >= 0 and program.place != purpose:
        raise Errno(EINVAL)
    group = group_at(attributes.i32(0))
    replaced: Program | None = None
    if flags & ALLOW_MULTI != 0 and flags & REPLACE != 0:
        replaced = _program_for(attributes, 16, purpose)
    if flags & REPLACE != 0 and flags & ALLOW_MULTI == 0:
        raise Errno(EINVAL)
    if purpose == DEVICES:
        judge_devices()
    attach(group, purpose, program, flags, replaced)
    return 0


def detach_program(attributes: Attributes) -> int:
    """BPF_PROG_DETACH: without a program, the only one. A descriptor of the group is all that Linux asks for."""
    attributes.end_at(32)
    purpose = _purpose(attributes, 8)
    if attributes.u32(12) != 0:
        raise Errno(EINVAL)
    if attributes.u32(20) != 0 or attributes.i64(24) != 0:
        raise Errno(EINVAL)
    group = group_at(attributes.i32(0))
    program: Program | None = None
    try:
        program = _program_for(attributes, 4, purpose)
    except Errno:
        program = None  # the group can have only one
    detach(group, purpose, program)
    return 0


def query(attributes: Attributes) -> int:
    """BPF_PROG_QUERY."""
    require_net_admin()
    attributes.end_at(64)
    flags = attributes.u32(8)
    purpose = _purpose(attributes, 4)
    if flags & ~_EFFECTIVE != 0:
        raise Errno(EINVAL)
    group = group_at(attributes.i32(0))
    effective = flags & _EFFECTIVE != 0
    programs = effective_programs(group, purpose) if effective else own_programs(group, purpose)
    if effective and attributes.i64(32) != 0:
        raise Errno(EINVAL)
    attributes.answer(12, 0 if effective else own_flags(group, purpose))
    attributes.answer(24, len(programs))
    room = attributes.u32(24)
    place = attributes.pointer(16)
    if room == 0 or place == 0 or len(programs) == 0:
        return 0
    each_flags = attributes.pointer(32)
    for index in range(min(room, len(programs))):
        user.write_u32(user.at(place, 4 * index), programs[index].identifier)
        if each_flags != UserAddr(0):
            user.write_u32(user.at(each_flags, 4 * index), own_flags(group, purpose))
    if room < len(programs):
        raise Errno(ENOSPC)
    return 0
