"""What ACPI tells of I/O APICs and of virtio devices: honest tables and any others."""

import struct

from hypothesis import given
from hypothesis import strategies as st

from arch.x86_64.chips.acpi_devices import APIC_LIMIT, DEVICE_LIMIT, PROCESSOR_LIMIT, Hardware
from tests.unit.arch.test_bootinfo import Memory

RSDP, RSDT, FADT, DSDT, MADT = 0xF5000, 0x7FE_0000, 0x7FE_2000, 0x7FE_3000, 0x7FE_8000


def table(signature: bytes, body: bytes) -> bytes:
    return signature + struct.pack("<I", 36 + len(body)) + bytes(28) + body


def virtio(address: int, line: int) -> bytes:
    """A device as QEMU's microvm describes it: _HID, _CRS with a memory range and an interrupt."""
    resources = b"\x86\x09\x00\x01" + struct.pack("<II", address, 512)
    resources += b"\x89\x06\x00\x01\x01" + struct.pack("<I", line)
    return b"\x08_HID\x0dLNRO0005\x00\x08_UID\x00\x08_CRS\x11\x1d\x0a\x1a" + resources + b"\x79\x00"


def find(dsdt: bytes, madt: bytes) -> Hardware:
    fadt = bytearray(table(b"FACP", bytes(80)))
    struct.pack_into("<I", fadt, 40, DSDT)
    memory = Memory(
        [
            (RSDP, b"RSD PTR " + bytes(8) + struct.pack("<II", RSDT, 36) + bytes(12)),
            (RSDT, table(b"RSDT", struct.pack("<II", FADT, MADT))),
            (FADT, bytes(fadt)),
            (DSDT, table(b"DSDT", dsdt)),
            (MADT, table(b"APIC", madt)),
        ]
    )
    hardware = Hardware()
    hardware.find(memory, RSDP)
    return hardware


def io_apic(address: int, first_line: int) -> bytes:
    return struct.pack("<BBBBII", 1, 12, 0, 0, address, first_line)


def test_virtio_devices() -> None:
    hardware = find(b"\x5b\x82" + virtio(0xFEB0_2E00, 23) + virtio(0xFEB0_2C00, 22) + bytes(10), b"")
    assert hardware.virtio_count == 2
    assert hardware.virtio_address[:2] == [0xFEB0_2E00, 0xFEB0_2C00]
    assert hardware.virtio_size[:2] == [512, 512]
    assert hardware.virtio_line[:2] == [23, 22]


def test_other_devices_are_none_of_ours() -> None:
    assert find(virtio(0xFEB0_0000, 5).replace(b"0005", b"0006") + bytes(10), b"").virtio_count == 0


def test_a_device_that_is_cut_off() -> None:
    whole = virtio(0xFEB0_0000, 5)
    for length in range(len(whole) - 2):  # the end tag is not looked at
        assert find(whole[:length], b"").virtio_count == 0


def processor(identity: int, flags: int = 1) -> bytes:
    return struct.pack("<BBBBI", 0, 8, 0, identity, flags)


def x2apic(identity: int, flags: int = 1) -> bytes:
    return struct.pack("<BBHIII", 9, 16, 0, identity, flags, 0)


def test_processors() -> None:
    """Those that are switched off, and doubles, do not count."""
    hardware = find(b"", bytes(8) + processor(0) + processor(2) + processor(4, 0) + x2apic(2) + x2apic(300))
    assert hardware.processor_identity[: hardware.processor_count] == [0, 2, 300]


def test_io_apics() -> None:
    local = bytes([0, 8]) + bytes(6)
    hardware = find(b"", bytes(8) + local + io_apic(0xFEC0_0000, 0) + local + io_apic(0xFEC1_0000, 24))
    assert hardware.apic_count == 2
    assert hardware.apic_address[:2] == [0xFEC0_0000, 0xFEC1_0000]
    assert hardware.apic_first_line[:2] == [0, 24]


def test_more_than_there_is_room_for() -> None:
    hardware = find(virtio(0xFEB0_0000, 5) * 40 + bytes(10), bytes(8) + io_apic(0xFEC0_0000, 0) * 20)
    processors = b"".join(x2apic(number) for number in range(80))
    assert find(b"", bytes(8) + processors).processor_count == PROCESSOR_LIMIT
    assert (hardware.virtio_count, hardware.apic_count) == (DEVICE_LIMIT, APIC_LIMIT)


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_any_tables(dsdt: bytes, madt: bytes) -> None:
    hardware = find(b"LNRO0005" + dsdt, madt)
    assert 0 <= hardware.virtio_count <= 1 + len(dsdt) // 8
    assert 0 <= hardware.apic_count <= APIC_LIMIT
    assert 0 <= hardware.processor_count <= PROCESSOR_LIMIT
