"""The next kernel in memory: its moves put each page where it belongs, whatever frames it was given."""

from __future__ import annotations

import random
import struct
import tracemalloc

import pytest

from arch import MOVE_END, MOVE_LINK
from arch.x86_64 import paging
from arch.x86_64.bootinfo import boot_info
from arch.x86_64.cpu import features
from arch.x86_64.layout import DIRECT_MAP_BASE
from kernel.lang import Span, span_of, u8
from kernel.lang.simulation import memory
from kernel.lib.pace import PACE, PACE_BUDGET, STRETCH_LIMIT, Rest
from kernel.mm import frames, next_kernel
from kernel.mm.next_kernel import NextKernel, SegmentBuffer
from tests.unit.mm.conftest import MACHINE_FRAMES

PAGE = 4096


@pytest.fixture
def loader(machine: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine of the other tests, as firmware would describe it."""
    monkeypatch.setattr(paging._tables, "root", PAGE)
    monkeypatch.setattr(boot_info, "region_count", 2)
    monkeypatch.setattr(boot_info, "region_start", [11 * PAGE, 256 * PAGE])
    monkeypatch.setattr(boot_info, "region_end", [15 * PAGE, MACHINE_FRAMES * PAGE])
    monkeypatch.setattr(boot_info, "region_kind", [1, 1])
    monkeypatch.setattr(boot_info, "reserved_count", 0)


def load(pieces: list[tuple[int, int, bytes]]) -> NextKernel:
    """Pieces are (page, pages, what they begin with)."""
    kernel = NextKernel(0x200, is_narrow=False, argument=7)
    for page, count, data in pieces:
        kernel.add(page * PAGE, count * PAGE, len(data))
    kernel.find_room()
    for segment, (_page, _count, data) in zip(kernel.segments, pieces, strict=True):
        SegmentBuffer(segment, len(data)).put(span_of(bytearray(data)))
    kernel.complete()
    return kernel


def bytes_at(physical: int, size: int = PAGE) -> bytearray:
    data, start = memory.place(DIRECT_MAP_BASE + physical, size)
    return bytearray(data[start : start + size])


def move(kernel: NextKernel) -> None:
    """Do what the list of moves says; nothing that is needed later may be written over."""
    needed = {kernel._others.get(index) for index in range(kernel._others.count)}
    at = kernel.moves
    while True:
        destination, source = struct.unpack("<qq", bytes_at(at, 16))
        at += 16
        if destination == MOVE_END:
            return
        if destination == MOVE_LINK:
            at = source
            continue
        assert destination // PAGE not in needed and destination != kernel.code_page
        data, start = memory.place(DIRECT_MAP_BASE + destination, PAGE)
        data[start : start + PAGE] = bytes(PAGE) if source == 0 else bytes_at(source)


def expect(pieces: list[tuple[int, int, bytes]]) -> None:
    for page, count, data in pieces:
        assert bytes_at(page * PAGE, count * PAGE) == data + bytes(count * PAGE - len(data)), page


@pytest.mark.usefixtures("loader")
@pytest.mark.parametrize("seed", range(12))
def test_each_page_comes_where_it_belongs(seed: int) -> None:
    """Frames are handed out in any order, many of them in the places of pages."""
    chance = random.Random(seed)
    free = frames.free_frame_count()
    taken = [frames.allocate_frame() for _ in range(chance.randrange(0, 700))]
    chance.shuffle(taken)
    kept = taken[: len(taken) // 2]
    for frame in taken[len(taken) // 2 :]:
        frames.put_frame(frame)
    pieces = []
    page = chance.randrange(256, 400)
    for _ in range(chance.randrange(1, 6)):
        count = chance.randrange(1, 200)
        pieces.append((page, count, chance.randbytes(chance.randrange(0, count * PAGE + 1))))
        page += count + chance.choice((0, 1, 50))
    kernel = load(pieces)
    assert kernel.is_whole()
    used = frames.free_frame_count()
    kernel.close()
    assert frames.free_frame_count() == free - len(kept) and frames.free_frame_count() > used
    kernel = load(pieces)
    move(kernel)
    expect(pieces)


@pytest.mark.usefixtures("loader")
def test_a_change_is_noticed() -> None:
    kernel = load([(300, 4, b"kernel")])
    assert kernel.is_whole()
    frames.frame_span(kernel.segments[0].frames.get(0))[4095] = 1
    assert not kernel.is_whole()


class _Sums(Rest):
    """How many pages are summed up between two safe points."""

    def __init__(self) -> None:
        self.now = 0
        self.most = 0

    def take(self) -> None:
        self.most = max(self.most, self.now)
        self.now = 0


@pytest.mark.usefixtures("loader")
def test_a_checksum_lets_others_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """That of a page takes some 12,000 instructions."""
    kernel = load([(300, 600, bytes(600 * PAGE))])
    sums = _Sums()
    add_words = next_kernel._add_words

    def count(total: int, data: Span[u8]) -> int:
        sums.now += 1
        return add_words(total, data)

    monkeypatch.setattr(next_kernel, "_add_words", count)
    monkeypatch.setattr(PACE, "rest", sums)
    monkeypatch.setattr(PACE, "left", PACE_BUDGET)
    assert kernel.is_whole()
    assert 0 < max(sums.most, sums.now) * 12_000 < STRETCH_LIMIT


def test_a_large_segment_costs_nothing_before_it_is_filled() -> None:
    tracemalloc.start()
    try:
        NextKernel(0, is_narrow=False, argument=0).add(0, 8 << 30, 8 << 30)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.usefixtures("loader")
def test_the_code_of_the_last_steps_lies_in_no_place_of_a_page() -> None:
    assert load([(300, 1, b"")]).code_page == 11 * PAGE
    assert load([(10, 3, b"low")]).code_page == 13 * PAGE


@pytest.mark.usefixtures("loader")
def test_no_memory_leaves_nothing_held() -> None:
    free = frames.free_frame_count()
    kernel = NextKernel(0, is_narrow=False, argument=0)
    kernel.add(400 * PAGE, 2040 * PAGE, 2040 * PAGE)
    with pytest.raises(MemoryError):
        kernel.find_room()
    kernel.close()
    assert frames.free_frame_count() == free


@pytest.mark.usefixtures("loader")
@pytest.mark.parametrize("huge", [False, True])
def test_memory_is_mapped_onto_itself(huge: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "huge_pages", huge)
    kernel = load([(300, 4, b"kernel"), (1 << 20, 1, b"")])  # one at 4 GiB, where no RAM is
    for address in (0, 11 * PAGE, 256 * PAGE, (8 << 20) - PAGE, 4 << 30):
        table, shift = kernel.root, 39
        while True:
            entry = struct.unpack("<q", bytes_at(table + (address >> shift & 511) * 8, 8))[0]
            if (shift < 39 and entry & 0x80 != 0) or entry & 1 == 0:
                break
            table, shift = entry & ~0xFFF, shift - 9
        size = 1 << shift
        assert entry == address & ~(size - 1) | 0x83 and size == (1 << 30 if huge else 2 << 20), hex(address)
