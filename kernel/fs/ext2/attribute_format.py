"""Extended attributes on the disk: entries with a name each, and values that they point to. Pure.

Both in the inode, after its fields, and in a block of their own, entries grow from the front and values lie at the
end. A name's prefix is a number. In a block, entries are sorted, and hashes of each and of all find equal blocks, which
inodes share.

Source: "Extended Attributes" in the ext4 disk layout.
"""

from typing import Final

from kernel.fs.access_list import ACCESS_LIST, DEFAULT_LIST, from_attribute, from_disk
from kernel.lang import ENOSPC, EUCLEAN, Errno, Span, final, span_of, u8, u32

MAGIC: Final = 0xEA020000
HEADER_SIZE: Final = 32  # of a block
COUNT_OFFSET: Final = 4
BLOCKS_OFFSET: Final = 8
HASH_OFFSET: Final = 12
CHECKSUM_OFFSET: Final = 16
INLINE_HEADER_SIZE: Final = 4  # in an inode: only the magic number

_ENTRY_SIZE: Final = 16  # without the name
_END_SIZE: Final = 4  # the zeros after the last entry
_UNKNOWN: Final = 0
# The numbers of these prefixes. Those of access control lists stand for whole names, and their values have another form
# on disk.
_PREFIXES: Final[dict[int, bytes]] = {
    1: b"user.",
    2: ACCESS_LIST,
    3: DEFAULT_LIST,
    4: b"trusted.",
    6: b"security.",
}
_ACCESS_LIST_INDEX: Final = 2
_DEFAULT_LIST_INDEX: Final = 3


@final
class Attribute:
    """One name with its value. `index` stands for the prefix; `name` is the rest."""

    def __init__(self, index: int, name: bytes, value: bytes) -> None:
        self.index: int = index
        self.name: bytes = name
        self.value: bytes = value

    def full_name(self) -> bytes:
        """With its prefix; empty for what is kept but not shown."""
        prefix = _PREFIXES.get(self.index)
        if prefix is None or (self.is_list() and len(self.name) > 0):
            return b""
        return prefix + self.name

    def is_list(self) -> bool:
        """Whether it is an access control list."""
        return self.index == _ACCESS_LIST_INDEX or self.index == _DEFAULT_LIST_INDEX

    def shown_value(self) -> bytes:
        """What programs see; for a damaged list, something that is not a list."""
        if not self.is_list():
            return self.value
        try:
            found = from_disk(self.value)
        except Errno:
            return b""
        return b"" if found is None else found.to_attribute()

    def size(self) -> int:
        """Bytes that it takes."""
        return _padded(_ENTRY_SIZE + len(self.name)) + _padded(len(self.value))

    def comes_before(self, other: "Attribute") -> bool:
        """The order in a block: by prefix, then shorter names first."""
        if self.index != other.index:
            return self.index < other.index
        if len(self.name) != len(other.name):
            return len(self.name) < len(other.name)
        return self.name < other.name


def attribute_named(name: bytes, value: bytes) -> Attribute:
    """An attribute by its full name, whose prefix is known, and the value that programs see."""
    if name == ACCESS_LIST or name == DEFAULT_LIST:
        index = _ACCESS_LIST_INDEX if name == ACCESS_LIST else _DEFAULT_LIST_INDEX
        entries = from_attribute(value) if len(value) > 0 else None
        return Attribute(index, b"", b"" if entries is None else entries.to_disk())
    for index, prefix in _PREFIXES.items():
        if name.startswith(prefix):
            return Attribute(index, name[len(prefix) :], value)
    return Attribute(_UNKNOWN, name, value)


def _padded(size: int) -> int:
    return (size + 3) & ~3


def parse(area: Span[u8], first: int, base: int) -> list[Attribute]:
    """The attributes whose entries begin at `first`; values are found from `base` on. Raises EUCLEAN, MemoryError.

    Values in inodes of their own (feature ea_inode) are left out.
    """
    found: list[Attribute] = []
    offset = first
    while True:
        if offset + _END_SIZE > len(area):
            raise Errno(EUCLEAN)
        if area.load_u32(offset) == 0:
            return found
        end = offset + _ENTRY_SIZE + area[offset]
        if end > len(area):
            raise Errno(EUCLEAN)
        size = area.load_u32(offset + 8)
        start = base + area.load_u16(offset + 2)
        name = area[offset + _ENTRY_SIZE : end].to_bytes()
        if area.load_u32(offset + 4) == 0:
            if size > len(area) or (size > 0 and (start < offset + _ENTRY_SIZE or start + size > len(area))):
                raise Errno(EUCLEAN)
            value = area[start : start + size].to_bytes() if size > 0 else b""
            found.append(Attribute(area[offset + 1], name, value))
        offset += _padded(end - offset)


def room_for(attributes: list[Attribute], header_size: int) -> int:
    """How many bytes attributes need, with their header and the end mark."""
    size = header_size + _END_SIZE
    for attribute in attributes:
        size += attribute.size()
    return size


def write_entries(area: Span[u8], attributes: list[Attribute], first: int, base: int, with_hashes: bool) -> int:
    """Fill an area of zeros, which is large enough, from `first` on; returns the hash of all."""
    offset = first
    end = len(area)
    total = 0
    for attribute in attributes:
        size = len(attribute.value)
        name = attribute.name
        if size > 0:
            end -= _padded(size)
            area[end : end + size].copy_from(span_of(attribute.value))
        area[offset] = len(name)
        area[offset + 1] = attribute.index
        area.store_u16(offset + 2, end - base if size > 0 else 0)
        area.store_u32(offset + 8, size)
        area[offset + _ENTRY_SIZE : offset + _ENTRY_SIZE + len(name)].copy_from(span_of(name))
        if with_hashes:
            entry_hash = hash_of(name, area[end : end + _padded(size)] if size > 0 else area[0:0])
            area.store_u32(offset + 12, entry_hash)
            total = u32(total << 16) ^ total >> 16 ^ entry_hash
        offset += _padded(_ENTRY_SIZE + len(name))
    return total


def block_of(attributes: list[Attribute], size: int) -> bytearray:
    """A block of `size` bytes that holds sorted attributes for one inode. Raises ENOSPC, MemoryError."""
    if room_for(attributes, HEADER_SIZE) > size:
        raise Errno(ENOSPC)
    storage = bytearray(size)
    area = span_of(storage)
    area.store_u32(0, MAGIC)
    area.store_u32(COUNT_OFFSET, 1)
    area.store_u32(BLOCKS_OFFSET, 1)
    area.store_u32(HASH_OFFSET, write_entries(area, attributes, HEADER_SIZE, 0, with_hashes=True))
    return storage


def hash_of(name: bytes, value: Span[u8]) -> int:
    """The hash of a name and a value, whose length is a multiple of 4."""
    total = 0
    for byte in name:
        total = u32(total << 5) ^ total >> 27 ^ byte
    for offset in range(0, len(value), 4):
        total = u32(total << 16) ^ total >> 16 ^ value.load_u32(offset)
    return total
