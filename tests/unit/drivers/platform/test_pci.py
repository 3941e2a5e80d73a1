"""PCI against a model of configuration space: buses behind bridges, address registers, lists of capabilities."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from arch.x86_64.bootinfo import boot_info
from arch.x86_64.chips import pci_configuration
from arch.x86_64.layout import direct_map
from arch.x86_64.simulation import processor
from kernel.drivers.platform import pci, window
from kernel.drivers.platform.pci import PciDevice
from kernel.drivers.platform.pci_facts import PciFunction
from kernel.drivers.virtio import pci_transport
from kernel.drivers.virtio.pci_transport import PciTransport
from kernel.lang import ENODEV, Errno
from kernel.lib import log
from kernel.lib.bus import BUS_DEVICES, PROCESSORS_HOOK


class Function:
    """256 bytes of configuration, and which bits of each base address register can be written."""

    def __init__(self, vendor: int, device: int, header_type: int = 0) -> None:
        self.bytes = bytearray(256)
        self.store(0, vendor | device << 16)
        self.bytes[14] = header_type
        self.writable: dict[int, int] = {}
        self.decoded_while_sizing = False

    def store(self, register: int, value: int) -> None:
        self.bytes[register : register + 4] = value.to_bytes(4, "little")

    def load(self, register: int) -> int:
        return int.from_bytes(self.bytes[register : register + 4], "little")

    def memory_bar(self, bar: int, address: int, size: int, wide: bool = False) -> None:
        register = 0x10 + 4 * bar
        kind = 4 if wide else 0
        self.store(register, address & 0xFFFF_FFF0 | kind)
        self.writable[register] = -size & 0xFFFF_FFF0
        if wide:
            self.store(register + 4, address >> 32)
            self.writable[register + 4] = -size >> 32 & 0xFFFF_FFFF

    def capability(self, at: int, kind: int, following: int, content: bytes = b"") -> None:
        self.bytes[at : at + 2 + len(content)] = bytes([kind, following]) + content

    def write(self, register: int, value: int) -> None:
        if register in self.writable:
            mask = self.writable[register]
            if self.load(pci.COMMAND) & 3 and value == 0xFFFF_FFFF:
                self.decoded_while_sizing = True
            self.store(register, value & mask | self.load(register) & 0xF & ~mask)
        elif register == pci.COMMAND:
            self.store(register, self.load(register) & 0xFFFF_0000 | value & 0xFFFF)


class Bus:
    """Functions by bus, slot and number behind the two ports."""

    def __init__(self) -> None:
        self.functions: dict[tuple[int, int, int], Function] = {}
        self.address = 0

    def selected(self) -> Function | None:
        address = self.address
        return self.functions.get((address >> 16 & 0xFF, address >> 11 & 31, address >> 8 & 7))

    def read(self, port: int, size_bytes: int) -> int:
        function = self.selected()
        if port != pci_configuration.DATA_PORT or function is None or not self.address & 1 << 31:
            return 0xFFFF_FFFF
        return function.load(self.address & 0xFC)

    def write(self, port: int, size_bytes: int, value: int) -> None:
        assert size_bytes == 4
        if port == pci_configuration.ADDRESS_PORT:
            self.address = value
            return
        function = self.selected()
        if function is not None:
            function.write(self.address & 0xFC, value)


@pytest.fixture
def bus(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bus]:
    model = Bus()
    processor.port_read = model.read
    processor.port_write = model.write
    monkeypatch.setattr(window, "map_device", lambda physical, size: direct_map(0) + physical)
    monkeypatch.setattr(pci, "FREE_ADDRESSES", pci.FreeAddresses())
    yield model
    processor.port_read = None
    processor.port_write = None


def test_all_buses_are_searched(bus: Bus) -> None:
    bus.functions[0, 0, 0] = Function(0x8086, 0x1237)
    bridge = Function(0x8086, 0x2448, header_type=1)
    bridge.store(pci.BRIDGE_BUSES, 3 << 8)
    bus.functions[0, 5, 0] = bridge
    inner = Function(0x8086, 0x2448, header_type=0x81)
    inner.store(pci.BRIDGE_BUSES, 7 << 8)
    bus.functions[3, 1, 0] = inner
    bus.functions[3, 1, 4] = Function(0x1AF4, 0x1042)
    bus.functions[7, 31, 0] = Function(0x1AF4, 0x1041)
    bus.functions[9, 0, 0] = Function(0x1AF4, 0x1041)
    found = [device.name() for device in pci.scan()]
    assert found == ["0000:00:00.0", "0000:00:05.0", "0000:03:01.0", "0000:03:01.4", "0000:07:1f.0"]


def test_bridges_in_a_circle(bus: Bus) -> None:
    for number, behind in ((0, 1), (1, 0)):
        bridge = Function(0x8086, 0x2448, header_type=1)
        bridge.store(pci.BRIDGE_BUSES, behind << 8)
        bus.functions[number, 0, 0] = bridge
    assert len(pci.scan()) == 2


def test_no_bus_at_all(bus: Bus) -> None:
    assert pci.scan() == []


@pytest.mark.parametrize(("address", "size", "wide"), [
    (0xFEBF_0000, 0x1000, False), (0xFEB0_0000, 0x10_0000, True), (0xC0_0000_4000, 0x4000, True),
    (0xE000_0000_0000, 1 << 33, True),
])  # fmt: skip
def test_windows_lie_inside_their_register(bus: Bus, address: int, size: int, wide: bool) -> None:
    function = Function(0x1AF4, 0x1042)
    function.memory_bar(2, address, size, wide)
    bus.functions[0, 0, 0] = function
    device = PciDevice(0, 0, 0)
    device.enable()
    assert device.window(2, 0, 0x1000).physical == address
    assert device.window(2, size - 0x1000, 0x1000).physical == address + size - 0x1000
    for offset, length in ((size - 0xFFF, 0x1000), (size, 1), (-1, 4), (0, 0)):
        with pytest.raises(Errno):
            device.window(2, offset, length)
    assert not function.decoded_while_sizing
    assert function.load(pci.COMMAND) & 0xFFFF == pci.COMMAND_MEMORY | pci.COMMAND_MASTER
    low = function.load(0x18) & ~0xF
    assert low | (function.load(0x1C) << 32 if wide else 0) == address


def test_windows_of_what_is_no_memory(bus: Bus) -> None:
    function = Function(0x1AF4, 0x1042)
    function.store(0x10, 0xC001)  # a port
    function.memory_bar(1, 0, 0x1000)  # not placed
    function.store(0x24, 4)  # of 64 bits, at the end
    bus.functions[0, 0, 0] = function
    device = PciDevice(0, 0, 0)
    device.enable()
    for bar in (-1, 0, 1, 3, 5, 6, 255):
        with pytest.raises(Errno) as caught:
            device.window(bar, 0, 4)
        assert caught.value.code == ENODEV


def three_devices(bus: Bus) -> list[Function]:
    """On bus 0: one with a page and 16 KiB in a wide register, one with a MiB; and one with a page behind a bridge."""
    functions = [Function(0x1AF4, 0x1041), Function(0x1AF4, 0x1042), Function(0x1AF4, 0x1043)]
    functions[0].store(0x10, 0xC001)  # a port
    functions[0].memory_bar(1, 0, 0x800)
    functions[0].memory_bar(4, 0, 0x4000, wide=True)
    functions[1].memory_bar(0, 0, 1 << 20)
    functions[2].memory_bar(0, 0, 0x1000)
    bridge = Function(0x8086, 0x2448, header_type=1)
    bridge.store(pci.BRIDGE_BUSES, 3 << 8)
    bus.functions.update({
        (0, 1, 0): functions[0], (0, 2, 0): functions[1], (0, 3, 0): bridge, (3, 0, 0): functions[2],
    })  # fmt: skip
    return functions


def regions(monkeypatch: pytest.MonkeyPatch, *ranges: tuple[int, int]) -> None:
    monkeypatch.setattr(boot_info, "region_count", len(ranges))
    monkeypatch.setattr(boot_info, "region_start", [start for start, _ in ranges])
    monkeypatch.setattr(boot_info, "region_end", [end for _, end in ranges])


def test_a_firmware_that_gave_no_addresses(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    functions = three_devices(bus)
    regions(monkeypatch, (0, 0xA_0000), (1 << 20, 3 << 30), (0xFEFF_C000, 0xFF00_0000), (4 << 30, 5 << 30))
    devices = pci.scan()
    places = []
    for device in devices:
        device.enable()
        places += [(device.bar_address(bar), device.bar_size(bar)) for bar in range(6) if device.bar_size(bar)]
    assert places == [(0xFEBF_F000, 0x800), (0xFEBF_8000, 0x4000), (0xFEA0_0000, 1 << 20), (0, 0x1000)]
    assert functions[0].load(0x14) == 0xFEBF_F000
    assert (functions[0].load(0x20), functions[0].load(0x24)) == (0xFEBF_8004, 0)
    assert functions[0].load(0x10) == 0xC001
    assert not any(function.decoded_while_sizing for function in functions)


def test_no_room_for_addresses(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(log, "warn", said.append)
    three_devices(bus)
    regions(monkeypatch, (1 << 20, 0xFEBF_F000))
    for device in pci.scan():
        device.enable()
        assert device.bar_address(0) == 0 and device.bar_address(4) == 0
    assert bus.functions[0, 1, 0].load(0x14) == 0xFEBF_F000
    assert said == ["pci: no room for the registers of some devices"]


def test_addresses_are_not_those_of_configuration_space(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    """QEMU's q35 has its memory-mapped form in 256 MiB below 3 GiB, of which qboot's memory map says nothing."""
    regions(monkeypatch, (1 << 20, 2 << 30))
    for slot in (1, 2):
        bus.functions[0, slot, 0] = Function(0x1AF4, 0x1042)
        bus.functions[0, slot, 0].memory_bar(0, 0, 512 << 20)
    places = []
    for device in pci.scan():
        device.enable()
        places.append(device.bar_address(0))
    assert places == [3 << 30, 0]


def test_one_address_of_the_firmware_is_enough(bus: Bus) -> None:
    """Where it has given some, we do not know which others it has in mind."""
    functions = three_devices(bus)
    functions[1].memory_bar(0, 0xFEB0_0000, 1 << 20)
    for device in pci.scan():
        device.enable()
    assert functions[0].load(0x14) == functions[0].load(0x20) & ~0xF == 0


def test_capabilities(bus: Bus) -> None:
    function = Function(0x1AF4, 0x1042)
    bus.functions[0, 0, 0] = function
    device = PciDevice(0, 0, 0)
    function.bytes[pci.CAPABILITIES] = 0x40
    function.capability(0x40, 9, 0x60)
    function.capability(0x60, 0x11, 0x84)
    function.capability(0x84, 9, 0)
    assert device.find_capability(9) == 0  # the status says that there are none
    function.store(pci.COMMAND, pci.STATUS_CAPABILITIES)
    assert device.find_capability(9) == 0x40
    assert device.find_capability(9, 0x40) == 0x84
    assert device.find_capability(9, 0x84) == 0
    assert device.find_capability(0x11) == 0x60
    assert device.find_capability(5) == 0
    function.capability(0x84, 9, 0x40)  # a circle
    assert device.find_capability(5) == 0


def test_kinds_of_virtio_devices(bus: Bus) -> None:
    for identity, subsystem, kind in ((0x1042, 0, 2), (0x1041, 7, 1), (0x1001, 2, 2), (0x1110, 2, 0)):
        function = Function(0x1AF4, identity)
        function.store(pci.SUBSYSTEM, subsystem << 16)
        bus.functions[0, 0, 0] = function
        assert pci_transport.device_type(PciDevice(0, 0, 0)) == kind


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(min_size=240, max_size=240))
def test_any_configuration_space(bus: Bus, content: bytes) -> None:
    """The device is refused, or all its windows are inside its registers."""
    function = Function(0x1AF4, 0x1042)
    function.bytes[16:] = content
    function.bytes[pci.CAPABILITIES] = 0x40
    function.store(pci.COMMAND, pci.STATUS_CAPABILITIES)
    for at, kind in ((0x40, 1), (0x54, 2), (0x68, 3), (0x7C, 4)):
        function.bytes[at : at + 4] = bytes([9, at + 20 if kind < 4 else content[0], 20, kind])
    bus.functions[0, 0, 0] = function
    device = PciDevice(0, 0, 0)
    device.interrupt_line()
    try:
        PciTransport(device)
    except Errno as error:
        assert error.code == ENODEV


def test_all_processors_are_near_a_device(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    bus.functions[0, 0, 0] = Function(0x1AF4, 0x1042)
    known = len(BUS_DEVICES)
    facts = PciFunction(PciDevice(0, 0, 0))
    monkeypatch.setattr(PROCESSORS_HOOK, "list", lambda: b"0-3\n")
    assert facts.fact(b"local_cpulist") == b"0-3\n"
    del BUS_DEVICES[known:]
