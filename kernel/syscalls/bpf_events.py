"""Events of perf_event_open(2) as bpf(2) names them: by their descriptors, in arrays of events and for links."""

from kernel.bpf.held import Held
from kernel.lang import EBADF, EOPNOTSUPP, Errno
from kernel.perf.attributes import INHERIT
from kernel.perf.file import EventFile
from kernel.perf.world import HeldEvent
from kernel.syscalls.descriptor_arguments import file_at


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
