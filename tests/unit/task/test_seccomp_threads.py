"""Filters of several threads: none vanishes, and none is given to a thread that has ended; on a booted machine."""

import pytest

from arch import TrapFrame
from kernel.task import seccomp
from kernel.task.seccomp import FLAG_LISTENER, FLAG_SYNCHRONIZE, add_filter
from kernel.task.seccomp_filter import ALLOW, ERRNO, TRACE, CallFilter, FilterListener
from kernel.task.task import Task, current
from tests.unit.booted import booted
from tests.unit.task.test_seccomp_filter import assemble
from tools.simulated.machine import Machine
from tools.simulated.program import Program

ALLOW_ALL = assemble((0x06, 0, 0, ALLOW))


def filters_of(task: Task) -> int:
    top = task.call_filter
    return 0 if top is None else top.count


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
        ended = Task(task.tid, task.process, b"ended", task.credentials)
        ended.is_exiting = True
        task.process.threads[type(task.tid)(999)] = ended
        try:
            add_filter(task, ALLOW_ALL, FLAG_SYNCHRONIZE)
        finally:
            task.process.threads.pop(type(task.tid)(999))
        assert filters_of(task) == 1 and filters_of(ended) == 0
        return 0

    assert machine.run(child) == 0


@booted
def test_long_stacks_of_many_threads_are_not_walked_through_for_each(machine: Machine) -> None:
    """All have the lowest filter, and the running thread a hundred above it."""

    def child(program: Program) -> int:
        task = current()
        add_filter(task, ALLOW_ALL, 0)
        threads = task.process.threads
        others = [Task(type(task.tid)(900 + number), task.process, b"other", task.credentials) for number in range(50)]
        for other in others:
            threads[other.tid] = other
            other.calls.seccomp_mode = seccomp.FILTER
            other.call_filter = task.call_filter
        for _ in range(100):
            add_filter(task, ALLOW_ALL, 0)
        steps: list[int] = []

        def previous(filter_: CallFilter) -> CallFilter | None:
            steps.append(1)
            found: CallFilter | None = vars(filter_)["previous"]
            return found

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(CallFilter, "previous", property(previous), raising=False)
            assert seccomp._different_thread(task) is None
        for other in others:
            threads.pop(other.tid)
        assert len(steps) < 200
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
