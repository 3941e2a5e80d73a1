"""Whose processes hold most."""

import signal
import struct

from kernel.fs.descriptors import FileTable
from kernel.lib.pid import Pid
from kernel.task.memory_shortage import ANYBODY, COUNTS, Holders, badness, kill_largest, measure_files
from kernel.task.pids import find_process
from kernel.task.process import Process
from kernel.task.task import current
from tests.unit.booted import booted
from tests.unit.effort import FEW, longest_stretch
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


def great_table(machine: Machine) -> FileTable:
    """The running process's, which grows to 50,000 descriptors."""
    descriptor = machine.host.eventfd2(0, 0)
    files = current().files
    files.limit = 60_000
    file = files.get(descriptor)
    for _ in range(50_000):
        files.install(file.acquire(), cloexec=False)
    return files


@booted
def test_a_great_table_is_looked_through_with_safe_points(machine: Machine) -> None:
    files = great_table(machine)
    process = current().process
    assert longest_stretch(lambda: measure_files(process)) < FEW
    assert files.held_bytes > 50_000 * 8
    process.shortage.adjustment = 1
    with_files = badness_of_another(process)
    files.held_bytes = 0
    assert with_files - badness_of_another(process) > 100
    assert longest_stretch(kill_largest) < FEW


def badness_of_another(process: Process) -> int:
    """The first process is never killed: it is looked at under another number."""
    pid = process.pid
    process.pid = Pid(4000)
    try:
        return badness(process)
    finally:
        process.pid = pid


@booted
def test_a_table_is_closed_while_it_is_looked_through(machine: Machine) -> None:
    files = great_table(machine)
    process = current().process
    task = current()

    def end() -> None:
        task.file_table = None
        files.close_range(0, 60_000)

    with meanwhile(end, 5):
        measure_files(process)
    task.file_table = files


@booted
def test_two_counts_look_through_a_table_at_a_time(machine: Machine) -> None:
    """The later one's result holds: the earlier one does not begin again."""
    files = great_table(machine)
    process = current().process
    with meanwhile(lambda: measure_files(process), 3):
        measure_files(process)
    assert files.measured == COUNTS.last
