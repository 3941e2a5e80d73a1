"""The controller "cpu": the share of the time that a group of threads gets, and its limit.

A share is a slice of each round (runqueue.py): the threads of a group have together what one thread of nice 0 outside
has, times the group's weight / 100, however many they are; and inside a group, its threads and the groups below it
divide that by their weights. The divisor counts those that are ready or run (`load`), or all that had slices in the
rounds before, each by how much of its slice it used (`demand`), if that is more: threads that wake each other in turn
are never ready together, and would each have the slice of the group.

A limit is a quota for each period. What threads run past it (until the next tick, or in a system call) is a debt to
the next periods. A thread past the quota waits on its way to user mode (task/group_time.py), so it holds
nothing in the meantime. Real-time threads are not limited.

Context: never sleeps, allocates nothing; called from interrupts too. Groups are at most as deep as
`kernel.cgroup.tree` permits, so that a walk up takes a bounded time.
"""

from typing import TYPE_CHECKING, Final

from kernel.lang import final

if TYPE_CHECKING:
    from kernel.sched.thread import Thread

DEFAULT_WEIGHT: Final = 100
NO_QUOTA: Final = -1
DEFAULT_PERIOD_NS: Final = 100_000_000
BASE_SLICE_NS: Final = 6_000_000  # nice 0
_DEMAND_ONE: Final = 1024
_ROUNDS_REMEMBERED: Final = 1000  # after this many without a slice in a group, its demand is forgotten
_SHORTEST_NS: Final = 10_000
_LONGEST_NS: Final = 1 << 40
_MOST_DEBT_NS: Final = 3_600_000_000_000  # more is forgiven
_MOST_PERIODS: Final = 1 << 22  # of the shortest quota, these pay that debt


@final
class TimeShare:
    """The time share of one group."""

    def __init__(self, parent: "TimeShare | None") -> None:
        self.parent: TimeShare | None = parent
        self.weight: int = DEFAULT_WEIGHT
        self.is_idle: bool = False  # it gets almost only what no one else wants (cpu.idle)
        self.load: int = 0  # weights of those that run or are ready in it: threads (100 for nice 0) and groups
        self.entered: int = 0  # how much of its weight counts in its parent's load
        # Weights of those that had slices, each times the used part of its last one, in units of 1 / _DEMAND_ONE
        self.round: int = 0  # the latest in which a thread had a slice
        self.demand: int = 0  # in that round
        self.usual_demand: int = 0  # an average over those before
        # The limit, in nanoseconds
        self.quota_ns: int = NO_QUOTA
        self.period_ns: int = DEFAULT_PERIOD_NS
        self.burst_ns: int = 0
        self.used_ns: int = 0  # of the quota; negative: saved
        self.period_end_ns: int = 0
        self.was_throttled: bool = False  # in this period
        self.throttled_since_ns: int = 0  # since when a thread waits; 0: none does
        self.periods: int = 0
        self.throttled_periods: int = 0
        self.throttled_ns: int = 0
        self.bursts: int = 0
        self.burst_used_ns: int = 0

    def end(self) -> None:
        """Its group goes, or loses the controller: its threads count elsewhere from now on."""
        self.quota_ns = NO_QUOTA
        self._leave_parent()

    # ---- Weights ----------------------------------------------------------------------------------------------

    def effective_weight(self) -> int:
        """Its weight among its siblings."""
        return 1 if self.is_idle else self.weight

    def set_weight(self, weight: int, is_idle: bool) -> None:
        """Set the weight, from the next round on."""
        self.weight = weight
        self.is_idle = is_idle
        if self.load > 0:
            parent = self.parent
            if parent is not None:
                parent.load += self.effective_weight() - self.entered
            self.entered = self.effective_weight()

    def add_load(self, load: int) -> None:
        """A thread became ready."""
        walker = self
        while True:
            was_idle = walker.load == 0
            walker.load += load
            parent = walker.parent
            if not was_idle or parent is None:
                return
            load = walker.effective_weight()
            walker.entered = load
            walker = parent

    def take_load(self, load: int) -> None:
        """A thread sleeps, or has ended."""
        walker = self
        while True:
            walker.load -= load
            parent = walker.parent
            if walker.load > 0 or parent is None:
                return
            load = walker.entered
            walker.entered = 0
            walker = parent

    def count_slice(self, load: int, used_ns: int, length_ns: int, round_number: int) -> None:
        """A thread begins a slice in a round; `used_ns` of its last one, of `length_ns`, was used."""
        demand = used_ns * _DEMAND_ONE // length_ns * load
        walker = self
        while True:
            if walker.round < round_number:
                is_long_ago = round_number - walker.round > _ROUNDS_REMEMBERED
                walker.round = round_number
                walker.usual_demand = 0 if is_long_ago else (walker.usual_demand + walker.demand) // 2
                walker.demand = 0
            walker.demand += demand
            parent = walker.parent
            if parent is None:
                return
            demand = demand * walker.effective_weight() // walker.divisor()
            walker = parent

    def divisor(self) -> int:
        """The weight by which the group's time is divided. If no thread is ready: as if one of nice 0 were."""
        return max(self.load if self.load > 0 else DEFAULT_WEIGHT, self.usual_demand // _DEMAND_ONE)

    def _leave_parent(self) -> None:
        parent = self.parent
        if parent is not None and self.entered > 0:
            parent.take_load(self.entered)
            self.entered = 0

    def slice_for(self, base_ns: int) -> int:
        """How long a thread of the group may run in a round, if it would have `base_ns` outside."""
        length = base_ns
        walker: TimeShare | None = self
        while walker is not None:
            length = min(length * walker.effective_weight() // walker.divisor(), _LONGEST_NS)
            walker = walker.parent
        return max(length, _SHORTEST_NS)

    # ---- Limits -----------------------------------------------------------------------------------------------

    def set_limit(self, quota_ns: int, period_ns: int) -> None:
        """Set the quota and the period, from now on. Debts are paid by the new ones."""
        self.quota_ns = quota_ns
        self.period_ns = period_ns
        self.period_end_ns = 0
        if quota_ns == NO_QUOTA:
            self.used_ns = 0
            self.was_throttled = False
            self.throttled_since_ns = 0

    def use(self, elapsed_ns: int, now_ns: int) -> bool:
        """Threads of the group ran for that long; returns whether a quota is used up, of the group or one above."""
        is_over = False
        walker: TimeShare | None = self
        while walker is not None:
            if walker.quota_ns != NO_QUOTA:
                walker.refill(now_ns)
                walker.used_ns += elapsed_ns
                is_over = is_over or walker.used_ns >= walker.quota_ns
            walker = walker.parent
        return is_over

    def refill(self, now_ns: int) -> None:
        """Bring the quota up to date: each period renews it."""
        if now_ns < self.period_end_ns:
            return
        passed = 1
        if self.period_end_ns == 0:
            self.period_end_ns = now_ns + self.period_ns
        else:
            passed += (now_ns - self.period_end_ns) // self.period_ns
            self.period_end_ns += passed * self.period_ns
        if self.used_ns > 0:
            self.periods += 1
        if self.used_ns > self.quota_ns and self.burst_ns > 0 and not self.was_throttled:
            self.bursts += 1
            self.burst_used_ns += self.used_ns - self.quota_ns
        given_ns = min(passed, _MOST_PERIODS) * min(self.quota_ns, _LONGEST_NS)
        debt_ns = min(self.used_ns, _MOST_DEBT_NS) - given_ns
        self.used_ns = max(debt_ns, -self.burst_ns) if self.burst_ns > 0 else max(debt_ns, 0)
        self.was_throttled = False
        if self.throttled_since_ns != 0 and self.used_ns < self.quota_ns:
            self.throttled_ns += now_ns - self.throttled_since_ns
            self.throttled_since_ns = 0

    def free_at(self, now_ns: int) -> int:
        """When a thread of the group may run: 0 if it may run now."""
        at_ns = 0
        walker: TimeShare | None = self
        while walker is not None:
            if walker.quota_ns != NO_QUOTA:
                walker.refill(now_ns)
                if walker.used_ns >= walker.quota_ns:
                    walker.throttle(now_ns)
                    at_ns = max(at_ns, walker.period_end_ns)
            walker = walker.parent
        return at_ns

    def throttle(self, now_ns: int) -> None:
        """A thread waits for the next period."""
        if not self.was_throttled:
            self.was_throttled = True
            self.throttled_periods += 1
        if self.throttled_since_ns == 0:
            self.throttled_since_ns = now_ns


def load_of(base_slice_ns: int) -> int:
    """The weight of a thread in its group, by its slice outside."""
    return max(1, base_slice_ns * DEFAULT_WEIGHT // BASE_SLICE_NS)


def share_with(thread: "Thread", share: TimeShare | None) -> None:
    """From now on a thread has its time from another group, or from none."""
    load = thread.charges.load
    old = thread.share
    if old is share:
        return
    if old is not None and load > 0:
        old.take_load(load)
    thread.share = share
    thread.charges.load = 0
