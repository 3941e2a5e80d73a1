"""Finding the switch: ACPI tables, honest and random."""

import struct

from hypothesis import given
from hypothesis import strategies as st

from arch.x86_64.chips.acpi import SoftOff
from tests.unit.arch.test_bootinfo import Memory

RSDP, RSDT, XSDT, FADT, DSDT = 0xF5000, 0x7FE_0000, 0x7FE_1000, 0x7FE_2000, 0x7FE_3000


def table(signature: bytes, body: bytes) -> bytes:
    return signature + struct.pack("<I", 36 + len(body)) + bytes(28) + body


def machine(s5: bytes, revision: int, reduced: bool = False) -> Memory:
    fadt = bytearray(table(b"FACP", bytes(240)))
    struct.pack_into("<I", fadt, 112, reduced << 20)
    struct.pack_into("<BBBBQ", fadt, 244, 0, 8, 0, 1, 0xFEA0_0200)
    struct.pack_into("<I", fadt, 40, DSDT)
    struct.pack_into("<I", fadt, 64, 0x604)
    return Memory(
        [
            (RSDP, b"RSD PTR " + bytes(7) + bytes([revision]) + struct.pack("<IIQ", RSDT, 36, XSDT) + bytes(4)),
            (RSDT, table(b"RSDT", struct.pack("<I", FADT))),
            (XSDT, table(b"XSDT", struct.pack("<QQ", DSDT, FADT))),
            (FADT, bytes(fadt)),
            (DSDT, table(b"DSDT", b"\x08_S4_\x12\x04" + s5)),
        ]
    )


def find(memory: Memory) -> tuple[int, int]:
    soft_off = SoftOff()
    soft_off.find(memory, RSDP)
    return soft_off.port, soft_off.sleep_type


def test_both_kinds_of_root_table() -> None:
    s5 = b"\x08_S5_\x12\x06\x04\x0a\x05\x0a\x05\x00\x00"
    assert find(machine(s5, 0)) == (0x604, 5)
    assert find(machine(s5, 2)) == (0x604, 5)


def test_small_constants_have_no_prefix() -> None:
    assert find(machine(b"\x08_S5_\x12\x06\x04\x00\x00\x00\x00", 2)) == (0x604, 0)


def test_a_machine_without_s5() -> None:
    assert find(machine(b"", 2))[0] == 0


def test_a_machine_without_ports_has_a_register() -> None:
    soft_off = SoftOff()
    soft_off.find(machine(b"\x08_S5_\x12\x06\x04\x0a\x05\x00\x00\x00", 2, reduced=True), RSDP)
    assert (soft_off.port, soft_off.register, soft_off.sleep_type) == (0, 0xFEA0_0200, 5)


@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    find(Memory([(RSDP, data)]))
