"""Stops of processes with very many threads, while others act at the safe points; on a booted machine. Most of the
threads never run.
"""

from __future__ import annotations

import signal
import struct

import pytest

from kernel.lib.pid import Pid
from kernel.sched import ThreadState
from kernel.task import deliver, send
from kernel.task.pid_namespace import FIRST_PID
from kernel.task.pids import find_process
from kernel.task.process import Process
from kernel.task.send import send_from_kernel, wake_continued
from kernel.task.siginfo import from_kernel
from kernel.task.task import Task, current
from kernel.task.tracee import Tracee, link
from tests.unit.booted import booted
from tests.unit.effort import FEW, longest_stretch
from tests.unit.meanwhile import meanwhile
from tools.simulated.machine import Machine
from tools.simulated.program import Program

COUNT = 1000


def crowd(process: Process, state: ThreadState) -> list[Task]:
    made = []
    for number in range(10_000, 10_000 + COUNT):
        task = Task(Pid(number), process, b"other", current().credentials)
        task.state = state
        process.threads[task.tid] = task
        FIRST_PID.taken.add(number)
        made.append(task)
    return made


def sleeper(program: Program) -> None:
    while True:
        program.pause()


def process_with(machine: Machine, state: ThreadState) -> tuple[Process, list[Task]]:
    process = find_process(Pid(machine.host.fork(sleeper)))
    assert process is not None
    machine.host.nanosleep(struct.pack("<QQ", 0, 10_000_000), None)
    return process, crowd(process, state)


class Ready:
    """Lets threads be ready without running, and counts them."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.woken: list[Task] = []
        patch.setattr(send, "make_ready", self.make_ready)
        patch.setattr(send, "interrupt_sleep", self.interrupt_sleep)
        patch.setattr(deliver, "interrupt_sleep", self.interrupt_sleep)
        patch.setattr(send, "interrupt", self.interrupt)

    def interrupt(self, task: Task) -> None:
        task.interrupted = True
        self.interrupt_sleep(task)

    def make_ready(self, task: Task) -> None:
        task.state = ThreadState.READY
        self.woken.append(task)

    def interrupt_sleep(self, task: Task) -> None:
        if task.state == ThreadState.SLEEPING:
            self.make_ready(task)


@booted
def test_very_many_threads_are_continued_with_safe_points(machine: Machine) -> None:
    """Those that are not woken at once are by the first one to run."""
    process, others = process_with(machine, ThreadState.STOPPED)
    process.stop.signal = signal.SIGSTOP
    with pytest.MonkeyPatch.context() as patch:
        ready = Ready(patch)
        send_from_kernel(process, from_kernel(signal.SIGCONT))
        assert 0 < len(ready.woken) < COUNT / 2 and process.stop.signal == 0 and process.stop.has_sleepers
        with meanwhile(lambda: None, 2):
            wake_continued(process)
    assert ready.woken == others and not process.stop.has_sleepers


@booted
def test_threads_stop_again_while_others_are_continued(machine: Machine) -> None:
    """Those that still sleep count as stopped, and sleep on."""
    process, others = process_with(machine, ThreadState.STOPPED)
    process.stop.signal = signal.SIGSTOP
    with pytest.MonkeyPatch.context() as patch:
        ready = Ready(patch)
        send_from_kernel(process, from_kernel(signal.SIGCONT))
        with meanwhile(lambda: deliver._begin_stop(process, signal.SIGSTOP)):
            wake_continued(process)
        asleep = [task for task in others if task.state == ThreadState.STOPPED]
        assert process.leader in ready.woken  # which must stop, too
        assert len(asleep) == process.stop.stopped_count == COUNT + 1 - len(ready.woken) > 0
        assert all(task.signals.is_stopped for task in asleep)
        send_from_kernel(process, from_kernel(signal.SIGCONT))
        wake_continued(process)
    assert [task for task in ready.woken if task is not process.leader] == others


@booted
def test_very_many_threads_are_stopped_with_safe_points(machine: Machine) -> None:
    process, others = process_with(machine, ThreadState.SLEEPING)
    with pytest.MonkeyPatch.context() as patch:
        ready = Ready(patch)
        with meanwhile(lambda: None, 2):
            deliver._begin_stop(process, signal.SIGSTOP)
        assert ready.woken == [process.leader, *others] and all(task.interrupted for task in others)
        for task in others:
            task.state = ThreadState.SLEEPING
        ready.woken.clear()
        assert longest_stretch(lambda: deliver._begin_stop(process, signal.SIGSTOP)) < FEW


@booted
def test_threads_are_continued_while_they_are_stopped(machine: Machine) -> None:
    """Nobody is woken any more for a stop that has ended."""
    process, others = process_with(machine, ThreadState.SLEEPING)
    with pytest.MonkeyPatch.context() as patch:
        ready = Ready(patch)
        with meanwhile(lambda: send_from_kernel(process, from_kernel(signal.SIGCONT)), 2):
            deliver._begin_stop(process, signal.SIGSTOP)
    assert 0 < len(ready.woken) < COUNT and not any(task.interrupted for task in others)


@booted
@pytest.mark.parametrize("signo", [signal.SIGCONT, signal.SIGKILL])
def test_a_stop_does_not_begin_if_it_is_cancelled_while_the_group_is_looked_through(
    machine: Machine, signo: int
) -> None:
    process = find_process(Pid(machine.host.fork(sleeper)))
    assert process is not None

    def look(*_: object) -> bool:
        assert process is not None
        send_from_kernel(process, from_kernel(signo))
        return False

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deliver, "is_orphaned", look)
        deliver._begin_stop(process, signal.SIGTSTP)
    assert process.stop.signal == 0
    machine.host.kill(int(process.pid), signal.SIGKILL)
    assert machine.wait(int(process.pid)) == signal.SIGKILL


@booted
def test_pending_signals_of_very_many_threads_are_dropped_with_safe_points(machine: Machine) -> None:
    """When a signal becomes ignored. If it is not any more, the rest keep theirs."""
    process = find_process(Pid(machine.host.fork(sleeper)))
    assert process is not None
    machine.host.nanosleep(struct.pack("<QQ", 0, 10_000_000), None)
    made = []
    for _ in range(6):
        task = Task(Pid(machine.host.fork(sleeper)), process, b"other", current().credentials)
        task.pending.add(from_kernel(signal.SIGUSR1), task.credentials.uid, 100)
        process.threads[task.tid] = task
        made.append(task)
    process.actions.set(signal.SIGUSR1, 1, 0, 0, 0)

    def handle() -> None:
        process.actions.set(signal.SIGUSR1, 0x4000, 0, 0, 0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(send, "_WOKEN_AT_ONCE", 3)
        with meanwhile(handle, 4):
            send.discard_ignored(process, signal.SIGUSR1)
        left = [task.pending.mask != 0 for task in made]
        assert left[:2] == [False, False] and left[-1]
        process.actions.set(signal.SIGUSR1, 1, 0, 0, 0)
        with meanwhile(lambda: None, 5):
            send.discard_ignored(process, signal.SIGUSR1)
        assert not any(task.pending.mask for task in made)
    for task in made:
        process.threads.pop(task.tid)
        machine.host.kill(int(task.tid), signal.SIGKILL)
        machine.wait(int(task.tid))
    machine.host.kill(int(process.pid), signal.SIGKILL)
    assert machine.wait(int(process.pid)) == signal.SIGKILL


@booted
def test_a_process_is_continued_without_looking_at_all_threads(machine: Machine) -> None:
    """The sender cannot rest: it looks at some, however many there are. That signals of single threads are pending
    still, or that threads are traced, makes it look at all.
    """
    process, others = process_with(machine, ThreadState.STOPPED)
    process.stop.signal = signal.SIGSTOP
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(send, "_WOKEN_AT_ONCE", 8)
        ready = Ready(patch)
        lines = longest_stretch(lambda: send_from_kernel(process, from_kernel(signal.SIGCONT)))
        assert len(ready.woken) == 8 and lines < COUNT
        wake_continued(process)
    assert ready.woken == others


@booted
def test_a_stop_signal_of_a_single_thread_is_dropped_by_a_continue(machine: Machine) -> None:
    process, others = process_with(machine, ThreadState.SLEEPING)
    for task in others[::100]:
        task.signals.blocked = -1
        send.send_to_task(task, from_kernel(signal.SIGTSTP))
    assert process.stop.has_own and all(task.pending.mask != 0 for task in others[::100])
    send_from_kernel(process, from_kernel(signal.SIGCONT))
    assert not process.stop.has_own and all(task.pending.mask == 0 for task in others)


@booted
def test_threads_that_do_not_sleep_in_a_stop_do_not_hide_those_that_do(machine: Machine) -> None:
    """One at least is woken, which wakes the rest."""
    process, others = process_with(machine, ThreadState.SLEEPING)
    for task in others[-3:]:
        task.state = ThreadState.STOPPED
    process.stop.signal = signal.SIGSTOP
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(send, "_TOLD_AT_ONCE", 5)
        ready = Ready(patch)
        send_from_kernel(process, from_kernel(signal.SIGCONT))
        assert ready.woken == others[-3:-2] and process.stop.has_sleepers
        wake_continued(process)
    assert ready.woken == others[-3:]


def seize(others: list[Task]) -> list[Tracee]:
    """A tracer for all of them."""
    tracees = [Tracee(task, current(), True, 0, current().credentials) for task in others]
    for tracee in tracees:
        link(tracee)
    return tracees


@booted
def test_very_many_seized_threads_are_told_of_a_stop_with_safe_points(machine: Machine) -> None:
    """Once each: those that have stopped meanwhile are not told again."""
    process, others = process_with(machine, ThreadState.SLEEPING)
    tracees = seize(others)
    with pytest.MonkeyPatch.context() as patch:
        ready = Ready(patch)
        told: list[Tracee] = []
        before = send.trap_again

        def tell(tracee: Tracee) -> None:
            told.append(tracee)
            before(tracee)

        patch.setattr(deliver, "trap_again", tell)

        def stop_all() -> None:
            for tracee in tracees:
                if tracee.notifies_soon:
                    tracee.task.signals.is_stopped = True
            assert 0 < len(told) < COUNT / 2 and all(task.interrupted for task in others)

        with meanwhile(stop_all, 2):
            deliver._begin_stop(process, signal.SIGSTOP)
        assert told == tracees and ready.woken == [process.leader, *others]
        for tracee in tracees:
            tracee.task.state = ThreadState.SLEEPING
        assert longest_stretch(lambda: deliver._begin_stop(process, signal.SIGSTOP)) < FEW


@booted
def test_very_many_seized_threads_are_told_later_that_they_are_continued(machine: Machine) -> None:
    """The sender cannot rest. Some sleep in a stop, and the traced ones listen for its end."""
    process, others = process_with(machine, ThreadState.TRACED)
    tracees = seize(others[:-3])
    for tracee in tracees:
        tracee.is_listening = True
    for task in others[-3:]:
        task.state = ThreadState.STOPPED
    process.stop.signal = signal.SIGSTOP
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(send, "_TOLD_AT_ONCE", 5)
        scheduled = []
        patch.setattr(send._REST, "schedule", lambda: scheduled.append(True))
        ready = Ready(patch)
        lines = longest_stretch(lambda: send_from_kernel(process, from_kernel(signal.SIGCONT)))
        assert scheduled and not ready.woken and lines < 5 * COUNT
        with meanwhile(lambda: None, 2 * COUNT):
            send._REST.run()
        assert set(ready.woken) == set(others) and len(ready.woken) == COUNT and not process.stop.has_rest
        assert all(tracee.notifies_soon for tracee in tracees)


@booted
def test_a_stop_that_begins_meanwhile_tells_the_seized_threads_itself(machine: Machine) -> None:
    process, others = process_with(machine, ThreadState.TRACED)
    tracees = seize(others)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(send._REST, "schedule", lambda: None)
        send_from_kernel(process, from_kernel(signal.SIGCONT))

        def stop() -> None:
            process.stop.signal = signal.SIGSTOP

        with meanwhile(stop, 100):
            send._REST.run()
    assert 0 < sum(tracee.notifies_soon for tracee in tracees) < 100
