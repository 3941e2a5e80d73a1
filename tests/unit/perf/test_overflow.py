"""What samples and the programs that judge them may cost, on a booted machine."""

from __future__ import annotations

import errno

import pytest

from kernel.lang import span_of
from kernel.perf.overflow import BUDGET, _take_clock, happened
from kernel.perf.programs import PROGRAMS
from kernel.perf.sample import PLACE
from kernel.perf.world import HeldEvent
from kernel.time.clock import monotonic_ns
from tests.unit.booted import booted
from tests.unit.perf.test_events import DISABLED, FAULTS, PAGE, SOFTWARE, attributes, file_of, opened
from tests.unit.perf.test_programs import BPF_OUTPUT, DROP, OF_EVENT, PASS, TracingCalls
from tools.simulated.machine import Machine


@booted
def test_programs_for_samples_share_a_budget(machine: Machine) -> None:
    host = machine.host
    calls = TracingCalls(host)
    event = opened(host, attributes(FAULTS, DISABLED, SOFTWARE, 1, 8))
    assert calls.set(event, calls.load_kind(OF_EVENT, DROP)) == 0
    judged = file_of(host, event).event
    BUDGET.begin()
    before = BUDGET.left
    happened(judged, 1, PLACE, 0, span_of(b""))
    assert before - BUDGET.left >= 3000 and judged.lost == 0
    BUDGET.left = 1
    happened(judged, 1, PLACE, 0, span_of(b""))
    assert BUDGET.left < 0 and judged.lost == 0
    happened(judged, 1, PLACE, 0, span_of(b""))
    assert judged.lost == 1
    host.close(event)


@booted
@pytest.mark.parametrize("has_program", [False, True])
def test_a_clock_rests_after_a_long_program(machine: Machine, has_program: bool) -> None:
    host = machine.host
    calls = TracingCalls(host)
    clock = opened(host, attributes(0, DISABLED, SOFTWARE, 100_000, 8), -1, 0)
    if has_program:
        assert calls.set(clock, calls.load_kind(OF_EVENT, PASS)) == 0
    event = file_of(host, clock).event
    context = event.context
    assert context is not None
    BUDGET.left = 1
    now_ns = monotonic_ns()
    following_ns = _take_clock(context, event, now_ns)
    assert following_ns >= now_ns + 4_000_000 if has_program else following_ns == now_ns + 100_000
    host.close(clock)


@booted
def test_a_program_writes_no_more_than_there_is_time_for(machine: Machine) -> None:
    host = machine.host
    output = opened(host, attributes(BPF_OUTPUT, 0, SOFTWARE, 1, 1 << 10), -1, 0)
    assert host.call("mmap", 0, 2 * PAGE, 3, 1, output, 0) > 0
    file = file_of(host, output)
    held = HeldEvent(file, file.event)
    PROGRAMS.place = PLACE
    BUDGET.begin()
    before = BUDGET.left
    assert PROGRAMS.world.write_event(held, span_of(b"12345678")) == 0
    assert before - BUDGET.left > 1500
    BUDGET.left = 0
    assert PROGRAMS.world.write_event(held, span_of(b"12345678")) == -errno.ENOSPC and file.event.lost == 1
    PROGRAMS.place = None
    host.close(output)
