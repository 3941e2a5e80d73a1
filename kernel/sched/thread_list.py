"""The lists of a run queue: threads that wait for a processor.

A list counts those of its threads that may run on only one processor (`bound`), so that others do not search it without
success. Real-time threads have a list for each priority: a thread goes after its equals at once, however many wait.
Those with deadlines have one that is in order of these; it is searched from its beginning.

Context: any; nothing allocates, sleeps or raises.
"""

from typing import Final

from kernel.lang import final, inline, noinline
from kernel.lib.linked import LinkedList
from kernel.sched.thread import DEADLINE_URGENCY, Thread

_REALTIME: Final = 1
_PRIORITIES: Final = DEADLINE_URGENCY + 1  # 1 to 99, and that
_MOST_SEARCHED: Final = 256  # threads of a list; then they go after the others, so that those are found later


@inline
def is_bound(thread: Thread) -> bool:
    """Whether only a single processor may run it. The last one of 64, whose bit is the sign, does not count."""
    return thread.allowed > 0 and thread.allowed & (thread.allowed - 1) == 0


@final
class ThreadList(LinkedList[Thread]):
    """Threads that wait for the processor."""

    def __init__(self, index: int) -> None:
        super().__init__()
        self.index: int = index
        self.count: int = 0
        self.bound: int = 0

    def push_tail(self, thread: Thread) -> None:
        """Add at the end."""
        self.link_last(thread)
        self._count(thread)

    def push_head(self, thread: Thread) -> None:
        """Add at the front."""
        self.link_first(thread)
        self._count(thread)

    def push_ordered(self, thread: Thread) -> None:
        """Add before the threads whose deadline is later."""
        place = self.first()
        while place is not None and place.precedence.deadline_ns <= thread.precedence.deadline_ns:
            place = place.after()
        if place is None:
            self.link_last(thread)
        else:
            self.link_before(place, thread)
        self._count(thread)

    @inline
    def _count(self, thread: Thread) -> None:
        thread.turn.queue_index = self.index
        self.count += 1
        if is_bound(thread):
            self.bound += 1

    def remove(self, thread: Thread) -> None:
        """Remove a thread that is on this list, and may run where it might when it came."""
        self.unlink(thread)
        thread.turn.queue_index = 0
        self.count -= 1
        if is_bound(thread):
            self.bound -= 1

    @inline
    def first_for(self, processor: int) -> Thread | None:
        """The first that a processor other than the list's may run."""
        return None if self.count == self.bound else self._search_for(processor)

    @noinline
    def _search_for(self, processor: int) -> Thread | None:
        thread = self.first()
        left = _MOST_SEARCHED
        while thread is not None and not thread.may_run_on(processor):
            left -= 1
            if left == 0 and self.index != _REALTIME:
                self._turn(thread)
                return None
            thread = thread.after()
        return thread

    def _turn(self, last: Thread) -> None:
        """Put the threads searched without success, up to this one, after the rest: the next search begins there."""
        head, tail, rest = self.head, self.tail, last.next
        if head is not None and tail is not None and rest is not None:
            rest.previous = None
            self.head = rest
            tail.next = head
            head.previous = tail
            last.next = None
            self.tail = last


@final
class RealtimeWaiting:
    """How many real-time threads wait for a processor, on all queues."""

    def __init__(self) -> None:
        self.count: int = 0


REALTIME_WAITING: Final = RealtimeWaiting()


@final
class RealtimeLists:
    """The real-time threads that wait for one processor."""

    def __init__(self) -> None:
        self.lists: list[ThreadList] = [ThreadList(_REALTIME) for _ in range(_PRIORITIES)]
        self.count: int = 0
        self.bound: int = 0
        self._highest: int = 0  # no list above has threads

    def push_last(self, thread: Thread) -> None:
        """Add after those of the same priority."""
        urgency = thread.urgency
        if urgency == DEADLINE_URGENCY:
            self.lists[urgency].push_ordered(thread)
        else:
            self.lists[urgency].push_tail(thread)
        self._count(thread)

    def push_first(self, thread: Thread) -> None:
        """Add before those of the same priority."""
        urgency = thread.urgency
        if urgency == DEADLINE_URGENCY:
            self.lists[urgency].push_ordered(thread)
        else:
            self.lists[urgency].push_head(thread)
        self._count(thread)

    def has_deadlines(self) -> bool:
        """Whether a thread with a deadline waits here."""
        return self.lists[DEADLINE_URGENCY].head is not None

    def _count(self, thread: Thread) -> None:
        self._highest = max(self._highest, thread.urgency)
        self.count += 1
        REALTIME_WAITING.count += 1
        if is_bound(thread):
            self.bound += 1

    def remove(self, thread: Thread) -> None:
        """Remove a thread that waits here, and has the priority that it had when it came."""
        self.lists[thread.urgency].remove(thread)
        self.count -= 1
        REALTIME_WAITING.count -= 1
        if is_bound(thread):
            self.bound -= 1

    def first(self) -> Thread | None:
        """The most urgent thread; of several, the one that came first."""
        if self.count == 0:
            return None
        while self.lists[self._highest].head is None:
            self._highest -= 1
        return self.lists[self._highest].first()

    def take(self) -> Thread | None:
        """The same, removed."""
        thread = self.first()
        if thread is not None:
            self.remove(thread)
        return thread

    def free_after(self, thread: Thread) -> Thread | None:
        """The next one after a thread that waits here that several processors may run, among the next few."""
        if self.count == self.bound:
            return None
        priority = thread.urgency
        following = thread.after()
        left = _MOST_SEARCHED
        while left > 0:
            if following is not None:
                if not is_bound(following):
                    return following
                following = following.after()
            elif priority > 0:
                priority -= 1
                following = self.lists[priority].first()
            else:
                return None
            left -= 1
        return None

    def first_for(self, processor: int) -> Thread | None:
        """The most urgent thread that another processor may run."""
        if self.count == self.bound:
            return None
        for priority in range(self._highest, -1, -1):
            thread = self.lists[priority].first_for(processor)
            if thread is not None:
                return thread
        return None
