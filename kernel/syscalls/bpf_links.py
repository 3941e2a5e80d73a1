"""Commands of bpf(2) about links."""

from typing import Final

from kernel.bpf.attached import REPLACE
from kernel.bpf.code import CGROUP_SKB, PERF_EVENT, TRACEPOINT
from kernel.bpf.link import LINKS, Link
from kernel.bpf.program import Program
from kernel.bpf.subject import DEVICES
from kernel.cgroup.links import GroupLink, make_link, update_link
from kernel.fs.bpf.devices import judge_devices
from kernel.fs.bpf.files import LinkFile, open_link_file
from kernel.lang import EINVAL, ENOENT, EOPNOTSUPP, Errno
from kernel.mm.keeping import check_room_to_keep
from kernel.perf.links import make_event_link
from kernel.syscalls.bpf_arguments import (
    Attributes,
    program_file_at,
    require_administrator,
    require_net_admin,
)
from kernel.syscalls.bpf_events import event_file_at
from kernel.syscalls.bpf_groups import group_at, type_for
from kernel.syscalls.descriptor_arguments import file_at
from kernel.task import current

_CREATE_END: Final = 60
_FOR_EVENT: Final = 41  # BPF_PERF_EVENT


def create_link(attributes: Attributes) -> int:
    """BPF_LINK_CREATE, for control groups and events."""
    attributes.end_at(_CREATE_END)
    program = program_file_at(attributes.i32(0)).program
    purpose = attributes.u32(8)
    if program.kind == TRACEPOINT or program.kind == PERF_EVENT:
        if purpose != _FOR_EVENT or attributes.u32(12) != 0:
            raise Errno(EINVAL)
        file = event_file_at(attributes.i32(4))
        check_room_to_keep()
        made = make_event_link(file, file.event, program, attributes.i64(16))
        return current().files.install(open_link_file(made, b"bpf_link"), cloexec=True)
    if program.kind == CGROUP_SKB:
        require_net_admin(program.token)
    if program.kind != type_for(purpose) or (program.place >= 0 and program.place != purpose):
        raise Errno(EINVAL)
    if attributes.u32(12) != 0:
        raise Errno(EINVAL)
    group = group_at(attributes.i32(4))
    check_room_to_keep()
    if purpose == DEVICES:
        judge_devices()
    opened = open_link_file(make_link(group, purpose, program), b"bpf_link")
    return current().files.install(opened, cloexec=True)


def change_link(attributes: Attributes) -> int:
    """BPF_LINK_UPDATE."""
    attributes.end_at(16)
    flags = attributes.u32(8)
    if flags & ~REPLACE != 0:
        raise Errno(EINVAL)
    link = _link_at(attributes.i32(0))
    program = program_file_at(attributes.i32(4)).program
    expected: Program | None = None
    if flags & REPLACE != 0:
        expected = program_file_at(attributes.i32(12)).program
    elif attributes.u32(12) != 0:
        raise Errno(EINVAL)
    if not isinstance(link, GroupLink):
        raise Errno(EINVAL)
    update_link(link, program, expected)
    return 0


def open_link(attributes: Attributes) -> int:
    """BPF_LINK_GET_FD_BY_ID."""
    attributes.end_at(4)
    require_administrator()
    link = LINKS.by_number.get(attributes.u32(0))
    if link is None:
        raise Errno(ENOENT)
    link.users += 1
    return current().files.install(open_link_file(link, b"bpf-link"), cloexec=True)


def cut(attributes: Attributes) -> int:
    """BPF_LINK_DETACH: the link remains, attached to nothing."""
    attributes.end_at(4)
    link = _link_at(attributes.i32(0))
    if not isinstance(link, GroupLink):
        raise Errno(EOPNOTSUPP)
    link.cut()
    return 0


def create_iterator(attributes: Attributes) -> int:
    """BPF_ITER_CREATE: no link is to an iterator, as those that it is for are programs of another type. Raises EBADF,
    EINVAL.
    """
    attributes.end_at(8)
    if attributes.u32(4) == 0:
        _link_at(attributes.i32(0))
    raise Errno(EINVAL)


def _link_at(descriptor: int) -> Link:
    """Raises EBADF, EINVAL."""
    file = file_at(descriptor)
    if not isinstance(file, LinkFile):
        raise Errno(EINVAL)
    return file.link
