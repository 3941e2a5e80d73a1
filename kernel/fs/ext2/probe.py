"""What a device is called, if an ext2, ext3 or ext4 file system lies on it.

Context: sleeps. Errors of the device, and whatever is not one of ours, give an empty answer.
"""

from typing import Final

from kernel.block.device import BlockDevice
from kernel.cache import BlockCache
from kernel.fs.ext2.layout import EXT2_MAGIC, SUPER_BLOCK_SIZE, SuperBlock
from kernel.lang import Errno, Span, offsetof, struct_at, u8

_DIGITS: Final = b"0123456789abcdef"
_UUID_SIZE: Final = 16
_LABEL_SIZE: Final = 16


def uuid_of(device: BlockDevice) -> bytes:
    """The file system's UUID as text, in lower case, or b""."""
    return uuid_text(_field(device, offsetof(SuperBlock, "uuid"), _UUID_SIZE))


def label_of(device: BlockDevice) -> bytes:
    """The file system's label, or b""."""
    label = _field(device, offsetof(SuperBlock, "volume_name"), _LABEL_SIZE)
    end = label.find(b"\0")
    return label if end < 0 else label[:end]


def _field(device: BlockDevice, offset: int, size: int) -> bytes:
    """Bytes of the super block, or b""."""
    blocks = BlockCache(device, SUPER_BLOCK_SIZE)
    if blocks.block_count < 2:
        return b""
    try:
        with blocks.block(1) as block:
            return _field_in(block.span(), offset, size)
    except Errno:
        return b""


def _field_in(block: Span[u8], offset: int, size: int) -> bytes:
    if struct_at(SuperBlock, block, 0).magic != EXT2_MAGIC:
        return b""
    return block[offset : offset + size].to_bytes()


def uuid_text(raw: bytes) -> bytes:
    """16 bytes as 8-4-4-4-12 digits; b"" for anything else."""
    if len(raw) != _UUID_SIZE:
        return b""
    text = bytearray()
    for index in range(_UUID_SIZE):
        if index == 4 or index == 6 or index == 8 or index == 10:
            text.append(ord("-"))
        text.append(_DIGITS[raw[index] >> 4])
        text.append(_DIGITS[raw[index] & 15])
    return bytes(text)
