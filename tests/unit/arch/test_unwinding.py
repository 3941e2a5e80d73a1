"""The way from a failed check to the clean-up outwards, on a stack and with a table that are made here."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest

from arch.x86_64 import unwinding
from arch.x86_64.frame import TrapFrame
from compiler.unwind import FRAMED, TRAP, WORD_BITS, ObjectUnwind, Placed, State, build, thin
from kernel.lang.simulation import Bytes, memory

BASE = -0x8000_0000
STACK = -0x1_0000_0000
TABLE = -0x2_0000_0000
HANDLED = 0x5005  # the return address above which entry.S keeps a frame

# Functions of 0x100 bytes: the second keeps rbx and r12 one and two words below rbp, the fourth has no frame, and the
# last one has none either, but five words up to its end, with rbp and rbx below the return address.
LEAF = 5 | (1 << 15 | 2) << WORD_BITS
FRAMES = [(0x1000, FRAMED), (0x1100, FRAMED | 1 | 2 << 3), (0x1200, FRAMED), (0x1300, 1), (0x1400, FRAMED),
          (0x1500, LEAF)]  # fmt: skip
LANDINGS = [(0x1040, 0x1090), (0x1041, 0), (0x1210, 0x1280), (0x1220, 0)]


class Stack:
    def __init__(self, room: Bytes) -> None:
        self.room = room

    def put(self, offset: int, *words: int) -> None:
        struct.pack_into(f"<{len(words)}q", self.room, offset, *words)


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    memory.reset()
    table = build([Placed(ObjectUnwind({".text": FRAMES}, {".text": LANDINGS}), ".text", 0)], 0)
    memory.map(TABLE, len(table))[:] = table
    memory.define_symbol("__krait_unwind_start", TABLE)
    memory.define_symbol("__krait_unwind_end", TABLE + len(table))
    memory.define_symbol("exception_is_handled", BASE + HANDLED)
    monkeypatch.setattr(unwinding, "is_mapped", lambda address: True)
    yield Stack(memory.map(STACK, 16384))
    memory.reset()


def frame_at(rip: int, rsp: int, rbp: int) -> TrapFrame:
    frame = TrapFrame()
    frame.rip, frame.rsp, frame.rbp = BASE + rip, STACK + rsp, STACK + rbp
    frame.rbx, frame.r12, frame.r13 = 11, 12, 13
    return frame


def test_a_check_inside_a_clean_up_lands_in_its_own_function(stack: Stack) -> None:
    frame = frame_at(0x1040, 0x100, 0x140)
    assert unwinding.find_landing(frame, False)
    assert (frame.rip, frame.rsp, frame.rbp) == (BASE + 0x1090, STACK + 0x100, STACK + 0x140)


def test_registers_are_as_at_the_call_that_lands(stack: Stack) -> None:
    stack.put(0x130, 22, 21)  # r12, rbx of the caller
    stack.put(0x140, STACK + 0x200, BASE + 0x1218)
    frame = frame_at(0x1150, 0x100, 0x140)
    assert unwinding.find_landing(frame, False)
    assert (frame.rip, frame.rsp, frame.rbp) == (BASE + 0x1280, STACK + 0x150, STACK + 0x200)
    assert (frame.rbx, frame.r12, frame.r13) == (21, 22, 13)


def test_the_call_counts_and_not_what_follows_it(stack: Stack) -> None:
    stack.put(0x140, STACK + 0x200, BASE + 0x1220)  # the last byte of the call is 0x121f
    assert unwinding.find_landing(frame_at(0x1150, 0x100, 0x140), False)
    stack.put(0x140, STACK + 0x200, BASE + 0x1221)
    stack.put(0x200, 0, BASE + 0x9000)
    assert not unwinding.find_landing(frame_at(0x1150, 0x100, 0x140), False)


def test_a_place_without_a_frame(stack: Stack) -> None:
    stack.put(0x100, BASE + 0x1218)
    frame = frame_at(0x1350, 0x100, 0x200)
    assert unwinding.find_landing(frame, False)
    assert (frame.rip, frame.rsp, frame.rbp) == (BASE + 0x1280, STACK + 0x108, STACK + 0x200)


def test_through_a_fault_of_a_copy_routine(stack: Stack) -> None:
    stack.put(0x140, STACK + 0x400, BASE + HANDLED)
    saved = [0] * 22
    saved[0:6] = [35, 34, 33, 32, STACK + 0x400, 31]  # r15 … r12, rbp, rbx
    saved[17], saved[20] = BASE + 0x1310, STACK + 0x300  # rip, rsp
    stack.put(0x150, *saved)
    stack.put(0x300, BASE + 0x1218)
    frame = frame_at(0x1450, 0x100, 0x140)
    assert unwinding.find_landing(frame, False)
    assert (frame.rip, frame.rsp, frame.rbp) == (BASE + 0x1280, STACK + 0x308, STACK + 0x400)
    assert (frame.rbx, frame.r12, frame.r15) == (31, 32, 35)


def test_a_damaged_chain_ends_the_search(stack: Stack) -> None:
    stack.put(0x140, STACK + 0x7, BASE + 0x1150)
    assert not unwinding.find_landing(frame_at(0x1150, 0x100, 0x140), False)


def test_a_function_that_calls_none_restores_what_it_saved(stack: Stack) -> None:
    stack.put(0x110, 21, STACK + 0x200, BASE + 0x1218)  # two words of its own, rbx, rbp, the return address
    frame = frame_at(0x1550, 0x100, 0x7)
    assert unwinding.frameless_caller(frame) == BASE + 0x1218
    assert unwinding.caller_frame_pointer(frame) == STACK + 0x200
    assert unwinding.find_landing(frame, False)
    assert (frame.rip, frame.rsp, frame.rbp) == (BASE + 0x1280, STACK + 0x128, STACK + 0x200)
    assert (frame.rbx, frame.r12) == (21, 12)


@pytest.mark.parametrize(("rip", "why"), [(0x1150, "it has a frame"), (0x0500, "it is assembly, which has no row")])
def test_only_a_function_without_a_frame_has_a_caller_on_top(stack: Stack, rip: int, why: str) -> None:
    stack.put(0x100, BASE + 0x1218)
    frame = frame_at(rip, 0x100, 0x200)
    assert unwinding.frameless_caller(frame) == 0, why
    assert unwinding.caller_frame_pointer(frame) == STACK + 0x200


def test_rows_of_a_function_that_calls_none() -> None:
    state = State(saved={6: 1, 3: 2}, offset=40)
    assert state.value() == LEAF
    assert thin([(0x0, 0x8, 1), (0x8, 0x20, LEAF)], bytes(0x20)) == [(0x0, 1), (0x8, LEAF)]


def test_rows_while_a_frame_is_made_stay_only_where_something_traps() -> None:
    rows = [(0x0, 0x8, 1), (0x8, 0x10, FRAMED), (0x10, 0x18, 1)]
    assert thin(rows, bytes(0x18)) == [(0x8, FRAMED)]
    assert thin(rows, bytes(0x12) + TRAP + bytes(2)) == [(0x8, FRAMED), (0x10, 1)]
