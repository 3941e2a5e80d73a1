"""The number by which debuggers identify a program's file: a note in it, in its first page (ld(1), --build-id).

Nothing in the file is trusted: anything outside the page is ignored.
Source: System V ABI, chapter 5, "Note section".
"""

from typing import Final

from kernel.lang import Errno, Span, u8
from kernel.lib.pace import pace
from kernel.mm.frames import PAGE_SIZE, frame_span, put_frame
from kernel.mm.objects import MemoryObject

_MAGIC: Final = 0x464C457F
_CLASS_64: Final = 2
_PROGRAM_HEADERS: Final = 64  # right after the header, or they are not looked for
_HEADER_SIZE: Final = 56
_PT_NOTE: Final = 4
_NT_GNU_BUILD_ID: Final = 3
_GNU: Final = b"GNU\0"
_NOTE_HEADER: Final = 12
_LARGEST: Final = 20
_NOTES_COST: Final = 20_000  # instructions, for `pace`
MOST_HEADERS: Final = (PAGE_SIZE - _PROGRAM_HEADERS) // _HEADER_SIZE


def build_id_of(source: MemoryObject) -> bytes:
    """The number, or nothing. May sleep. Raises MemoryError."""
    source.acquire()  # its area may be unmapped meanwhile
    try:
        frame = source.page(0, for_write=False)
    except Errno:
        return b""
    finally:
        source.release()
    try:
        return _in_page(frame_span(frame))
    finally:
        put_frame(frame)


def _in_page(page: Span[u8]) -> bytes:
    if page.load_u32(0) != _MAGIC or page[4] != _CLASS_64 or page.load_u32(32) != _PROGRAM_HEADERS:
        return b""
    count = page.load_u16(56)
    if count > MOST_HEADERS or page.load_u32(36) != 0:
        return b""
    for number in range(count):
        header = page[_PROGRAM_HEADERS + number * _HEADER_SIZE :][0:_HEADER_SIZE]
        if header.load_u32(0) == _PT_NOTE and header.load_u32(12) == 0 and header.load_u32(36) == 0:
            found = _in_notes(page, header.load_u32(8), header.load_u32(32))
            pace(_NOTES_COST)
            if len(found) > 0:
                return found
    return b""


def _in_notes(page: Span[u8], offset: int, size: int) -> bytes:
    """The build id among notes at an offset, which are `size` bytes together."""
    end = min(offset + size, PAGE_SIZE)
    while offset + _NOTE_HEADER + len(_GNU) <= end:
        name_size = page.load_u32(offset)
        length = page.load_u32(offset + 4)
        kind = page.load_u32(offset + 8)
        name = offset + _NOTE_HEADER
        text = name + (name_size + 3 & ~3)
        if kind == _NT_GNU_BUILD_ID and name_size == len(_GNU) and 0 < length <= _LARGEST and text + length <= end:
            if page[name:text].to_bytes() == _GNU:
                return page[text : text + length].to_bytes()
        offset = text + (length + 3 & ~3)
    return b""
