"""The number of a system call in a frame that somebody changed (TrapFrame.original_number)."""

from __future__ import annotations

import pytest

from arch.x86_64.frame import TrapFrame
from arch.x86_64.layout import VECTOR_SYSCALL


def frame_of_call(number: int) -> TrapFrame:
    frame = TrapFrame()
    frame.vector = VECTOR_SYSCALL
    frame.error_code = number
    return frame


@pytest.mark.parametrize("number", [0, 59, 0xFFFF_FFFF, 1 << 40, (1 << 62) - 1])
def test_a_changed_frame_is_seen_and_keeps_its_number(number: int) -> None:
    frame = frame_of_call(number)
    assert frame.original_number == number and frame.can_repeat_call()
    frame.set_original_number(frame.original_number)
    assert frame.error_code < 0
    assert frame.original_number == number and frame.can_repeat_call()
    assert frame.traced_call == number & 0xFFFF_FFFF


@pytest.mark.parametrize("number", [-1, -5, -(1 << 40)])
def test_a_negative_number_is_never_repeated(number: int) -> None:
    frame = frame_of_call(0)
    frame.set_original_number(number)
    assert frame.original_number == number and not frame.can_repeat_call()


def test_a_frame_that_is_of_no_call() -> None:
    frame = TrapFrame()
    frame.vector = 14
    frame.error_code = 6
    assert frame.original_number == -1 and not frame.can_repeat_call()
    frame.set_original_number(3)  # as a debugger that gives registers back
    assert frame.is_of_call() and frame.repeatable_call == 3
