"""User notification of seccomp, on a booted machine: a child leaves a call to its parent, which has its listener."""

import struct

import pytest

from kernel.task.seccomp_listener import Listener, Notification, State, _wait
from kernel.task.task import Task, current
from tests.unit.booted import booted
from tools.simulated.machine import Machine
from tools.simulated.program import Program

PR_SET_NO_NEW_PRIVS = 38
SET_MODE_FILTER, NEW_LISTENER = 1, 8
RECEIVE, SEND, ID_VALID = 0xC0502100, 0xC0182101, 0x40082102
POLLIN, POLLHUP = 1, 16
SYS_MKDIR = 83
ALLOW, USER_NOTIFICATION = 0x7FFF0000, 0x7FC00000
FILTER = b"".join(
    struct.pack("<HBBI", *row)
    for row in ((0x20, 0, 0, 0), (0x15, 0, 1, SYS_MKDIR), (0x06, 0, 0, USER_NOTIFICATION), (0x06, 0, 0, ALLOW))
)
BUFFER_PAGE = 4096


def listen(program: Program) -> int:
    """Set the filter; the listener's descriptor."""
    place = program.mmap(0, BUFFER_PAGE, 3, 0x22, -1, 0)
    program.store(place, FILTER)
    program.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    return program.seccomp(SET_MODE_FILTER, NEW_LISTENER, struct.pack("<HHIQ", 4, 0, 0, place))


@booted
def test_the_listener_decides(machine: Machine) -> None:
    host = machine.host

    def child(program: Program) -> int:
        assert listen(program) == descriptor
        with pytest.raises(OSError, match="EBUSY"):
            program.mkdir("/notified", 0o700)
        program.mkdir("/notified", 0o700)
        return program.mkdir("/notified", 0o700)

    descriptor = host.dup(0)
    host.close(descriptor)  # what the child's listener will be
    pid = host.fork(child)
    process = host.pidfd_open(pid, 0)
    listener = -1
    while listener < 0:
        try:
            listener = host.pidfd_getfd(process, descriptor, 0)
        except OSError:
            host.sched_yield()
    for value, error, flags in ((0, -16, 0), (0, 0, 1), (7, 0, 0)):
        notification = bytearray(80)
        host.ioctl(listener, RECEIVE, notification)
        number, who = struct.unpack_from("<QI", notification)
        assert who == pid and struct.unpack_from("<i", notification, 16)[0] == SYS_MKDIR
        host.ioctl(listener, ID_VALID, struct.pack("<Q", number))
        host.ioctl(listener, SEND, struct.pack("<QqiI", number, value, error, flags))
        with pytest.raises(OSError, match=r"ENOENT|EINPROGRESS"):
            host.ioctl(listener, SEND, struct.pack("<QqiI", number, value, error, flags))
    status = bytearray(4)
    host.wait4(pid, status, 0, None)
    assert status[1] == 7
    found = bytearray(struct.pack("<ihh", listener, POLLIN, 0))
    assert host.poll(found, 1, 0) == 1 and struct.unpack("<ihh", found)[2] == POLLHUP
    host.rmdir("/notified")


@booted
def test_calls_fail_when_nobody_listens_any_more(machine: Machine) -> None:
    def child(program: Program) -> int:
        program.close(listen(program))
        with pytest.raises(OSError, match="ENOSYS"):
            program.mkdir("/notified", 0o700)
        return 3

    host = machine.host
    status = bytearray(4)
    host.wait4(host.fork(child), status, 0, None)
    assert status[1] == 3


@booted
def test_a_thread_that_only_a_kill_ends_makes_way_for_a_new_program(machine: Machine) -> None:
    """Another thread executes it, and waits for this one to end."""

    def child(program: Program) -> int:
        task = current()
        listener = Listener(waits_killable=True)
        notification = Notification(task, 1, SYS_MKDIR, program.frame)
        notification.state = State.TAKEN
        task.process.exec_task = Task(task.tid, task.process, b"other", task.credentials)
        _wait(task, listener, notification)
        task.process.exec_task = None
        return 0

    assert machine.run(child) == 0
