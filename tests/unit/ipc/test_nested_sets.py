"""Sets in sets: how deep, how many ways lead up from a file, and what may happen while that is found out."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kernel.fs.constants import POLLIN
from kernel.fs.file import File
from kernel.ipc import epoll, epoll_nesting
from kernel.ipc.epoll import ABOVE, BELOW, EpollFile
from kernel.ipc.epoll_nesting import add_member
from kernel.ipc.eventfd import EventFile
from kernel.lang import EEXIST, EINVAL, ELOOP, Errno
from kernel.lib.ids import ROOT_USER
from kernel.lib.linked import FIRST
from kernel.lib.pace import PACE, PACE_BUDGET, STRETCH_LIMIT, Rest
from kernel.lib.user_account import account_of
from kernel.sched import mutex
from kernel.sched.thread import Thread
from tests.unit.fs.conftest import World, world

__all__ = ["world"]


@pytest.fixture(autouse=True)
def thread(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread, whose user may have any number of members."""
    running = Thread.__new__(Thread)
    monkeypatch.setattr(mutex, "current_thread", lambda: running)
    monkeypatch.setattr(epoll._WATCHES, "values", [1 << 40])
    monkeypatch.setattr(account_of(ROOT_USER), "epoll_watches", 0)


class Sets:
    """Sets and files with numbers of their own."""

    def __init__(self) -> None:
        self.numbers: dict[File, int] = {}

    def set(self) -> EpollFile:
        made = EpollFile(0, ROOT_USER)
        self.numbers[made] = len(self.numbers)
        return made

    def file(self) -> EventFile:
        made = EventFile(0, 0, False)
        self.numbers[made] = len(self.numbers)
        return made

    def add(self, owner: EpollFile, file: File, number: int | None = None) -> int:
        """The error, 0 if it was added."""
        try:
            add_member(owner, self.numbers[file] if number is None else number, file, POLLIN, 0)
        except Errno as error:
            return error.code
        return 0

    def must_add(self, owner: EpollFile, file: File, number: int | None = None) -> None:
        assert self.add(owner, file, number) == 0

    def over(self, lower: File, count: int) -> list[EpollFile]:
        """As many new sets, each of which gets it."""
        made = [self.set() for _ in range(count)]
        for each in made:
            self.must_add(each, lower)
        return made

    def chain(self, file: File, length: int) -> File:
        """The highest of a chain of new sets over a file; the file itself if there are none."""
        for _ in range(length):
            file = self.over(file, 1)[0]
        return file


@pytest.fixture
def sets() -> Sets:
    return Sets()


@pytest.mark.parametrize(("length", "most"), [(2, 500), (3, 100), (4, 50), (5, 10)])
def test_so_many_ways_lead_up_from_a_file(sets: Sets, length: int, most: int) -> None:
    top = sets.chain(sets.file(), length - 1)
    sets.over(top, most)
    more = sets.set()
    assert sets.add(more, top) == EINVAL
    assert more.all[FIRST] is None and more.members == {}
    sets.must_add(more, sets.file())


def test_ways_of_one_set_are_not_counted(sets: Sets) -> None:
    sets.over(sets.file(), 1200)


def test_a_file_is_refused_below_too_many_ways(sets: Sets) -> None:
    """Sets may lie over a set without files, until it gets one."""
    lower, file = sets.set(), sets.file()
    above = sets.over(lower, 501)
    assert sets.add(lower, file) == EINVAL
    above[0].release()
    sets.must_add(lower, file)
    assert sets.add(lower, file) == EEXIST  # before the ways are counted
    assert sets.add(sets.set(), lower) == EINVAL


def test_all_files_below_the_added_set_are_asked(sets: Sets) -> None:
    full, other = sets.file(), sets.file()
    sets.over(sets.chain(full, 1), 500)
    lower = sets.set()
    sets.must_add(lower, full)
    sets.must_add(lower, other)
    assert sets.add(sets.set(), lower) == EINVAL
    lower.remove(sets.numbers[full], full)
    sets.must_add(sets.set(), lower)


def test_a_file_deep_below_the_added_set_is_asked(sets: Sets) -> None:
    full = sets.file()
    sets.over(sets.chain(full, 2), 100)
    lower = sets.set()
    sets.must_add(lower, full)
    middle = sets.over(lower, 1)[0]  # a way of two sets
    assert sets.add(sets.set(), middle) == EINVAL  # the 101st of three


def test_each_number_of_a_set_is_a_way(sets: Sets) -> None:
    outer, inner, file = sets.set(), sets.set(), sets.file()
    sets.must_add(inner, file)
    for number in range(250):
        sets.must_add(outer, inner, 1000 + number)
    sets.must_add(inner, file, 2000)
    assert sets.add(outer, inner, 3000) == EINVAL
    assert sets.add(inner, file, 2001) == EINVAL


def test_ways_count_by_where_they_end(sets: Sets) -> None:
    """A set that is watched itself ends none."""
    low = sets.set()
    sets.must_add(low, sets.file())
    middle = sets.over(low, 1)[0]
    sets.over(low, 499)
    last = sets.over(middle, 1)[0]
    sets.over(low, 1)
    assert sets.add(sets.set(), low) == EINVAL
    sets.over(middle, 99)
    assert sets.add(sets.set(), middle) == EINVAL
    sets.must_add(last, sets.file())


def test_depth_and_loops_come_before_other_errors(sets: Sets) -> None:
    top = sets.chain(sets.set(), 4)
    assert isinstance(top, EpollFile)
    assert sets.add(sets.set(), top) == ELOOP
    lower = sets.set()
    upper = sets.over(lower, 1)[0]
    assert sets.add(lower, upper) == ELOOP
    assert sets.add(upper, lower) == EEXIST


class Paces:
    """Looks at safe points: the work between two, and what others do at one of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls = 0
        self.counted = 0
        self.at: dict[int, Callable[[], None]] = {}
        monkeypatch.setattr(epoll_nesting, "pace_or_end", self.pace)

    def pace(self, instructions: int) -> None:
        assert instructions < STRETCH_LIMIT // 4
        self.counted += instructions
        self.calls += 1
        act = self.at.pop(self.calls, None)
        if act is not None:
            act()


def test_many_members_are_passed_with_safe_points(sets: Sets, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what is above the set that all files share is counted once."""
    lower = sets.set()
    for _ in range(2000):
        sets.must_add(lower, sets.file())
    sets.over(sets.over(lower, 1)[0], 90)
    paces = Paces(monkeypatch)
    sets.must_add(sets.set(), lower)
    assert 3 * 2000 <= paces.calls <= 3 * 2000 + 1000


def test_an_addition_without_nesting_counts_nothing(sets: Sets, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = sets.set()
    monkeypatch.setattr(epoll_nesting._NESTING.lock, "acquire_unless_dying", None)  # a call would fail
    sets.must_add(owner, sets.file())


@pytest.mark.parametrize("at", range(1, 14))
def test_members_that_go_away_meanwhile_are_passed(sets: Sets, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """Whichever is next: of the lower set, or above the file."""
    lower, upper, file = sets.set(), sets.set(), sets.file()
    below = [sets.file() for _ in range(3)]
    for each in below:
        sets.must_add(lower, each)
    sets.must_add(lower, file)
    beside = sets.over(file, 2)
    paces = Paces(monkeypatch)

    def change() -> None:
        below[1].release()
        lower.remove(sets.numbers[below[0]], below[0])
        for each in beside:
            each.release()

    paces.at[at] = change
    sets.must_add(upper, lower)
    assert not paces.at and BELOW.member is None and ABOVE.watcher is None
    assert sorted(lower.members) == sorted((sets.numbers[file], sets.numbers[below[2]]))
    assert file.watchers is not None and file.watchers.next_watcher is None
    for owner in (upper, lower):
        owner.release()
    assert file.watchers is None


@pytest.mark.parametrize("at", range(1, 13))
def test_no_way_is_missed_when_others_go_away(sets: Sets, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    full, lower, upper = sets.file(), sets.set(), sets.set()
    sets.over(sets.chain(full, 1), 500)
    below = [sets.file() for _ in range(2)]
    for each in (full, *below):
        sets.must_add(lower, each)
    beside = sets.over(full, 2)
    paces = Paces(monkeypatch)

    def change() -> None:
        for each in (*below, *beside):
            each.release()

    paces.at[at] = change
    assert sets.add(upper, lower) == EINVAL
    assert not paces.at and list(lower.members) == [sets.numbers[full]]


def test_a_file_waits_to_come_into_a_set_that_is_being_nested(sets: Sets, monkeypatch: pytest.MonkeyPatch) -> None:
    lower, upper, late = sets.set(), sets.set(), sets.file()
    sets.must_add(lower, sets.file())
    paces = Paces(monkeypatch)
    waited: list[EpollFile] = []

    def wait(owner: EpollFile, *_arguments: object) -> None:
        waited.append(owner)

    def change() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(epoll_nesting._NESTING, "add", wait, raising=False)
            sets.must_add(lower, late)

    paces.at[1] = change
    sets.must_add(upper, lower)
    assert waited == [lower] and late.watchers is None


def test_a_search_that_fails_changes_nothing(sets: Sets, monkeypatch: pytest.MonkeyPatch) -> None:
    lower, upper = sets.set(), sets.set()
    sets.must_add(lower, sets.file())
    paces = Paces(monkeypatch)

    def end() -> None:
        raise MemoryError

    paces.at[2] = end
    with pytest.raises(MemoryError):
        sets.add(upper, lower)
    assert upper.all[FIRST] is None and lower.watchers is None and BELOW.member is None
    sets.must_add(upper, lower)


def test_others_run_while_very_many_members_turn_out_not_to_be_ready(sets: Sets) -> None:
    """Each was woken, and none is ready any more; one at the end is removed meanwhile."""
    outer = sets.set()
    files = [EventFile(1, 0, False) for _ in range(2000)]
    for number, file in enumerate(files):
        add_member(outer, number, file, POLLIN, 0)
        file.count = 0
    rests: list[int] = []

    class Others(Rest):
        def take(self) -> None:
            if not rests:
                outer.remove(1999, files[1999])
            rests.append(1)

    before = PACE.rest
    PACE.rest = Others()
    PACE.left = PACE_BUDGET
    try:
        assert outer.poll(None) == 0
    finally:
        PACE.rest = before
    assert len(rests) >= 3 and outer.ready[FIRST] is None and 1999 not in outer.members
    for file in files:
        file.release()
    outer.release()
