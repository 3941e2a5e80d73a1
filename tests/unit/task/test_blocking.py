"""Threads that block and unblock a signal, without the kernel lock, while another process sends it: none is lost, and
none is left to a thread that blocks it. Each seed is one order in which two processors go on.
"""

import contextlib
import signal
import struct

import pytest

from kernel.syscalls import sigaction
from kernel.task import blocking, exit
from kernel.task.send import signal_process
from kernel.task.signals import bit
from kernel.task.task import Task
from kernel.task.trace_stops import report_end
from tests.unit.booted import booted
from tools.simulated.machine import Machine
from tools.simulated.program import Program
from tools.simulated.several import Several

RESTARTS = 0x1000_0000  # SA_RESTART
NEW_THREAD = 0x5_0F00  # CLONE_VM, FS, FILES, SIGHAND, THREAD, SYSVSEM
STACK_BYTES = 0x1_0000
BLOCK, UNBLOCK = 0, 1
ROUNDS = 12
MASK = struct.pack("<q", bit(signal.SIGUSR1))
NAP = struct.pack("<QQ", 0, 100_000)


class Receiver:
    """A process to which a child sends a signal in each round, while it changes its mask. In the end the signal must be
    handled, by itself or by its other thread.
    """

    def __init__(self, last: int) -> None:
        self.last = last
        self.handled: list[int] = []  # by which thread
        self.rounds = 0

    def run(self, program: Program) -> int:
        program.handle(signal.SIGUSR1, self._note, RESTARTS)
        ends, others = bytearray(8), bytearray(8)
        program.pipe2(ends, 0)
        program.pipe2(others, 0)
        self.read_end, self.write_end = struct.unpack("<ii", ends)
        self.end_of_other = struct.unpack("<ii", others)[0]
        self.pid = program.getpid()
        if self.last == BLOCK:
            self._start_thread(program)
        for number in range(ROUNDS):
            child = program.fork(self._send)
            for how in (BLOCK, UNBLOCK, BLOCK, UNBLOCK, BLOCK)[: 4 + (self.last == BLOCK)]:
                program.rt_sigprocmask(how, MASK, bytearray(8) if number % 2 else None, 8)
            program.read(self.read_end, bytearray(1), 1)
            for _ in range(20):
                if self.last == BLOCK and len(self.handled) <= number:
                    program.nanosleep(NAP, None)
            assert len(self.handled) == number + 1, "the signal is lost"
            program.wait4(child, None, 0, 0)
            self.rounds += 1
        program.exit_group(0)
        return 0

    def _note(self, program: Program, signo: int) -> None:
        self.handled.append(program.task.own_tid)

    def _send(self, child: Program) -> int:
        child.kill(self.pid, signal.SIGUSR1)
        child.write(self.write_end, b".", 1)
        return 0

    def _start_thread(self, program: Program) -> None:
        """One that sleeps but for signals."""

        def life(thread: Program) -> None:
            with contextlib.suppress(OSError):
                thread.read(self.end_of_other, bytearray(1), 1)

        program.frame.r15 = program.code.add_main(life)
        program.clone(NEW_THREAD, (program.frame.rsp - STACK_BYTES) & ~15, 0, 0, 0)
        program.frame.r15 = 0


def rounds_on(machine: Machine, seed: int, last: int) -> tuple[Several, Receiver]:
    several, receiver = Several(machine, 2, seed), Receiver(last)
    child = machine.host.fork(receiver.run)
    machine.host.wait4(child, None, 0, 0)
    return several, receiver


@pytest.mark.parametrize("seed", range(8))
@booted
def test_no_signal_is_lost(machine: Machine, seed: int) -> None:
    several, receiver = rounds_on(machine, seed, UNBLOCK)
    assert receiver.rounds == ROUNDS, Program.failures
    assert several.sections > 4 * ROUNDS and several.unfinished > 0


@pytest.mark.parametrize("seed", range(8))
@booted
def test_a_signal_is_handed_over(machine: Machine, seed: int) -> None:
    _, receiver = rounds_on(machine, seed, BLOCK)
    assert receiver.rounds == ROUNDS, Program.failures
    assert len(set(receiver.handled)) == 2


@booted
def test_a_thread_that_does_not_look_is_noticed(machine: Machine) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sigaction, "FINISH", 0)
        assert rounds_on(machine, 1, UNBLOCK)[1].rounds < ROUNDS


@pytest.mark.parametrize("has_lock", [True, False])
@booted
def test_what_is_blocked_before_it_is_taken_is_handed_over(machine: Machine, has_lock: bool) -> None:
    receiver, told = Receiver(BLOCK), []

    def run(program: Program) -> int:
        program.handle(signal.SIGUSR1, receiver._note, RESTARTS)
        others = bytearray(8)
        program.pipe2(others, 0)
        receiver.end_of_other = struct.unpack("<ii", others)[0]
        receiver._start_thread(program)
        program.nanosleep(NAP, None)
        task = program.task
        other = next(each for each in task.process.threads.values() if each is not task)
        signal_process(task.process, signal.SIGUSR1)
        told.append((task.interrupted, other.interrupted))
        if has_lock:
            blocking.set_blocked(task, bit(signal.SIGUSR1))
        else:
            task.signals.blocked = bit(signal.SIGUSR1)
            blocking.note_changed_mask(task)
        told.append((task.interrupted, other.interrupted))
        program.nanosleep(NAP, None)
        program.exit_group(0)
        return 0

    child = machine.host.fork(run)
    machine.host.wait4(child, None, 0, 0)
    assert told == [(True, False), (False, True)]
    assert len(receiver.handled) == 1 and receiver.handled != [child]


@booted
def test_what_is_left_to_a_thread_that_ends_is_handed_over(machine: Machine) -> None:
    """The signal comes after the thread has begun to end, and before it counts as ended."""
    receiver = Receiver(BLOCK)

    def run(program: Program) -> int:
        program.handle(signal.SIGUSR1, receiver._note, RESTARTS)
        others = bytearray(8)
        program.pipe2(others, 0)
        receiver.end_of_other = struct.unpack("<ii", others)[0]
        receiver._start_thread(program)
        program.nanosleep(NAP, None)
        leader = program.task

        def ends(task: Task) -> None:
            if task is leader:
                signal_process(task.process, signal.SIGUSR1)
            report_end(task)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(exit, "report_end", ends)
            program.exit(0)
        return 0

    child = machine.host.fork(run)
    machine.host.nanosleep(struct.pack("<QQ", 0, 50_000_000), None)
    assert len(receiver.handled) == 1 and receiver.handled != [child]


@booted
def test_a_process_that_dumps_core_is_not_disturbed(machine: Machine) -> None:
    told = []

    def run(program: Program) -> int:
        receiver = Receiver(BLOCK)
        others = bytearray(8)
        program.pipe2(others, 0)
        receiver.end_of_other = struct.unpack("<ii", others)[0]
        receiver._start_thread(program)
        program.nanosleep(NAP, None)
        process = program.task.process
        other = next(each for each in process.threads.values() if each is not program.task)
        signal_process(process, signal.SIGUSR1)
        process.ending.is_exiting = True
        program.task.signals.blocked = bit(signal.SIGUSR1)
        blocking.note_changed_mask(program.task)
        told.append(other.interrupted)
        process.ending.is_exiting = False
        program.exit_group(0)
        return 0

    child = machine.host.fork(run)
    machine.host.wait4(child, None, 0, 0)
    assert told == [False]


@booted
def test_what_the_old_mask_lets_in_comes_before_the_call_is_over(machine: Machine) -> None:
    handled, seen = [], []

    def run(program: Program) -> int:
        program.handle(signal.SIGUSR1, lambda program, signo: handled.append(signo), 0)
        pid = program.getpid()
        child = program.fork(lambda child: child.kill(pid, signal.SIGUSR1) or 0)
        seen.append(program.ppoll(None, 0, struct.pack("<QQ", 0, 50_000_000), MASK, 8))
        seen.append(len(handled))
        program.wait4(child, None, 0, 0)
        program.exit_group(0)
        return 0

    child = machine.host.fork(run)
    machine.host.wait4(child, None, 0, 0)
    assert seen == [0, 1]
