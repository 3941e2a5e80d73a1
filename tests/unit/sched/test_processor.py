"""What a processor is asked, and who runs the kernel."""

from collections.abc import Iterator

import pytest

from kernel.sched import processor as module
from kernel.sched.processor import (
    PROCESSORS,
    RUNNING,
    Processor,
    Running,
    add_processor,
    announce_work_of,
    processor_mask,
    take_over,
    this_processor,
    watch_calls_of,
)
from kernel.sched.runqueue import slice_of
from kernel.sched.thread import Thread, ThreadState

watched: list[tuple[int, bool]] = []  # what was reported to the doors


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Four processors, each of which runs a thread that has used half of its slice; who was interrupted since."""
    told: list[int] = []
    monkeypatch.setattr(module, "interrupt_processor", told.append)
    monkeypatch.setattr(module, "note_watched", lambda number, is_watched: watched.append((number, is_watched)))
    watched.clear()
    before = PROCESSORS[0].current
    while len(PROCESSORS) < 4:
        add_processor()
    for each in PROCESSORS:
        run(each, Thread(b"runs"))
        each.current.turn.slice_ns = slice_of(each.current) // 2
    yield told
    del PROCESSORS[1:]
    RUNNING.several = False
    run(PROCESSORS[0], before)


def run(processor: Processor, thread: Thread) -> None:
    thread.state = ThreadState.RUNNING
    thread.processor = processor.number
    processor.current = thread
    processor.idle = processor.need_resched = processor.has_work = processor.watches_calls = False
    if processor is RUNNING.processor:
        RUNNING.current = thread
        RUNNING.need_resched = RUNNING.has_work = RUNNING.watches_calls = False


def flags(asked: Processor | Running) -> tuple[bool, bool, bool]:
    return asked.need_resched, asked.has_work, asked.watches_calls


def test_work_is_announced_where_the_thread_runs(interrupted: list[int]) -> None:
    announce_work_of(PROCESSORS[2].current)
    assert interrupted == [2] and PROCESSORS[2].has_work
    announce_work_of(PROCESSORS[0].current)
    assert interrupted == [2] and RUNNING.has_work
    asleep = Thread(b"asleep")
    asleep.processor = 1
    announce_work_of(asleep)
    assert interrupted == [2] and not PROCESSORS[1].has_work
    watch_calls_of(PROCESSORS[3].current, True)
    watch_calls_of(asleep, True)
    assert [each.watches_calls for each in PROCESSORS] == [False, False, False, True]
    watch_calls_of(PROCESSORS[0].current, True)
    watch_calls_of(PROCESSORS[3].current, False)
    assert watched == [(3, True), (0, True), (3, False)]


def test_whoever_takes_over_is_the_running_one(interrupted: list[int]) -> None:
    """What it was asked meanwhile comes with it; what the one before was asked waits there."""
    announce_work_of(PROCESSORS[2].current)
    watch_calls_of(PROCESSORS[0].current, True)
    RUNNING.request_reschedule()
    take_over(2)
    assert this_processor() is PROCESSORS[2] and RUNNING.current is PROCESSORS[2].current
    assert flags(RUNNING) == (False, True, False)
    assert flags(PROCESSORS[0]) == (True, True, True)
    take_over(0)
    assert this_processor() is PROCESSORS[0] and RUNNING.current is PROCESSORS[0].current
    assert flags(RUNNING) == (True, True, True)
    assert not PROCESSORS[0].need_resched


def test_masks(interrupted: list[int]) -> None:
    assert processor_mask() == 0b1111
    while len(PROCESSORS) < 64:
        add_processor()
    assert processor_mask() == -1
    assert PROCESSORS[63].boot_thread.may_run_on(63) and not PROCESSORS[63].boot_thread.may_run_on(62)
