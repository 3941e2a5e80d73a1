"""Timers that follow the wall clock: those set to a time of it move, or end, when it is set.

A timer knows its place in the list of all; when one leaves, the last takes its place. So a walk from the end meets all
that are there from its beginning to its end, whatever others do at its safe points.

Context: joining may raise MemoryError, leaving never does.
"""

from typing import Final

from kernel.lib.pace import pace
from kernel.time.timers import Timer

_NOWHERE: Final = -1
_FOLLOW_COST: Final = 500  # instructions, for `pace`


class WallTimer(Timer):
    """Base of such timers."""

    def __init__(self) -> None:
        super().__init__()
        self.wall_place: int = _NOWHERE  # among those that follow

    def wall_clock_was_set(self) -> None:
        """Move to where the time now is on the monotonic clock."""

    def follows_wall_clock(self) -> bool:
        """Whether it is notified when the wall clock is set."""
        return self.wall_place != _NOWHERE

    def follow(self) -> None:
        """Be notified from now on. Raises MemoryError, with nothing changed."""
        if self.wall_place == _NOWHERE:
            _FOLLOWERS.append(self)
            self.wall_place = len(_FOLLOWERS) - 1

    def stop_following(self) -> None:
        """Be notified no more; does nothing for one that is not."""
        place = self.wall_place
        if place == _NOWHERE:
            return
        last = _FOLLOWERS.pop()
        if last is not self:
            _FOLLOWERS[place] = last
            last.wall_place = place
        self.wall_place = _NOWHERE


_FOLLOWERS: Final[list[WallTimer]] = []


def tell_followers() -> None:
    """The wall clock was set. Sleeps if there are many."""
    index = len(_FOLLOWERS) - 1
    while index >= 0:
        _FOLLOWERS[index].wall_clock_was_set()
        pace(_FOLLOW_COST)
        index = min(index, len(_FOLLOWERS)) - 1
