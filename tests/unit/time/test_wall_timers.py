"""Timers that follow the wall clock: all hear when it is set, whoever comes and goes meanwhile."""

import pytest

from kernel.time import wall_timers
from kernel.time.wall_timers import WallTimer, tell_followers
from tests.unit.meanwhile import meanwhile


class Follower(WallTimer):
    def __init__(self) -> None:
        super().__init__()
        self.told = 0

    def wall_clock_was_set(self) -> None:
        self.told += 1


def followers(count: int) -> list[Follower]:
    wall_timers._FOLLOWERS.clear()
    found = [Follower() for _ in range(count)]
    for timer in found:
        timer.follow()
        timer.follow()
    return found


def check_places() -> None:
    for place, timer in enumerate(wall_timers._FOLLOWERS):
        assert timer.wall_place == place


@pytest.mark.parametrize("gone", range(8))
@pytest.mark.parametrize("number", range(1, 8))
def test_all_that_stay_are_told(gone: int, number: int) -> None:
    timers = followers(8)
    late = Follower()

    def change() -> None:
        timers[gone].stop_following()
        timers[0 if gone == 3 else 3].stop_following()
        late.follow()
        check_places()

    with meanwhile(change, number):
        tell_followers()
    for index, timer in enumerate(timers):
        if timer.follows_wall_clock():
            assert timer.told >= 1, index
    timers[gone].stop_following()
    check_places()


def test_all_leave_meanwhile() -> None:
    timers = followers(5)

    def leave_all() -> None:
        for timer in timers:
            timer.stop_following()

    with meanwhile(leave_all, 2):
        tell_followers()
    assert [timer.told for timer in timers] == [0, 0, 0, 1, 1]
    assert not wall_timers._FOLLOWERS
