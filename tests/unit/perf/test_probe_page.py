"""The page where displaced instructions run, on a booted machine."""

import errno

import pytest

from arch.programs import BREAKPOINT_CODE, SLOT_BYTES
from kernel.lang import Errno
from kernel.mm.frames import PAGE_SIZE, frame_span
from kernel.perf.probe_page import ProbePage, make_probe_page, probe_page
from kernel.task.task import current
from tests.unit.booted import booted
from tools.simulated.machine import Machine


@booted
def test_a_slot_is_a_probe_s_as_long_as_there_is_room(machine: Machine) -> None:
    page = ProbePage()
    page.acquire()
    span = frame_span(page.frame)
    assert span[0:SLOT_BYTES].to_bytes() == bytes([BREAKPOINT_CODE]) * SLOT_BYTES
    first = page.take_slot(7, bytes(SLOT_BYTES))
    assert first == 1 and span[SLOT_BYTES : 2 * SLOT_BYTES].to_bytes() == bytes(SLOT_BYTES)
    assert page.take_slot(7, bytes(SLOT_BYTES)) == first
    assert page.take_slot(8, b"\x90" * SLOT_BYTES) == 2
    page.release()


@booted
def test_slots_without_steps_are_used_anew(machine: Machine) -> None:
    page = ProbePage()
    page.acquire()
    count = PAGE_SIZE // SLOT_BYTES - 1
    for number in range(count):
        page.take_slot(number + 1, bytes(SLOT_BYTES))
    with pytest.raises(Errno) as caught:
        page.take_slot(count + 1, bytes(SLOT_BYTES))
    assert caught.value.code == errno.EAGAIN
    page.leave_slot(5)
    assert page.take_slot(count + 1, bytes(SLOT_BYTES)) == 5
    page.release()


@booted
def test_a_program_has_one_page(machine: Machine) -> None:
    space = current().space
    assert probe_page(space) is None
    page = make_probe_page(space)
    assert probe_page(space) is page and make_probe_page(space) is page
    area = space.area_at(space.layout.probe_page)
    assert area is not None and area.source_name() == b"[uprobes]"
