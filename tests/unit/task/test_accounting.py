"""The use of very many threads, some of which end while it is summed up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import pytest

from kernel.lib.credentials import Credentials
from kernel.lib.pid import Pid
from kernel.sched.scheduler import divide_time
from kernel.sched.thread import count_time
from kernel.task import accounting
from kernel.task.accounting import (
    NS_PER_CLOCK_TICK,
    process_time_ns,
    process_usage,
    process_user_ns,
    retire,
    usage_by_and_by,
)
from kernel.task.actions import default_actions
from kernel.task.child_information import child_information
from kernel.task.limits import Limits
from kernel.task.pid_namespace import FIRST_PID
from kernel.task.process import Process
from kernel.task.signals import CLD_STOPPED
from kernel.task.task import Task
from tests.unit.meanwhile import meanwhile

FIRST_TID = 5000
COUNT = 20


@contextmanager
def crowd() -> Iterator[Process]:
    """A process with threads that have made 1, 2, 3 … calls; between their numbers are those of others."""
    process = Process(Pid(FIRST_TID), FIRST_PID, Limits(), default_actions())
    numbers = range(FIRST_TID, FIRST_TID + 2 * COUNT)
    for number in numbers:
        FIRST_PID.taken.add(number)
    for index in range(COUNT):
        task = Task(Pid(FIRST_TID + 2 * index), process, b"thread", Credentials())
        task.counts.read_calls = index + 1
        process.threads[task.tid] = task
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(accounting, "_FEW_THREADS", 3)
            yield process
    finally:
        for number in numbers:
            FIRST_PID.taken.remove(number)


ALL = sum(range(1, COUNT + 1))


def end(process: Process, index: int) -> None:
    task = process.threads[Pid(FIRST_TID + 2 * index)]
    retire(task)
    process.threads.pop(task.tid)


def test_nobody_is_missing() -> None:
    with crowd() as process:
        assert usage_by_and_by(process).read_calls == process_usage(process).read_calls == ALL
        end(process, 7)
        assert usage_by_and_by(process).read_calls == ALL


@pytest.mark.parametrize("index", [0, 4, 5, 6, COUNT - 1])
@pytest.mark.parametrize("number", [1, 10, 11])
def test_one_that_ends_meanwhile_counts_once(index: int, number: int) -> None:
    with crowd() as process, meanwhile(lambda: end(process, index), number):
        assert usage_by_and_by(process).read_calls == ALL


def test_where_one_ends_after_the_other_each_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    ends = iter(range(COUNT))

    with crowd() as process:
        monkeypatch.setattr(accounting, "pace", lambda cost: end(process, next(ends)))
        assert usage_by_and_by(process).read_calls == ALL
        assert len(process.threads) == COUNT - accounting._ROUNDS


class NotWalked(dict[Pid, Task]):
    """Threads through which nobody may go."""

    def values(self) -> NoReturn:
        raise AssertionError("a walk through all threads")


def test_clocks_of_a_process_are_sums_that_no_walk_makes() -> None:
    """Ticks and timers read them."""
    with crowd() as process:
        for index, task in enumerate(process.threads.values()):
            count_time(task, index + 1)
            if index < 2:
                divide_time(task)
        process.threads = NotWalked(process.threads)
        assert process_time_ns(process) == ALL
        assert process_user_ns(process) == 1 + 2


def test_a_thread_that_has_ended_counts_once_and_no_more() -> None:
    with crowd() as process:
        task = process.threads[Pid(FIRST_TID + 8)]
        count_time(task, 100)
        end(process, 4)
        count_time(task, 1000)
        assert process_time_ns(process) == process.ended.user_ns + process.ended.system_ns == 100


def test_few_threads_are_divided_for_the_time_in_user_mode() -> None:
    with crowd() as process, pytest.MonkeyPatch.context() as patch:
        patch.setattr(accounting, "_FEW_THREADS", COUNT)
        for task in process.threads.values():
            count_time(task, 10)
        assert process_user_ns(process) == 10 * COUNT


def test_what_a_parent_learns_costs_no_walk() -> None:
    with crowd() as process:
        for task in process.threads.values():
            count_time(task, NS_PER_CLOCK_TICK)
            divide_time(task)
        process.threads = NotWalked(process.threads)
        info = child_information(process, process, 17, CLD_STOPPED, 19)
        assert (info.fourth, info.fifth) == (COUNT, 0)
