"""Which thread runs next."""

from hypothesis import given, settings
from hypothesis import strategies as st

from kernel.sched.runqueue import SLICES_NS, RunQueue, slice_of
from kernel.sched.thread import SCHED_FIFO, SCHED_RR, Thread


def thread(name: str, nice: int = 0) -> Thread:
    fresh = Thread(name.encode())
    fresh.nice = nice
    fresh.slice_ns = slice_of(fresh)
    return fresh


def test_slices_follow_nice() -> None:
    assert SLICES_NS[20] == 6_000_000
    assert SLICES_NS[0] > 80 * SLICES_NS[20]
    assert 60 * SLICES_NS[39] < SLICES_NS[20] < 80 * SLICES_NS[39]


def test_realtime_goes_first_by_priority() -> None:
    queue = RunQueue()
    fair, low, high = thread("fair"), thread("low"), thread("high")
    low.policy, low.realtime_priority = SCHED_FIFO, 1
    high.policy, high.realtime_priority = SCHED_RR, 9
    for each in (fair, low, high):
        queue.add_woken(each, 0)
    assert [queue.take(0) for _ in range(4)] == [high, low, fair, None]
    assert queue.outranks(low, fair) and not queue.outranks(fair, low) and queue.outranks(high, low)


def test_paused_realtime_threads_wait_for_the_others() -> None:
    queue = RunQueue()
    fair, other, realtime = thread("fair"), thread("other"), thread("realtime")
    realtime.policy, realtime.realtime_priority = SCHED_FIFO, 99
    for each in (fair, realtime):
        queue.add_woken(each, 0)
    queue.pauses_realtime = True
    assert queue.outranks(fair, realtime) and not queue.outranks(realtime, fair)
    assert queue.take(0) is fair
    assert queue.take(0) is realtime  # nobody else is there
    queue.add_preempted(realtime)
    fair.slice_ns = 0
    queue.add_yielded(fair)
    queue.add_woken(other, 0)
    assert [queue.take(0) for _ in range(3)] == [other, fair, realtime]


def test_used_slices_wait_for_the_next_round() -> None:
    queue = RunQueue()
    a, b = thread("a"), thread("b")
    queue.add_woken(a, 0)
    queue.add_woken(b, 0)
    first = queue.take(0)
    assert first is b  # who woke last goes first
    b.slice_ns = 0
    queue.add_yielded(b)
    assert queue.take(0) is a
    a.slice_ns = -1
    queue.add_yielded(a)
    assert queue.take(0) is b and b.slice_ns == slice_of(b)
    assert queue.take(0) is a and a.slice_ns == slice_of(a) - 1


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(-20, 19), min_size=2, max_size=6), st.integers(1, 10))
def test_shares_are_proportional_and_nobody_starves(nices: list[int], tick_ms: int) -> None:
    """Processor hogs get time in proportion to their slices, up to the granularity of one slice or tick a thread."""
    queue = RunQueue()
    threads = [thread(str(i), nice) for i, nice in enumerate(nices)]
    for each in threads:
        queue.add_woken(each, 0)
    used = dict.fromkeys(threads, 0)
    tick = tick_ms * 1_000_000
    round_ns = sum(slice_of(t) for t in threads)
    total = 0
    while total < 30 * (round_ns + len(threads) * tick) + 2_000_000_000:
        running = queue.take(0)
        assert running is not None
        ran = 0
        while running.slice_ns > 0:
            running.slice_ns -= tick
            ran += tick
        used[running] += ran
        total += ran
        queue.add_yielded(running)
    for each in threads:
        fair_share = total * slice_of(each) // round_ns
        assert abs(used[each] - fair_share) <= 3 * (slice_of(each) + 60_000_000) + fair_share // 5


def test_remove_from_any_list() -> None:
    queue = RunQueue()
    threads = [thread(str(i)) for i in range(5)]
    threads[0].slice_ns = 0
    for each in threads:
        queue.add_woken(each, 0)
    for each in threads:
        queue.remove(each)
    assert not queue.has_ready() and queue.ready_count() == 0


def test_a_processor_takes_what_it_may() -> None:
    """Not what is for others, which keeps its place."""
    queue = RunQueue()
    bound, spent, free = Thread(b"bound"), Thread(b"spent"), Thread(b"free")
    bound.allowed = spent.allowed = 1
    for thread in (bound, spent, free):
        thread.slice_ns = 0 if thread is spent else slice_of(thread)
        queue.add_yielded(thread)
    assert queue.has_for(1)
    assert queue.take(1) is free
    assert not queue.has_for(1) and queue.has_for(0)
    assert queue.take(1) is None
    assert queue.take(0) is bound
    assert queue.take(0) is spent
    assert not queue.has_ready()


def test_a_round_ends_for_one_processor_only() -> None:
    """What others have not run yet goes before what has used its slice."""
    queue = RunQueue()
    bound, spent = Thread(b"bound"), Thread(b"spent")
    bound.allowed = 1
    bound.slice_ns = slice_of(bound)
    queue.add_yielded(bound)
    spent.slice_ns = 0
    queue.add_yielded(spent)
    assert queue.take(1) is spent
    assert queue.take(0) is bound
