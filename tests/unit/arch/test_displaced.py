"""Instructions in whose place a breakpoint stands: their length, their copies, and how a program gets past them."""

import errno

import pytest

from arch.x86_64.frame import RFLAGS_TRAP, TrapFrame
from arch.x86_64.programs.displaced import NO_REGISTER, SLOT_BYTES, analyse
from arch.x86_64.programs.displaced_step import DisplacedStep, is_stepping, pass_without_step
from kernel.lang import Errno

LINEAR = [
    "4889e5",  # mov %rsp, %rbp
    "4883ec10",  # sub $16, %rsp
    "4881ec00010000",
    "488b4510",
    "8b8424a0000000",
    "488d04d500000000",  # SIB without a base
    "48b81122334455667788",
    "66b81122",
    "6681c31122",
    "f7c001000000",
    "f7d8",
    "f6c301",
    "c8100000",
    "c3",
    "c20800",
    "a1112233445566 7788",
    "660f6fc1",
    "0fbae003",
    "660f3a0fc108",
    "0f38f007",
    "c5f877",
    "c5f8c6c101",
    "c4e37dc1c101",
    "62f17c4858c1",
]
REFUSED = ["f0ff07", "cc", "cd80", "0f05", "f4", "fa", "8ed0", "cf", "66e90000", "2e90", "ec", "06"]


def displaced(code: str, rest: int = 0x90) -> tuple[int, bytes]:
    data = bytes.fromhex(code)
    found = analyse(data + bytes([rest]) * (16 - len(data)))
    return found.length, found.code


@pytest.mark.parametrize("code", LINEAR)
def test_the_copy_is_the_instruction_and_a_breakpoint(code: str) -> None:
    data = bytes.fromhex(code)
    assert displaced(code) == (len(data), data + b"\xcc" * (SLOT_BYTES - len(data)))


@pytest.mark.parametrize("code", REFUSED)
def test_what_linux_refuses_is_refused(code: str) -> None:
    with pytest.raises(Errno) as caught:
        displaced(code)
    assert caught.value.code == 524


def test_one_that_the_file_cuts_off_is_refused() -> None:
    with pytest.raises(Errno):
        analyse(b"\x48\x8b")
    assert analyse(b"\xc3").length == 1


@pytest.mark.parametrize(
    ("code", "copy", "register"),
    [
        ("488b0510000000", "488b8610000000", 6),
        ("488b3510000000", "488bb710000000", 7),  # its operand is RSI
        ("c5fc58050a000000", "c5fc58860a000000", 6),
        ("c4c17c58050a000000", "c4e17c58860a000000", 6),  # its extension of the base goes
        ("f6050000000001", "f6860000000001", 6),
    ],
)
def test_memory_by_the_instruction_pointer_is_named_by_a_register(code: str, copy: str, register: int) -> None:
    data = bytes.fromhex(code)
    found = analyse(data + bytes(16 - len(data)))
    assert (found.code[: found.length].hex(), found.scratch) == (copy, register)


def test_a_register_gets_its_value_back() -> None:
    found = analyse(bytes.fromhex("488b0510000000") + bytes(9))
    frame = TrapFrame()
    frame.rip, frame.rsi = 0x40_0000, 5
    step = DisplacedStep()
    step.begin(found, frame, 0x7000)
    assert (frame.rip, frame.rsi, frame.rflags & RFLAGS_TRAP) == (0x7000, 0x40_0007, RFLAGS_TRAP)
    assert step.is_under_way() and step.is_at_start(frame)
    frame.rip = 0x7007
    assert not step.end(frame)
    assert (frame.rip, frame.rsi, frame.rflags & RFLAGS_TRAP) == (0x40_0007, 5, 0)
    assert not step.is_under_way()


def test_a_step_can_be_undone() -> None:
    found = analyse(bytes.fromhex("488b0510000000") + bytes(9))
    frame = TrapFrame()
    frame.rip, frame.rsi, frame.rflags = 0x40_0000, 5, RFLAGS_TRAP
    step = DisplacedStep()
    step.begin(found, frame, 0x7000)
    step.undo(frame)
    assert (frame.rip, frame.rsi, frame.rflags) == (0x40_0000, 5, RFLAGS_TRAP)  # it was stepping anyway


def test_a_return_leads_where_it_leads() -> None:
    found = analyse(b"\xc3" + bytes(15))
    frame = TrapFrame()
    frame.rip = 0x40_0000
    step = DisplacedStep()
    step.begin(found, frame, 0x7000)
    frame.rip = 0x50_0000
    step.end(frame)
    assert frame.rip == 0x50_0000


@pytest.mark.parametrize(
    ("code", "flags", "place"),
    [
        ("90", 0, 1), ("f30f1efa", 0, 4), ("0f1f4000", 0, 4), ("eb10", 0, 0x12), ("ebf0", 0, -14),
        ("e900010000", 0, 0x105), ("7410", 0x40, 0x12), ("7410", 0, 2), ("0f8500010000", 0, 0x106),
        ("7c10", 0x80, 0x12), ("7c10", 0x880, 2), ("7f10", 0, 0x12), ("7f10", 0x40, 2), ("7610", 1, 0x12),
    ],
)  # fmt: skip
def test_simple_ones_need_no_step(code: str, flags: int, place: int) -> None:
    data = bytes.fromhex(code)
    found = analyse(data + bytes(16 - len(data)))
    frame = TrapFrame()
    frame.rip, frame.rflags = 0x40_0000, flags
    assert found.scratch == NO_REGISTER
    assert pass_without_step(found, frame)
    assert frame.rip == 0x40_0000 + place


def test_a_program_may_be_stepping() -> None:
    frame = TrapFrame()
    assert not is_stepping(frame)
    frame.rflags = RFLAGS_TRAP
    assert is_stepping(frame)


def test_a_push_needs_a_stack() -> None:
    found = analyse(b"\x55" + bytes(15))
    frame = TrapFrame()
    with pytest.raises(Errno) as caught:
        pass_without_step(found, frame)
    assert caught.value.code == errno.EFAULT
