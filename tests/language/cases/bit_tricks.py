"""Checksums and random numbers as the kernel writes them: wrapping casts, masks, shifts."""

from __future__ import annotations

from typing import Final

from kernel.lang import u8, u16, u32, u64

POLYNOMIAL: Final = 0xEDB88320


def make_table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ POLYNOMIAL if value & 1 else value >> 1
        table.append(value)
    return table


TABLE: Final = make_table()


def crc32(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for value in data:
        crc = (crc >> 8) ^ TABLE[(crc ^ value) & 0xFF]
    return crc ^ 0xFFFFFFFF


def internet_checksum(data: bytes) -> u16:
    total = 0
    for place in range(0, len(data) - 1, 2):
        total += data[place] << 8 | data[place + 1]
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return u16(~total)


def xorshift(state: u32) -> u32:
    value = u32(state ^ (state << 13))
    value = u32(value ^ (value >> 17))
    return u32(value ^ (value << 5))


def fnv(data: bytes) -> u64:
    result = u64(0xCBF29CE484222325)
    for value in data:
        result = u64((result ^ u64(value)) * 0x100000001B3)
    return result


def main() -> None:
    print(f"{crc32(b'123456789'):08x}")
    print(f"{internet_checksum(bytes([0x45, 0, 0, 0x3C, 0x1C, 0x46, 0x40, 0, 0x40, 6])):04x}")
    state = u32(2463534242)
    for _ in range(5):
        state = xorshift(state)
        print(state)
    print(f"{fnv(b'krait'):x}")
    reversed_bits = 0
    for bit in range(16):
        reversed_bits |= ((0xA5F0 >> bit) & 1) << (15 - bit)
    print(f"{reversed_bits:#x} {u8(reversed_bits)}")
    population = 0
    word = 0x123456789ABCDEF
    while word:
        word &= word - 1
        population += 1
    print(population)


if __name__ == "__main__":
    main()
