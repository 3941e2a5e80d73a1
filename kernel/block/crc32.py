"""CRC-32 as in GUID partition tables (ISO 3309, reflected polynomial 0xEDB88320)."""

from typing import Final

from kernel.lang import Span, u8


def _make_table() -> list[int]:
    table: list[int] = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ 0xEDB8_8320 if value & 1 != 0 else value >> 1
        table.append(value)
    return table


_TABLE: Final[list[int]] = _make_table()


def crc32(data: Span[u8], so_far: int = 0) -> int:
    """The checksum of `data`, continuing from the checksum `so_far`."""
    value = so_far ^ 0xFFFF_FFFF
    for byte in data:
        value = _TABLE[(value ^ byte) & 0xFF] ^ (value >> 8)
    return value ^ 0xFFFF_FFFF
