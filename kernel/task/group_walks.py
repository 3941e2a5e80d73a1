"""Walks through the threads and the processes of a control group, for files and searches.

Rejected: a list of them, which takes as long as there are members, in one step.

Context: sleeps; others come and go meanwhile.
"""

from typing import Final

from kernel.cgroup.group import TOP, ControlGroup, GroupWalk
from kernel.cgroup.members import MemberWalk
from kernel.lang import final
from kernel.lib.pace import pace
from kernel.task.pids import next_task
from kernel.task.process import Process
from kernel.task.task import Task

_GROUP_COST: Final = 500  # instructions, for `pace`
_MEET_COST: Final = 200


@final
class ThreadWalk:
    """The living threads of a group, at whose safe points others come and go. Raises MemoryError when it begins."""

    def __init__(self, group: ControlGroup) -> None:
        self._members: MemberWalk | None = None if group.parent is None else MemberWalk(group)
        self._number: int = 1  # of the next task, in the top group

    def next(self) -> Task | None:
        """The next one; None at the end. Sleeps."""
        members = self._members
        if members is None:
            return self._next_of_top()
        thread = members.next()
        while thread is not None:
            if isinstance(thread, Task):
                return thread
            thread = members.next()
        return None

    def _next_of_top(self) -> Task | None:
        task = next_task(self._number)
        while task is not None:
            self._number = int(task.tid) + 1
            if task.cgroup is TOP and not task.is_exiting:
                return task
            pace(_MEET_COST)
            task = next_task(self._number)
        return None


@final
class ProcessWalk:
    """The processes of a group; for a domain, also those whose threads are in threaded groups below. Others come and go
    at its safe points.
    """

    def __init__(self, group: ControlGroup) -> None:
        self._root: ControlGroup = group
        self._groups: GroupWalk = GroupWalk(group)
        self._threads: ThreadWalk | None = None
        self._met: dict[Process, bool] = {}

    def next(self) -> Process | None:
        """The next one; None at the end. Sleeps. Raises MemoryError."""
        while True:
            pace(_MEET_COST)
            threads = self._threads
            if threads is None:
                threads = self._next_threads()
                if threads is None:
                    return None
            task = threads.next()
            if task is None:
                self._threads = None
            elif task.process not in self._met:
                self._met[task.process] = True
                return task.process

    def _next_threads(self) -> ThreadWalk | None:
        """Those of the next group."""
        while (group := self._groups.next()) is not None:
            pace(_GROUP_COST)
            if group.is_threaded or group is self._root:
                threads = ThreadWalk(group)
                self._threads = threads
                return threads
            self._groups.skip_below()
        return None
