"""The numbers in constants.inc are those of the Python modules."""

import re
from pathlib import Path

from arch.x86_64 import frame, idt, layout, percpu, usercopy
from arch.x86_64.call_numbers import CALL_LIMIT
from arch.x86_64.chips import interrupts
from kernel.doors.quick import FINISH, TAKE_LOCK
from kernel.lang import ERESTART_RESTARTBLOCK, ERESTARTSYS, offsetof, sizeof

ROOT = Path(__file__).resolve().parents[3]
FRAME_ORDER = "r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi vector error_code rip cs rflags rsp ss".split()


def assembly_constants() -> dict[str, int]:
    text = (ROOT / "arch/x86_64/constants.inc").read_text()
    return {name: int(value, 0) for name, value in re.findall(r"^\.set (\w+),\s*(-?\w+)", text, re.MULTILINE)}


def signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def test_layout() -> None:
    constants = assembly_constants()
    assert signed(constants["KERNEL_BASE"]) == layout.KERNEL_BASE
    assert signed(constants["DIRECT_MAP_BASE"]) == layout.DIRECT_MAP_BASE
    for name in ("USER_ADDRESS_BITS", "KERNEL_CS", "KERNEL_SS", "USER_CS", "USER_SS", "VECTOR_SYSCALL"):
        assert constants[name] == getattr(layout, name), name


def test_call_limit() -> None:
    assert assembly_constants()["CALL_LIMIT"] == CALL_LIMIT
    assert assembly_constants()["TAKE_LOCK"] == TAKE_LOCK
    assert assembly_constants()["FINISH"] == FINISH < TAKE_LOCK
    assert assembly_constants()["LAST_RESTART"] == ERESTART_RESTARTBLOCK
    assert assembly_constants()["RESTART_CODES"] == ERESTART_RESTARTBLOCK - ERESTARTSYS + 1


def test_fault_mark() -> None:
    assert signed(assembly_constants()["FAULT_MARK"]) == usercopy.FAULT_MARK


def test_linker_script_agrees() -> None:
    script = (ROOT / "linker.ld").read_text()
    found = re.search(r"KERNEL_BASE = (0x\w+);", script)
    assert found is not None
    assert signed(int(found[1], 16)) == layout.KERNEL_BASE


def test_trap_frame_order_is_the_assembly_s() -> None:
    constants = assembly_constants()
    for place, name in enumerate(FRAME_ORDER):
        assert constants[f"FRAME_{name.upper()}"] == offsetof(frame.TrapFrame, name) == 8 * place, name
    assert sizeof(frame.TrapFrame) == frame.FRAME_SIZE
    assert constants["FRAME_SIZE"] == frame.FRAME_SIZE == 8 * len(FRAME_ORDER)
    assert frame.FRAME_SIZE % 16 == 0


def test_per_cpu_block() -> None:
    constants = assembly_constants()
    for name in (
        "KERNEL_SP USER_RSP SCRATCH_0 SCRATCH_1 NUMBER ROOT FLUSH FLUSHED APIC KERNEL_TICKS SECTIONS WATCHED"
    ).split():
        place = offsetof(percpu.PerCpu, name.lower())
        assert constants[f"PERCPU_{name}"] == getattr(percpu, f"OFFSET_{name}") == place, name
    assert constants["PERCPU_SELF"] == percpu.OFFSET_SELF == offsetof(percpu.PerCpu, "self_address")
    assert percpu.OFFSET_THREAD == offsetof(percpu.PerCpu, "thread")
    assert constants["PERCPU_AREA_SIZE"] == percpu.AREA_SIZE
    assert sizeof(percpu.PerCpu) <= percpu.TSS_OFFSET


def test_vectors_between_processors() -> None:
    assert assembly_constants()["FLUSH_VECTOR"] == idt.FLUSH_VECTOR
    # The local APIC delivers nothing of a class that is in service (Intel SDM vol. 3, 11.8.3.1).
    assert idt.FLUSH_VECTOR >> 4 > max(idt.KICK_VECTOR, interrupts.END_OF_VECTORS - 1) >> 4


def test_address_space_parts_do_not_overlap() -> None:
    assert layout.DIRECT_MAP_BASE % (1 << 39) == 0
    assert layout.DIRECT_MAP_BASE + layout.DIRECT_MAP_SIZE <= layout.DYNAMIC_BASE
    assert layout.DYNAMIC_BASE < layout.DYNAMIC_END <= layout.KERNEL_BASE
    assert layout.DIRECT_MAP_BASE >= -(1 << 47)
