"""The threads listed in a control group, in the order of their coming.

Context: any; walks are meant for loops with safe points.
"""

from typing import Final

from kernel.cgroup.group import ControlGroup
from kernel.lang import final
from kernel.lib.order import Walk
from kernel.sched.thread import Thread


@final
class _Memberships:
    """The numbers under which threads were listed in groups. No number is used twice."""

    def __init__(self) -> None:
        self.last: int = 0


MEMBERSHIPS: Final = _Memberships()


@final
class MemberWalk:
    """The listed threads of a group, at whose safe points others come and go. It meets all that stay from its beginning
    on, and none that came later: else a thread that goes out and in would keep it for ever.
    """

    def __init__(self, group: ControlGroup) -> None:
        self._walk: Walk[Thread] = Walk(group.members)
        self._last: int = MEMBERSHIPS.last

    def next(self) -> Thread | None:
        """The next one; None at the end."""
        thread = self._walk.next()
        return None if self._walk.next_number > self._last + 1 else thread
