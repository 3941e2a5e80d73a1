"""A table-driven CRC over a buffer."""

from __future__ import annotations

from typing import Literal

from kernel.lang import Array, Span, noinline, span_of, u8, u32


class Table:
    entries: Array[u32, Literal[256]]

    def __init__(self) -> None:
        for value in range(256):
            crc = value
            for _ in range(8):
                crc = (crc >> 1) ^ 0xEDB88320 if crc & 1 else crc >> 1
            self.entries[value] = crc


@noinline
def crc32(table: Table, data: Span[u8]) -> int:
    crc = 0xFFFFFFFF
    for value in data:
        crc = (crc >> 8) ^ table.entries[(crc ^ value) & 0xFF]
    return crc ^ 0xFFFFFFFF


@noinline
def run(rounds: int) -> int:
    table = Table()
    buffer = bytearray(1024)
    data = span_of(buffer)
    for place in range(1024):
        data[place] = u8(place * 7)
    total = 0
    for _ in range(rounds):
        total += crc32(table, data)
        data[0] = u8(data[0] + 1)
    return total


def main() -> None:
    print(run(100))


if __name__ == "__main__":
    main()
