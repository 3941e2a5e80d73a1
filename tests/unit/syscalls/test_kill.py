"""Sending signals (kernel/syscalls/kill.py, siginfo_arguments.py, pidfd_open.py), on a booted machine."""

import os
import signal
import struct

import pytest

from kernel.lang import UserAddr
from kernel.sched import sleep_until
from kernel.syscalls import pidfd_open, siginfo_arguments
from kernel.task.exit import reap
from kernel.task.pids import find_process
from kernel.task.siginfo import SignalInfo
from kernel.time.clock import monotonic_ns
from tests.unit.booted import booted
from tools.simulated.machine import Machine
from tools.simulated.program import Program

FAULTY = 16  # an address without memory
NOBODY = 99_999
PAGE = 4096
USR1 = signal.SIGUSR1
SI_QUEUE, SI_USER, SI_TKILL = -1, 0, -6
UNKNOWN = -100  # a code that says nothing about the layout
KNOWN_SIZE = 48


def info(code: int, value: int = 0, signo: int = 0, more: bytes = b"") -> bytes:
    """siginfo_t; `more` follows the part that the kernel knows."""
    return struct.pack("<iiiiiiq", signo, 0, code, 0, 0, 0, value).ljust(KNOWN_SIZE, b"\0") + more.ljust(80, b"\0")


def block(program: Program, signo: int) -> bytes:
    wanted = struct.pack("<Q", 1 << (signo - 1))
    program.rt_sigprocmask(0, wanted, None, 8)
    return wanted


def take(program: Program, wanted: bytes) -> tuple[int, int, int]:
    """A pending signal: its number, code and value."""
    out = bytearray(128)
    program.rt_sigtimedwait(wanted, out, bytes(16), 8)
    number, _, code = struct.unpack_from("<iii", out)
    return number, code, struct.unpack_from("<q", out, 24)[0]


def at_the_end_of_memory(program: Program, data: bytes) -> int:
    """Where data ends with the last byte before a page that is not there."""
    start = program.mmap(0, 2 * PAGE, 3, 0x22, -1, 0)
    program.munmap(start + PAGE, PAGE)
    program.store(start + PAGE - len(data), data)
    return start + PAGE - len(data)


@booted
def test_a_value_goes_with_a_signal(machine: Machine) -> None:
    host = machine.host
    wanted = block(host, USR1)
    host.rt_sigqueueinfo(host.getpid(), USR1, info(SI_QUEUE, 1234))
    assert take(host, wanted) == (USR1, SI_QUEUE, 1234)
    host.rt_tgsigqueueinfo(host.getpid(), host.gettid(), USR1, info(SI_QUEUE, 5678))
    assert take(host, wanted) == (USR1, SI_QUEUE, 5678)
    host.tgkill(host.getpid(), host.gettid(), USR1)
    assert take(host, wanted)[:2] == (USR1, SI_TKILL)


@booted
def test_who_may_claim_what(machine: Machine) -> None:
    host = machine.host
    wanted = block(host, USR1)
    host.rt_sigqueueinfo(host.getpid(), USR1, info(SI_USER))  # a process may fool itself
    assert take(host, wanted)[:2] == (USR1, SI_USER)

    def child(program: Program) -> None:
        for code in (SI_USER, SI_TKILL, 5):
            with pytest.raises(OSError, match="EPERM"):
                program.rt_sigqueueinfo(1, USR1, info(code))
            with pytest.raises(OSError, match="EPERM"):
                program.rt_tgsigqueueinfo(1, 1, USR1, info(code))
        program.rt_sigqueueinfo(1, USR1, info(SI_QUEUE, 7))

    assert machine.run(child) == 0
    assert take(host, wanted) == (USR1, SI_QUEUE, 7)


@booted
def test_what_is_beyond_a_known_layout_is_not_looked_at(machine: Machine) -> None:
    host = machine.host
    wanted = block(host, USR1)
    host.rt_sigqueueinfo(host.getpid(), USR1, at_the_end_of_memory(host, info(SI_QUEUE, 9)[:KNOWN_SIZE]))
    assert take(host, wanted) == (USR1, SI_QUEUE, 9)


@booted
def test_an_unknown_layout_must_end_where_the_known_ones_do(machine: Machine) -> None:
    host = machine.host
    wanted = block(host, USR1)
    host.rt_sigqueueinfo(host.getpid(), USR1, info(UNKNOWN, 9))
    assert take(host, wanted) == (USR1, UNKNOWN, 9)
    for code in (UNKNOWN, 7):
        with pytest.raises(OSError, match="E2BIG"):
            host.rt_sigqueueinfo(host.getpid(), USR1, info(code, more=b"x"))
    host.rt_sigqueueinfo(host.getpid(), USR1, info(6, more=b"x"))  # the last of the codes for all signals
    assert take(host, wanted)[:2] == (USR1, 6)
    with pytest.raises(OSError, match="E2BIG"):
        host.rt_sigqueueinfo(host.getpid(), signal.SIGBUS, info(6, more=b"x"))  # which has its own
    with pytest.raises(OSError, match="EFAULT"):
        host.rt_sigqueueinfo(host.getpid(), USR1, at_the_end_of_memory(host, info(UNKNOWN)[:KNOWN_SIZE]))


@booted
def test_the_information_is_read_before_anything_is_checked(machine: Machine) -> None:
    host = machine.host
    for pid, tid in ((0, 0), (-1, 1), (NOBODY, NOBODY)):
        with pytest.raises(OSError, match="EFAULT"):
            host.rt_tgsigqueueinfo(pid, tid, 99, FAULTY)
        with pytest.raises(OSError, match="EFAULT"):
            host.rt_sigqueueinfo(pid, 99, FAULTY)
    with pytest.raises(OSError, match="EINVAL"):
        host.rt_tgsigqueueinfo(0, 1, USR1, info(SI_USER))
    with pytest.raises(OSError, match="EPERM"):
        host.rt_tgsigqueueinfo(NOBODY, NOBODY, 99, info(SI_USER))
    with pytest.raises(OSError, match="ESRCH"):
        host.rt_tgsigqueueinfo(NOBODY, NOBODY, 99, info(SI_QUEUE))
    with pytest.raises(OSError, match="EINVAL"):
        host.rt_sigqueueinfo(host.getpid(), 99, info(SI_QUEUE))


@booted
def test_nobody_comes_before_a_signal_that_is_none(machine: Machine) -> None:
    host = machine.host
    for call, arguments in ((host.kill, (NOBODY, 99)), (host.kill, (-NOBODY, 99)), (host.tkill, (NOBODY, 99))):
        with pytest.raises(OSError, match="ESRCH"):
            call(*arguments)
    for call, wrong in ((host.kill, (1, 99)), (host.tkill, (0, USR1)), (host.tgkill, (1, -1, USR1))):
        with pytest.raises(OSError, match="EINVAL"):
            call(*wrong)


@booted
def test_a_group_is_signalled(machine: Machine) -> None:
    host = machine.host

    def child(program: Program) -> None:
        program.setpgid(0, 0)
        program.pause()

    pid = host.fork(child)
    host.nanosleep(struct.pack("<qq", 0, 1_000_000), None)
    assert host.kill(-pid, 0) == 0
    assert host.kill(-pid, signal.SIGTERM) == 0
    assert machine.wait(pid) == signal.SIGTERM


@booted
def test_a_descriptor_means_a_process(machine: Machine) -> None:
    host = machine.host

    def child(program: Program) -> None:
        program.pause()

    pid = host.fork(child)
    descriptor = host.pidfd_open(pid, 0)
    assert host.pidfd_send_signal(descriptor, 0, None, 0) == 0
    with pytest.raises(OSError, match="E2BIG"):
        host.pidfd_send_signal(descriptor, USR1, info(UNKNOWN, signo=USR1, more=b"x"), 0)
    with pytest.raises(OSError, match="EINVAL"):
        host.pidfd_send_signal(descriptor, USR1, info(SI_QUEUE, signo=signal.SIGUSR2), 0)
    with pytest.raises(OSError, match="EPERM"):
        host.pidfd_send_signal(descriptor, USR1, info(SI_USER, signo=USR1), 0)
    with pytest.raises(OSError, match="EINVAL"):
        host.pidfd_send_signal(999, USR1, None, 3)
    with pytest.raises(OSError, match="EBADF"):
        host.pidfd_send_signal(999, USR1, FAULTY, 0)
    host.pidfd_send_signal(descriptor, signal.SIGTERM, None, 0)
    host.waitid(3, descriptor, bytearray(128), 4 | 0x0100_0000, 0)  # P_PIDFD, WEXITED | WNOWAIT
    assert host.pidfd_send_signal(descriptor, 0, None, 0) == 0  # a zombie is somebody
    assert os.WTERMSIG(machine.wait(pid)) == signal.SIGTERM
    with pytest.raises(OSError, match="ESRCH"):
        host.pidfd_send_signal(descriptor, 0, None, 0)


@booted
def test_whom_a_descriptor_can_be_opened_for(machine: Machine) -> None:
    host = machine.host
    for pid, flags, error in ((NOBODY, 1, "EINVAL"), (0, 0, "EINVAL"), (-1, 0, "EINVAL"), (NOBODY, 0, "ESRCH")):
        with pytest.raises(OSError, match=error):
            host.pidfd_open(pid, flags)
    descriptor = host.pidfd_open(1, 0)
    assert host.fcntl(descriptor, 1, 0) == 1  # F_GETFD: FD_CLOEXEC
    copy = host.pidfd_getfd(descriptor, 1, 0)
    assert host.kcmp(1, 1, 0, copy, 1) == 0  # the same file
    with pytest.raises(OSError, match="EINVAL"):
        host.pidfd_getfd(999, 1, 1)
    with pytest.raises(OSError, match="EBADF"):
        host.pidfd_getfd(descriptor, 999, 0)


@booted
def test_a_process_is_reaped_before_its_signal_is_read(machine: Machine) -> None:
    """Nothing is sent to whoever has its number by then."""
    host = machine.host
    pid = host.fork(lambda program: None)
    descriptor = host.pidfd_open(pid, 0)
    process = find_process(host.task.pids.resolve(pid))
    assert process is not None
    read = siginfo_arguments.read_signal_info

    def late(address: UserAddr, signo: int) -> SignalInfo:
        while not process.ending.is_zombie:
            sleep_until(monotonic_ns() + 1_000_000)
        reap(process)
        return read(address, signo)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(OSError, match="ESRCH"):
        patch.setattr(pidfd_open, "read_signal_info", late)
        host.pidfd_send_signal(descriptor, USR1, info(SI_QUEUE, signo=USR1), 0)
