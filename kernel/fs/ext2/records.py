"""The records of a directory's block: each names an inode, and says where the next one begins.

The records of a block fill it exactly; a removed one becomes part of the record in front of it, or is marked free at
the block's start. Blocks of a hash tree (dir_index) look like one free record to this code, which is their design.

Pure functions over a block's bytes. A record that breaks the rules raises EUCLEAN: nothing after it is looked at.
"""

from typing import Final

from kernel.fs.ext2.layout import RECORD_ALIGN, RECORD_HEADER
from kernel.lang import EUCLEAN, Errno, Span, noraise, u8

NONE: Final = -1
_LENGTH: Final = 4
_NAME_LENGTH: Final = 6
_FILE_TYPE: Final = 7
_SHORTEST: Final = 12
_DOT: Final = 46


def record_size(name_length: int) -> int:
    """How many bytes a record needs for a name of this length."""
    return (RECORD_HEADER + name_length + RECORD_ALIGN - 1) & ~(RECORD_ALIGN - 1)


def record_length(block: Span[u8], offset: int, inode_count: int) -> int:
    """The distance to the next record. Checks the record's head, length and inode number."""
    size = len(block)
    if size - offset < _SHORTEST:
        raise Errno(EUCLEAN)
    length = block.load_u16(offset + _LENGTH)
    if length < _SHORTEST or length & (RECORD_ALIGN - 1) != 0 or length > size - offset:
        raise Errno(EUCLEAN)
    if block[offset + _NAME_LENGTH] + RECORD_HEADER > length or block.load_u32(offset) > inode_count:
        raise Errno(EUCLEAN)
    return length


def inode_at(block: Span[u8], offset: int) -> int:
    """The record's inode, 0 if it is free."""
    return block.load_u32(offset)


def file_type_at(block: Span[u8], offset: int) -> int:
    return block[offset + _FILE_TYPE]


def name_at(block: Span[u8], offset: int) -> bytes:
    start = offset + RECORD_HEADER
    return block[start : start + block[offset + _NAME_LENGTH]].to_bytes()


def is_dot_name(block: Span[u8], offset: int) -> bool:
    """Whether the name is "." or ".."."""
    length = block[offset + _NAME_LENGTH]
    if length == 0 or length > 2 or block[offset + RECORD_HEADER] != _DOT:
        return False
    return length == 1 or block[offset + RECORD_HEADER + 1] == _DOT


def has_name(block: Span[u8], offset: int, name: bytes) -> bool:
    """Whether a record that is in use has this name."""
    length = len(name)
    if block[offset + _NAME_LENGTH] != length or block.load_u32(offset) == 0:
        return False
    start = offset + RECORD_HEADER
    # Compare from the end: names in one directory tend to differ there rather than at the start.
    for index in range(length - 1, -1, -1):
        if block[start + index] != name[index]:
            return False
    return True


def find_name(block: Span[u8], name: bytes, inode_count: int) -> int:
    """Where the record with this name is, or NONE."""
    offset = 0
    size = len(block)
    while offset < size:
        length = record_length(block, offset, inode_count)
        if has_name(block, offset, name):
            return offset
        offset += length
    return NONE


def find_room(block: Span[u8], needed: int, inode_count: int) -> int:
    """Where there is a free record, or one with room for `needed` bytes after its name; or NONE."""
    offset = 0
    size = len(block)
    while offset < size:
        length = record_length(block, offset, inode_count)
        if length >= needed and length - _used_size(block, offset) >= needed:
            return offset
        offset += length
    return NONE


def _used_size(block: Span[u8], offset: int) -> int:
    return 0 if block.load_u32(offset) == 0 else record_size(block[offset + _NAME_LENGTH])


def insert(block: Span[u8], offset: int, name: bytes, ino: int, file_type: int) -> int:
    """Enter a name where `find_room` found room; returns where its record is."""
    length = block.load_u16(offset + _LENGTH)
    used = _used_size(block, offset)
    if used != 0:
        block.store_u16(offset + _LENGTH, used)
        offset += used
        length -= used
    write_record(block, offset, length, name, ino, file_type)
    return offset


def write_record(block: Span[u8], offset: int, length: int, name: bytes, ino: int, file_type: int) -> None:
    """Write a whole record. The caller knows that it fits."""
    block.store_u32(offset, ino)
    block.store_u16(offset + _LENGTH, length)
    block[offset + _NAME_LENGTH] = len(name)
    block[offset + _FILE_TYPE] = file_type
    start = offset + RECORD_HEADER
    for index in range(len(name)):
        block[start + index] = name[index]


def set_inode(block: Span[u8], offset: int, ino: int, file_type: int) -> None:
    """Let a record name another inode."""
    block.store_u32(offset, ino)
    block[offset + _FILE_TYPE] = file_type


def check(block: Span[u8], offset: int, inode_count: int) -> None:
    """Raise EUCLEAN unless the records up to the one at `offset` follow one another, so that it can be removed."""
    place = 0
    while place < offset:
        place += record_length(block, place, inode_count)
    if place != offset:
        raise Errno(EUCLEAN)
    record_length(block, offset, inode_count)


@noraise
def remove(block: Span[u8], offset: int) -> None:
    """Remove the record at `offset`, which passed `check`: the one before it grows over it. If a program has written to
    the device meanwhile, so that this does not fit, the record is marked free.
    """
    place = 0
    previous = NONE
    while place < offset:
        previous = place
        place += max(block.load_u16(place + _LENGTH), _SHORTEST)
    length = block.load_u16(offset + _LENGTH)
    if previous != NONE and place == offset and length <= len(block) - offset:
        block.store_u16(previous + _LENGTH, offset - previous + length)
    block.store_u32(offset, 0)


def start_directory(block: Span[u8], ino: int, parent: int, file_type: int) -> None:
    """Fill the first block of a new directory with "." and ".."."""
    write_record(block, 0, _SHORTEST, b".", ino, file_type)
    write_record(block, _SHORTEST, len(block) - _SHORTEST, b"..", parent, file_type)


def has_only_dots(block: Span[u8], inode_count: int) -> bool:
    """Whether no record in use has another name than "." and ".."."""
    offset = 0
    size = len(block)
    while offset < size:
        length = record_length(block, offset, inode_count)
        if block.load_u32(offset) != 0 and not is_dot_name(block, offset):
            return False
        offset += length
    return True
