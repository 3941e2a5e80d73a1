"""Free numbers are found at once, however many are borne one after the other."""

from __future__ import annotations

from typing import cast

import pytest

from kernel.lang import EAGAIN, Errno
from kernel.lib.namespace import FIRST_USER
from kernel.lib.pid import Pid
from kernel.task.pid_namespace import (
    FIRST_PID,
    NUMBERS,
    PID_MAX,
    RESERVED,
    NumberSet,
    forget_bearer,
    new_pid_namespace,
    number_bearer,
)
from kernel.task.pids import allocate_pid, find_task, is_free, register_task, rename_task, unregister_task
from kernel.task.task import Task, current
from tests.unit.booted import booted
from tests.unit.effort import lines_of
from tools.simulated.machine import Machine

FEW = 10_000  # lines, for 20,000 numbers


class Bearer:
    """A task, as far as its number goes."""

    def __init__(self, number: int) -> None:
        self.tid = Pid(number)
        self.own_tid = 0
        self.process = current().process


def bear(number: int) -> Task:
    task = cast(Task, Bearer(number))
    register_task(task)
    return task


def test_missing_numbers() -> None:
    numbers = NumberSet()
    assert numbers.missing(5, 10) == 5 and numbers.missing(10, 10) == -1
    for number in [*range(3, 5000), 5001, *range(8192, 12288)]:
        numbers.add(number)
    numbers.add(3)
    assert numbers.missing(0, 9) == 0 and numbers.missing(3, 9000) == 5000 and numbers.missing(3, 5000) == -1
    assert numbers.missing(5001, 9000) == 5002 and numbers.missing(8192, 20000) == 12288
    assert numbers.missing(8192, 12288) == -1
    numbers.remove(8200)
    numbers.remove(8200)
    numbers.remove(100_000)
    assert numbers.missing(8192, 20000) == 8200 and numbers.following(8200) == 8201 and numbers.following(12288) == -1
    numbers.remove(3)
    assert numbers.following(0) == 4 and numbers.missing(3, 10) == 3


@booted
def test_a_number_after_very_many_borne_ones_is_found_at_once(machine: Machine) -> None:
    first = int(allocate_pid()) + 1
    bearers = [bear(number) for number in range(first, first + 20_000)]
    found: list[Pid] = []
    assert lines_of(lambda: found.append(allocate_pid())) < FEW
    assert found == [Pid(first + 20_000)]
    unregister_task(bearers[7_000])
    FIRST_PID.last = PID_MAX.value - 1  # the next one wraps around
    bearers += [bear(number) for number in range(RESERVED, first)]
    assert allocate_pid() == Pid(first + 7_000)
    FIRST_PID.last = first
    assert allocate_pid() == Pid(first + 7_000)


@booted
def test_there_is_no_free_number(machine: Machine) -> None:
    for number in range(PID_MAX.value):
        FIRST_PID.taken.add(number)
    with pytest.raises(Errno) as caught:
        allocate_pid()
    assert caught.value.code == EAGAIN
    FIRST_PID.last = RESERVED
    FIRST_PID.taken.remove(RESERVED - 1)  # given before the first wrap only
    with pytest.raises(Errno):
        allocate_pid()
    FIRST_PID.taken.remove(RESERVED)
    assert allocate_pid() == Pid(RESERVED)


@booted
def test_the_number_of_a_renamed_thread_is_free(machine: Machine) -> None:
    first = int(allocate_pid()) + 1
    leader, other = bear(first), bear(first + 1)
    rename_task(other, Pid(first))
    assert find_task(Pid(first)) is other and other is not leader
    assert is_free(Pid(first + 1)) and FIRST_PID.taken.missing(first, first + 5) == first + 1


@booted
def test_a_number_is_taken_while_anybody_bears_it(machine: Machine) -> None:
    """A group outlives the process whose number it has."""
    host = machine.host
    before = FIRST_PID.last
    pid = host.fork(lambda program: program.pause())
    other = host.fork(lambda program: program.pause())
    host.setpgid(pid, 0)
    host.setpgid(other, pid)
    host.kill(pid, 9)
    machine.wait(pid)
    assert not is_free(Pid(pid))
    FIRST_PID.last = before
    assert allocate_pid() == Pid(other + 1)
    host.kill(other, 9)
    machine.wait(other)
    assert is_free(Pid(pid))
    FIRST_PID.last = before
    assert allocate_pid() == Pid(pid)


@booted
def test_numbers_of_a_namespace_are_found_at_once(machine: Machine) -> None:
    space = new_pid_namespace(FIRST_PID, FIRST_USER)
    for pid in range(10_000, 30_000):
        number_bearer(space, Pid(pid), [])
    numbers: list[int] = []
    assert lines_of(lambda: numbers.append(number_bearer(space, Pid(30_000), []).seen_from(space))) < FEW
    space.last = 1
    assert lines_of(lambda: numbers.append(number_bearer(space, Pid(30_001), []).seen_from(space))) < FEW
    assert numbers == [20_001, 20_002]
    forget_bearer(Pid(10_500))
    space.last = 1
    assert number_bearer(space, Pid(30_002), []).seen_from(space) == 501
    assert Pid(30_002) in NUMBERS
