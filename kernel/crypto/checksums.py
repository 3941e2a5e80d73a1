"""Checksums that may be asked for where a hash is: CRC-32C, the one of T10, and that of NVMe.

Context: takes safe points.
"""

from typing import Final

from kernel.crypto.hash import Hash
from kernel.lang import final, span_of, u64
from kernel.lib.pace import pace

_PIECE: Final = 256
_COST: Final = 8000  # instructions for a piece
_CASTAGNOLI: Final = 0x82F6_3B78  # bits in the opposite order
_T10: Final = 0x8BB7
_ROCKSOFT: Final = u64(0x9A6C_9329_AC4B_C9B5)


@final
class Crc32c(Hash):
    """CRC-32C (RFC 3385)."""

    def compute(self, data: bytes) -> bytes:
        total = 0xFFFF_FFFF
        for index in range(len(data)):
            total ^= data[index]
            for _ in range(8):
                total = total >> 1 ^ (_CASTAGNOLI if total & 1 else 0)
            if index % _PIECE == 0:
                pace(_COST)
        storage = bytearray(4)
        span_of(storage).store_u32(0, total ^ 0xFFFF_FFFF)
        return bytes(storage)


@final
class Crc16(Hash):
    """The checksum of T10's data integrity fields."""

    def compute(self, data: bytes) -> bytes:
        total = 0
        for index in range(len(data)):
            total ^= data[index] << 8
            for _ in range(8):
                total = (total << 1 ^ (_T10 if total & 0x8000 else 0)) & 0xFFFF
            if index % _PIECE == 0:
                pace(_COST)
        storage = bytearray(2)
        span_of(storage).store_u16(0, total)
        return bytes(storage)


@final
class Crc64(Hash):
    """The checksum of NVMe."""

    def compute(self, data: bytes) -> bytes:
        total = u64(~u64(0))
        for index in range(len(data)):
            total = total ^ u64(data[index])
            for _ in range(8):
                is_odd = total & 1 == 1
                total = total >> 1
                if is_odd:
                    total = total ^ _ROCKSOFT
            if index % _PIECE == 0:
                pace(_COST)
        total = u64(~total)
        storage = bytearray(8)
        span_of(storage).store_u32(0, int(total & 0xFFFF_FFFF))
        span_of(storage).store_u32(4, int(total >> 32))
        return bytes(storage)
