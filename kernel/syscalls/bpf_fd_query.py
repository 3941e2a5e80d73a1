"""BPF_TASK_FD_QUERY: which program a descriptor of a task keeps at a tracepoint."""

from typing import Final

from kernel.bpf.code import PERF_EVENT
from kernel.bpf.maps import NOT_SUPPORTED
from kernel.fs.bpf.files import LinkFile
from kernel.lang import EBADF, EINVAL, ENOENT, ENOSPC, EOPNOTSUPP, Errno, UserAddr
from kernel.lib import user
from kernel.perf.event import Event
from kernel.perf.file import EventFile
from kernel.perf.links import RawLink
from kernel.perf.tracepoints import find_point
from kernel.syscalls.bpf_arguments import Attributes, require_administrator
from kernel.syscalls.pid_arguments import task_at

_END: Final = 48
_ROOM_AT: Final = 12
_NAME_AT: Final = 16
_PROGRAM_AT: Final = 24
_KIND_AT: Final = 28
_PROBE_AT: Final = 32
_RAW_TRACEPOINT: Final = 0  # BPF_FD_TYPE_*
_TRACEPOINT: Final = 1


def query_descriptor(attributes: Attributes) -> int:
    """Raises EINVAL, EPERM, ENOENT for no such task or no program, EBADF, EOPNOTSUPP for a program for samples,
    ENOTSUPP for what is no event, ENOSPC, EFAULT.
    """
    attributes.end_at(_END)
    require_administrator()
    if attributes.u32(8) != 0:
        raise Errno(EINVAL)
    try:
        task = task_at(attributes.i32(0))
    except Errno:
        raise Errno(ENOENT) from None
    file = task.files.find(attributes.u32(4))
    if file is None:
        raise Errno(EBADF)
    if isinstance(file, LinkFile):
        link = file.link
        if not isinstance(link, RawLink):
            raise Errno(NOT_SUPPORTED)
        _tell(attributes, link.program.identifier, _RAW_TRACEPOINT, link.name)
    elif isinstance(file, EventFile):
        _tell_of_event(attributes, file.event)
    else:
        raise Errno(NOT_SUPPORTED)
    return 0


def _tell_of_event(attributes: Attributes, event: Event) -> None:
    program = event.choice.program
    if program is None:
        raise Errno(ENOENT)
    if program.kind == PERF_EVENT:
        raise Errno(EOPNOTSUPP)
    point = find_point(event.attributes.config)
    _tell(attributes, program.identifier, _TRACEPOINT, b"" if point is None else point.name)


def _tell(attributes: Attributes, program: int, kind: int, name: bytes) -> None:
    """Write what is known of it, the name as far as there is room."""
    room = attributes.u32(_ROOM_AT)
    address = attributes.pointer(_NAME_AT)
    attributes.answer(_ROOM_AT, len(name))
    has_place = room > 0 and address != UserAddr(0)
    if has_place:
        user.write_bytes(address, name[: room - 1] + b"\0")
    attributes.answer(_PROGRAM_AT, program)
    attributes.answer(_KIND_AT, kind)
    for offset in range(_PROBE_AT, _END, 4):
        attributes.answer(offset, 0)
    if has_place and room <= len(name):
        raise Errno(ENOSPC)
