"""A system call in which processes wait for each other."""

import errno

import pytest

from tools.project_tests import Machine
from tools.simulated.program import Program


def test_nobody_goes_on_alone(machine: Machine) -> None:
    order: list[str] = []

    def worker(program: Program) -> int:
        order.append("before")
        rank = program.call("barrier", 4)
        order.append("after")
        return rank

    children = [machine.host.fork(worker) for _ in range(3)]
    for _ in range(5):
        machine.host.sched_yield()
    assert order == ["before"] * 3
    last = machine.host.call("barrier", 4)
    ranks = sorted(machine.wait(child) >> 8 for child in children)
    assert (last, ranks, order) == (3, [0, 1, 2], ["before"] * 3 + ["after"] * 3)


def test_rounds_follow_each_other(machine: Machine) -> None:
    def worker(program: Program) -> int:
        for _ in range(10):
            program.call("barrier", 2)
        return 0

    child = machine.host.fork(worker)
    for _ in range(10):
        machine.host.call("barrier", 2)
    assert machine.wait(child) == 0


def test_a_signal_takes_one_out(machine: Machine) -> None:
    def worker(program: Program) -> int:
        return program.call("barrier", 2)

    killed = machine.host.fork(worker)
    machine.host.sched_yield()
    machine.host.kill(killed, 9)
    assert machine.wait(killed) == 9
    child = machine.host.fork(worker)
    machine.host.sched_yield()
    assert machine.host.call("barrier", 2) == 1  # with the child, not with the one that is gone
    assert machine.wait(child) == 0


@pytest.mark.parametrize("count", [0, 1001, -1])
def test_no_such_number(machine: Machine, count: int) -> None:
    with pytest.raises(OSError) as caught:
        machine.host.call("barrier", count)
    assert caught.value.errno == errno.EINVAL
    assert machine.host.call("barrier", 1) == 0
