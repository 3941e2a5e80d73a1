"""Which thread runs next."""

from hypothesis import given, settings
from hypothesis import strategies as st

from kernel.sched.runqueue import SLICES_NS, RunQueue, begin_in, has_had_turn, slice_of
from kernel.sched.thread import SCHED_FIFO, SCHED_RR, Thread


def thread(name: str, nice: int = 0) -> Thread:
    fresh = Thread(name.encode())
    fresh.wishes.nice = nice
    fresh.turn.slice_ns = slice_of(fresh)
    return fresh


def test_slices_follow_nice() -> None:
    assert SLICES_NS[20] == 6_000_000
    assert SLICES_NS[0] > 80 * SLICES_NS[20]
    assert 60 * SLICES_NS[39] < SLICES_NS[20] < 80 * SLICES_NS[39]


def test_realtime_goes_first_by_priority() -> None:
    queue = RunQueue()
    fair, low, high = thread("fair"), thread("low"), thread("high")
    low.wishes.policy, low.wishes.realtime_priority = SCHED_FIFO, 1
    high.wishes.policy, high.wishes.realtime_priority = SCHED_RR, 9
    for each in (fair, low, high):
        queue.add_woken(each)
    assert [queue.take() for _ in range(4)] == [high, low, fair, None]
    assert queue.outranks(low, fair) and not queue.outranks(fair, low) and queue.outranks(high, low)


def test_a_woken_thread_goes_first_unless_half_a_slice_behind() -> None:
    queue = RunQueue()
    woken, running = thread("woken"), thread("running")
    running.turn.slice_ns = woken.turn.length_ns
    woken.turn.slice_ns = woken.turn.length_ns // 2 + 1
    assert queue.outranks(woken, running)
    woken.turn.slice_ns = woken.turn.length_ns // 2
    assert not queue.outranks(woken, running)
    woken.turn.slice_ns, running.turn.slice_ns = 0, 1
    assert not queue.outranks(woken, running)


def test_paused_realtime_threads_wait_for_the_others() -> None:
    queue = RunQueue()
    fair, other, realtime = thread("fair"), thread("other"), thread("realtime")
    realtime.wishes.policy, realtime.wishes.realtime_priority = SCHED_FIFO, 99
    for each in (fair, realtime):
        queue.add_woken(each)
    queue.pauses_realtime = True
    assert queue.outranks(fair, realtime) and not queue.outranks(realtime, fair)
    assert queue.take() is fair
    assert queue.take() is realtime  # nobody else is there
    queue.add_preempted(realtime)
    fair.turn.slice_ns = 0
    queue.add_yielded(fair)
    queue.add_woken(other)
    assert [queue.take() for _ in range(3)] == [other, fair, realtime]


def test_used_slices_wait_for_the_next_round() -> None:
    queue = RunQueue()
    a, b = thread("a"), thread("b")
    queue.add_woken(a)
    queue.add_woken(b)
    first = queue.take()
    assert first is b  # who woke last goes first
    b.turn.slice_ns = 0
    queue.add_yielded(b)
    assert queue.take() is a
    a.turn.slice_ns = -1
    queue.add_yielded(a)
    assert queue.take() is b and b.turn.slice_ns == slice_of(b)
    assert queue.take() is a and a.turn.slice_ns == slice_of(a) - 1


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(-20, 19), min_size=2, max_size=6), st.integers(1, 10))
def test_shares_are_proportional_and_nobody_starves(nices: list[int], tick_ms: int) -> None:
    """Processor hogs get time in proportion to their slices, up to the granularity of one slice or tick a thread."""
    queue = RunQueue()
    threads = [thread(str(i), nice) for i, nice in enumerate(nices)]
    for each in threads:
        queue.add_woken(each)
    used = dict.fromkeys(threads, 0)
    tick = tick_ms * 1_000_000
    round_ns = sum(slice_of(t) for t in threads)
    total = 0
    while total < 30 * (round_ns + len(threads) * tick) + 2_000_000_000:
        running = queue.take()
        assert running is not None
        ran = 0
        while running.turn.slice_ns > 0:
            running.turn.slice_ns -= tick
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
    threads[0].turn.slice_ns = 0
    for each in threads:
        queue.add_woken(each)
    for each in threads:
        queue.remove(each)
    assert not queue.has_ready() and queue.ready_count() == 0


def test_realtime_threads_wait_by_priority_and_in_turn() -> None:
    queue = RunQueue()
    threads = [thread(str(number)) for number in range(6)]
    for number, each in enumerate(threads):
        each.wishes.policy, each.wishes.realtime_priority = SCHED_RR, 1 + number % 3
        queue.add_yielded(each)
    first = queue.take()
    assert first is threads[2]
    queue.add_preempted(first)
    assert queue.take() is first  # before its equal
    queue.add_yielded(first)
    assert [queue.take() for _ in range(7)] == [threads[number] for number in (5, 2, 1, 4, 0, 3)] + [None]


def test_others_see_what_they_may_take() -> None:
    """Without a search, if all are bound."""
    queue = RunQueue()
    bound, spent, free = Thread(b"bound"), Thread(b"spent"), Thread(b"free")
    bound.allowed = spent.allowed = 1
    for each in (bound, spent, free):
        each.turn.slice_ns = 0 if each is spent else slice_of(each)
        queue.add_yielded(each)
    assert queue.movable_count() == 1
    assert queue.first_for(1) is free and queue.first_for(0) is bound
    queue.remove(free)
    assert queue.movable_count() == 0 and queue.first_for(1) is None
    other = Thread(b"other")
    other.wishes.policy, other.wishes.realtime_priority, other.allowed = SCHED_FIFO, 9, 0b110
    queue.add_woken(other)
    assert queue.movable_count() == 1 and queue.first_for(2) is other and queue.first_for(3) is None


def test_debtors_sit_rounds_out() -> None:
    """A thread that ran past its slice by several is passed over as often."""
    queue = RunQueue()
    debtor, other = thread("debtor"), thread("other")
    debtor.turn.slice_ns = -3 * slice_of(debtor)
    other.turn.slice_ns = 0
    queue.add_yielded(debtor)
    queue.add_yielded(other)
    turns = []
    for _ in range(5):
        running = queue.take()
        assert running is not None
        turns.append(running)
        running.turn.slice_ns = 0
        queue.add_yielded(running)
    assert turns == [other, other, other, debtor, other]


def test_no_thread_has_two_slices_of_a_round() -> None:
    """Neither by sleeping, nor by a detour over a queue that is in an earlier round."""
    ahead, behind = RunQueue(), RunQueue()
    ahead.round, behind.round = 20, 10
    turner = thread("turner")
    turner.turn.slice_ns = 0
    ahead.add_woken(turner)
    assert ahead.take() is turner and turner.turn.slice_ns == slice_of(turner)
    for queue in (ahead, behind):
        turner.turn.slice_ns = 1
        queue.add_woken(turner)
        assert queue.take() is turner and turner.turn.slice_ns == 1
    turner.turn.slice_ns = 0
    behind.add_yielded(turner)
    assert behind.take() is turner and turner.turn.slice_ns == slice_of(turner)
    turner.turn.slice_ns = 1
    ahead.add_woken(turner)
    assert ahead.take() is turner and turner.turn.slice_ns == 1


def test_one_that_another_processor_takes_has_a_slice_of_its_round() -> None:
    """And no other one of that round when it has slept, but one of the next."""
    ahead = RunQueue()
    ahead.round = 20
    taken = thread("taken")
    taken.turn.slice_ns = 0
    begin_in(taken, due=11, round_number=ahead.round)
    assert taken.turn.slice_ns == slice_of(taken)
    taken.turn.slice_ns = 1
    ahead.add_woken(taken)
    assert ahead.take() is taken and taken.turn.slice_ns == 1
    ahead.round = 21
    ahead.add_woken(taken)
    assert ahead.take() is taken and taken.turn.slice_ns == slice_of(taken)
    taken.turn.slice_ns = 0
    begin_in(taken, due=24, round_number=ahead.round)
    assert taken.turn.slice_ns == -2 * slice_of(taken) and taken.turn.round == 21


def test_short_turns_divide_a_slice() -> None:
    queue = RunQueue()
    short, other = thread("short"), thread("other")
    short.precedence.wanted_ns = 1_000_000
    short.accounts.runtime_ns, short.turn.slice_ns = 999_999, 5_000_001
    assert not has_had_turn(short)
    short.accounts.runtime_ns, short.turn.slice_ns = 1_000_000, 5_000_000
    assert has_had_turn(short)
    queue.add_woken(other)
    queue.add_yielded(short)
    short.precedence.turn_ns = short.accounts.runtime_ns
    assert not has_had_turn(short)
    assert [queue.take(), queue.take()] == [other, short]
    assert queue.round == 0
    short.turn.slice_ns = 0
    assert has_had_turn(short)


def test_long_turns_take_the_slices_of_later_rounds() -> None:
    queue = RunQueue()
    long, other = thread("long"), thread("other")
    long.precedence.wanted_ns = 60_000_000
    long.accounts.runtime_ns, long.turn.slice_ns = 59_999_999, long.turn.length_ns - 59_999_999
    assert not has_had_turn(long)
    long.accounts.runtime_ns, long.turn.slice_ns = 60_000_000, long.turn.length_ns - 60_000_000
    assert has_had_turn(long)
    queue.add_yielded(long)
    turns = 0
    queue.add_woken(other)
    while queue.take() is other:
        turns += 1
        other.turn.slice_ns = 0
        queue.add_yielded(other)
    assert turns == 10


def test_threads_with_shorter_turns_go_first() -> None:
    queue = RunQueue()
    woken, running = thread("woken"), thread("running")
    woken.precedence.wanted_ns, woken.turn.slice_ns = 1_000_000, 1
    assert queue.outranks(woken, running)
    woken.turn.slice_ns = 0
    assert not queue.outranks(woken, running)
    woken.precedence.wanted_ns, woken.turn.slice_ns = 10_000_000, woken.turn.length_ns
    running.turn.slice_ns = 1
    assert not queue.outranks(woken, running)
