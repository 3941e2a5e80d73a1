"""Observing tasks: the events of perf_event_open(2).

Called only if `RUNNING.is_observed`; a child that has an `Observation` is reported in any case. Registered by the
room above (kernel/perf/observer.py).

Context: the running task's system call, except where a method says otherwise.
"""

from typing import TYPE_CHECKING, Final

from kernel.lang import final

if TYPE_CHECKING:
    from kernel.task.task import Task


class Observation:
    """The events of a task. Base class: kernel/perf/context.py."""

    def held_bytes(self) -> int:
        """About how much memory the end of the task frees. Never sleeps, allocates nothing."""
        return 0

    def looks_at(self, point: int) -> bool:
        """Whether one of them is an event of that probe. Never sleeps."""
        return False


class TaskObserver:
    """Base class: ignores everything."""

    def inherit(self, parent: "Task", child: "Task", is_thread: bool) -> None:
        """A child is being created, which is not visible yet. Raises MemoryError."""

    def forget(self, child: "Task") -> None:
        """The child will not live. Raises nothing."""

    def forked(self, parent: "Task", child: "Task") -> None:
        """The child lives."""

    def begins(self, child: "Task") -> None:
        """A task is about to enter user mode for the first time; in a forked child, the call returns 0."""

    def executed(self, task: "Task", old_tid: int, name: bytes) -> None:
        """The task executed another program, called by a name. Raises MemoryError."""

    def mapped(self, task: "Task", start: int, end: int) -> None:
        """A range was mapped, or got another protection. May sleep."""

    def returns(self) -> bool:
        """The running task is about to enter user mode. Returns whether it should check once more for pending work."""
        return False

    def renamed(self, task: "Task") -> None:
        """A task has a new name (`comm`)."""

    def exits(self, task: "Task") -> None:
        """A task is ending; its number and its memory still exist."""


@final
class ObservedTasks:
    """The registered observer."""

    def __init__(self) -> None:
        self.observer: TaskObserver = TaskObserver()


TASKS: Final = ObservedTasks()
