"""Who hears of what tasks do: the events of perf_event_open(2).

Nobody is asked unless `RUNNING.is_observed`; a child that has an `Observation` is told of in any case. Entered by the
room above (kernel/perf/observer.py).

Context: the running task's system call, except where a method says otherwise.
"""

from typing import TYPE_CHECKING, Final

from kernel.lang import final

if TYPE_CHECKING:
    from kernel.task.task import Task


class Observation:
    """What the events of a task are. Base class: kernel/perf/context.py."""

    def held_bytes(self) -> int:
        """About how much memory comes free when the task ends. Never sleeps, allocates nothing."""
        return 0


class TaskObserver:
    """Base class: hears nothing."""

    def inherit(self, parent: "Task", child: "Task", is_thread: bool) -> None:
        """A child is being made, which nobody sees yet. Raises MemoryError."""

    def forget(self, child: "Task") -> None:
        """It will not live. Raises nothing."""

    def forked(self, parent: "Task", child: "Task") -> None:
        """It lives."""

    def begins(self, child: "Task") -> None:
        """A task is about to see user mode for the first time; that of a child that was forked, its call returns 0."""

    def executed(self, task: "Task", old_tid: int, name: bytes) -> None:
        """Another program is in its place, that was called by a name. Raises MemoryError."""

    def mapped(self, task: "Task", start: int, end: int) -> None:
        """Something was mapped, or got another protection. May sleep."""

    def returns(self) -> bool:
        """The running task is about to go on in user mode. Whether it should look once more for what is to be done."""
        return False

    def renamed(self, task: "Task") -> None:
        """A task has another name (`comm`)."""

    def exits(self, task: "Task") -> None:
        """It is ending; its number and its memory are still there."""


@final
class ObservedTasks:
    """Who hears of them."""

    def __init__(self) -> None:
        self.observer: TaskObserver = TaskObserver()


TASKS: Final = ObservedTasks()
