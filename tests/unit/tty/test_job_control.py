"""Sessions, their terminal and its foreground group (credentials(7), ioctl_tty(2)), on a booted machine."""

from __future__ import annotations

import os
import signal
import struct

from tests.unit.booted import booted
from tests.unit.errors import error_of
from tests.unit.tty.terminal import TIOCSCTTY, open_pair, take_terminal
from tools.simulated.code import Main
from tools.simulated.machine import Machine
from tools.simulated.program import Program

TIOCGPGRP, TIOCSPGRP, TIOCNOTTY, TIOCGSID, TCSETS, TCGETS = 0x540F, 0x5410, 0x5422, 0x5429, 0x5402, 0x5401
SECOND = struct.pack("<QQ", 1, 0)


def make_controlling(host: Program) -> None:
    """/dev/tty, which is whichever terminal the opener's session has."""
    host.mknod("/dev/tty", 0o20666, 5 << 8)


def number_of(program: Program, terminal: int, command: int) -> int:
    raw = bytearray(4)
    program.ioctl(terminal, command, raw)
    return int.from_bytes(raw, "little", signed=True)


def set_foreground(program: Program, terminal: int, group: int) -> int:
    return program.ioctl(terminal, TIOCSPGRP, struct.pack("<i", group))


def run_child(program: Program, main: Main) -> int:
    """Fork, and wait for the end or a stop: the status."""
    child = program.fork(main)
    status = bytearray(4)
    assert program.wait4(child, status, os.WUNTRACED, 0) == child
    code = int.from_bytes(status, "little")
    if os.WIFSTOPPED(code):
        program.kill(child, signal.SIGKILL)
        program.wait4(child, 0, 0, 0)
    return code


@booted
def test_a_leader_adopts_the_terminal_that_it_opens(machine: Machine) -> None:
    host = machine.host
    _, slave, name = open_pair(host)
    make_controlling(host)
    assert error_of(number_of, host, slave, TIOCGPGRP) == "ENOTTY"
    assert error_of(number_of, host, slave, TIOCGSID) == "ENOTTY"

    def leader(program: Program) -> None:
        pid = program.setsid()
        assert error_of(program.open, "/dev/tty", os.O_RDWR) == "ENXIO"
        terminal = program.open(name, os.O_WRONLY)  # who may only write gets no control
        assert error_of(number_of, program, terminal, TIOCGSID) == "ENOTTY"
        terminal = program.open(name, os.O_RDWR | os.O_NOCTTY)
        assert error_of(number_of, program, terminal, TIOCGSID) == "ENOTTY"
        terminal = program.open(name, os.O_RDWR)
        assert number_of(program, terminal, TIOCGSID) == pid == number_of(program, terminal, TIOCGPGRP)
        assert number_of(program, program.open("/dev/tty", os.O_RDWR), TIOCGSID) == pid
        assert program.ioctl(terminal, TIOCSCTTY, 0) == 0  # it is already

    assert machine.run(leader) == 0


@booted
def test_only_a_leader_without_a_terminal_takes_one(machine: Machine) -> None:
    host = machine.host
    _, _, name = open_pair(host)

    def leader(program: Program) -> None:
        terminal = take_terminal(program, name)

        def member(program: Program) -> None:
            assert error_of(program.ioctl, terminal, TIOCSCTTY, 0) == "EPERM"

        assert run_child(program, member) == 0

        def other_leader(program: Program) -> None:
            program.setsid()
            assert error_of(program.ioctl, terminal, TIOCSCTTY, 0) == "EPERM"  # it is somebody's
            assert program.ioctl(terminal, TIOCSCTTY, 1) == 0  # root steals it
            assert number_of(program, terminal, TIOCGSID) == program.getpid()

        assert run_child(program, other_leader) == 0
        assert error_of(number_of, program, terminal, TIOCGSID) == "ENOTTY"

    assert machine.run(leader) == 0


@booted
def test_the_foreground_is_a_group_of_the_session(machine: Machine) -> None:
    host = machine.host
    _, slave, name = open_pair(host)
    other = host.setsid()

    def leader(program: Program) -> None:
        terminal = take_terminal(program, name)
        own = program.getpid()
        job = program.fork(lambda program: program.pause())
        program.setpgid(job, job)
        assert set_foreground(program, terminal, job) == 0
        assert number_of(program, terminal, TIOCGPGRP) == job
        program.handle(signal.SIGTTOU, lambda program, signo: None)
        program.rt_sigprocmask(0, (1 << signal.SIGTTOU - 1).to_bytes(8, "little"), None, 8)
        assert set_foreground(program, terminal, own) == 0  # from the background, with SIGTTOU blocked
        assert error_of(set_foreground, program, terminal, -1) == "EINVAL"
        assert error_of(set_foreground, program, terminal, 30000) == "ESRCH"
        assert error_of(set_foreground, program, terminal, other) == "EPERM"  # of another session
        program.kill(job, signal.SIGKILL)
        program.wait4(job, 0, 0, 0)

    assert machine.run(leader) == 0
    assert error_of(set_foreground, host, slave, other) == "ENOTTY"


@booted
def test_the_background_is_stopped_when_it_changes_the_terminal(machine: Machine) -> None:
    host = machine.host
    _, _, name = open_pair(host)

    def leader(program: Program) -> None:
        terminal = take_terminal(program, name)
        raw = bytearray(36)
        program.ioctl(terminal, TCGETS, raw)

        def changer(program: Program) -> None:
            program.setpgid(0, 0)
            program.ioctl(terminal, TCSETS, raw)

        code = run_child(program, changer)
        assert os.WIFSTOPPED(code) and os.WSTOPSIG(code) == signal.SIGTTOU

        def ignoring(program: Program) -> None:
            program.setpgid(0, 0)
            program.rt_sigaction(signal.SIGTTOU, struct.pack("<4Q", 1, 0, 0, 0), None, 8)  # SIG_IGN
            program.ioctl(terminal, TCSETS, raw)

        assert run_child(program, ignoring) == 0

    assert machine.run(leader) == 0


@booted
def test_a_reader_that_no_signal_would_stop_fails(machine: Machine) -> None:
    host = machine.host
    _, _, name = open_pair(host)

    def leader(program: Program) -> None:
        terminal = take_terminal(program, name)

        def ignoring(program: Program) -> None:
            program.setpgid(0, 0)
            program.rt_sigaction(signal.SIGTTIN, struct.pack("<4Q", 1, 0, 0, 0), None, 8)  # SIG_IGN
            assert error_of(lambda: program.read(terminal, bytearray(1), 1)) == "EIO"

        assert run_child(program, ignoring) == 0

    assert machine.run(leader) == 0


@booted
def test_a_leader_that_gives_up_its_terminal_hangs_up_the_foreground(machine: Machine) -> None:
    host = machine.host
    _, slave, name = open_pair(host)
    heard: list[int] = []
    make_controlling(host)

    def leader(program: Program) -> None:
        terminal = take_terminal(program, name)
        for signo in (signal.SIGHUP, signal.SIGCONT):
            program.handle(signo, lambda program, signo: heard.append(signo))
        assert program.ioctl(terminal, TIOCNOTTY, 0) == 0
        assert error_of(program.ioctl, terminal, TIOCNOTTY, 0) == "ENOTTY"
        assert error_of(program.open, "/dev/tty", os.O_RDWR) == "ENXIO"

    assert machine.run(leader) == 0
    assert sorted(heard) == [signal.SIGHUP, signal.SIGCONT]
    assert error_of(number_of, host, slave, TIOCGSID) == "ENOTTY"


@booted
def test_the_end_of_the_leader_hangs_up_the_foreground(machine: Machine) -> None:
    host = machine.host
    _, _, name = open_pair(host)
    pids = bytearray(8)
    host.pipe2(pids, 0)
    inner, outer = struct.unpack("<ii", pids)

    def leader(program: Program) -> None:
        terminal = take_terminal(program, name)
        job = program.fork(lambda program: program.pause())
        program.setpgid(job, job)
        set_foreground(program, terminal, job)
        program.write(outer, struct.pack("<i", job), 4)
        program.nanosleep(SECOND, None)

    host.prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: the job becomes a child of this program
    assert machine.run(leader) == 0
    raw = bytearray(4)
    host.read(inner, raw, 4)
    assert machine.wait(struct.unpack("<i", raw)[0]) == signal.SIGHUP
