"""CRC-32C and CRC-16 as ext4's checksums use them (features metadata_csum and uninit_bg).

Pure functions. The CRC-32C is the Castagnoli polynomial, reflected, without a final inversion, so that one checksum can
continue another.
"""

from typing import Final

from kernel.lang import Span, u8

_CASTAGNOLI: Final = 0x82F63B78
_ARC: Final = 0xA001
INITIAL: Final = 0xFFFFFFFF
INITIAL_16: Final = 0xFFFF


def _table(polynomial: int) -> list[int]:
    """The remainders of all bytes. Runs at build time."""
    result: list[int] = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ polynomial if value & 1 != 0 else value >> 1
        result.append(value)
    return result


_CRC32C: Final = _table(_CASTAGNOLI)
_CRC16: Final = _table(_ARC)


def crc32c(crc: int, data: Span[u8]) -> int:
    """Continue from `crc` (INITIAL to begin) with the bytes of `data`."""
    for byte in data:
        crc = (crc >> 8) ^ _CRC32C[(crc ^ byte) & 0xFF]
    return crc


def crc32c_u32(crc: int, value: int) -> int:
    """Continue with the four bytes of a number, lowest first."""
    for shift in (0, 8, 16, 24):
        crc = (crc >> 8) ^ _CRC32C[(crc ^ (value >> shift)) & 0xFF]
    return crc


def crc32c_zeros(crc: int, count: int) -> int:
    """Continue with `count` zero bytes: a checksum's own field counts as zeros."""
    for _ in range(count):
        crc = (crc >> 8) ^ _CRC32C[crc & 0xFF]
    return crc


def crc16(crc: int, data: Span[u8]) -> int:
    """CRC-16 of the ARC kind, from `crc` (INITIAL_16 to begin)."""
    for byte in data:
        crc = (crc >> 8) ^ _CRC16[(crc ^ byte) & 0xFF]
    return crc


def crc16_u32(crc: int, value: int) -> int:
    """Continue with the four bytes of a number, lowest first."""
    for shift in (0, 8, 16, 24):
        crc = (crc >> 8) ^ _CRC16[(crc ^ (value >> shift)) & 0xFF]
    return crc
