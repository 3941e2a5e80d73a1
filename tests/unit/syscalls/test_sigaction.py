"""Handling and awaiting signals (kernel/syscalls/sigaction.py, signalfd.py), on a booted machine."""

import os
import signal
import struct

import pytest

from arch.x86_64.frame import TrapFrame
from kernel.task import deliver, handler_frame
from kernel.task.actions import SA_RESETHAND, SIG_DFL, SIG_IGN, SignalAction
from kernel.task.siginfo import SignalInfo
from kernel.task.task import Task, current
from tests.unit.booted import booted
from tools.simulated.machine import Machine
from tools.simulated.program import Program

FAULTY = 16  # an address without memory
BLOCK, UNBLOCK, SET = 0, 1, 2
SI_QUEUE = -1
USR1, USR2, KILL, STOP = signal.SIGUSR1, signal.SIGUSR2, signal.SIGKILL, signal.SIGSTOP
NS_PER_MS = 1_000_000


def mask(*signals: int) -> bytes:
    return struct.pack("<Q", sum(1 << (signo - 1) for signo in signals))


def blocked(program: Program) -> bytes:
    out = bytearray(8)
    program.rt_sigprocmask(BLOCK, None, out, 8)
    return bytes(out)


def pending(program: Program) -> bytes:
    out = bytearray(8)
    program.rt_sigpending(out, 8)
    return bytes(out)


@booted
def test_the_mask_grows_and_shrinks(machine: Machine) -> None:
    host = machine.host
    host.rt_sigprocmask(SET, mask(USR1, KILL, STOP), None, 8)
    assert blocked(host) == mask(USR1)  # the others cannot be blocked
    host.rt_sigprocmask(BLOCK, mask(USR2), None, 8)
    assert blocked(host) == mask(USR1, USR2)
    old = bytearray(8)
    host.rt_sigprocmask(UNBLOCK, mask(USR1), old, 8)
    assert old == mask(USR1, USR2)
    assert blocked(host) == mask(USR2)


@booted
def test_a_mask_is_changed_even_if_the_old_one_cannot_be_told(machine: Machine) -> None:
    host = machine.host
    with pytest.raises(OSError, match="EFAULT"):
        host.rt_sigprocmask(BLOCK, mask(USR1), FAULTY, 8)
    assert blocked(host) == mask(USR1)
    with pytest.raises(OSError, match="EINVAL"):
        host.rt_sigprocmask(99, mask(USR1), FAULTY, 8)
    with pytest.raises(OSError, match="EFAULT"):
        host.rt_sigprocmask(99, FAULTY, FAULTY, 8)
    with pytest.raises(OSError, match="EINVAL"):
        host.rt_sigprocmask(99, FAULTY, FAULTY, 4)


@booted
def test_blocked_signals_are_pending(machine: Machine) -> None:
    host = machine.host
    host.rt_sigprocmask(BLOCK, mask(USR1), None, 8)
    host.kill(host.getpid(), USR1)
    assert pending(host) == mask(USR1)
    short = bytearray(b"\xff" * 8)
    assert host.rt_sigpending(short, 2) == 0
    assert short == mask(USR1)[:2] + b"\xff" * 6
    with pytest.raises(OSError, match="EINVAL"):
        host.rt_sigpending(FAULTY, 9)


@booted
def test_awaiting_a_signal_takes_it(machine: Machine) -> None:
    host = machine.host
    host.rt_sigprocmask(BLOCK, mask(USR1, USR2), None, 8)

    def child(program: Program) -> None:
        program.kill(1, USR2)

    host.fork(child)
    info = bytearray(128)
    assert host.rt_sigtimedwait(mask(USR1, USR2), info, None, 8) == USR2
    assert struct.unpack_from("<iii", info) == (USR2, 0, 0)
    assert pending(host) == mask()
    machine.wait(-1)
    with pytest.raises(OSError, match="EAGAIN"):
        host.rt_sigtimedwait(mask(USR1), None, struct.pack("<qq", 0, NS_PER_MS), 8)


@booted
def test_errors_of_awaiting(machine: Machine) -> None:
    host = machine.host
    wrong = struct.pack("<qq", 0, 1_000_000_000)
    for arguments, error in (
        ((FAULTY, FAULTY, FAULTY, 4), "EINVAL"),
        ((FAULTY, FAULTY, wrong, 8), "EFAULT"),
        ((mask(), FAULTY, FAULTY, 8), "EFAULT"),
        ((mask(), FAULTY, wrong, 8), "EINVAL"),
        ((mask(), FAULTY, bytes(16), 8), "EAGAIN"),
    ):
        with pytest.raises(OSError, match=error):
            host.rt_sigtimedwait(*arguments)


@booted
def test_another_mask_while_it_is_suspended(machine: Machine) -> None:
    seen: list[bytes] = []

    def child(program: Program) -> None:
        program.handle(USR1, lambda handler, _: seen.append(blocked(handler)))
        program.rt_sigprocmask(BLOCK, mask(USR1), None, 8)
        program.kill(program.getpid(), USR1)
        with pytest.raises(OSError, match="EINTR"):
            program.rt_sigsuspend(mask(USR2), 8)
        assert blocked(program) == mask(USR1)

    assert machine.run(child) == 0
    assert seen == [mask(USR1, USR2)]


@booted
def test_actions_are_told_and_checked(machine: Machine) -> None:
    host = machine.host
    ignore = struct.pack("<QQQQ", 1, 0x1000_0000, 0, 0)
    host.rt_sigaction(USR1, ignore, None, 8)
    old = bytearray(32)
    host.rt_sigaction(USR1, None, old, 8)
    assert struct.unpack("<QQQQ", old)[:2] == (1, 0x1000_0000)
    host.kill(host.getpid(), USR1)  # which it ignores
    for arguments, error in (
        ((99, FAULTY, FAULTY, 4), "EINVAL"),
        ((99, FAULTY, FAULTY, 8), "EFAULT"),
        ((99, None, FAULTY, 8), "EINVAL"),
        ((KILL, ignore, FAULTY, 8), "EINVAL"),
        ((USR2, ignore, FAULTY, 8), "EFAULT"),
    ):
        with pytest.raises(OSError, match=error):
            host.rt_sigaction(*arguments)
    host.rt_sigaction(USR2, None, old, 8)
    assert struct.unpack("<QQQQ", old)[0] == 1  # it was set before the old one was to be reported


@booted
def test_another_stack(machine: Machine) -> None:
    host = machine.host
    disable = 2
    old = bytearray(24)
    with pytest.raises(OSError, match="ENOMEM"):
        host.sigaltstack(struct.pack("<QiiQ", 0x10000, 0, 0, 100), None)
    with pytest.raises(OSError, match="EINVAL"):
        host.sigaltstack(struct.pack("<QiiQ", 0x10000, 99, 0, 8192), None)
    host.sigaltstack(struct.pack("<QiiQ", 0x10000, 0, 0, 8192), old)
    assert struct.unpack("<QiiQ", old)[1] == disable
    host.sigaltstack(None, old)
    assert struct.unpack("<QiiQ", old) == (0x10000, 0, 0, 8192)


@booted
def test_signals_are_read_from_a_descriptor(machine: Machine) -> None:
    host = machine.host
    host.rt_sigprocmask(BLOCK, mask(USR1, USR2), None, 8)
    descriptor = host.signalfd4(-1, mask(USR1), 8, os.O_NONBLOCK)
    record = bytearray(128)
    with pytest.raises(OSError, match="EAGAIN"):
        host.read(descriptor, record, 128)
    host.kill(host.getpid(), USR1)
    host.kill(host.getpid(), USR2)
    assert host.read(descriptor, record, 128) == 128
    assert struct.unpack_from("<I", record)[0] == USR1
    assert struct.unpack_from("<I", record, 12)[0] == host.getpid()
    with pytest.raises(OSError, match="EAGAIN"):
        host.read(descriptor, record, 128)
    assert host.signalfd4(descriptor, mask(USR2), 8, 0) == descriptor  # it looks for another one now
    assert host.read(descriptor, record, 128) == 128
    assert struct.unpack_from("<I", record)[0] == USR2


@booted
def test_errors_of_a_descriptor_of_signals(machine: Machine) -> None:
    host = machine.host
    for arguments, error in (
        ((-1, FAULTY, 4, 1), "EINVAL"),
        ((-1, FAULTY, 8, 1), "EFAULT"),  # the set is read before the flags are looked at
        ((999, mask(), 8, 1), "EINVAL"),
        ((999, mask(), 8, 0), "EBADF"),
        ((0, mask(), 8, 0), "EINVAL"),
    ):
        with pytest.raises(OSError, match=error):
            host.signalfd4(*arguments)


@booted
def test_a_handler_that_runs_once_is_gone_before_its_frame_is_written(machine: Machine) -> None:
    """That may have to wait for the stack, and another thread may take the same signal, or choose another handler."""
    host = machine.host
    actions = current().process.actions
    call_handler = handler_frame.call_handler
    seen: list[int] = []

    def late(task: Task, frame: TrapFrame, action: SignalAction, info: SignalInfo, blocked: int) -> None:
        if info.signo == USR1:
            seen.append(actions.action(USR1).handler)
            actions.set(USR1, SIG_IGN, 0, 0, 0)
        call_handler(task, frame, action, info, blocked)

    host.handle(USR1, lambda program, signo: seen.append(signo), SA_RESETHAND)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deliver, "call_handler", late)
        host.kill(host.getpid(), USR1)
    assert seen == [SIG_DFL, USR1]
    assert actions.action(USR1).handler == SIG_IGN
