"""Partition tables: MBR with extended partitions, and GUID tables (GPT). Pure: reads through a `SectorReader`.

A table is data from outside, so nothing in it is trusted. Partitions that do not begin on the disk are left out, those
that do not end on it are cut off, chains of extended partitions that would never end are cut, and a GUID table counts
only if its checksums are right; then its backup at the end of the disk is tried.

Context: sleeps if the reader does. A sector that cannot be read means that there is no table.
Source: UEFI specification 2.10, chapter 5 (GPT, protective MBR); the layout of the MBR is as the PC's partition tools
write it.
"""

from typing import Final

from kernel.block.crc32 import crc32
from kernel.lang import Errno, Span, span_of, u8

SECTOR: Final = 512
_TYPE_OFFSET: Final = 4
_ENTRIES: Final = 446
_ENTRY_SIZE: Final = 16
_EXTENDED: Final[list[int]] = [0x05, 0x0F, 0x85]
_PROTECTIVE: Final = 0xEE
_FIRST_LOGICAL: Final = 5
_LARGEST_CHAIN: Final = 100  # empty extended partitions in a row
PARTITION_LIMIT: Final = 255

_GPT_SIGNATURE: Final = b"EFI PART"
_GPT_HEADER_SIZE: Final = 92
_GPT_ENTRY_SIZE: Final = 128
_UNPRINTABLE: Final = 33
_GPT_LARGEST_TABLE: Final = 1 << 20


class SectorReader:
    """A disk to read tables from. `read(sector)` gives 512 bytes. Raises EIO."""

    def __init__(self, sectors: int, logical_block_size: int) -> None:
        self.sectors: int = sectors  # of 512 bytes
        self.logical_block_size: int = logical_block_size

    def read(self, sector: int) -> bytes:
        return bytes(SECTOR)


class Partition:
    """An entry of a table. `start` and `length` are in sectors of 512 bytes, and lie on the disk."""

    def __init__(self, number: int, start: int, length: int) -> None:
        self.number: int = number
        self.start: int = start
        self.length: int = length
        self.uuid: bytes = b""  # as root=PARTUUID= has it, in lower case
        self.label: bytes = b""


def read_partitions(disk: SectorReader) -> list[Partition]:
    """All partitions of a disk, by their numbers; none if there is no table, or it cannot be read."""
    found: list[Partition] = []
    try:
        first = disk.read(0)
        if first[510] != 0x55 or first[511] != 0xAA:
            return found
        if _has_protective_entry(span_of(first)) and _read_gpt(disk, found):
            return found
        _read_mbr(disk, span_of(first), found)
    except Errno:
        return found
    return found


def _add(disk: SectorReader, found: list[Partition], number: int, start: int, length: int) -> Partition | None:
    if start < 0 or start >= disk.sectors or length <= 0 or len(found) >= PARTITION_LIMIT:
        return None
    partition = Partition(number, start, min(length, disk.sectors - start))
    found.append(partition)
    return partition


# ---- MBR ------------------------------------------------------------------------------------------------------------


def _entry_type(table: Span[u8], i: int) -> int:
    return table[_ENTRIES + i * _ENTRY_SIZE + _TYPE_OFFSET]


def _entry_start(table: Span[u8], i: int) -> int:
    return table.load_u32(_ENTRIES + i * _ENTRY_SIZE + 8)


def _entry_length(table: Span[u8], i: int) -> int:
    return table.load_u32(_ENTRIES + i * _ENTRY_SIZE + 12)


def _has_protective_entry(table: Span[u8]) -> bool:
    for i in range(4):
        if _entry_type(table, i) == _PROTECTIVE:
            return True
    return False


def _read_mbr(disk: SectorReader, table: Span[u8], found: list[Partition]) -> None:
    for i in range(4):
        # Anything else in the boot indicator is a boot sector without a table.
        if table[_ENTRIES + i * _ENTRY_SIZE] & 0x7F != 0:
            return
    identifier = table.load_u32(440)
    unit = disk.logical_block_size // SECTOR
    extended_start = 0
    extended_length = 0
    for i in range(4):
        start = _entry_start(table, i) * unit
        length = _entry_length(table, i) * unit
        if length == 0:
            continue
        if _entry_type(table, i) in _EXTENDED:
            if extended_length == 0:
                extended_start = start
                extended_length = length
            length = min(length, max(2, unit))  # just enough room for a boot loader
        partition = _add(disk, found, i + 1, start, length)
        if partition is not None:
            partition.uuid = f"{identifier:08x}-{i + 1:02x}".encode()
    if extended_length > 0:
        _read_extended(disk, extended_start, extended_length, unit, identifier, found)


def _read_extended(
    disk: SectorReader, first: int, first_length: int, unit: int, identifier: int, found: list[Partition]
) -> None:
    """The chain of logical partitions in an extended one: each link has a table with one partition and the next link.
    Starts of partitions count from their link, those of links from the extended partition.
    """
    number = _FIRST_LOGICAL
    link = first
    link_length = first_length
    empty = 0
    while empty <= _LARGEST_CHAIN and 0 <= link < disk.sectors and len(found) < PARTITION_LIMIT:
        sector = disk.read(link)
        if sector[510] != 0x55 or sector[511] != 0xAA:
            return
        table = span_of(sector)
        empty += 1
        for i in range(4):
            length = _entry_length(table, i) * unit
            offset = _entry_start(table, i) * unit
            start = link + offset
            if length == 0 or _entry_type(table, i) in _EXTENDED:
                continue
            if i >= 2 and (offset + length > link_length or start < first or start + length > first + first_length):
                continue  # no tool uses the last two, but they may hold rubbish
            partition = _add(disk, found, number, start, length)
            if partition is not None:
                partition.uuid = f"{identifier:08x}-{number:02x}".encode()
                empty = 0
            number += 1
            if number > PARTITION_LIMIT:
                return
        following = -1
        for i in range(4):
            if following < 0 and _entry_length(table, i) != 0 and _entry_type(table, i) in _EXTENDED:
                following = first + _entry_start(table, i) * unit
                link_length = _entry_length(table, i) * unit
        if following < 0:
            return
        link = following


# ---- GPT ------------------------------------------------------------------------------------------------------------


def _read_gpt(disk: SectorReader, found: list[Partition]) -> bool:
    """Read the table, or its backup; False if neither is valid."""
    unit = disk.logical_block_size // SECTOR
    last = disk.sectors // unit - 1
    return _read_gpt_at(disk, 1, last, found) or _read_gpt_at(disk, last, last, found)


def _read_gpt_at(disk: SectorReader, block: int, last: int, found: list[Partition]) -> bool:
    unit = disk.logical_block_size // SECTOR
    if block < 1 or block > last:
        return False
    try:
        text = disk.read(block * unit)
    except Errno:
        return False
    header = span_of(text)
    size = header.load_u32(12)
    if text[0:8] != _GPT_SIGNATURE or size < _GPT_HEADER_SIZE or size > SECTOR:
        return False
    if _header_checksum(header, size) != header.load_u32(16) or _block_number(header, 24) != block:
        return False
    first_usable = _block_number(header, 40)
    last_usable = _block_number(header, 48)
    if first_usable < 0 or last_usable > last or first_usable > last_usable:
        return False
    table_block = _block_number(header, 72)
    count = header.load_u32(80)
    if header.load_u32(84) != _GPT_ENTRY_SIZE or count == 0 or count * _GPT_ENTRY_SIZE > _GPT_LARGEST_TABLE:
        return False
    if table_block < 1 or table_block > last:
        return False
    table = bytearray()
    try:
        for i in range((count * _GPT_ENTRY_SIZE + SECTOR - 1) // SECTOR):
            sector = table_block * unit + i
            if sector >= disk.sectors:
                return False
            table.extend(disk.read(sector))
    except Errno:
        return False
    entries = span_of(table)[0 : count * _GPT_ENTRY_SIZE]
    if crc32(entries) != header.load_u32(88):
        return False
    for i in range(count):
        entry = entries[i * _GPT_ENTRY_SIZE : (i + 1) * _GPT_ENTRY_SIZE]
        if _is_unused(entry):
            continue
        start = _block_number(entry, 32)
        end = _block_number(entry, 40)
        if start < 1 or end < start or end > last:
            continue
        partition = _add(disk, found, i + 1, start * unit, (end - start + 1) * unit)
        if partition is not None:
            partition.uuid = guid_text(entry[16:32])
            partition.label = _label(entry[56:128])
    return True


def _block_number(data: Span[u8], offset: int) -> int:
    """A 64-bit block number; -1 for those that no disk has."""
    high = data.load_u32(offset + 4)
    return data.load_u32(offset) | high << 32 if high < 1 << 20 else -1


def _header_checksum(header: Span[u8], size: int) -> int:
    """The checksum of a header, whose own place counts as zero."""
    zero = bytearray(4)
    value = crc32(header[0:16])
    value = crc32(span_of(zero), value)
    return crc32(header[20:size], value)


def _is_unused(entry: Span[u8]) -> bool:
    for byte in entry[0:16]:
        if byte != 0:
            return False
    return True


def guid_text(guid: Span[u8]) -> bytes:
    """A GUID of 16 bytes as text: the first three fields are little-endian."""
    first = f"{guid.load_u32(0):08x}-{guid.load_u16(4):04x}-{guid.load_u16(6):04x}"
    return f"{first}-{guid.load_be16(8):04x}-{guid.load_be16(10):04x}{guid.load_be32(12):08x}".encode()


def _label(name: Span[u8]) -> bytes:
    """The name of a partition, as Linux shows it: the lower seven bits of each UTF-16 unit, or an exclamation mark
    where that is not printable.
    """
    text = bytearray()
    for i in range(0, len(name), 2):
        character = name.load_u16(i) & 0x7F
        if character == 0:
            break
        text.append(character if ord(" ") <= character <= ord("~") else _UNPRINTABLE)
    return bytes(text)
