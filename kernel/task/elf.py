"""Reading ELF files: which parts of one are mapped where (elf(5)).

Nothing in a file is trusted. Counts and sizes are bounded before anything is read, sums are computed in ranges where
they cannot overflow, and a malformed file is ENOEXEC. Segments may come in any order and overlap: the later
one wins.

Context: `read_image` and `read_loader` sleep (reading the file).
"""

from typing import Final

from arch import ELF_MACHINE, USER_END
from kernel.fs.file import File
from kernel.fs.marks import MARKS, ask_to_read
from kernel.fs.notification import tell_read
from kernel.lang import EINVAL, EIO, ELIBBAD, ENOEXEC, Errno, Span, final, span_of, u8
from kernel.lib.user import KernelBuffer
from kernel.mm.area import PROT_EXEC, PROT_READ, PROT_WRITE
from kernel.mm.frames import PAGE_MASK, PAGE_SIZE
from kernel.task.words import load_i64

_HEADER_SIZE: Final = 64
_ENTRY_SIZE: Final = 56
_TABLE_LIMIT: Final = 4096  # bytes of program headers
_OFFSET_LIMIT: Final = (1 << 63) - (1 << 48)  # of a segment: the largest one from here on would end past any file
_ALIGNMENT_LIMIT: Final = 1 << 62
_ENTRY_LIMIT: Final = 1 << 62  # far outside user memory, and still safe to add to
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
        self.header_address: int = 0  # of the program headers in memory, before relocation; 0 if no segment has them
        self.header_count: int = 0
        self.segments: list[Segment] = []
        self.low: int = USER_END  # page-aligned extent of all segments
        self.high: int = 0
        self.alignment: int = PAGE_SIZE  # for the start of a relocatable image
        self.interpreter: bytes = b""
        self.executable_stack: bool = False
        self.is_broken: bool = (
            False  # recognised, but it cannot be laid out: Linux notices after the old program is gone
        )

    def is_relocatable(self) -> bool:
        """Whether it may be loaded anywhere."""
        return self.kind == ET_DYN


def read_at(file: File, offset: int, size: int) -> bytearray:
    """Up to `size` bytes of a file; fewer at its end."""
    storage = bytearray(size)
    done = read_into(file, offset, storage)
    return storage if done == size else bytearray(storage[:done])


def read_into(file: File, offset: int, storage: bytearray) -> int:
    """Read bytes of a file into `storage`, and return how many there are: fewer than wanted at its end."""
    size = len(storage)
    buffer = KernelBuffer(storage)
    done = 0
    if MARKS.guards != 0:
        ask_to_read(file)
    while done < size:
        count = file.pread(buffer, offset + done)
        if count <= 0:
            break
        done += count
    tell_read(file, done)
    return done


def looks_like_elf(head: Span[u8]) -> bool:
    """Whether a file starts as an ELF file."""
    return len(head) >= 4 and head[0] == 0x7F and head[1] == ord("E") and head[2] == ord("L") and head[3] == ord("F")


def read_image(file: File, head: Span[u8]) -> Image:
    """Check a program whose first bytes are `head`. Raises ENOEXEC; EIO or EINVAL if the name of its interpreter cannot
    be read.
    """
    if len(head) < _HEADER_SIZE or not looks_like_elf(head):
        raise Errno(ENOEXEC)
    image = _new_image(head)
    if image.kind != ET_EXEC and image.kind != ET_DYN:
        raise Errno(ENOEXEC)
    storage = _read_table(file, head)
    table = span_of(storage)
    for i in range(image.header_count):
        header = table[i * _ENTRY_SIZE : (i + 1) * _ENTRY_SIZE]
        if header.load_u32(0) == _PT_INTERP:
            image.interpreter = _read_interpreter(file, header)
            break
    _take_table(image, table, load_i64(head, 32))
    return image


def read_loader(file: File) -> Image:
    """Check the interpreter of a program; an interpreter that it names itself is ignored. Raises EIO if the file is
    too short, ELIBBAD.
    """
    storage = read_at(file, 0, _HEADER_SIZE)
    head = span_of(storage)
    if len(head) < _HEADER_SIZE:
        raise Errno(EIO)
    if not looks_like_elf(head):
        raise Errno(ELIBBAD)
    try:
        image = _new_image(head)
        contents = _read_table(file, head)
    except Errno:
        raise Errno(ELIBBAD) from None
    _take_table(image, span_of(contents), load_i64(head, 32))
    if image.kind != ET_EXEC and image.kind != ET_DYN:
        image.is_broken = True
    return image


def _new_image(head: Span[u8]) -> Image:
    if head.load_u16(18) != ELF_MACHINE:
        raise Errno(ENOEXEC)
    image = Image()
    image.kind = head.load_u16(16)
    image.entry = load_i64(head, 24)
    image.header_count = head.load_u16(56)
    if head.load_u16(54) != _ENTRY_SIZE or not 0 < image.header_count <= _TABLE_LIMIT // _ENTRY_SIZE:
        raise Errno(ENOEXEC)
    return image


def _read_table(file: File, head: Span[u8]) -> bytearray:
    """The program headers."""
    offset = load_i64(head, 32)
    size = head.load_u16(56) * _ENTRY_SIZE
    if not 0 <= offset < _OFFSET_LIMIT:
        raise Errno(ENOEXEC)
    table = read_at(file, offset, size)
    if len(table) < size:
        raise Errno(ENOEXEC)
    return table


def _read_interpreter(file: File, header: Span[u8]) -> bytes:
    """The name in a PT_INTERP; an empty one means the working directory."""
    offset = load_i64(header, 8)
    size = load_i64(header, 32)
    if not 2 <= size <= PATH_LIMIT:
        raise Errno(ENOEXEC)
    if not 0 <= offset < _OFFSET_LIMIT:
        raise Errno(EINVAL)
    name = bytes(read_at(file, offset, size))
    if len(name) < size:
        raise Errno(EIO)
    if name[size - 1] != 0:
        raise Errno(ENOEXEC)
    end = name.find(b"\0")
    return name[:end] if end > 0 else b"."


def _take_table(image: Image, table: Span[u8], table_offset: int) -> None:
    """Read the program headers. `table_offset`: their position in the file."""
    for i in range(image.header_count):
        header = table[i * _ENTRY_SIZE : (i + 1) * _ENTRY_SIZE]
        kind = header.load_u32(0)
        if kind == _PT_LOAD:
            _take_segment(image, header, table_offset)
        elif kind == _PT_GNU_STACK:
            image.executable_stack = header.load_u32(4) & _PF_X != 0
    if len(image.segments) == 0 or not -_ENTRY_LIMIT < image.entry < _ENTRY_LIMIT:
        image.is_broken = True


def _take_segment(image: Image, header: Span[u8], table_offset: int) -> None:
    flags = header.load_u32(4)
    offset = load_i64(header, 8)
    address = load_i64(header, 16)
    file_size = load_i64(header, 32)
    memory_size = load_i64(header, 40)
    if not (0 <= address < USER_END and 0 <= file_size <= memory_size and memory_size <= USER_END - address):
        image.is_broken = True
        return
    if file_size > 0 and not (0 <= offset < _OFFSET_LIMIT and (address - offset) & PAGE_MASK == 0):
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
    image.low = min(image.low, address & ~PAGE_MASK)
    image.high = max(image.high, (address + memory_size + PAGE_MASK) & ~PAGE_MASK)
    if file_size > 0 and offset <= table_offset < offset + file_size:
        image.header_address = address + (table_offset - offset)
    alignment = load_i64(header, 48)
    if alignment < 0:
        alignment = _ALIGNMENT_LIMIT if alignment == -(1 << 63) else 0
    if alignment > image.alignment and alignment & (alignment - 1) == 0:
        image.alignment = alignment
