"""The controller "io": what is counted, and when the next request may begin."""

from kernel.cgroup.disks import NO_RATE, READING, WRITING, DiskControl, DiskShare

S = 1_000_000_000


def test_requests_of_a_group_follow_one_another() -> None:
    share = DiskShare(1)
    share.byte_rates = [1_000_000, NO_RATE]
    share.request_rates = [100, NO_RATE]
    assert share.pay(READING, 500_000, 1, 10 * S) == 10 * S
    assert share.pay(READING, 1, 1, 10 * S) == 10 * S + S // 2  # by bytes
    assert share.pay(READING, 1, 1, 10 * S) == 10 * S + S // 2 + S // 100  # by requests
    assert share.pay(READING, 1, 1, 20 * S) == 20 * S  # what was not used is lost
    assert share.pay(WRITING, 1 << 40, 1, 5) == 5


def test_a_request_pays_for_those_above() -> None:
    above = DiskControl(None)
    below = DiskControl(above)
    above.set_rates(7, [NO_RATE, 1000], [NO_RATE, NO_RATE])
    below.set_rates(7, [NO_RATE, 4000], [NO_RATE, NO_RATE])
    sibling = DiskControl(above)
    assert below.pay(7, WRITING, 1000, 1, S) == S
    assert below.free_ns(7, WRITING) == 2 * S
    assert sibling.pay(7, WRITING, 1000, 1, S) == 2 * S
    assert sibling.pay(8, WRITING, 1000, 1, S) == S
    below.count(7, WRITING, 512)
    assert above.share(7).bytes[WRITING] == 512 and above.share(7).requests[WRITING] == 1


def test_costs_do_not_overflow() -> None:
    share = DiskShare(1)
    share.byte_rates = [2, 2]
    for _ in range(20):
        share.pay(READING, 1 << 50, 1, S)
    assert share.free_ns[READING] == (1 << 63) - 1
