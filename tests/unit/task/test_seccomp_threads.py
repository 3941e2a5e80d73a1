"""Filters of several threads: none vanishes, and none is given to a thread that has ended; on a booted machine."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from arch import TrapFrame
from kernel.lib.pid import Pid
from kernel.sched import WaitQueue
from kernel.task import seccomp
from kernel.task.pid_namespace import FIRST_PID
from kernel.task.seccomp import FLAG_LISTENER, FLAG_SYNCHRONIZE, add_filter
from kernel.task.seccomp_filter import ALLOW, ERRNO, TRACE, CallFilter, FilterListener
from kernel.task.task import Task, current
from tests.unit.booted import booted
from tests.unit.meanwhile import meanwhile
from tests.unit.task.test_seccomp_filter import assemble
from tools.simulated.machine import Machine
from tools.simulated.program import Program

ALLOW_ALL = assemble((0x06, 0, 0, ALLOW))


def filters_of(task: Task) -> int:
    top = task.call_filter
    return 0 if top is None else top.count


@contextmanager
def threads(task: Task, count: int) -> Iterator[list[Task]]:
    """More threads of a process, with the filters that it has."""
    made = [Task(Pid(9000 + number), task.process, b"other", task.credentials) for number in range(count)]
    for each in made:
        enter(task, each)
    try:
        yield made
    finally:
        for each in made:
            task.process.threads.pop(each.tid, each)
            FIRST_PID.taken.remove(int(each.tid))


def enter(parent: Task, child: Task) -> None:
    child.process.threads[child.tid] = child
    FIRST_PID.taken.add(int(child.tid))
    seccomp.inherit(parent, child)


@booted
@pytest.mark.parametrize("flags", [0, FLAG_LISTENER])
def test_a_filter_that_another_thread_gives_meanwhile_stays(machine: Machine, flags: int) -> None:
    """The other one synchronizes while the first allocates, where it may sleep."""

    def child(program: Program) -> int:
        task = current()
        add_filter(task, ALLOW_ALL, 0)

        def interrupted(instructions: bytes, is_logged: bool, listener: FilterListener | None = None) -> CallFilter:
            made = CallFilter(instructions, is_logged, listener)
            setattr(seccomp, "CallFilter", CallFilter)  # noqa: B010  (once)
            add_filter(task, ALLOW_ALL, FLAG_SYNCHRONIZE)
            return made

        setattr(seccomp, "CallFilter", interrupted)  # noqa: B010
        add_filter(task, ALLOW_ALL, flags)
        assert filters_of(task) == 3
        return 0

    assert machine.run(child) == 0


@booted
def test_a_thread_that_ends_joins_nothing(machine: Machine) -> None:
    def child(program: Program) -> int:
        task = current()
        with threads(task, 2) as (ended, other):
            ended.is_exiting = True
            add_filter(task, ALLOW_ALL, FLAG_SYNCHRONIZE)
            assert [filters_of(each) for each in (task, ended, other)] == [1, 0, 1]
        return 0

    assert machine.run(child) == 0


@booted
def test_long_stacks_of_many_threads_are_not_walked_through_for_each(machine: Machine) -> None:
    """All have the lowest filter, and the running thread a hundred above it."""

    def child(program: Program) -> int:
        task = current()
        add_filter(task, ALLOW_ALL, 0)
        with threads(task, 50) as others:
            for _ in range(100):
                add_filter(task, ALLOW_ALL, 0)
            steps: list[int] = []

            def previous(filter_: CallFilter) -> CallFilter | None:
                steps.append(1)
                found: CallFilter | None = vars(filter_)["previous"]
                return found

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(CallFilter, "previous", property(previous), raising=False)
                assert seccomp._different_thread(task, seccomp._Change(task.process, forbids_privileges=False)) is None
            assert 100 <= len(steps) < 200 and [filters_of(other) for other in others] == [1] * 50
        return 0

    assert machine.run(child) == 0


@booted
def test_threads_that_come_meanwhile_get_the_filter(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever they come: while others are looked at, and while others get it; also with a number that was passed."""

    def child(program: Program) -> int:
        task = current()
        with threads(task, 4) as others:
            task.settings.no_new_privileges = True
            for place in range(1, 13):
                late = Task(Pid(8000 + place), task.process, b"late", task.credentials)

                def come(late: Task = late) -> None:
                    enter(others[3], late)

                with meanwhile(come, place):
                    add_filter(task, ALLOW_ALL, FLAG_SYNCHRONIZE)
                came = late.tid in task.process.threads
                everybody = [task, *others, late] if came else [task, *others]
                assert {each.call_filter for each in everybody} == {task.call_filter}
                assert all(each.settings.no_new_privileges for each in everybody)
                if came:
                    task.process.threads.pop(late.tid)
                    FIRST_PID.taken.remove(int(late.tid))
        return 0

    assert machine.run(child) == 0


@booted
def test_a_thread_with_other_filters_that_comes_meanwhile_is_noticed(machine: Machine) -> None:
    """The one that has created it is over by then."""

    def child(program: Program) -> int:
        task = current()
        with threads(task, 3) as (_, other, late):
            task.process.threads.pop(late.tid)
            FIRST_PID.taken.remove(int(late.tid))
            seccomp._enter(other, seccomp.FILTER, CallFilter(ALLOW_ALL, is_logged=False))
            late.tid = Pid(8000)

            def come() -> None:
                enter(other, late)
                other.is_exiting = True

            with meanwhile(come, 1):
                assert add_filter(task, ALLOW_ALL, FLAG_SYNCHRONIZE) == 8000
            assert filters_of(task) == 0 and late.call_filter is other.call_filter
            FIRST_PID.taken.add(9002)
        return 0

    assert machine.run(child) == 0


@booted
def test_one_thread_changes_filters_at_a_time(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another one that adds a filter meanwhile waits for the first."""

    def child(program: Program) -> int:
        task = current()
        waits: list[int] = []

        def wait(_queue: WaitQueue) -> None:
            waits.append(filters_of(task))
            change = seccomp._CHANGES.of(task.process)
            assert change is not None
            seccomp._CHANGES.end(change)

        with threads(task, 3), pytest.MonkeyPatch.context() as patch:
            patch.setattr(WaitQueue, "wait", wait)
            for place in range(1, 8):
                with meanwhile(lambda: add_filter(task, ALLOW_ALL, 0), place):
                    add_filter(task, ALLOW_ALL, FLAG_SYNCHRONIZE)
        assert len(waits) > 2 and seccomp._CHANGES.is_empty()
        return 0

    assert machine.run(child) == 0


@booted
def test_a_filter_that_comes_while_the_tracer_looks_judges_the_call(machine: Machine) -> None:
    def child(program: Program) -> int:
        task = current()
        add_filter(task, assemble((0x06, 0, 0, TRACE)), 0)
        top = task.call_filter
        assert top is not None
        frame = TrapFrame()
        frame.set_original_number(1)
        with pytest.MonkeyPatch.context() as patch:
            refusing = assemble((0x06, 0, 0, ERRNO | 13))
            patch.setattr(seccomp, "report_event", lambda task, event, data: add_filter(task, refusing, 0))
            assert not seccomp._ask_tracer(task, top, frame, 0)
        seccomp._enter(task, seccomp.DISABLED, None)
        assert frame.result == -13
        return 0

    assert machine.run(child) == 0
