"""The file and offset that a probe names, and the instruction there (perf_event_open(2), Documentation/trace/
uprobetracer.rst).

Context: system calls. Sleeps.
"""

from typing import Final

from kernel.fs.constants import O_RDONLY
from kernel.fs.open import open_path
from kernel.fs.path import FsContext
from kernel.fs.walk import FOLLOW, resolve
from kernel.lang import EINVAL, EIO, Errno, final
from kernel.mm.frames import PAGE_MASK, PAGE_SHIFT, PAGE_SIZE, frame_span, put_frame
from kernel.mm.objects import MappedThrough, TrackedObject

INSTRUCTION_BYTES: Final = 16
_COUNTER_BYTES: Final = 2


@final
class ProbedFile:
    """What programs map of a file, and the place where it was found, which keeps its mount in use."""

    def __init__(self, source: TrackedObject, size: int) -> None:
        """Of a source that was mapped last through that place. Raises MemoryError."""
        self.source: TrackedObject = source
        self.size: int = size
        self.number: int = source.inode_number()
        self.through: MappedThrough | None = source.through()

    def acquire(self) -> None:
        """It has one more user."""
        self.source.acquire()
        if self.through is not None:
            self.through.acquire()

    def release(self) -> None:
        """One is gone. May sleep."""
        self.source.release()
        if self.through is not None:
            self.through.release()


def find_source(context: FsContext, name: bytes) -> ProbedFile:
    """What programs map of a file, in use from now on. Raises EINVAL for what is no file, EIO for one without pages,
    and what the walk does.
    """
    path = resolve(context, None, name, FOLLOW)
    if not path.inode().is_regular():
        raise Errno(EINVAL)
    file = open_path(context, path, O_RDONLY)
    try:
        source = file.memory_object()
        if not isinstance(source, TrackedObject):
            raise Errno(EIO)
        found = ProbedFile(source, path.inode().size)
        found.acquire()
        return found
    finally:
        file.release()


def check_place(size: int, offset: int, counter: int) -> None:
    """Whether a file of that size can have a probe at an offset, which counts in a word at `counter`. Raises EINVAL. As
    on Linux, one at a negative offset is possible: it is met nowhere.
    """
    if offset > size or counter % _COUNTER_BYTES != 0:
        raise Errno(EINVAL)


def read_instruction(source: TrackedObject, offset: int, size: int) -> bytes:
    """The bytes of a file with which an instruction begins. Raises EIO, MemoryError."""
    if offset < 0:
        return bytes(INSTRUCTION_BYTES)
    code = bytearray()
    end = min(size, offset + INSTRUCTION_BYTES)
    if offset >= end:
        raise Errno(EIO)
    while offset < end:
        frame = source.page(offset >> PAGE_SHIFT, for_write=False)
        first = offset & PAGE_MASK
        count = min(end - offset, PAGE_SIZE - first)
        try:
            code.extend(frame_span(frame)[first : first + count].to_bytes())
        finally:
            put_frame(frame)
        offset += count
    return bytes(code)
