"""Shares and quotas of time."""

from kernel.sched.bandwidth import TimeShare

_SLICE = 6_000_000
_PERIOD = 100_000_000


def test_threads_of_a_group_share_one_slice() -> None:
    share = TimeShare(None)
    share.add_load(100)
    assert share.slice_for(_SLICE) == _SLICE
    for _ in range(9):
        share.add_load(100)
    assert share.slice_for(_SLICE) == _SLICE // 10
    share.set_weight(300, is_idle=False)
    assert share.slice_for(_SLICE) == _SLICE * 3 // 10


def test_groups_divide_what_their_parent_has() -> None:
    parent = TimeShare(None)
    one, other = TimeShare(parent), TimeShare(parent)
    one.set_weight(300, is_idle=False)
    one.add_load(100)
    assert one.slice_for(_SLICE) == _SLICE  # alone
    other.add_load(100)
    other.add_load(100)
    assert one.slice_for(_SLICE) == _SLICE * 3 // 4
    assert other.slice_for(_SLICE) == _SLICE // 8
    other.take_load(200)
    assert parent.load == 300
    one.take_load(100)
    assert parent.load == 0 and parent.entered == 0


def test_a_quota_is_kept_over_periods() -> None:
    share = TimeShare(None)
    share.quota_ns = 20_000_000
    now = 1
    ran = 0
    while now < 10_000_000_000:
        free = share.free_at(now)
        if free > now:
            now = free
            continue
        now += 4_000_000
        ran += 4_000_000
        share.use(4_000_000, now)
    assert abs(ran - 2_000_000_000) < 50_000_000
    assert share.throttled_periods > 90 and share.throttled_ns > 7_000_000_000


def test_debts_are_paid_back() -> None:
    share = TimeShare(None)
    share.quota_ns = 10_000_000
    assert share.use(1_000, 1) is False
    assert share.use(35_000_000, 36_000_000)
    assert share.free_at(36_000_000) > 36_000_000
    end = share.period_end_ns
    assert share.free_at(end) > end  # 25 ms of 10 are owed
    assert share.free_at(end + 3 * _PERIOD) == 0


def test_a_limit_above_counts() -> None:
    parent = TimeShare(None)
    child = TimeShare(parent)
    parent.quota_ns = 10_000_000
    assert child.use(11_000_000, 20_000_000)
    assert child.free_at(20_000_000) > 0


def test_a_long_call_is_paid_for_whole() -> None:
    share = TimeShare(None)
    share.quota_ns = 1_000_000
    share.use(1_000, 1)
    now = 1
    for _ in range(25):  # in a system call, over many periods
        now += 4_000_000
        share.use(4_000_000, now)
    assert share.used_ns >= 99_000_000
    later = now + 90 * _PERIOD
    assert share.free_at(later) > later
    assert share.free_at(now + 101 * _PERIOD) == 0


def test_a_large_weight_lengthens_a_long_slice() -> None:
    share = TimeShare(None)
    share.set_weight(10_000, is_idle=False)
    share.add_load(8867)
    assert share.slice_for(532_000_000) == 532_000_000 * 10_000 // 8867


def test_no_limit_ends_waiting() -> None:
    share = TimeShare(None)
    share.set_limit(1_000_000, _PERIOD)
    share.use(5_000_000, 1)
    assert share.free_at(2) > 0
    share.set_limit(1_000_000, _PERIOD)
    assert share.free_at(3) > 0  # writing the same forgives nothing
    share.set_limit(-1, _PERIOD)
    assert share.throttled_since_ns == 0 and share.free_at(4) == 0
