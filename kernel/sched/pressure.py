"""Pressure: how long threads could not run for lack of a processor, of memory or of a disk (PSI;
Documentation/accounting/psi.rst in Linux's sources). Pure bookkeeping, for the machine and for each control group.

For each resource, *some* is the time in which at least one thread lacked it, and *full* that in which all threads with
something to do lacked it. A `Pressure` counts its threads by their `Standing`; the counts determine which times run,
until they change. A woken thread counts once something else happens (`Woken`). Averages over
10, 60 and 300 seconds move every two seconds. That is done when the counts change, or someone reads: in between
the counts are constant, so all periods since are known then, and no timer is needed.

For the machine the counts of threads that run or are ready are not kept but looked up, and only one of the times can
run as long as no thread waits for a disk or for memory: that in which a thread is ready and does not run. Its begin and
end are recorded (`waiting_since_ns`) once anyone opens a pressure file or a thread enters a group; until then
a switch costs a few checks of `is_noted`. Waits for disks and memory count from the beginning.

With several processors the counts are those of all together, where Linux has counts for each processor and adds them
up, weighted by the time that each had work.

Context: any; never sleeps, allocates nothing.
"""

from typing import Final, Literal

from kernel.lang import Array, final, inline, noinline
from kernel.time.clock import NS_PER_US

# Times that run, by number. The even ones are `some`, those after them `full`.
DISK: Final = 0
MEMORY: Final = 2
PROCESSOR: Final = 4
_FULL: Final = 1
_KINDS: Final = 6

# The standing of a thread
ABSENT: Final = 0  # it sleeps, and lacks nothing
READY: Final = 1
RUNNING_ON: Final = 2
AT_DISK: Final = 3  # it sleeps until a disk has answered

# `Thread.strain`: what makes a thread's sleeps and wakes count
WAITS_FOR_DISK: Final = 1  # its next sleep is for that
LACKS_MEMORY: Final = 2  # it is looking for memory
IS_IN_GROUP: Final = 4

_PERIOD_NS: Final = 2_000_000_000
_AVERAGES: Final = 3
_ONE: Final = 2048  # in averages
_HUNDRED: Final = 100 * _ONE
_SHIFT: Final = 11
_DECAYS: Final[list[int]] = [1677, 1981, 2034]  # exp(-2 s / 10 s), 60 s, 300 s, in units of 1 / _ONE


class Pressure:
    """The pressure of a group, or of the machine."""

    counts: Array[int, Literal[4]]  # threads, by standing
    totals: Array[int, Literal[6]]  # ns
    sampled: Array[int, Literal[6]]  # … at the end of the last period
    averages: Array[int, Literal[18]]  # percent, in units of 1 / _ONE: three of each kind

    def __init__(self, above: "Pressure | None", now_ns: int) -> None:
        self.above: Pressure | None = above  # that of the group above, without the machine's
        self.lacking: int = 0  # threads that look for memory
        self.lacking_active: int = 0  # … and run, or are ready
        self.runs: int = 0  # the times that run, a bit each
        self.since_ns: int = now_ns  # they are counted up to this time
        self.period_end_ns: int = now_ns + _PERIOD_NS
        self.is_kept: bool = True  # cgroup.pressure

    def bring_up(self, now_ns: int) -> None:
        """Count up to now."""
        WOKEN.count()
        self.advance(now_ns)

    def change(self, old: int, new: int, lacks_memory: bool, now_ns: int) -> None:
        """A thread's standing changes."""
        self.counts[old] -= 1
        self.counts[new] += 1
        if lacks_memory:
            self.lacking_active += _active(new) - _active(old)
        self.judge(now_ns)

    def relieve(self, now_ns: int) -> None:
        """A thread that was ready runs instead of one that now sleeps."""
        self.counts[READY] -= 1
        self.counts[ABSENT] += 1
        self.judge(now_ns)

    @inline
    def hand_over(self, since_ns: int, now_ns: int) -> None:
        """A thread that has been ready since then, and does not yet count as ready, runs instead of one that sleeps:
        as many run as before, and one more was ready in the meantime.
        """
        if self.counts[READY] == 0 and self.lacking == 0 and self.is_kept and now_ns < self.period_end_ns:
            self.totals[PROCESSOR] += now_ns - since_ns
        else:
            self._hand_over(since_ns, now_ns)

    @noinline
    def _hand_over(self, since_ns: int, now_ns: int) -> None:
        self.change(ABSENT, READY, lacks_memory=False, now_ns=since_ns)
        self.relieve(now_ns)

    def change_lacking(self, count: int, now_ns: int) -> None:
        """A thread that runs begins (1) or ends (-1) to look for memory."""
        self.lacking += count
        self.lacking_active += count
        self.judge(now_ns)

    def judge(self, now_ns: int) -> None:
        """Determine which times run from now on, by the counts."""
        ready = self.counts[READY]
        active = ready + self.counts[RUNNING_ON]
        runs = 0
        if self.counts[AT_DISK] > 0:
            runs |= (3 if active == 0 else 1) << DISK
        if self.lacking > 0:
            runs |= (3 if active == self.lacking_active else 1) << MEMORY
        if ready > 0:
            runs |= (3 if active == ready else 1) << PROCESSOR
        if not self.is_kept:
            runs = 0
        if runs != self.runs:
            self.advance(now_ns)
            self.runs = runs

    def advance(self, now_ns: int) -> None:
        """Count the times that run, up to now."""
        if now_ns >= self.period_end_ns:
            self._end_periods(now_ns)
        elapsed = now_ns - self.since_ns
        if elapsed > 0:
            self.since_ns = now_ns
            if self.runs != 0:
                self._add(elapsed)

    def _add(self, elapsed_ns: int) -> None:
        runs = self.runs
        if runs & 1 << PROCESSOR != 0:
            self.totals[PROCESSOR] += elapsed_ns
            if runs & 1 << PROCESSOR + _FULL != 0:
                self.totals[PROCESSOR + _FULL] += elapsed_ns
        if runs & (1 << PROCESSOR) - 1 != 0:
            for kind in range(PROCESSOR):
                if runs >> kind & 1 != 0:
                    self.totals[kind] += elapsed_ns

    @noinline
    def _end_periods(self, now_ns: int) -> None:
        """Update the averages: for the period that ends, and for whole ones after it, in which nothing changed."""
        end_ns = self.period_end_ns
        self._add(max(0, end_ns - self.since_ns))
        more = (now_ns - end_ns) // _PERIOD_NS
        for kind in range(_KINDS):
            share = (self.totals[kind] - self.sampled[kind]) * 100 // _PERIOD_NS * _ONE
            runs = self.runs >> kind & 1
            self.totals[kind] += runs * more * _PERIOD_NS
            self.sampled[kind] = self.totals[kind]
            for index in range(_AVERAGES):
                decay = _DECAYS[index]
                average = moved(self.averages[kind * _AVERAGES + index], decay, share)
                if more > 0:
                    average = moved(average, power(decay, more), runs * _HUNDRED)
                self.averages[kind * _AVERAGES + index] = average
        self.since_ns = end_ns + more * _PERIOD_NS
        self.period_end_ns = self.since_ns + _PERIOD_NS

    def forget(self, now_ns: int) -> None:
        """Start over, after times were not kept: with the existing totals."""
        self.since_ns = now_ns
        self.period_end_ns = now_ns + _PERIOD_NS
        for kind in range(_KINDS):
            self.sampled[kind] = self.totals[kind]
        self.judge(now_ns)

    def text(self, resource: int, now_ns: int) -> bytes:
        """What a pressure file shows of a resource: DISK, MEMORY or PROCESSOR."""
        self.bring_up(now_ns)
        return (self._line("some", resource) + self._line("full", resource + _FULL)).encode()

    def _line(self, name: str, kind: int) -> str:
        line = name
        for index in range(_AVERAGES):
            average = self.averages[kind * _AVERAGES + index]
            line += f" {_NAMES[index]}={average >> _SHIFT}.{(average & _ONE - 1) * 100 >> _SHIFT:02d}"
        return line + f" total={self.totals[kind] // NS_PER_US}\n"


@final
class Woken:
    """A thread of a group that was woken, and does not count as ready yet: usually it soon runs instead of another one
    of the same group, and both changes together cost less than half of one. Code that changes counts of groups in
    another way, or reads them, lets it count first.
    """

    def __init__(self) -> None:
        self.since_ns: int = 0  # 0: there is none
        self.pressure: Pressure | None = None  # that of its group; it stays, so that most wakes store nothing

    @inline
    def note(self, pressure: Pressure, now_ns: int) -> None:
        """Record a woken thread to which nothing else applies."""
        self.count()
        self.since_ns = now_ns
        if self.pressure is not pressure:
            self.pressure = pressure

    @inline
    def count(self) -> None:
        """Let the recorded one count, if there is one."""
        if self.since_ns != 0:
            self._count()

    @noinline
    def _count(self) -> None:
        since_ns = self.since_ns
        self.since_ns = 0
        pressure = self.pressure
        while pressure is not None:
            pressure.change(ABSENT, READY, lacks_memory=False, now_ns=since_ns)
            pressure = pressure.above


WOKEN: Final = Woken()

_NAMES: Final[list[str]] = ["avg10", "avg60", "avg300"]


def _active(standing: int) -> int:
    return 1 if standing == READY or standing == RUNNING_ON else 0


def moved(average: int, decay: int, share: int) -> int:
    """An exponential average, moved a step towards `share`."""
    sum_ = average * decay + share * (_ONE - decay)
    if share >= average:
        sum_ += _ONE - 1
    return sum_ >> _SHIFT


def power(decay: int, count: int) -> int:
    """The part of an average that remains after many steps. Both are in units of 1 / _ONE."""
    result = _ONE
    while count > 0:
        if count & 1 != 0:
            result = (result * decay + _ONE // 2) >> _SHIFT
        decay = (decay * decay + _ONE // 2) >> _SHIFT
        count >>= 1
    return result


@final
class MachinePressure(Pressure):
    """The pressure of the machine."""

    def __init__(self) -> None:
        super().__init__(None, 0)
        self.waiting_since_ns: int = 0  # since when threads are ready that do not run; 0: none are
        self.is_strained: bool = False  # a thread waits for a disk or for memory: each change counts
        self.is_on: bool = False  # someone has asked, or there are groups: `keep_pressure`
        self.is_noted: bool = False  # the scheduler reports what threads do: one of the two

    def bring_up(self, now_ns: int) -> None:
        since_ns = self.waiting_since_ns
        if since_ns != 0 and since_ns < now_ns:
            self.advance(since_ns)
            if self.is_kept:
                self.runs |= 1 << PROCESSOR
            self.advance(now_ns)
            self.runs &= ~(1 << PROCESSOR)
            self.waiting_since_ns = now_ns
        else:
            self.advance(now_ns)

    def judge_by(self, active: int, now_ns: int) -> None:
        """Something has changed; `active` threads run or are ready now."""
        self.bring_up(now_ns)
        self.counts[READY] = 0  # they count by `waiting_since_ns`
        self.counts[RUNNING_ON] = active
        self.is_strained = self.counts[AT_DISK] != 0 or self.lacking != 0
        self.is_noted = self.is_on or self.is_strained
        self.judge(now_ns)

    @inline
    def begin_waiting(self, now_ns: int) -> None:
        """A thread is ready, and does not run."""
        if self.waiting_since_ns == 0:
            self.waiting_since_ns = now_ns

    @noinline
    def end_waiting(self, now_ns: int) -> None:
        """No thread is ready that does not run; some were."""
        if now_ns < self.period_end_ns and self.is_kept:
            self.totals[PROCESSOR] += max(0, now_ns - self.waiting_since_ns)
        else:
            self.bring_up(now_ns)
        self.waiting_since_ns = 0


MACHINE: Final = MachinePressure()
