"""Write a GUID partition table, with a protective MBR that may hold a boot loader's first stage.

Source: UEFI Specification 2.10, chapter 5.
"""

from __future__ import annotations

import struct
import uuid
import zlib
from dataclasses import dataclass, field
from typing import BinaryIO

SECTOR = 512
ENTRY_COUNT = 128
ENTRY_SIZE = 128
TABLE_SECTORS = ENTRY_COUNT * ENTRY_SIZE // SECTOR
FIRST_USABLE = 2 + TABLE_SECTORS
ALIGNMENT = 2048  # sectors: 1 MiB
MBR_CODE_SIZE = 440

BIOS_BOOT = uuid.UUID("21686148-6449-6e6f-744e-656564454649")
EFI_SYSTEM = uuid.UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")
LINUX_ROOT_X86_64 = uuid.UUID("4f68bce3-e8cd-4db1-96e7-fbcaf984b709")


@dataclass(frozen=True)
class Partition:
    """A partition: its type, its first sector, its length in sectors, its name."""

    kind: uuid.UUID
    first: int
    count: int
    name: str
    identity: uuid.UUID = field(default_factory=uuid.uuid4)

    @property
    def offset(self) -> int:
        """Where it begins, in bytes."""
        return self.first * SECTOR

    def entry(self) -> bytes:
        return struct.pack(
            "<16s16sQQQ72s", self.kind.bytes_le, self.identity.bytes_le, self.first, self.first + self.count - 1, 0,
            self.name.encode("utf-16-le"),
        )


def aligned(sector: int) -> int:
    """The first aligned sector from `sector` on."""
    return -(-sector // ALIGNMENT) * ALIGNMENT


def write_table(disk: BinaryIO, sectors: int, partitions: list[Partition], code: bytes = b"") -> None:
    """Write both copies of the table to a disk of that many sectors; `code` goes into the MBR."""
    table = b"".join(partition.entry() for partition in partitions).ljust(ENTRY_COUNT * ENTRY_SIZE, b"\0")
    identity = uuid.uuid4()
    last = sectors - 1

    def header(own: int, other: int, entries: int) -> bytes:
        fields = (own, other, FIRST_USABLE, last - TABLE_SECTORS - 1, identity.bytes_le, entries, ENTRY_COUNT,
                  ENTRY_SIZE, zlib.crc32(table))
        packed = struct.pack("<8sIIIIQQQQ16sQIII", b"EFI PART", 0x10000, 92, 0, 0, *fields)
        return packed[:16] + struct.pack("<I", zlib.crc32(packed)) + packed[20:]

    # One entry of the type "GPT protective" over the whole disk; its geometry means nothing.
    protective = struct.pack("<B3sB3sII", 0, b"\0\2\0", 0xEE, b"\xff\xff\xff", 1, min(last, 0xFFFFFFFF))
    mbr = code[:MBR_CODE_SIZE].ljust(446, b"\0") + protective.ljust(64, b"\0") + b"\x55\xaa"
    for sector, data in (
        (0, mbr), (1, header(1, last, 2)), (2, table),
        (last - TABLE_SECTORS, table), (last, header(last, 1, last - TABLE_SECTORS)),
    ):
        disk.seek(sector * SECTOR)
        disk.write(data)
