"""Processes, signals and memory by system calls, on a booted machine."""

import contextlib
import os
import signal
import struct

import pytest

from tests.unit.booted import booted
from tools.simulated.code import Main
from tools.simulated.machine import Machine
from tools.simulated.program import Program

PAGE = 4096
SECOND = struct.pack("<QQ", 1, 0)
READ_WRITE = 3
PRIVATE_ANONYMOUS = 0x22
SHARED_ANONYMOUS = 0x21


def make_pipe(program: Program) -> tuple[int, int]:
    ends = bytearray(8)
    program.pipe2(ends, 0)
    read_end, write_end = struct.unpack("<ii", ends)
    return read_end, write_end


def receive(program: Program, descriptor: int, limit: int = 100) -> bytes:
    buffer = bytearray(limit)
    return bytes(buffer[: program.read(descriptor, buffer, limit)])


def map_pages(program: Program, count: int, flags: int = PRIVATE_ANONYMOUS) -> int:
    return program.call("mmap", 0, count * PAGE, READ_WRITE, flags, -1, 0)


def resident_pages(program: Program) -> int:
    memory = program.task.memory
    assert memory is not None
    return memory.resident


@booted
def test_a_child_and_its_status(machine: Machine) -> None:
    host = machine.host

    def child(program: Program) -> int:
        assert program.getppid() == 1 and program.getpid() > 1
        return 3

    assert os.waitstatus_to_exitcode(machine.run(child)) == 3
    with pytest.raises(OSError, match="ECHILD"):
        machine.wait(-1)
    assert host.getpid() == 1


@booted
def test_a_program_takes_the_place_of_another(machine: Machine) -> None:
    read_end, write_end = make_pipe(machine.host)

    def echo(program: Program) -> int:
        words = b" ".join(program.arguments())
        program.write(write_end, words, len(words))
        return len(program.arguments())

    machine.install("/bin/echo", echo)

    def child(program: Program) -> None:
        program.fcntl(read_end, 2, 1)  # F_SETFD, FD_CLOEXEC
        program.execve("/bin/echo", [b"echo", b"hello", b"world"], [b"A=1"])

    assert os.waitstatus_to_exitcode(machine.run(child)) == 3
    assert receive(machine.host, read_end) == b"echo hello world"


@booted
def test_a_pipe_makes_both_sides_wait(machine: Machine) -> None:
    host = machine.host
    read_end, write_end = make_pipe(host)
    data = bytes(range(250)) * 1000  # more than a pipe holds

    def writer(program: Program) -> None:
        program.close(read_end)
        assert program.write(write_end, data, len(data)) == len(data)

    child = host.fork(writer)
    host.close(write_end)
    received = b""
    while part := receive(host, read_end, 60_000):
        received += part
    assert received == data
    assert machine.wait(child) == 0


@booted
def test_who_waits_for_nobody_is_told(machine: Machine) -> None:
    """The machine interrupts a sleep that nothing can end."""
    read_end, _ = make_pipe(machine.host)
    with pytest.raises(OSError, match="EINTR"):
        receive(machine.host, read_end)


@booted
def test_signals_reach_their_handler(machine: Machine) -> None:
    seen: list[int] = []

    def child(program: Program) -> None:
        program.handle(signal.SIGUSR1, lambda _, signo: seen.append(signo))
        program.kill(program.getpid(), signal.SIGUSR1)
        assert seen == [signal.SIGUSR1]
        program.handle(signal.SIGALRM, lambda _, signo: seen.append(signo))
        program.alarm(2)
        with pytest.raises(OSError, match="EINTR"):
            program.pause()
        program.kill(program.getpid(), signal.SIGTERM)

    assert machine.run(child) == signal.SIGTERM
    assert seen == [signal.SIGUSR1, signal.SIGALRM]


@booted
def test_a_read_is_made_again_after_a_handler(machine: Machine) -> None:
    host = machine.host
    read_end, write_end = make_pipe(host)
    seen: list[int] = []

    def reader(program: Program) -> None:
        program.handle(signal.SIGUSR1, lambda _, signo: seen.append(signo), 0x1000_0000)  # SA_RESTART
        assert receive(program, read_end) == b"late"
        assert seen == [signal.SIGUSR1]

    child = host.fork(reader)
    host.nanosleep(SECOND, None)
    host.kill(child, signal.SIGUSR1)
    host.nanosleep(SECOND, None)
    assert seen
    host.write(write_end, b"late", 4)
    assert machine.wait(child) == 0


@booted
def test_stop_and_continue(machine: Machine) -> None:
    host = machine.host
    child = host.fork(lambda program: program.nanosleep(SECOND, None))
    host.kill(child, signal.SIGSTOP)
    status = bytearray(4)
    assert host.wait4(child, status, os.WUNTRACED, 0) == child
    assert os.WIFSTOPPED(int.from_bytes(status, "little"))
    host.kill(child, signal.SIGCONT)
    assert machine.wait(child) == 0


@booted
def test_a_kill_comes_before_a_stop(machine: Machine) -> None:
    """The stop is the thread's own and the kill the process's, and both wait when the thread looks."""
    host = machine.host
    child = host.fork(lambda program: program.nanosleep(SECOND, None))
    host.nanosleep(struct.pack("<QQ", 0, 100_000_000), None)
    host.sched_setscheduler(0, 1, struct.pack("<i", 1))  # SCHED_FIFO: the child does not run in between
    host.tgkill(child, child, signal.SIGSTOP)
    host.kill(child, signal.SIGKILL)
    assert machine.wait(child) == signal.SIGKILL


@booted
def test_pages_come_with_the_first_access(machine: Machine) -> None:
    def child(program: Program) -> None:
        address = map_pages(program, 100)
        before = resident_pages(program)
        assert program.load(address + 5 * PAGE, 4) == bytes(4)
        program.store(address + 7 * PAGE - 2, b"four")  # over a border
        assert resident_pages(program) == before + 3
        program.munmap(address, 100 * PAGE)
        assert resident_pages(program) == before
        program.load(address, 1)

    assert machine.run(child) == signal.SIGSEGV


@booted
def test_a_child_changes_its_own_copy(machine: Machine) -> None:
    host = machine.host
    private, shared = map_pages(host, 1), map_pages(host, 1, SHARED_ANONYMOUS)
    host.store(private, b"parent")
    host.store(shared, b"parent")

    def child(program: Program) -> None:
        assert program.load(private, 6) == b"parent"
        program.store(private, b"child ")
        program.store(shared, b"child ")
        assert program.load(private, 6) == b"child "

    assert machine.run(child) == 0
    assert host.load(private, 6) == b"parent"
    assert host.load(shared, 6) == b"child "


@booted
def test_a_handler_may_mend_a_fault(machine: Machine) -> None:
    def child(program: Program) -> None:
        address = map_pages(program, 1)
        program.mprotect(address, PAGE, 1)
        faults: list[int] = []

        def mend(program: Program, signo: int) -> None:
            faults.append(signo)
            program.mprotect(address, PAGE, READ_WRITE)

        program.handle(signal.SIGSEGV, mend)
        program.store(address, b"x")
        assert faults == [signal.SIGSEGV] and program.load(address, 1) == b"x"

    assert machine.run(child) == 0


@booted
def test_a_futex_between_two_processes(machine: Machine) -> None:
    host = machine.host
    word = map_pages(host, 1, SHARED_ANONYMOUS)

    def waiter(program: Program) -> int:
        program.futex(word, 0, 0, None)  # FUTEX_WAIT while it is 0
        return program.load(word, 1)[0]

    child = host.fork(waiter)
    host.nanosleep(SECOND, None)
    host.store(word, b"\7")
    assert host.futex(word, 1, 1) == 1  # FUTEX_WAKE
    assert os.waitstatus_to_exitcode(machine.wait(child)) == 7
    with pytest.raises(OSError, match="EAGAIN"):
        host.futex(word, 0, 0, None)


@booted
def test_time_passes_only_when_nobody_runs(machine: Machine) -> None:
    host = machine.host

    def now() -> float:
        time = bytearray(16)
        host.clock_gettime(1, time)
        return int.from_bytes(time[:8], "little") + int.from_bytes(time[8:], "little") / 1e9

    before = now()
    host.nanosleep(struct.pack("<QQ", 3600, 0), None)
    assert 3600 <= now() - before < 3600.1


@booted
def test_epoll_hears_of_a_pipe_and_of_a_timer(machine: Machine) -> None:
    host = machine.host
    read_end, write_end = make_pipe(host)
    timer = host.timerfd_create(1, 0)
    host.timerfd_settime(timer, 0, struct.pack("<QQQQ", 0, 0, 2, 0), None)
    poll = host.epoll_create1(0)
    for descriptor in (read_end, timer):
        host.epoll_ctl(poll, 1, descriptor, struct.pack("<IQ", 1, descriptor))  # EPOLLIN
    events = bytearray(12 * 4)
    assert host.epoll_wait(poll, events, 4, 0) == 0
    assert host.epoll_wait(poll, events, 4, -1) == 1
    assert struct.unpack_from("<IQ", events) == (1, timer)
    assert receive(host, timer, 8) == struct.pack("<Q", 1)
    host.write(write_end, b"x", 1)
    assert host.epoll_wait(poll, events, 4, -1) == 1
    assert struct.unpack_from("<IQ", events) == (1, read_end)


def start_thread(program: Program, main: Main) -> int:
    """clone(2) with what pthread_create shares, on a stack of its own."""
    stack = map_pages(program, 4)
    program.frame.r15 = program.code.add_main(main)
    try:
        return program.clone(0x1_0F00, stack + 4 * PAGE)  # VM, FS, FILES, SIGHAND, THREAD
    finally:
        program.frame.r15 = 0


@booted
def test_a_thread_that_waits_for_a_signal_ends_when_another_becomes_a_new_program(machine: Machine) -> None:
    def wait_for_ever(program: Program) -> None:
        while True:
            with contextlib.suppress(InterruptedError):
                program.rt_sigtimedwait((1 << signal.SIGUSR2 - 1).to_bytes(8, "little"), None, None, 8)

    machine.install("/bin/four", lambda program: 4)

    def child(program: Program) -> None:
        start_thread(program, wait_for_ever)
        program.nanosleep(SECOND, None)
        program.execve("/bin/four", [b"four"], [])

    assert os.waitstatus_to_exitcode(machine.run(child)) == 4
