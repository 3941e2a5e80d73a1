"""Boot information: honest loaders are understood, lying ones are refused without harm."""

import itertools
import struct
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arch.x86_64.bootinfo import (
    KIND_RAM,
    LOW_MEMORY_END,
    OUT_OF_REACH,
    PROTOCOL_MULTIBOOT1,
    PROTOCOL_MULTIBOOT2,
    PROTOCOL_PVH,
    PVH_MAGIC,
    BootInfo,
    BootInfoError,
    PhysicalMemory,
)

MEGABYTE = 1 << 20
BASE = 0x9000


class Memory(PhysicalMemory):
    """Bytes at places."""

    def __init__(self, pieces: Iterable[tuple[int, bytes]]) -> None:
        self.pieces = list(pieces)

    def read_u8(self, physical: int) -> int:
        assert -(1 << 63) <= physical < 1 << 63, "the address would have overflowed"
        for start, data in self.pieces:
            if start <= physical < start + len(data):
                return data[physical - start]
        raise BootInfoError(OUT_OF_REACH)


Region = tuple[int, int, int]

PC_MAP: list[Region] = [
    (0, 0x9FC00, 1),
    (0x9FC00, 0x400, 2),
    (0xF0000, 0x10000, 2),
    (MEGABYTE, 127 * MEGABYTE, 1),
    (0xFFFC0000, 0x40000, 2),
]


def pvh(regions: list[Region], command_line: bytes = b"", modules: list[tuple[int, int]] | None = None) -> Memory:
    modules = modules or []
    module_table = b"".join(struct.pack("<QQQQ", start, size, 0xDEAD, 0) for start, size in modules)
    map_table = b"".join(struct.pack("<QQII", start, size, kind, 0) for start, size, kind in regions)
    info = struct.pack(
        "<IIIIQQQQII",
        PVH_MAGIC,
        1,
        0,
        len(modules),
        BASE + 0x1000,
        BASE + 0x2000,
        0xF5A10,
        BASE + 0x3000,
        len(regions),
        0,
    )
    return Memory(
        [(BASE, info), (BASE + 0x1000, module_table), (BASE + 0x2000, command_line + b"\0"), (BASE + 0x3000, map_table)]
    )


def multiboot2(*tags: tuple[int, bytes]) -> Memory:
    body = b""
    for kind, payload in (*tags, (0, b"")):
        tag = struct.pack("<II", kind, 8 + len(payload)) + payload
        body += tag + b"\0" * (-len(tag) % 8)
    return Memory([(BASE, struct.pack("<II", 8 + len(body), 0) + body)])


def memory_map_tag(regions: list[Region]) -> tuple[int, bytes]:
    entries = b"".join(struct.pack("<QQII", start, size, kind, 0) for start, size, kind in regions)
    return 6, struct.pack("<II", 24, 0) + entries


def parse(memory: Memory, protocol: int) -> BootInfo:
    info = BootInfo()
    info.parse(memory, protocol, BASE)
    return info


def usable(info: BootInfo) -> list[tuple[int, int]]:
    info.find_usable()
    return [(info.usable_start[i], info.usable_end[i]) for i in range(info.usable_count)]


def test_pvh() -> None:
    info = parse(pvh(PC_MAP, b"console=ttyS0 quiet", [(0x7F0_0000, 0x1234)]), PROTOCOL_PVH)
    assert info.command_line() == b"console=ttyS0 quiet"
    assert (info.initrd_start, info.initrd_end) == (0x7F0_0000, 0x7F0_1234)
    assert info.rsdp == 0xF5A10
    assert usable(info) == [(MEGABYTE, 0x7F0_0000), (0x7F0_2000, 128 * MEGABYTE)]


def test_multiboot2() -> None:
    module = struct.pack("<II", 0x20_0000, 0x20_0800) + b"initrd\0"
    info = parse(
        multiboot2((1, b"root=/dev/vda\0"), (3, module), memory_map_tag(PC_MAP), (14, b"RSD PTR " + bytes(12))),
        PROTOCOL_MULTIBOOT2,
    )
    assert info.command_line() == b"root=/dev/vda"
    assert (info.initrd_start, info.initrd_end) == (0x20_0000, 0x20_0800)
    assert info.rsdp != 0
    assert usable(info) == [(MEGABYTE, 0x20_0000), (0x20_1000, 128 * MEGABYTE)]


def test_multiboot1() -> None:
    entries = b"".join(struct.pack("<IQQI", 20, start, size, kind) for start, size, kind in PC_MAP)
    info_bytes = bytearray(120)
    struct.pack_into("<I", info_bytes, 0, 1 << 2 | 1 << 3 | 1 << 6)
    struct.pack_into("<III", info_bytes, 16, BASE + 0x1000, 1, BASE + 0x2000)
    struct.pack_into("<II", info_bytes, 44, len(entries), BASE + 0x3000)
    memory = Memory(
        [
            (BASE, bytes(info_bytes)),
            (BASE + 0x1000, b"debug\0"),
            (BASE + 0x2000, struct.pack("<IIII", 0x30_0000, 0x30_1000, 0, 0)),
            (BASE + 0x3000, entries),
        ]
    )
    info = parse(memory, PROTOCOL_MULTIBOOT1)
    assert info.command_line() == b"debug"
    assert usable(info) == [(MEGABYTE, 0x30_0000), (0x30_1000, 128 * MEGABYTE)]


def test_unknown_protocol() -> None:
    with pytest.raises(BootInfoError):
        parse(pvh(PC_MAP), 9)


def test_overlapping_entries_the_restrictive_one_wins() -> None:
    info = parse(
        pvh([(MEGABYTE, 4 * MEGABYTE, 1), (2 * MEGABYTE, MEGABYTE, 20), (4 * MEGABYTE, 4 * MEGABYTE, 1)]), PROTOCOL_PVH
    )
    assert usable(info) == [(MEGABYTE, 2 * MEGABYTE), (3 * MEGABYTE, 5 * MEGABYTE), (5 * MEGABYTE, 8 * MEGABYTE)]


def test_no_ram() -> None:
    info = parse(pvh([(MEGABYTE, 4 * MEGABYTE, 2)]), PROTOCOL_PVH)
    with pytest.raises(BootInfoError):
        info.find_usable()


numbers = st.one_of(
    st.integers(0, 1 << 24),
    st.integers(0, (1 << 64) - 1),
    st.sampled_from([0, 1, (1 << 32) - 1, 1 << 46, (1 << 62) - 1, (1 << 63) - 1, 1 << 63, (1 << 64) - 1]),
)
regions = st.lists(st.tuples(numbers, numbers, st.integers(0, 20)), max_size=20)


@given(regions, st.lists(st.tuples(numbers, numbers), max_size=3))
def test_usable_memory_is_disjoint_ram_that_nobody_reserved(some: list[Region], modules: list[tuple[int, int]]) -> None:
    try:
        info = parse(pvh(some, b"", modules), PROTOCOL_PVH)
        found = usable(info)
    except BootInfoError:
        return
    ram = [(s, s + n) for s, n, kind in some if kind == KIND_RAM]
    holes = [(s, s + n) for s, n, kind in some if kind != KIND_RAM and n > 0]
    holes += [(s, s + n) for s, n in modules if n > 0]
    holes.append((0, LOW_MEMORY_END))
    for start, end in found:
        assert start % 4096 == 0 and end % 4096 == 0 and start < end
        assert any(low <= start and end <= high for low, high in ram)
        assert not any(low < end and start < high for low, high in holes)
    ordered = sorted(found)
    for (_, end), (start, _) in itertools.pairwise(ordered):
        assert end <= start


@given(st.binary(max_size=400), st.sampled_from([PROTOCOL_PVH, PROTOCOL_MULTIBOOT1, PROTOCOL_MULTIBOOT2]))
def test_any_bytes_are_parsed_or_refused(data: bytes, protocol: int) -> None:
    try:
        info = parse(Memory([(BASE, data)]), protocol)
        info.find_usable()
    except BootInfoError:
        pass


@given(st.lists(st.tuples(st.integers(0, 20), st.binary(max_size=60)), max_size=12))
def test_any_tags_are_parsed_or_refused(tags: list[tuple[int, bytes]]) -> None:
    try:
        parse(multiboot2(*tags), PROTOCOL_MULTIBOOT2).find_usable()
    except BootInfoError:
        pass
