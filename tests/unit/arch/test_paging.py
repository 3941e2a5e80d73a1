"""The kernel's page tables, walked as the processor walks them."""

from collections.abc import Iterator

import pytest

from arch.x86_64 import paging
from arch.x86_64.bootinfo import KIND_ACPI, KIND_RAM, BootInfo
from arch.x86_64.cpu import features
from arch.x86_64.layout import DIRECT_MAP_BASE, DYNAMIC_BASE, KERNEL_BASE, PAGE_SIZE, direct_map

MEGABYTE = 1 << 20
TABLES = 32 * MEGABYTE
SECTIONS = {
    "__image_start": 0x10_0000,
    "__text_start": 0x10_0000,
    "__text_end": 0x14_0000,
    "__rodata_start": 0x14_0000,
    "__rodata_end": 0x15_0000,
    "__data_start": 0x15_0000,
    "boot_stack_guard": 0x17_0000,
    "ist_stacks": 0x16_0000,
    "__image_end": 0x18_1000,
}


class Machine:
    """Words of physical memory, reached through the direct map."""

    def __init__(self) -> None:
        self.words: dict[int, int] = {}
        self.next_table = TABLES

    def load(self, address: int) -> int:
        return self.words.get(address - DIRECT_MAP_BASE, 0)

    def store(self, address: int, value: int) -> None:
        assert address % 8 == 0 and -(1 << 63) <= value < 1 << 63
        self.words[address - DIRECT_MAP_BASE] = value

    def allocate(self) -> int:
        self.next_table += PAGE_SIZE
        return self.next_table

    def walk(self, address: int) -> tuple[int, bool, bool] | None:
        """(physical address, writable, executable), or None."""
        table = paging.kernel_root()
        writable = executable = True
        for shift in (39, 30, 21, 12):
            entry = self.words.get(table + (address >> shift & 511) * 8, 0)
            if not entry & paging.PRESENT:
                return None
            assert not entry & paging.USER
            writable = writable and bool(entry & paging.WRITABLE)
            executable = executable and entry >= 0
            base = entry & paging.ADDRESS_BITS
            if shift == 12 or (shift < 39 and entry & paging.LARGE):
                assert base % (1 << shift) == 0
                return base + address % (1 << shift), writable, executable
            table = base
        raise AssertionError


@pytest.fixture(params=[False, True], ids=["2 MiB pages", "1 GiB pages"])
def machine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    model = Machine()
    monkeypatch.setattr(paging, "load_i64", model.load)
    monkeypatch.setattr(paging, "store_i64", model.store)
    monkeypatch.setattr(paging, "symbol_address", lambda name: KERNEL_BASE + SECTIONS[name])
    monkeypatch.setattr(features, "huge_pages", request.param)
    info = BootInfo()
    for i, (start, end, kind) in enumerate(
        [
            (0, 0x9FC00, KIND_RAM),
            (0x9FC00, MEGABYTE, 2),
            (MEGABYTE, 0x7FE_0000, KIND_RAM),
            (0x7FE_0000, 128 * MEGABYTE, KIND_ACPI),
            (4096 * MEGABYTE, 9 * 1024 * MEGABYTE, KIND_RAM),
        ]
    ):
        info.region_start[i], info.region_end[i], info.region_kind[i] = start, end, kind
        info.region_count = i + 1
    paging.set_page_source(model.allocate)
    paging.build(info)
    yield model


def test_sections_have_the_rights_that_they_need(machine: Machine) -> None:
    assert machine.walk(KERNEL_BASE + 0x10_0000) == (0x10_0000, False, True)
    assert machine.walk(KERNEL_BASE + 0x13_F123) == (0x13_F123, False, True)
    assert machine.walk(KERNEL_BASE + 0x14_0000) == (0x14_0000, False, False)
    assert machine.walk(KERNEL_BASE + 0x15_0008) == (0x15_0008, True, False)
    assert machine.walk(KERNEL_BASE + 0x18_0FFF) == (0x18_0FFF, True, False)
    assert machine.walk(KERNEL_BASE + 0x18_1000) is None
    assert machine.walk(KERNEL_BASE) is None


def test_the_direct_map_shows_all_ram_and_nothing_else(machine: Machine) -> None:
    for physical in (0x1000, 0x18_1000, 0x20_0000, 0x7FD_FFF8, 0x7FE_0000, 4096 * MEGABYTE, 9 * 1024 * MEGABYTE - 8):
        assert machine.walk(direct_map(physical)) == (physical, True, False), hex(physical)
    for physical in (0xA_0000, 128 * MEGABYTE, 0xFEE0_0000, 9 * 1024 * MEGABYTE):
        assert machine.walk(direct_map(physical)) is None, hex(physical)


def test_text_can_not_be_written_through_the_direct_map(machine: Machine) -> None:
    for physical in range(0x10_0000, 0x15_0000, PAGE_SIZE):
        assert machine.walk(direct_map(physical)) == (physical, False, False)


def test_guard_pages_are_not_there(machine: Machine) -> None:
    assert machine.walk(KERNEL_BASE + SECTIONS["boot_stack_guard"]) is None
    assert machine.walk(KERNEL_BASE + SECTIONS["ist_stacks"]) is None
    assert machine.walk(KERNEL_BASE + SECTIONS["ist_stacks"] + PAGE_SIZE) is not None


def test_the_user_half_and_null_are_empty(machine: Machine) -> None:
    root = paging.kernel_root()
    assert not any(machine.words.get(root + i * 8, 0) for i in range(256))


def test_pages_come_and_go(machine: Machine) -> None:
    address = DYNAMIC_BASE + 0x1234_5000
    top_level = [machine.words.get(paging.kernel_root() + i * 8, 0) for i in range(512)]
    assert not paging.is_mapped(address)
    assert paging.unmap_page(address) == -1
    paging.map_page(address, 0x40_0000, paging.KERNEL_DATA)
    assert machine.walk(address + 5) == (0x40_0005, True, False)
    assert paging.is_mapped(address)
    assert paging.unmap_page(address) == 0x40_0000
    assert not paging.is_mapped(address)
    assert [machine.words.get(paging.kernel_root() + i * 8, 0) for i in range(512)] == top_level


def test_device_memory_far_above_ram(machine: Machine) -> None:
    address = paging.map_device(0xC0_0000_1000, 0x2000)
    assert machine.walk(address) == (0xC0_0000_1000, True, False)
    assert machine.walk(address + 0x1FFF) == (0xC0_0000_2FFF, True, False)
    assert paging.map_device(0xC0_0000_1800, 8) == address + 0x800
