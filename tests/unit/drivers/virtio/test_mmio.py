"""Virtio devices in memory: where they are said to be, and their registers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.drivers.platform import window
from kernel.drivers.virtio import mmio_transport
from kernel.drivers.virtio.mmio_transport import MmioPlace, MmioTransport, parse_place
from kernel.lang import Errno
from kernel.lang.simulation import memory

BASE = 0xFEB0_0000


def place_of(text: bytes) -> tuple[int, int, int] | None:
    place = parse_place(text)
    return None if place is None else (place.size_bytes, place.address, place.line)


@pytest.mark.parametrize(("text", "expected"), [
    (b"512@0xfeb00000:5", (512, 0xFEB0_0000, 5)),
    (b"0x200@0xFEB02E00:23:7", (512, 0xFEB0_2E00, 23)),
    (b"4K@4096:1", (4096, 4096, 1)),
    (b"", None), (b"512", None), (b"512@", None), (b"512@0x:5", None), (b"512@0xfeb00000", None),
    (b"512@0xfeb0000g:5", None), (b"512@1a:5", None), (b"512@1:2:3:4", None), (b"-1@1:2", None),
    (b"99999999999999999999@1:2", None), (b"512@0xfeb00000:", None), (b"@:", None),
])  # fmt: skip
def test_places_on_the_command_line(text: bytes, expected: tuple[int, int, int] | None) -> None:
    assert place_of(text) == expected


@given(st.binary(max_size=40))
def test_any_words_on_the_command_line(text: bytes) -> None:
    place = parse_place(text)
    assert place is None or (place.size_bytes >= 0 and place.address >= 0 and place.line >= 0)


class Registers:
    """A device's registers: what was written is read again, but for a few."""

    def __init__(self) -> None:
        self.words = {mmio_transport.MAGIC: 0x7472_6976, mmio_transport.VERSION: 2, mmio_transport.DEVICE_TYPE: 2}
        self.configuration = bytes(range(0x100))

    def read(self, offset: int, size_bytes: int) -> int:
        if offset >= mmio_transport.CONFIGURATION:
            start = offset - mmio_transport.CONFIGURATION
            return int.from_bytes(self.configuration[start : start + size_bytes], "little")
        assert size_bytes == 4
        return self.words.get(offset, 0)

    def write(self, offset: int, size_bytes: int, value: int) -> None:
        assert size_bytes == 4
        self.words[offset] = value


@pytest.fixture
def registers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Registers]:
    memory.reset()
    model = Registers()
    memory.map_device(BASE, 0x200, model)
    monkeypatch.setattr(window, "map_device", lambda physical, size: physical)
    yield model
    memory.reset()


def test_the_device_behind_the_registers(registers: Registers) -> None:
    transport = MmioTransport(MmioPlace(BASE, 0x200, 5))
    assert transport.device_type == 2
    transport.write_status(7)
    assert transport.read_status() == registers.words[mmio_transport.STATUS] == 7
    assert transport.configuration_u8(3) == 3
    assert transport.configuration_u16(4) == 0x0504
    assert transport.configuration_u64(8) == 0x0F0E_0D0C_0B0A_0908
    registers.words[mmio_transport.INTERRUPT_STATUS] = 3
    assert transport.interrupt_cause() == 3
    assert registers.words[mmio_transport.INTERRUPT_ACKNOWLEDGE] == 3


def test_configuration_ends_with_the_window(registers: Registers) -> None:
    transport = MmioTransport(MmioPlace(BASE, 0x200, 5))
    assert transport.configuration_u32(0xFC) != 0
    assert transport.configuration_u32(0xFD) == transport.configuration_u16(0xFF) == 0
    assert transport.configuration_u8(0x100) == 0


@pytest.mark.parametrize(("register", "value"), [(mmio_transport.MAGIC, 0xFFFF_FFFF), (mmio_transport.VERSION, 1)])
def test_what_is_no_modern_device(registers: Registers, register: int, value: int) -> None:
    registers.words[register] = value
    with pytest.raises(Errno):
        MmioTransport(MmioPlace(BASE, 0x200, 5))


@pytest.mark.parametrize(("address", "size"), [(0, 0x200), (BASE + 1, 0x200), (BASE, 0x100), (BASE, 1 << 30)])
def test_places_where_no_device_can_be(address: int, size: int) -> None:
    with pytest.raises(Errno):
        MmioTransport(MmioPlace(address, size, 5))
