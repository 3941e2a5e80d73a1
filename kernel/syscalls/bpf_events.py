"""Events of perf_event_open(2) as bpf(2) names them: by their descriptors, in arrays of events and for links."""

from typing import Final

from kernel.bpf.code import RAW_TRACEPOINT
from kernel.bpf.held import Held
from kernel.fs.bpf.files import open_link_file
from kernel.lang import EBADF, EINVAL, EOPNOTSUPP, Errno
from kernel.lib import user
from kernel.mm.keeping import check_room_to_keep
from kernel.perf.attributes import INHERIT
from kernel.perf.file import EventFile
from kernel.perf.links import make_raw_link
from kernel.perf.world import HeldEvent
from kernel.syscalls.bpf_arguments import Attributes, program_file_at
from kernel.syscalls.descriptor_arguments import file_at
from kernel.task import current

_RAW_END: Final = 24
_NAME_BYTES: Final = 127


def event_file_at(descriptor: int) -> EventFile:
    """Raises EBADF, also for what is no event."""
    file = file_at(descriptor)
    if not isinstance(file, EventFile):
        raise Errno(EBADF)
    return file


def held_event_at(descriptor: int) -> Held:
    """What an array of events gets. Raises EBADF, EOPNOTSUPP for an event whose count children share, MemoryError."""
    file = event_file_at(descriptor)
    if file.event.attributes.has(INHERIT):
        raise Errno(EOPNOTSUPP)
    return HeldEvent(file, file.event)


def open_raw_point(attributes: Attributes) -> int:
    """BPF_RAW_TRACEPOINT_OPEN: a link to sys_enter or sys_exit."""
    attributes.end_at(_RAW_END)
    program = program_file_at(attributes.i32(8)).program
    if program.kind != RAW_TRACEPOINT:
        raise Errno(EINVAL)
    name = user.read_string_start(attributes.pointer(0), _NAME_BYTES)
    check_room_to_keep()
    link = make_raw_link(name, program, attributes.i64(16))
    return current().files.install(open_link_file(link, b"bpf-raw-tracepoint"), cloexec=True)
