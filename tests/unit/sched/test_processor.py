"""Which processor is asked to run a thread that became ready."""

from collections.abc import Iterator

import pytest

from kernel.sched import processor as module
from kernel.sched.processor import (
    PROCESSORS,
    RUNNING,
    Processor,
    Running,
    add_processor,
    announce_ready,
    announce_start,
    announce_work_of,
    processor_mask,
    share_work,
    take_over,
    this_processor,
    watch_calls_of,
)
from kernel.sched.runqueue import slice_of
from kernel.sched.thread import SCHED_FIFO, Thread, ThreadState

watched: list[tuple[int, bool]] = []  # what the doors were told


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
        each.current.slice_ns = slice_of(each.current) // 2
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


def ready(name: bytes, *, priority: int = 0, last: int = 0, allowed: int = -1) -> Thread:
    thread = Thread(name)
    if priority > 0:
        thread.policy, thread.realtime_priority = SCHED_FIFO, priority
    thread.processor, thread.allowed = last, allowed
    thread.slice_ns = slice_of(thread)
    thread.state = ThreadState.READY
    PROCESSORS[0].queue.add_preempted(thread)
    return thread


def taken(thread: Thread) -> None:
    PROCESSORS[0].queue.remove(thread)


def test_a_thread_goes_where_it_was_if_nobody_runs_there(interrupted: list[int]) -> None:
    PROCESSORS[1].idle = PROCESSORS[3].idle = True
    first, second, third = ready(b"first", last=3), ready(b"second", last=3), ready(b"third", last=3)
    announce_ready(first)
    announce_ready(second)  # 3 was asked already
    assert interrupted == [3, 1]
    announce_ready(third)  # nobody idles any more: it takes the place of the running thread, which it outranks
    assert interrupted == [3, 1] and RUNNING.need_resched
    for each in (first, second, third):
        taken(each)


def test_realtime_takes_the_least_urgent_place(interrupted: list[int]) -> None:
    for each, priority in zip(PROCESSORS, (30, 20, 10, 40), strict=True):
        each.current.policy, each.current.realtime_priority = SCHED_FIFO, priority
    weak, strong = ready(b"weak", priority=5), ready(b"strong", priority=35)
    announce_ready(weak)
    assert interrupted == [] and not RUNNING.need_resched
    announce_ready(strong)
    assert interrupted == [2]
    taken(weak)
    taken(strong)


def test_nobody_is_asked_who_may_not(interrupted: list[int]) -> None:
    PROCESSORS[1].idle = True
    bound = ready(b"bound", last=1, allowed=0b0100)
    announce_ready(bound)
    assert interrupted == [2]
    taken(bound)


def test_a_new_thread_takes_only_what_is_free(interrupted: list[int]) -> None:
    child = ready(b"child")
    announce_start(child)
    assert interrupted == [] and not RUNNING.need_resched
    PROCESSORS[2].idle = True
    announce_start(child)
    assert interrupted == [2]
    taken(child)


def test_a_switch_wakes_as_many_as_there_is_work_for(interrupted: list[int]) -> None:
    for number in (1, 2, 3):
        PROCESSORS[number].idle = True
    bound, free = ready(b"bound", allowed=0b1001), ready(b"free")
    share_work(PROCESSORS[0])
    assert interrupted == [1, 2]  # 2 finds nothing more, and waits again: it could not know
    taken(free)
    interrupted.clear()
    PROCESSORS[1].need_resched = PROCESSORS[2].need_resched = False
    share_work(PROCESSORS[0])
    assert interrupted == [3]
    taken(bound)


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
