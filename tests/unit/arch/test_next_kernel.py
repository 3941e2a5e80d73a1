"""What kernels' files say, and where their pieces go."""

from __future__ import annotations

import itertools
import struct

import pytest

from arch.x86_64.bootinfo import BootInfo
from arch.x86_64.next_kernel.bzimage import looks_like_bzimage, plan_bzimage
from arch.x86_64.next_kernel.plan import FROM_BYTES, FROM_INITRD, FROM_KERNEL, KernelFile, Plan
from arch.x86_64.next_kernel.pvh import looks_like_pvh, plan_pvh
from kernel.lang import EADDRNOTAVAIL, EINVAL, ENOEXEC, Errno, span_of
from tests.unit.arch.test_bootinfo import MEGABYTE, Memory

REGIONS = [
    (0, 0x9FC00, 1),
    (0x9FC00, 0xA0000, 2),
    (0xF0000, MEGABYTE, 2),
    (MEGABYTE, 100 * MEGABYTE, 1),
    (100 * MEGABYTE, 101 * MEGABYTE, 2),
    (101 * MEGABYTE, 256 * MEGABYTE, 1),
]
NO_MEMORY = Memory([])


class Bytes(KernelFile):
    def __init__(self, data: bytes) -> None:
        super().__init__(len(data))
        self.data = data

    def read(self, offset: int, size: int) -> bytearray:
        return bytearray(self.data[offset : offset + size])


def machine(rsdp: int = 0xF5A10) -> BootInfo:
    info = BootInfo()
    for start, end, kind in REGIONS:
        info.region_start[info.region_count] = start
        info.region_end[info.region_count] = end
        info.region_kind[info.region_count] = kind
        info.region_count += 1
    info.rsdp = rsdp
    info.reserve(0x1000, 0x1100)
    return info


def elf(
    segments: list[tuple[int, int, int]], entry: int = 16 * MEGABYTE, *, machine: int = 62, note: bytes | None = None
) -> bytes:
    """Segments are (physical address, size in the file, size in memory)."""
    note = struct.pack("<III4sQ", 4, 8, 18, b"Xen\0", entry) if note is None else note
    count = len(segments) + 1
    offset = 64 + 56 * count
    table = struct.pack("<IIQQQQQQ", 4, 4, offset, 0, 0, len(note), len(note), 4)
    data = note
    for physical, filled, size in segments:
        table += struct.pack("<IIQQQQQQ", 1, 5, offset + len(data), 0, physical, filled, size, 4096)
        data += b"k" * filled
    head = struct.pack(
        "<16sHHIQQQIHHHHHH", b"\x7fELF\2\1\1", 2, machine, 1, 0, 64, 0, 0, 64, 56, count, 0, 0, 0
    )
    return head + table + data


def bzimage(size: int = 3 * MEGABYTE, preferred: int = 16 * MEGABYTE, wanted: int = 8 * MEGABYTE) -> bytes:
    data = bytearray(size)
    data[0x1F1] = 3
    struct.pack_into("<H", data, 0x1FE, 0xAA55)
    data[0x201] = 0x6A
    struct.pack_into("<IH", data, 0x202, 0x53726448, 0x20F)
    data[0x211] = 1
    struct.pack_into("<II", data, 0x22C, 0x7FFFFFFF, 2 * MEGABYTE)
    data[0x234] = 1
    struct.pack_into("<HI", data, 0x236, 3, 2047)
    struct.pack_into("<QI", data, 0x258, preferred, wanted)
    return bytes(data)


def pvh_plan(data: bytes, initrd: int = 0, line: bytes = b"", info: BootInfo | None = None) -> Plan:
    head = span_of(bytearray(data[:1024]))
    assert looks_like_pvh(head)
    return plan_pvh(Bytes(data), head, initrd, line, info or machine(), NO_MEMORY)


def bz_plan(data: bytes, initrd: int = 0, line: bytes = b"", memory: Memory = NO_MEMORY, rsdp: int = 0xF5A10) -> Plan:
    head = span_of(bytearray(data[:1024]))
    assert looks_like_bzimage(head)
    return plan_bzimage(Bytes(data), head, initrd, line, machine(rsdp), memory)


def disjoint(plan: Plan) -> bool:
    places = sorted((piece.destination, piece.end()) for piece in plan.pieces)
    return all(before[1] <= after[0] for before, after in itertools.pairwise(places))


def test_an_elf_kernel() -> None:
    data = elf([(16 * MEGABYTE, 5000, 5000), (17 * MEGABYTE, 100, 2 * MEGABYTE)], 16 * MEGABYTE + 0x40)
    plan = pvh_plan(data, 3 * MEGABYTE + 1, b"console=ttyS0 quiet")
    assert plan.is_narrow and plan.entry == 16 * MEGABYTE + 0x40 and disjoint(plan)
    first, second, initrd, info = plan.pieces
    assert (first.source, first.filled, first.size) == (FROM_KERNEL, 5000, 5000)
    assert data[first.offset : first.offset + 4] == b"kkkk"
    assert (second.filled, second.size) == (100, 2 * MEGABYTE)
    assert initrd.source == FROM_INITRD and initrd.destination == 19 * MEGABYTE and initrd.filled == 3 * MEGABYTE + 1
    assert info.source == FROM_BYTES and plan.argument == info.destination == 0x2000  # 0x1000 is the loader's
    words = struct.unpack_from("<IIIIQQQQII", info.data)
    assert words[:4] == (0x336EC578, 1, 0, 1) and words[6] == 0xF5A10 and words[8] == len(REGIONS)
    module = struct.unpack_from("<QQ", info.data, words[4] - info.destination)
    assert module == (initrd.destination, 3 * MEGABYTE + 1)
    line = words[5] - info.destination
    assert info.data[line:] == b"console=ttyS0 quiet\0"
    for number, (start, end, kind) in enumerate(REGIONS):
        at = words[7] - info.destination + 24 * number
        assert struct.unpack_from("<QQI", info.data, at) == (start, end - start, kind)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (elf([(16 * MEGABYTE, 10, 10)], 15 * MEGABYTE), ENOEXEC),  # the entry is nowhere
        (elf([(16 * MEGABYTE, 10, 10)], note=b""), ENOEXEC),
        (elf([(16 * MEGABYTE, 10, 10)], note=struct.pack("<III4s", 4, 1 << 31, 18, b"Xen\0")), ENOEXEC),
        (elf([(16 * MEGABYTE + 8, 10, 10)], 16 * MEGABYTE + 8), ENOEXEC),  # in the middle of a page
        (elf([(16 * MEGABYTE, 10, 9)]), ENOEXEC),
        (elf([(16 * MEGABYTE, 10, 1 << 62)]), ENOEXEC),
        (elf([(1 << 62, 10, 10)]), ENOEXEC),
        (elf([(0x2000, 10, 10)], 0x2000), EADDRNOTAVAIL),  # below 1 MiB
        (elf([(99 * MEGABYTE, 10, 2 * MEGABYTE)], 99 * MEGABYTE), EADDRNOTAVAIL),  # over a hole
        (elf([(300 * MEGABYTE, 10, 10)], 300 * MEGABYTE), EADDRNOTAVAIL),
        (elf([(16 * MEGABYTE, 5000, 5000), (16 * MEGABYTE + 4096, 10, 10)]), EADDRNOTAVAIL),
        (elf([(16 * MEGABYTE, 10, 10)])[:200], ENOEXEC),  # cut off in a segment
        (elf([(16 * MEGABYTE, 10, 10)])[:70], ENOEXEC),  # … in the table
    ],
)
def test_broken_elf_kernels(data: bytes, error: int) -> None:
    with pytest.raises(Errno) as raised:
        pvh_plan(data)
    assert raised.value.code == error


def test_what_is_no_kernel() -> None:
    for data in (b"", b"\x7fELF", bytes(1024), elf([], machine=3), elf([], machine=183)):
        assert not looks_like_pvh(span_of(bytearray(data)))
    for data in (b"", bytes(1024), elf([])):
        assert not looks_like_bzimage(span_of(bytearray(data)))
    old = bytearray(bzimage())
    struct.pack_into("<H", old, 0x206, 0x20B)
    assert not looks_like_bzimage(span_of(old))


def test_a_bzimage() -> None:
    plan = bz_plan(bzimage(), 5000, b"quiet")
    assert not plan.is_narrow and plan.entry == 16 * MEGABYTE + 0x200 and disjoint(plan)
    kernel, initrd, parameters = plan.pieces
    assert (kernel.destination, kernel.size) == (16 * MEGABYTE, 8 * MEGABYTE)
    assert (kernel.offset, kernel.filled) == (2048, 3 * MEGABYTE - 2048)
    assert initrd.destination == 24 * MEGABYTE
    data = parameters.data
    assert plan.argument == parameters.destination == 0x2000
    assert struct.unpack_from("<II", data, 0x218) == (24 * MEGABYTE, 5000)
    line = struct.unpack_from("<I", data, 0x228)[0] - parameters.destination
    assert data[line : line + 6] == b"quiet\0" and data[0x210] == 0xFF
    assert data[0x1E8] == len(REGIONS) and struct.unpack_from("<QQI", data, 0x2D0 + 20) == (0x9FC00, 0x400, 2)
    assert struct.unpack_from("<Q", data, 0x70) == (0xF5A10,)
    assert data[0x202:0x206] == b"HdrS" and data[:0x70] == bytes(0x70)


def test_a_root_pointer_in_memory_is_copied() -> None:
    pointer = b"RSD PTR " + bytes(range(28))
    plan = bz_plan(bzimage(), memory=Memory([(2 * MEGABYTE, pointer)]), rsdp=2 * MEGABYTE)
    parameters = plan.pieces[-1]
    at = struct.unpack_from("<Q", parameters.data, 0x70)[0] - parameters.destination
    assert at == 4096 and parameters.data[at : at + 36] == pointer


def test_a_bzimage_whose_place_is_taken_goes_elsewhere() -> None:
    for preferred in (96 * MEGABYTE, 4096, 1 << 40, 16 * MEGABYTE + 1):
        assert bz_plan(bzimage(preferred=preferred)).pieces[0].destination == 16 * MEGABYTE
    fixed = bytearray(bzimage(preferred=96 * MEGABYTE))
    fixed[0x234] = 0
    with pytest.raises(Errno) as raised:
        bz_plan(bytes(fixed))
    assert raised.value.code == ENOEXEC


@pytest.mark.parametrize(
    ("data", "line", "error"),
    [
        (bzimage(), b"x" * 2048, EINVAL),
        (bzimage()[:2000], b"", ENOEXEC),
        (bzimage(wanted=200 * MEGABYTE, preferred=0), b"", EADDRNOTAVAIL),
        (bzimage(wanted=0xFFFFFFFF), b"", ENOEXEC),
    ],
)
def test_broken_bzimages(data: bytes, line: bytes, error: int) -> None:
    with pytest.raises(Errno) as raised:
        bz_plan(data, 0, line)
    assert raised.value.code == error
