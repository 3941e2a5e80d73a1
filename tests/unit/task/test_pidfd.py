"""Process descriptors (pidfd_open(2)), on a booted machine."""

from __future__ import annotations

import os
import signal
import struct

from tests.unit.booted import booted
from tests.unit.errors import error_of
from tools.simulated.machine import Machine
from tools.simulated.program import Program

THREAD = 0x80
IN, HUNG_UP = 1, 16
SECOND = struct.pack("<qq", 1, 0)
TO_THREAD, TO_PROCESS, TO_GROUP = 1, 2, 4


def sleeper(program: Program) -> None:
    program.pause()


def events(program: Program, descriptor: int, wait_ms: int = 0) -> int:
    record = bytearray(struct.pack("<ihh", descriptor, IN, 0))
    program.poll(record, 1, wait_ms)
    found: int = struct.unpack_from("<h", record, 6)[0]
    return found


def inode(program: Program, descriptor: int) -> int:
    raw = bytearray(144)
    program.fstat(descriptor, raw)
    return int.from_bytes(raw[8:16], "little")


def text_of(program: Program, path: str) -> dict[bytes, bytes]:
    file = program.open(path, os.O_RDONLY)
    raw = bytearray(1000)
    lines = bytes(raw[: program.read(file, raw, 1000)]).splitlines()
    program.close(file)
    return dict((name, value.strip()) for name, _, value in (line.partition(b":") for line in lines))


@booted
def test_it_is_ready_when_the_process_ends(machine: Machine) -> None:
    host = machine.host
    child = host.fork(lambda program: program.nanosleep(SECOND, None))
    descriptor = host.pidfd_open(child, 0)
    assert events(host, descriptor) == 0
    assert events(host, descriptor, 9000) == IN
    assert machine.wait(child) == 0
    assert events(host, descriptor) == IN | HUNG_UP
    assert error_of(host.pidfd_send_signal, descriptor, 0, None, 0) == "ESRCH"


@booted
def test_numbers_and_flags(machine: Machine) -> None:
    host = machine.host
    assert error_of(host.pidfd_open, 0, 0) == "EINVAL" == error_of(host.pidfd_open, -1, 0)
    assert error_of(host.pidfd_open, host.getpid(), 1) == "EINVAL"
    assert error_of(host.pidfd_open, 30000, 0) == "ESRCH"
    descriptor = host.pidfd_open(host.getpid(), os.O_NONBLOCK)
    assert host.fcntl(descriptor, 1, 0) == 1, "FD_CLOEXEC"
    assert host.fcntl(descriptor, 3, 0) & os.O_NONBLOCK != 0
    assert error_of(lambda: host.read(descriptor, bytearray(8), 8)) == "EINVAL"
    assert error_of(lambda: host.write(descriptor, bytes(8), 8)) == "EINVAL"
    assert error_of(host.fchmod, descriptor, 0o600) == "EPERM", "it is immutable"


@booted
def test_a_signal_by_descriptor(machine: Machine) -> None:
    host = machine.host
    child = host.fork(sleeper)
    descriptor = host.pidfd_open(child, 0)
    assert host.pidfd_send_signal(descriptor, 0, None, 0) == 0
    assert error_of(host.pidfd_send_signal, descriptor, 65, None, 0) == "EINVAL"
    assert error_of(host.pidfd_send_signal, descriptor, 0, None, 3) == "EINVAL"
    info = struct.pack("<iii", signal.SIGUSR1, 0, 0) + bytes(116)  # SI_USER, which only kill(2) says
    assert error_of(host.pidfd_send_signal, descriptor, signal.SIGUSR1, info, 0) == "EPERM"
    info = struct.pack("<iii", signal.SIGUSR1, 0, -1) + bytes(116)  # SI_QUEUE
    assert error_of(host.pidfd_send_signal, descriptor, signal.SIGUSR2, info, 0) == "EINVAL"
    host.pidfd_send_signal(descriptor, signal.SIGUSR1, info, 0)
    assert machine.wait(child) == signal.SIGUSR1
    raw = bytearray(8)
    host.pipe2(raw, 0)
    assert error_of(host.pidfd_send_signal, raw[0], 0, None, 0) == "EBADF"


@booted
def test_a_signal_to_the_group(machine: Machine) -> None:
    host = machine.host
    leader, member = host.fork(sleeper), host.fork(sleeper)
    host.setpgid(leader, leader)
    host.setpgid(member, leader)
    to_member, to_leader = host.pidfd_open(member, 0), host.pidfd_open(leader, 0)
    assert error_of(host.pidfd_send_signal, to_member, 9, None, TO_GROUP) == "ESRCH"  # it leads none
    host.pidfd_send_signal(to_leader, signal.SIGTERM, None, TO_GROUP)
    assert machine.wait(leader) == machine.wait(member) == signal.SIGTERM


@booted
def test_all_of_a_process_are_one_inode_and_its_number_is_not_used_again(machine: Machine) -> None:
    host = machine.host
    child = host.fork(sleeper)
    first, second = host.pidfd_open(child, 0), host.pidfd_open(child, 0)
    other = host.fork(sleeper)
    third = host.pidfd_open(other, 0)
    assert inode(host, first) == inode(host, second) != inode(host, third)
    for each in (child, other):
        host.kill(each, signal.SIGKILL)
        assert machine.wait(each) == signal.SIGKILL
    later = host.fork(sleeper)
    assert inode(host, host.pidfd_open(later, 0)) not in (inode(host, first), inode(host, third))
    host.kill(later, signal.SIGKILL)
    assert machine.wait(later) == signal.SIGKILL


@booted
def test_its_description(machine: Machine) -> None:
    host = machine.host
    host.mkdir("/proc", 0o755)
    host.mount("proc", "/proc", "proc", 0, None)
    child = host.fork(sleeper)
    descriptor = host.pidfd_open(child, 0)
    place = f"/proc/self/fdinfo/{descriptor}"
    assert text_of(host, place)[b"Pid"] == b"%d" % child
    host.kill(child, signal.SIGKILL)
    assert machine.wait(child) == signal.SIGKILL
    assert text_of(host, place)[b"Pid"] == b"-1" == text_of(host, place)[b"NSpid"]


@booted
def test_a_file_of_another_process(machine: Machine) -> None:
    host = machine.host
    raw = bytearray(8)
    host.pipe2(raw, 0)
    inner, outer = struct.unpack("<ii", raw)

    def child(program: Program) -> None:
        program.dup2(outer, 50)
        program.close(outer)
        program.pause()

    pid = host.fork(child)
    host.nanosleep(SECOND, None)
    descriptor = host.pidfd_open(pid, 0)
    taken = host.pidfd_getfd(descriptor, 50, 0)
    host.write(taken, b"text", 4)
    text = bytearray(4)
    assert host.read(inner, text, 4) == 4 and text == b"text"
    assert error_of(host.pidfd_getfd, descriptor, 51, 0) == "EBADF"
    assert error_of(host.pidfd_getfd, descriptor, 50, 1) == "EINVAL"
    assert error_of(host.pidfd_getfd, inner, 50, 0) == "EBADF"

    def stranger(program: Program) -> None:
        program.setresuid(1000, 1000, 1000)
        assert error_of(program.pidfd_getfd, descriptor, 50, 0) == "EPERM"

    assert machine.run(stranger) == 0
    host.kill(pid, signal.SIGKILL)
    assert machine.wait(pid) == signal.SIGKILL
    assert error_of(host.pidfd_getfd, descriptor, 50, 0) == "ESRCH"


@booted
def test_one_of_a_thread(machine: Machine) -> None:
    host = machine.host
    pid = host.getpid()
    of_thread, of_process = host.pidfd_open(pid, THREAD), host.pidfd_open(pid, 0)
    assert inode(host, of_thread) == inode(host, of_process), "the first thread stands for the process"
    came: list[int] = []
    host.handle(signal.SIGUSR1, lambda program, signo: came.append(signo))
    for flags in (0, TO_THREAD, TO_PROCESS):
        host.pidfd_send_signal(of_thread, signal.SIGUSR1, None, flags)
    assert len(came) == 3
