"""Priorities of whole groups, while others act at the safe points; on a booted machine."""

from __future__ import annotations

import signal

from kernel.lib.pid import Pid
from kernel.syscalls.getpriority import chosen_tasks
from kernel.task.pids import find_process
from tests.unit.booted import booted
from tests.unit.meanwhile import meanwhile
from tools.simulated.machine import Machine
from tools.simulated.program import Program

PRIO_PGRP = 1


def sleeper(program: Program) -> None:
    program.pause()


@booted
def test_a_member_leaves_while_the_tasks_of_a_group_are_looked_up(machine: Machine) -> None:
    host = machine.host
    children = [host.fork(sleeper) for _ in range(4)]
    for child in children:
        host.setpgid(child, children[0])

    def act() -> None:
        host.kill(children[1], signal.SIGKILL)
        assert machine.wait(children[1]) == signal.SIGKILL
        host.setpgid(children[2], 0)

    with meanwhile(act):
        found = [task.tid for task in chosen_tasks(PRIO_PGRP, children[0])]
    assert found == [Pid(children[3]), Pid(children[0])]  # the newest comes first
    for child in (children[0], *children[2:]):
        host.kill(child, signal.SIGKILL)
        assert machine.wait(child) == signal.SIGKILL
    assert find_process(Pid(children[0])) is None
