"""Reading ELF files: what of one has to be mapped where (elf(5)).

Nothing in a file is trusted. Counts and sizes are bounded before anything is read, sums are computed in ranges where
they cannot overflow, and a file that makes no sense is ENOEXEC.

Context: `read_image` sleeps (reading the file).
"""

from typing import Final

from arch import ELF_MACHINE, USER_END
from kernel.fs.file import File
from kernel.fs.notification import tell_read
from kernel.lang import ELIBBAD, ENOEXEC, Errno, Span, final, span_of, u8
from kernel.lib.user import KernelBuffer
from kernel.mm.area import PROT_EXEC, PROT_READ, PROT_WRITE
from kernel.mm.frames import PAGE_MASK
from kernel.task.words import load_i64

_HEADER_SIZE: Final = 64
_ENTRY_SIZE: Final = 56
_TABLE_LIMIT: Final = 4096  # bytes of program headers: one page is plenty (Linux takes 64 KiB)
PATH_LIMIT: Final = 4096

ET_EXEC: Final = 2
ET_DYN: Final = 3
_PT_LOAD: Final = 1
_PT_INTERP: Final = 3
_PT_GNU_STACK: Final = 0x6474E551
_PF_X: Final = 1
_PF_W: Final = 2
_PF_R: Final = 4


@final
class Segment:
    """A PT_LOAD: `file_size` bytes from `offset` of the file at `address`, then zeros up to `memory_size`."""

    def __init__(self, address: int, memory_size: int, offset: int, file_size: int, prot: int) -> None:
        self.address: int = address
        self.memory_size: int = memory_size
        self.offset: int = offset
        self.file_size: int = file_size
        self.prot: int = prot


@final
class Image:
    """One ELF file, checked."""

    def __init__(self) -> None:
        self.kind: int = 0
        self.entry: int = 0
        self.header_address: int = 0  # of the program headers in memory, before relocation; 0 if no segment holds them
        self.header_count: int = 0
        self.segments: list[Segment] = []
        self.low: int = 0  # page-aligned extent of all segments
        self.high: int = 0
        self.interpreter: bytes = b""
        self.executable_stack: bool = False
        self.is_broken: bool = (
            False  # recognised, but it cannot be laid out: Linux notices when the old program is gone
        )

    def is_relocatable(self) -> bool:
        """Whether it may be loaded anywhere."""
        return self.kind == ET_DYN


def read_at(file: File, offset: int, size: int) -> bytearray:
    """Up to `size` bytes of a file. Shorter at its end."""
    storage = bytearray(size)
    buffer = KernelBuffer(storage)
    done = 0
    while done < size:
        count = file.pread(buffer, offset + done)
        if count <= 0:
            break
        done += count
    tell_read(file, done)
    if done < size:
        return bytearray(storage[:done])
    return storage


def _read_exactly(file: File, offset: int, size: int) -> bytearray:
    if offset < 0 or offset > 1 << 48:
        raise Errno(ENOEXEC)
    data = read_at(file, offset, size)
    if len(data) < size:
        raise Errno(ENOEXEC)
    return data


def looks_like_elf(head: Span[u8]) -> bool:
    """Whether a file starts as an ELF file."""
    return len(head) >= 4 and head[0] == 0x7F and head[1] == 0x45 and head[2] == 0x4C and head[3] == 0x46


def read_image(file: File, head: Span[u8]) -> Image:
    """Check a file whose first bytes are `head`. Raises ENOEXEC."""
    if len(head) < _HEADER_SIZE or not looks_like_elf(head):
        raise Errno(ENOEXEC)
    image = Image()
    image.kind = head.load_u16(16)
    if head.load_u16(18) != ELF_MACHINE or (image.kind != ET_EXEC and image.kind != ET_DYN):
        raise Errno(ENOEXEC)
    image.entry = load_i64(head, 24)
    table_offset = load_i64(head, 32)
    image.header_count = head.load_u16(56)
    if head.load_u16(54) != _ENTRY_SIZE or not 0 < image.header_count <= _TABLE_LIMIT // _ENTRY_SIZE:
        raise Errno(ENOEXEC)
    storage = _read_exactly(file, table_offset, image.header_count * _ENTRY_SIZE)
    table = span_of(storage)
    for i in range(image.header_count):
        _take_header(file, image, table[i * _ENTRY_SIZE : (i + 1) * _ENTRY_SIZE])
    _finish(image, table_offset)
    return image


def _take_header(file: File, image: Image, header: Span[u8]) -> None:
    kind = header.load_u32(0)
    flags = header.load_u32(4)
    if kind == _PT_LOAD:
        _take_segment(image, header, flags)
    elif kind == _PT_INTERP and len(image.interpreter) == 0:
        size = load_i64(header, 32)
        if size < 2 or size > PATH_LIMIT:
            raise Errno(ENOEXEC)
        path = bytes(_read_exactly(file, load_i64(header, 8), size))
        if path[size - 1] != 0:
            raise Errno(ENOEXEC)
        image.interpreter = path[: path.find(b"\0")]
    elif kind == _PT_GNU_STACK:
        image.executable_stack = flags & _PF_X != 0


def _take_segment(image: Image, header: Span[u8], flags: int) -> None:
    offset = load_i64(header, 8)
    address = load_i64(header, 16)
    file_size = load_i64(header, 32)
    memory_size = load_i64(header, 40)
    if memory_size == 0:
        return
    if not (0 <= address < USER_END and 0 <= file_size <= memory_size and memory_size <= USER_END - address):
        image.is_broken = True
        return
    if not 0 <= offset <= (1 << 62) - file_size or (address - offset) & PAGE_MASK != 0:
        image.is_broken = True
        return
    prot = 0
    if flags & _PF_R != 0:
        prot |= PROT_READ
    if flags & _PF_W != 0:
        prot |= PROT_WRITE
    if flags & _PF_X != 0:
        prot |= PROT_EXEC
    image.segments.append(Segment(address, memory_size, offset, file_size, prot))


def _finish(image: Image, table_offset: int) -> None:
    """The extent; where the program headers lie; segments must come in ascending order and not overlap."""
    if len(image.segments) == 0:
        image.is_broken = True
        return
    image.low = image.segments[0].address & ~PAGE_MASK
    end = image.low
    table_size = image.header_count * _ENTRY_SIZE
    for segment in image.segments:
        if segment.address < end:
            image.is_broken = True
        end = segment.address + segment.memory_size
        if segment.offset <= table_offset and table_offset + table_size <= segment.offset + segment.file_size:
            image.header_address = segment.address + (table_offset - segment.offset)
    image.high = (end + PAGE_MASK) & ~PAGE_MASK
    limit = USER_END if image.kind == ET_EXEC else image.high
    if not 0 <= image.entry < limit:
        image.is_broken = True


def check_interpreter(image: Image) -> None:
    """An interpreter must stand alone."""
    if len(image.interpreter) != 0:
        raise Errno(ELIBBAD)
