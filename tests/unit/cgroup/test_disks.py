"""The controller "io": what is counted, and when the next request may begin."""

from kernel.cgroup.disks import NO_RATE, READING, WRITING, DiskControl, DiskShare, HeldRequests, Waiting

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


class Request(Waiting):
    """One that notes when it begins. `followers`: how many its group then adds."""

    def __init__(self, number: int, held: HeldRequests, begun: list[int], followers: int = 0) -> None:
        super().__init__()
        self.number = number
        self.held = held
        self.begun = begun
        self.followers = followers

    def go(self) -> None:
        self.begun.append(self.number)
        for _ in range(self.followers):
            self.held.add(Request(self.number + 100, self.held, self.begun, self.followers))


def numbers_waiting(held: HeldRequests) -> list[int]:
    found, waiting = [], held.requests.first()
    while waiting is not None:
        assert isinstance(waiting, Request)
        found.append(waiting.number)
        waiting = waiting.after()
    return found


def test_what_waits_begins_in_the_order_in_which_it_came() -> None:
    held = HeldRequests()
    begun: list[int] = []
    requests = [Request(number, held, begun) for number in range(6)]
    for request in requests:
        held.add(request)
    for taken in (0, 3, 5):
        held.remove(requests[taken])
    assert numbers_waiting(held) == [1, 2, 4]
    held.add(requests[0])
    held.let_go()
    assert begun == [1, 2, 4, 0]
    assert numbers_waiting(held) == [] and held.count == 0 and held.requests.last() is None


def test_letting_go_ends_though_members_add_requests() -> None:
    held = HeldRequests()
    begun: list[int] = []
    for number in range(3):
        held.add(Request(number, held, begun, followers=1))
    held.let_go()
    assert begun == [0, 1, 2]
    assert numbers_waiting(held) == [100, 101, 102]
