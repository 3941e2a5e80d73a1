"""Whose processes hold most."""

import signal
import struct

from kernel.lib.pid import Pid
from kernel.task.memory_shortage import ANYBODY, COUNTS, Holders, kill_largest
from kernel.task.pids import find_process
from kernel.task.process import Process
from tests.unit.booted import booted
from tests.unit.meanwhile import meanwhile
from tools.simulated.machine import Machine


def processes_by_pid(pid: int) -> Process:
    process = find_process(Pid(pid))
    assert process is not None
    return process


def test_many_small_processes_of_one_user_hold_more_than_a_large_one_of_another() -> None:
    holders = Holders()
    holders.add(0, 220)
    for _ in range(60):
        holders.add(1000, 99)
    holders.add(0, 50)
    assert holders.greediest() == 1000


def test_nobody_holds_anything() -> None:
    holders = Holders()
    assert holders.greediest() == ANYBODY
    holders.add(1000, 10)
    holders.clear()
    assert holders.greediest() == ANYBODY


def test_more_users_than_there_is_room_for() -> None:
    holders = Holders()
    for uid in range(100):
        holders.add(uid, 1000 - uid)
    holders.add(99, 100_000)  # not counted: there was no room
    assert holders.greediest() == 0


@booted
def test_one_thread_at_a_time_looks_for_the_process_that_holds_most(machine: Machine) -> None:
    """It lets others run meanwhile: those that lack memory, too, kill nobody else."""
    host = machine.host
    children = [host.fork(lambda program: program.pause()) for _ in range(2)]
    host.nanosleep(struct.pack("<QQ", 0, 10_000_000), None)
    answers: list[bool] = []
    with meanwhile(lambda: answers.append(kill_largest())):
        assert kill_largest()
    assert answers == [True] and not COUNTS.is_choosing
    ended = [child for child in children if processes_by_pid(child).ending.is_exiting]
    assert len(ended) == 1
    for child in children:
        host.kill(child, signal.SIGKILL)
        assert machine.wait(child) == signal.SIGKILL


@booted
def test_a_process_that_ended_meanwhile_counts(machine: Machine) -> None:
    host = machine.host
    child = host.fork(lambda program: program.pause())
    host.nanosleep(struct.pack("<QQ", 0, 10_000_000), None)
    with meanwhile(lambda: host.kill(child, signal.SIGKILL), 3):
        assert kill_largest()
    assert machine.wait(child) == signal.SIGKILL
