"""The thread that takes submissions (IORING_SETUP_SQPOLL) on a booted machine."""

from __future__ import annotations

import errno
import os
import signal
import struct

import pytest

from kernel.task.task import Task
from kernel.uring import layout
from kernel.uring.perform import TaskWork
from tests.unit.booted import booted
from tests.unit.uring.test_uring import NOP, READ, Rings, memory, pipe
from tools.simulated.machine import Machine
from tools.simulated.program import Program

SQPOLL = layout.SETUP_SQPOLL
WAKEUP = layout.ENTER_SQ_WAKEUP
GETEVENTS = layout.ENTER_GETEVENTS


class Polled(Rings):
    """A ring with a thread, which looks by itself for 20 ms."""

    def __init__(self, program: Program, setup: int = 0, idle_ms: int = 20, other: int = 0) -> None:
        self.idle_ms = idle_ms
        self.other = other
        super().__init__(program, 4, setup | SQPOLL)

    def parameters(self, setup: int) -> bytearray:
        params = super().parameters(setup)
        struct.pack_into("<I", params, 16, self.idle_ms)
        struct.pack_into("<I", params, 24, self.other)
        return params

    def publish(self) -> None:
        self.put(layout.SQ_TAIL, self.tail)

    def sleeps(self) -> bool:
        return self.get(layout.SQ_FLAGS) & layout.SQ_NEED_WAKEUP != 0

    def enter(self, flags: int = 0, submit: int = 0, least: int = 0) -> int:
        return self.program.io_uring_enter(self.fd, submit, least, flags, 0, 0)


def rest(program: Program, milliseconds: int) -> None:
    program.nanosleep(struct.pack("<qq", 0, milliseconds * 1_000_000), None)


def worker(program: Program) -> Task:
    (found,) = [task for task in program.task.process.threads.values() if task is not program.task]
    return found


@booted
def test_a_thread_takes_submissions_when_it_is_called(machine: Machine) -> None:
    host = machine.host
    ring = Polled(host)
    assert worker(host).name == b"iou-sqp-%d" % host.getpid()
    rest(host, 5)
    assert ring.sleeps()
    ring.fill(NOP, data=1)
    ring.publish()
    rest(host, 100)
    assert ring.take() == []
    assert ring.enter(submit=77) == 77
    assert ring.take() == []
    assert ring.enter(WAKEUP | GETEVENTS, 1, 1) == 1
    assert ring.take() == [(1, 0, 0)]
    assert not ring.sleeps()
    ring.fill(NOP, data=2)
    ring.publish()
    rest(host, 5)
    assert ring.take() == [(2, 0, 0)]  # it looks by itself for a while
    rest(host, 100)
    assert ring.sleeps()


@booted
def test_a_request_that_waited_goes_on_while_its_thread_sleeps(machine: Machine) -> None:
    host = machine.host
    ring = Polled(host)
    reader, writer = pipe(host)
    ring.fill(READ, reader, memory(host), 20, data=7)
    ring.publish()
    ring.enter(WAKEUP, 1)
    rest(host, 100)
    assert ring.sleeps()
    host.write(writer, b"abc", 3)
    assert ring.enter(GETEVENTS, 0, 1) == 0
    assert ring.take() == [(7, 3, 0)]


@booted
def test_the_thread_ends_with_its_last_ring(machine: Machine) -> None:
    host = machine.host
    first = Polled(host)
    second = Polled(host, layout.SETUP_ATTACH_WQ, other=first.fd)
    assert len(host.task.process.threads) == 2
    thread = worker(host)
    reader, _ = pipe(host)
    first.fill(READ, reader, memory(host), 20, data=7)
    first.publish()
    first.enter(WAKEUP, 1)
    rest(host, 5)
    for ring in (first, second):
        assert len(host.task.process.threads) == 2
        host.munmap(ring.rings, ring.size)
        host.munmap(ring.sqes, 64 * ring.entries)
        host.close(ring.fd)
        rest(host, 100)
    assert list(host.task.process.threads.values()) == [host.task]
    work = thread.async_work
    assert isinstance(work, TaskWork)
    assert work.taker is None and not work.rings and work.due.first is None


def _be_killed(child: Program) -> int:
    Polled(child)
    return child.kill(child.getpid(), signal.SIGKILL)


def _leave(child: Program) -> int:
    Polled(child)
    return 7


def _pause(child: Program) -> int:
    Polled(child)
    return child.pause()


@booted
def test_a_thread_of_a_program_that_ends(machine: Machine) -> None:
    host = machine.host
    killed = host.fork(_be_killed)
    left = host.fork(_leave)
    statuses = {}
    for _ in range(2):
        status = bytearray(4)
        ended = host.wait4(-1, status, 0, None)
        statuses[ended] = int.from_bytes(status, "little")
    assert statuses == {killed: 9, left: 7 << 8}


def _run_another(child: Program) -> int:
    ring = Polled(child)
    child.fcntl(ring.fd, 2, 0)
    child.execve("/bin/orphan", [b"/bin/orphan", b"%d" % ring.fd], [])
    return 1


def _orphan(program: Program) -> int:
    fd = int(program.arguments()[1])
    assert len(program.task.process.threads) == 1
    with pytest.raises(OSError) as refused:
        program.io_uring_enter(fd, 1, 0, WAKEUP, 0, 0)
    assert refused.value.errno == errno.EOWNERDEAD
    params = bytearray(120)
    struct.pack_into("<I", params, 8, SQPOLL | layout.SETUP_ATTACH_WQ)
    struct.pack_into("<I", params, 24, fd)
    with pytest.raises(OSError) as refused:
        program.io_uring_setup(4, params)
    assert refused.value.errno == errno.ENXIO
    return 5


@booted
def test_an_executed_program_has_a_ring_without_a_thread(machine: Machine) -> None:
    host = machine.host
    machine.install("/bin/orphan", _orphan)
    child = host.fork(_run_another)
    status = bytearray(4)
    assert host.wait4(child, status, 0, None) == child
    assert status == (5 << 8).to_bytes(4, "little")


@booted
def test_a_stopped_program_has_a_stopped_thread(machine: Machine) -> None:
    host = machine.host
    child = host.fork(_pause)
    rest(host, 10)
    host.kill(child, signal.SIGSTOP)
    status = bytearray(4)
    assert host.wait4(child, status, 2, None) == child
    host.kill(child, signal.SIGCONT)
    host.kill(child, signal.SIGTERM)
    assert host.wait4(child, status, 0, None) == child
    assert status == signal.SIGTERM.to_bytes(4, "little")


@booted
def test_a_ring_is_served_with_its_makers_rights(machine: Machine) -> None:
    host = machine.host
    host.close(host.open("/secret", os.O_CREAT | os.O_WRONLY, 0o600))
    host.setresuid(-1, 1000, -1)
    mine = Polled(host)
    host.setresuid(-1, 0, -1)
    other = Polled(host, layout.SETUP_ATTACH_WQ, other=mine.fd)
    name = memory(host, b"/secret\0")
    for ring, result in ((mine, -errno.EACCES), (other, None)):
        ring.fill(18, -100, name, data=1)
        ring.publish()
        ring.enter(WAKEUP | GETEVENTS, 1, 1)
        ((_, found, _),) = ring.take()
        assert found == result if result is not None else found > 0
    assert int(worker(host).credentials.euid) == 1000


@booted
def test_a_disabled_ring_is_not_looked_at(machine: Machine) -> None:
    host = machine.host
    ring = Polled(host, layout.SETUP_R_DISABLED)
    ring.fill(NOP, data=1)
    ring.publish()
    rest(host, 100)
    assert ring.take() == [] and ring.sleeps()
    host.io_uring_register(ring.fd, 12, 0, 0)
    rest(host, 5)
    assert ring.take() == [(1, 0, 0)]


@booted
@pytest.mark.parametrize("setup", [SQPOLL | layout.SETUP_COOP_TASKRUN, SQPOLL | layout.SETUP_TASKRUN_FLAG,
                                   layout.SETUP_SQ_AFF])  # fmt: skip
def test_flags_that_do_not_go_together(machine: Machine, setup: int) -> None:
    params = bytearray(120)
    struct.pack_into("<I", params, 8, setup)
    with pytest.raises(OSError) as refused:
        machine.host.io_uring_setup(4, params)
    assert refused.value.errno == errno.EINVAL
    assert len(machine.host.task.process.threads) == 1
