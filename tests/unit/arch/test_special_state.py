"""Segments and ports of a program's own: descriptors bit by bit, selectors over switches, and maps of ports."""

from collections.abc import Iterator

import pytest

from arch.x86_64.gdt import GDT_ENTRIES
from arch.x86_64.layout import FIRST_THREAD_AREA, THREAD_AREA_COUNT
from arch.x86_64.percpu import AREA_SIZE, GDT_OFFSET, OFFSET_SELF
from arch.x86_64.programs.local_segments import ThreadAreas, make_descriptor
from arch.x86_64.programs.port_access import changed_map
from arch.x86_64.programs.processor_state import DS, ES, FS, GS, ProcessorState
from arch.x86_64.simulation import processor
from kernel.lang.simulation import memory
from kernel.lang.unsafe import load_i64

SEGMENTS = (DS, ES, FS, GS)
OWN_AREA = -0x7000_0000_0000


@pytest.fixture
def own_area() -> Iterator[int]:
    """A processor with a segment table, and zeros for selectors."""
    memory.reset()
    memory.map(OWN_AREA, AREA_SIZE)
    processor.per_cpu[OFFSET_SELF] = OWN_AREA
    processor.registers["selectors"] = 0
    yield OWN_AREA
    processor.registers["selectors"] = 0
    del processor.per_cpu[OFFSET_SELF]
    memory.reset()


def unsigned(value: int) -> int:
    return value & (1 << 64) - 1


@pytest.mark.parametrize(
    ("bits", "expected"),
    [
        (0x01, 0x124AF3345678BCDE),  # data
        (0x09, 0x124AF1345678BCDE),  # read-only
        (0x05, 0x124AFB345678BCDE),  # code
        (0x0D, 0x124AF9345678BCDE),  # that cannot be read
        (0x11, 0x12CAF3345678BCDE),  # its limit counts pages
        (0x21, 0x124A73345678BCDE),  # absent
        (0x41, 0x125AF3345678BCDE),  # useable
    ],
)
def test_descriptors(bits: int, expected: int) -> None:
    assert make_descriptor(0x1234_5678, 0xABCDE, bits) == expected


def test_a_descriptor_never_leaves_user_mode() -> None:
    for bits in range(256):
        word = unsigned(make_descriptor(0xFFFF_FFFF, 0xFFFF_FFFF, bits))
        assert word >> 45 & 3 == 3 and word >> 44 & 1 == 1 and word >> 53 & 1 == 0


def test_selectors_are_kept_side_by_side() -> None:
    state = ProcessorState()
    for value in (0x2B, 0xFFFF, 0x8003, 0x7FFF, 0):
        for segment in SEGMENTS:
            for other in SEGMENTS:
                state.set_selector(other, 0x33)
            state.set_selector(segment, value)
            assert [state.selector(other) for other in SEGMENTS] == [
                value if other == segment else 0x33 for other in SEGMENTS
            ]
            assert -(1 << 63) <= state.selectors < 1 << 63


def test_selectors_of_a_program_are_there_again_after_others_ran(own_area: int) -> None:
    one, other = ProcessorState(), ProcessorState()
    processor.registers["selectors"] = 0x2B | 0x23 << 16
    one.leave()
    assert processor.registers["selectors"] == 0
    other.enter()
    other.leave()
    assert not other.is_special
    one.enter()
    assert processor.registers["selectors"] == 0x2B | 0x23 << 16
    processor.registers["selectors"] = 0
    one.leave()
    assert one.selectors == 0


def test_a_debugger_s_selector_is_loaded_when_the_program_goes_on(own_area: int) -> None:
    state = ProcessorState()
    state.leave()
    state.set_selector(GS, 0x8003)
    state.enter()
    assert processor.registers["selectors"] >> 48 & 0xFFFF == 0x8003


def test_a_new_base_drops_the_selector() -> None:
    state = ProcessorState()
    for segment in SEGMENTS:
        state.set_selector(segment, 0x2B)
    state.set_stopped_base(FS, 0x5000)
    assert [state.selector(segment) for segment in SEGMENTS] == [0x2B, 0x2B, 0, 0x2B]
    assert state.bases.fs == 0x5000
    state.set_stopped_base(GS, 0x6000)
    assert [state.selector(segment) for segment in SEGMENTS] == [0x2B, 0x2B, 0, 0]
    assert state.bases.gs == 0x6000


def entries(area: int) -> list[int]:
    return [load_i64(area + GDT_OFFSET + 8 * number) for number in range(GDT_ENTRIES)]


def test_a_thread_s_own_entries_are_in_the_table_while_it_runs(own_area: int) -> None:
    state = ProcessorState()
    areas = ThreadAreas()
    for index in range(THREAD_AREA_COUNT):
        areas.descriptors[index] = make_descriptor(index << 24 | 0x80_0000, 0xFFFFF, 0x11)
    state.use_areas(areas)
    child = ProcessorState()
    state.copy_to(child)
    assert child.areas is not None and child.areas is not areas and child.areas.descriptors == areas.descriptors
    state.enter()
    expected = [0] * GDT_ENTRIES
    expected[FIRST_THREAD_AREA : FIRST_THREAD_AREA + THREAD_AREA_COUNT] = areas.descriptors
    assert entries(own_area) == expected
    state.leave()
    assert entries(own_area) == [0] * GDT_ENTRIES
    child.release()  # it never ran
    state.enter()
    state.release()
    assert entries(own_area) == [0] * GDT_ENTRIES


def open_ports(ports: bytes) -> list[int]:
    return [port for port in range(65536) if ports[port >> 3] >> (port & 7) & 1 == 0]


def test_maps_of_ports() -> None:
    first = changed_map(None, 0x7E, 0x8F, opens=True)
    assert first is not None and open_ports(first.bits) == list(range(0x7E, 0x8F))
    second = changed_map(first, 0x80, 0x89, opens=False)
    assert second is not None and open_ports(second.bits) == [0x7E, 0x7F, *range(0x89, 0x8F)]
    assert open_ports(first.bits) == list(range(0x7E, 0x8F))
    assert changed_map(second, 0, 65536, opens=False) is None
    every = changed_map(None, 0, 65536, opens=True)
    assert every is not None and len(open_ports(every.bits)) == 65536
