"""Filters of system calls: which programs are taken, what they compute, whose answer counts."""

import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arch import AUDIT_ARCHITECTURE, TrapFrame
from kernel.lang import EINVAL, ENOMEM, Errno
from kernel.lib.bpf import Program
from kernel.task.seccomp_filter import (
    ACTION,
    ALLOW,
    ERRNO,
    KILL_PROCESS,
    KILL_THREAD,
    LOG,
    TRAP,
    CallData,
    CallFilter,
    check_call_program,
    describe,
    judge,
)

Instruction = tuple[int, int, int, int]

WORD = 0xFFFF_FFFF
ARITHMETIC: dict[int, Callable[[int, int], int]] = {
    0: lambda a, b: a + b,
    1: lambda a, b: a - b,
    2: lambda a, b: a * b,
    3: lambda a, b: a // b,
    4: lambda a, b: a | b,
    5: lambda a, b: a & b,
    6: lambda a, b: a << (b % 32),
    7: lambda a, b: a >> (b % 32),
    8: lambda a, b: -a,
    10: lambda a, b: a ^ b,
}
COMPARISONS: dict[int, Callable[[int, int], bool]] = {
    1: lambda a, b: a == b,
    2: lambda a, b: a > b,
    3: lambda a, b: a >= b,
    4: lambda a, b: a & b != 0,
}
SOURCES = (0, 8)
CODES = [
    *(0x00, 0x01, 0x02, 0x03, 0x05, 0x06, 0x07, 0x16, 0x20, 0x60, 0x61, 0x80, 0x81, 0x84, 0x87),
    *(operation << 4 | source | 4 for operation in ARITHMETIC if operation != 8 for source in SOURCES),
    *(comparison << 4 | source | 5 for comparison in COMPARISONS for source in SOURCES),
]


def assemble(*instructions: Instruction) -> bytes:
    return b"".join(struct.pack("<HBBI", *i) for i in instructions)


def is_sound(program: list[Instruction]) -> bool:
    """The rules, said once more: by what each way through the program does."""
    if program[-1][0] not in (0x06, 0x16):
        return False
    ways: dict[int, set[frozenset[int]]] = {0: {frozenset()}}  # what is stored, by the ways to an instruction
    for at, (code, true, false, value) in enumerate(program):
        if code not in CODES:
            return False
        if code == 0x20 and (value >= 64 or value % 4 != 0):
            return False
        if code in (0x02, 0x03, 0x60, 0x61) and value > 15:
            return False
        if (code == 0x34 and value == 0) or (code in (0x64, 0x74) and value > 31):
            return False
        # As in Linux's checker, what follows a return is reached with what was stored before it.
        here = ways.get(at, set())
        if code in (0x60, 0x61) and any(value not in stored for stored in here):
            return False
        after = {stored | {value} for stored in here} if code in (0x02, 0x03) else here
        targets = [at + 1]
        if code == 0x05:
            targets = [at + 1 + value]
        elif code & 7 == 5:
            targets = [at + 1 + true, at + 1 + false]
        for target in targets:
            if target >= len(program) and at < len(program) - 1:
                return False
            ways.setdefault(target, set()).update(after)
    return True


def model(program: list[Instruction], words: list[int]) -> int:
    """What a sound program returns."""
    a = x = at = 0
    scratch: dict[int, int] = {}
    while True:
        code, true, false, value = program[at]
        at += 1
        operand = x if code & 8 else value
        match code & 7:
            case 0 | 1:
                loaded = {0: value, 1: words[value // 4 % 16], 3: scratch.get(value, 0), 4: 64}[code >> 5]
                a, x = (loaded, x) if code & 7 == 0 else (a, loaded)
            case 2 | 3:
                scratch[value] = a if code == 2 else x
            case 4:
                if code >> 4 == 3 and operand == 0:
                    return 0
                a = ARITHMETIC[code >> 4](a, operand) & WORD
            case 5:
                at += value if code == 5 else true if COMPARISONS[code >> 4](a, operand) else false
            case 6:
                return a if code == 0x16 else value
            case _:
                a, x = (a, a) if code == 0x07 else (x, x)


constants = st.one_of(st.integers(0, 4), st.integers(0, 68), st.integers(0, WORD))
codes = st.one_of(st.sampled_from(CODES), st.sampled_from(CODES), st.integers(0, 0x120))
programs = st.lists(st.tuples(codes, st.integers(0, 3), st.integers(0, 3), constants), min_size=1, max_size=8).map(
    lambda body: [*body, (0x16, 0, 0, 0)]
)


def frame_of(numbers: list[int]) -> TrapFrame:
    frame = TrapFrame()
    frame.rip, frame.rdi, frame.rsi, frame.rdx, frame.r10, frame.r8, frame.r9 = numbers
    return frame


def call_data(number: int, numbers: list[int]) -> CallData:
    data = CallData()
    describe(number, frame_of(numbers), data)
    return data


numbers_of_a_call = st.lists(st.integers(-(1 << 63), (1 << 63) - 1), min_size=7, max_size=7)


@given(programs, st.integers(0, WORD), numbers_of_a_call)
def test_filters_are_as_the_model(program: list[Instruction], number: int, numbers: list[int]) -> None:
    try:
        filter_ = CallFilter(assemble(*program), is_logged=False)
    except Errno as error:
        assert error.code == EINVAL
        assert not is_sound(program)
        return
    assert is_sound(program)
    words = list(struct.unpack("<16I", struct.pack("<II7q", number, AUDIT_ARCHITECTURE, *numbers)))
    answer = model(program, words)
    found, _ = judge(filter_, call_data(number, numbers))
    assert found & ACTION == min(answer & ACTION, ALLOW, key=signed)
    if signed(answer & ACTION) < ALLOW:
        assert found == answer


def signed(action: int) -> int:
    return action - (1 << 32) if action >> 31 else action


def above(below: CallFilter | None, program: bytes, is_logged: bool = False) -> CallFilter:
    """One more filter on a stack."""
    top = CallFilter(program, is_logged)
    top.put_above(below)
    return top


def stack(*answers: int) -> CallFilter:
    top: CallFilter | None = None
    for answer in answers:
        top = above(top, assemble((0x06, 0, 0, answer)), is_logged=answer == TRAP)
    assert top is not None
    return top


ANSWERS = st.sampled_from([KILL_PROCESS, KILL_THREAD, TRAP, ERRNO | 1, ERRNO | 2, LOG, ALLOW, ALLOW | 5, 0x1234_0000])


@given(st.lists(ANSWERS, min_size=1, max_size=5))
def test_the_most_restrictive_answer_counts_and_of_equals_the_newest(answers: list[int]) -> None:
    top = stack(*answers)
    found, author = judge(top, call_data(0, [0] * 7))
    lowest = min([*answers, ALLOW], key=lambda answer: signed(answer & ACTION))
    newest = next((a for a in reversed(answers) if a & ACTION == lowest & ACTION), ALLOW)
    assert found == (ALLOW if lowest & ACTION == ALLOW else newest)
    assert author.is_logged == (found == TRAP)
    assert top.count == len(answers)


def test_a_stack_is_above_its_lower_part() -> None:
    below = stack(ALLOW, LOG)
    top = above(below, assemble((0x06, 0, 0, ALLOW)))
    other = stack(ALLOW, LOG)
    for _ in range(2):
        assert top.has_below(below) and top.has_below(top) and not top.has_below(other)
        assert below.has_below(below) and not below.has_below(top) and not other.has_below(below)


def test_a_stack_has_an_end() -> None:
    long = assemble(*[(0x00, 0, 0, 0)] * 4095, (0x06, 0, 0, ALLOW))
    top: CallFilter | None = None
    for _ in range(7):
        top = above(top, long)
    with pytest.raises(Errno) as caught:
        above(top, long)
    assert caught.value.code == ENOMEM


@pytest.mark.parametrize("code", [0x28, 0x30, 0x40, 0x48, 0x50, 0xB1, 0x94, 0x9C])
def test_what_is_about_packets_is_no_part_of_filters(code: int) -> None:
    program = Program(assemble((code, 0, 0, 4), (0x06, 0, 0, 0)))  # sound for a socket
    with pytest.raises(Errno):
        check_call_program(program)
