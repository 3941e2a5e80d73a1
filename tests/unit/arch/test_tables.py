"""Descriptors: the bits that the processor reads."""

from arch.x86_64 import gdt, idt, layout, percpu


def unsigned(value: int) -> int:
    return value & (1 << 64) - 1


def test_gate_holds_selector_stub_and_stack() -> None:
    stub = 0xFFFF_FFFF_8012_3450 - (1 << 64)
    word = unsigned(idt.gate_low(stub, 2, idt.GATE_RING_0))
    assert word & 0xFFFF == 0x3450
    assert word >> 16 & 0xFFFF == layout.KERNEL_CS
    assert word >> 32 & 7 == 2
    assert word >> 40 & 0xFF == 0x8E
    assert word >> 48 == 0x8012


def test_only_int3_and_overflow_are_open_to_programs() -> None:
    open_vectors = [vector for vector in range(256) if idt.gate_type(vector) == idt.GATE_RING_3]
    assert open_vectors == [3, 4]


def test_the_segment_of_a_processor_s_number() -> None:
    word = unsigned(gdt.PROCESSOR_NUMBER | 3)
    assert word & 0xFFFF == 3
    assert word >> 40 & 0xFF == 0xF5  # present, of user mode, read-only data that grow down
    assert word >> 52 & 0xF == 4


def test_tss_descriptor() -> None:
    tss = 0xFFFF_FFFF_8013_4100 - (1 << 64)
    word = unsigned(gdt.system_descriptor_low(tss, percpu.TSS_LIMIT, gdt.TSS_PRESENT))
    assert word & 0xFFFF == percpu.TSS_LIMIT
    assert word >> 16 & 0xFF_FFFF == 0x13_4100
    assert word >> 40 & 0xFF == 0x89
    assert word >> 56 == 0x80
