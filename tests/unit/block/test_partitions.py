"""Partition tables: what Linux's tools write, and what nobody should write."""

import struct
import uuid
import zlib

from hypothesis import given, settings
from hypothesis import strategies as st

from kernel.block.crc32 import crc32
from kernel.block.partitions import SectorReader, read_partitions
from kernel.lang import EIO, Errno, span_of

SECTORS = 4096


class Image(SectorReader):
    def __init__(self, data: bytearray, bad: tuple[int, ...] = ()) -> None:
        super().__init__(len(data) // 512, 512)
        self.data = data
        self.bad = bad
        self.reads = 0

    def read(self, sector: int) -> bytes:
        self.reads += 1
        if sector in self.bad or not 0 <= sector < self.sectors:
            raise Errno(EIO)
        return bytes(self.data[sector * 512 : sector * 512 + 512])


def put_table(data: bytearray, sector: int, entries: list[tuple[int, int, int]]) -> None:
    """Entries are (type, start, length)."""
    base = sector * 512
    for i, (kind, start, length) in enumerate(entries):
        struct.pack_into("<B3xB3xII", data, base + 446 + 16 * i, 0, kind, start, length)
    data[base + 510 : base + 512] = b"\x55\xaa"


def layout(image: Image) -> list[tuple[int, int, int]]:
    return [(each.number, each.start, each.length) for each in read_partitions(image)]


def put_gpt(data: bytearray, parts: list[tuple[int, int, str]]) -> None:
    table = bytearray(128 * 128)
    for i, (start, end, name) in enumerate(parts):
        kind = uuid.UUID("0FC63DAF-8483-4772-8E79-3D69D8477DE4").bytes_le
        unique = uuid.UUID(int=i + 1).bytes_le
        struct.pack_into("<16s16sQQQ72s", table, 128 * i, kind, unique, start, end, 0, name.encode("utf-16-le"))
    put_gpt_table(data, table)


def put_gpt_table(data: bytearray, table: bytearray) -> None:
    """A GUID table and its backup, with right checksums whatever the entries are."""
    last = len(data) // 512 - 1
    put_table(data, 0, [(0xEE, 1, last)])
    data[2 * 512 : 34 * 512] = table
    data[(last - 32) * 512 : last * 512] = table
    for here, other, where in ((1, last, 2), (last, 1, last - 32)):
        fields = (b"EFI PART", 0x10000, 92, 0, 0, here, other, 34, last - 33, bytes(16), where, 128, 128)
        head = bytearray(struct.pack("<8sIIIIQQQQ16sQII", *fields))
        head += struct.pack("<I", zlib.crc32(table))
        struct.pack_into("<I", head, 16, zlib.crc32(head))
        data[here * 512 : here * 512 + 92] = head


def test_primary_and_logical_partitions() -> None:
    data = bytearray(SECTORS * 512)
    put_table(data, 0, [(0x83, 64, 100), (0x05, 1000, 2000), (0, 0, 0), (0x83, 3500, 9999)])
    put_table(data, 1000, [(0x83, 8, 92), (0x05, 100, 200)])
    put_table(data, 1100, [(0x82, 8, 50)])
    assert layout(Image(data)) == [(1, 64, 100), (2, 1000, 2), (4, 3500, 596), (5, 1008, 92), (6, 1108, 50)]


def test_a_chain_that_goes_on_for_ever_ends() -> None:
    data = bytearray(SECTORS * 512)
    put_table(data, 0, [(0x05, 1000, 2000)])
    put_table(data, 1000, [(0, 0, 0), (0x05, 0, 200)])
    assert layout(Image(data)) == [(1, 1000, 2)]


def test_a_boot_sector_is_no_table() -> None:
    data = bytearray(SECTORS * 512)
    put_table(data, 0, [(0x83, 64, 100)])
    data[446] = 0x33
    assert layout(Image(data)) == []


def test_gpt_and_its_backup() -> None:
    data = bytearray(SECTORS * 512)
    put_gpt(data, [(64, 163, "root"), (200, 299, "home é")])
    expected = [(1, 64, 100), (2, 200, 100)]
    assert layout(Image(data)) == expected
    found = read_partitions(Image(data))
    assert found[0].uuid == b"00000000-0000-0000-0000-000000000001"
    assert found[0].label == b"root"
    assert found[1].label == b"home i"
    assert layout(Image(data, bad=(1,))) == expected
    data[512 + 50] ^= 1  # the header's checksum is wrong now
    assert layout(Image(data)) == expected
    data[(SECTORS - 20) * 512] ^= 1  # and the backup's table
    assert layout(Image(data)) == [(1, 1, SECTORS - 1)]  # the protective entry


@given(st.binary(max_size=300))
def test_checksum(data: bytes) -> None:
    assert crc32(span_of(data)) == zlib.crc32(data)


@given(
    st.lists(st.tuples(st.integers(0, 255), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)), max_size=4),
    st.lists(st.tuples(st.sampled_from([5, 0x83, 0]), st.integers(0, 64), st.integers(0, 64)), max_size=4),
)
def test_rubbish_gives_partitions_on_the_disk(
    first: list[tuple[int, int, int]], others: list[tuple[int, int, int]]
) -> None:
    data = bytearray(128 * 512)
    for sector in range(1, 128):
        put_table(data, sector, others)
    put_table(data, 0, first)
    for partition in read_partitions(Image(data)):
        assert 0 <= partition.start < 128
        assert 0 < partition.length <= 128 - partition.start


@given(st.binary(min_size=92, max_size=92))
def test_a_header_of_rubbish_is_refused(rubbish: bytes) -> None:
    data = bytearray(SECTORS * 512)
    put_gpt(data, [(64, 163, "root")])
    for block in (1, SECTORS - 1):
        head = bytearray(b"EFI PART") + rubbish[8:]
        struct.pack_into("<I", head, 12, 92)
        struct.pack_into("<I", head, 16, 0)
        struct.pack_into("<I", head, 16, zlib.crc32(head))
        data[block * 512 : block * 512 + 92] = head
    read_partitions(Image(data))


def test_a_disk_that_cannot_be_read_has_none() -> None:
    assert layout(Image(bytearray(SECTORS * 512), bad=(0,))) == []


extended = st.tuples(st.sampled_from((0x05, 0x0F, 0x85, 0x83, 0)), st.integers(0, 130), st.integers(0, 130))


@settings(deadline=None)
@given(st.lists(st.lists(extended, max_size=4), min_size=128, max_size=128))
def test_chains_of_any_shape_end(tables: list[list[tuple[int, int, int]]]) -> None:
    """Extended partitions that lead to one another, to themselves, or nowhere."""
    data = bytearray(128 * 512)
    for sector, entries in enumerate(tables):
        put_table(data, sector, entries)
    image = Image(data)
    found = read_partitions(image)
    assert len({each.number for each in found}) == len(found) <= 255
    assert all(0 <= each.start < 128 and 0 < each.length <= 128 - each.start for each in found)
    assert image.reads <= 255 * 102


wild = st.one_of(st.integers(0, SECTORS + 1), st.integers(2**63 - 2, 2**64 - 1), st.integers(2**31 - 2, 2**32 + 2))


@settings(deadline=None)
@given(st.lists(st.tuples(wild, wild, st.binary(max_size=72)), max_size=128))
def test_guid_entries_of_any_kind_give_partitions_on_the_disk(entries: list[tuple[int, int, bytes]]) -> None:
    data = bytearray(SECTORS * 512)
    table = bytearray(128 * 128)
    for i, (start, end, name) in enumerate(entries):
        struct.pack_into("<16s16sQQQ72s", table, 128 * i, b"k" * 16, bytes(16), start, end, 0, name)
    put_gpt_table(data, table)
    found = read_partitions(Image(data))
    for each in found:
        start, end, _ = entries[each.number - 1]
        assert (each.start, each.length) == (start, end - start + 1)
        assert 0 < each.start <= each.start + each.length <= SECTORS
        assert all(32 <= byte < 127 for byte in each.label)
