"""The ioctls of terminals (ioctl_tty(2)), on a booted machine."""

from __future__ import annotations

import os
import signal
import struct

import pytest

from tests.unit.booted import booted
from tests.unit.errors import error_of
from tests.unit.tty.terminal import open_pair, receive, send, take_terminal
from tools.simulated.machine import Machine
from tools.simulated.program import Program

TCGETS, TCSETS, TCSETSF, TCSBRK, TCXONC, TCFLSH = 0x5401, 0x5402, 0x5404, 0x5409, 0x540A, 0x540B
TIOCEXCL, TIOCNXCL, TIOCGEXCL, TIOCOUTQ, TIOCSTI = 0x540C, 0x540D, 0x8004_5440, 0x5411, 0x5412
TIOCSWINSZ, FIONREAD, TIOCSETD, TIOCGETD, TIOCVHANGUP = 0x5414, 0x541B, 0x5423, 0x5424, 0x5437
TCGETS2, TCSETS2 = 0x802C_542A, 0x402C_542B
ICANON, ECHO = 0o2, 0o10  # local flags
CBAUD, B9600, B115200, BOTHER = 0o10017, 0o15, 0o10002, 0o10000
SECOND = struct.pack("<QQ", 1, 0)


def settings(program: Program, terminal: int) -> bytearray:
    """struct termios: four words of flags (input, output, control, local), the discipline, 19 characters."""
    raw = bytearray(36)
    program.ioctl(terminal, TCGETS, raw)
    return raw


def change_local(program: Program, terminal: int, clear: int, command: int = TCSETS) -> int:
    raw = settings(program, terminal)
    (local,) = struct.unpack_from("<I", raw, 12)
    struct.pack_into("<I", raw, 12, local & ~clear)
    return program.ioctl(terminal, command, raw)


def number_of(program: Program, terminal: int, command: int) -> int:
    raw = bytearray(4)
    program.ioctl(terminal, command, raw)
    return int.from_bytes(raw, "little")


@booted
def test_settings_take_effect_and_are_reported(machine: Machine) -> None:
    host = machine.host
    master, slave, _ = open_pair(host)
    before = settings(host, slave)
    assert struct.unpack_from("<I", before, 12)[0] & (ICANON | ECHO) == ICANON | ECHO
    change_local(host, slave, ECHO)
    send(host, master, b"secret\n")
    assert receive(host, slave) == b"secret\n"
    assert number_of(host, master, FIONREAD) == 0, "nothing was echoed"
    assert settings(host, master) == settings(host, slave) != before


@booted
def test_input_is_thrown_away_where_that_is_asked_for(machine: Machine) -> None:
    host = machine.host
    master, slave, _ = open_pair(host)
    send(host, master, b"old\n")
    assert number_of(host, slave, FIONREAD) == 4
    change_local(host, slave, 0)
    assert number_of(host, slave, FIONREAD) == 4
    change_local(host, slave, 0, TCSETSF)
    assert number_of(host, slave, FIONREAD) == 0
    send(host, master, b"one\n")
    host.ioctl(slave, TCFLSH, 1)  # output
    assert number_of(host, slave, FIONREAD) == 4
    host.ioctl(slave, TCFLSH, 0)  # input
    assert number_of(host, slave, FIONREAD) == 0
    assert error_of(host.ioctl, slave, TCFLSH, 3) == "EINVAL"


@booted
def test_speeds_by_code_and_by_number(machine: Machine) -> None:
    host = machine.host
    _, slave, _ = open_pair(host)
    raw = bytearray(44)
    for code, speed in ((B9600, 9600), (B115200, 115200)):
        plain = settings(host, slave)
        struct.pack_into("<I", plain, 8, struct.unpack_from("<I", plain, 8)[0] & ~CBAUD | code)
        host.ioctl(slave, TCSETS, plain)
        host.ioctl(slave, TCGETS2, raw)
        assert struct.unpack_from("<II", raw, 36) == (speed, speed)
    struct.pack_into("<I", raw, 8, struct.unpack_from("<I", raw, 8)[0] & ~CBAUD | BOTHER)
    struct.pack_into("<II", raw, 36, 12345, 12345)
    host.ioctl(slave, TCSETS2, raw)
    after = bytearray(44)
    host.ioctl(slave, TCGETS2, after)
    assert struct.unpack_from("<II", after, 36) == (12345, 12345)


@booted
def test_output_stops_and_goes_on(machine: Machine) -> None:
    host = machine.host
    master, slave, _ = open_pair(host)
    host.ioctl(slave, TCXONC, 0)
    child = host.fork(lambda program: program.write(slave, b"text", 4) - 4)
    host.nanosleep(SECOND, None)
    assert number_of(host, master, FIONREAD) == 0
    host.ioctl(slave, TCXONC, 1)
    assert machine.wait(child) == 0 and receive(host, master) == b"text"
    host.ioctl(slave, TCXONC, 2)
    host.ioctl(slave, TCXONC, 3)
    assert receive(host, master) == b"\x13\x11"  # ^S and ^Q ask the other side
    assert error_of(host.ioctl, slave, TCXONC, 4) == "EINVAL"


@booted
def test_a_terminal_for_one(machine: Machine) -> None:
    host = machine.host
    _, slave, name = open_pair(host)
    host.chmod(name, 0o666)
    assert number_of(host, slave, TIOCGEXCL) == 0
    host.ioctl(slave, TIOCEXCL, 0)
    assert number_of(host, slave, TIOCGEXCL) == 1
    host.close(host.open(name, os.O_RDWR | os.O_NOCTTY))  # root may

    def plain(program: Program) -> None:
        program.setresuid(1000, 1000, 1000)
        assert error_of(program.open, name, os.O_RDWR | os.O_NOCTTY) == "EBUSY"
        program.ioctl(slave, TIOCNXCL, 0)
        program.close(program.open(name, os.O_RDWR | os.O_NOCTTY))

    assert machine.run(plain) == 0


@booted
def test_typing_for_the_user_is_for_root(machine: Machine) -> None:
    host = machine.host
    _, slave, _ = open_pair(host)
    for byte in b"hi\n":
        host.ioctl(slave, TIOCSTI, bytes([byte]))
    assert receive(host, slave) == b"hi\n"

    def plain(program: Program) -> None:
        program.setresuid(1000, 1000, 1000)
        assert error_of(program.ioctl, slave, TIOCSTI, b"x") == "EIO"

    assert machine.run(plain) == 0


@booted
def test_line_disciplines(machine: Machine) -> None:
    host = machine.host
    _, slave, _ = open_pair(host)
    assert number_of(host, slave, TIOCGETD) == 0
    assert host.ioctl(slave, TIOCSETD, bytes(4)) == 0
    for number in (1, 30, 31, -1):
        assert error_of(host.ioctl, slave, TIOCSETD, struct.pack("<i", number)) == "EINVAL"
    assert number_of(host, slave, TIOCOUTQ) == 0
    assert host.ioctl(slave, TCSBRK, 1) == 0
    assert error_of(host.ioctl, slave, 0x54FF, 0) == "ENOTTY"


@booted
def test_the_foreground_hears_of_a_new_size_once(machine: Machine) -> None:
    host = machine.host
    master, _, name = open_pair(host)
    seen: list[int] = []

    def shell(program: Program) -> None:
        program.handle(signal.SIGWINCH, lambda program, signo: seen.append(signo))
        take_terminal(program, name)
        program.nanosleep(struct.pack("<QQ", 9, 0), None)

    child = host.fork(shell)
    host.nanosleep(SECOND, None)
    for _ in range(2):
        host.ioctl(master, TIOCSWINSZ, bytearray(struct.pack("<4H", 50, 132, 0, 0)))
    with pytest.raises(OSError, match="EINTR"):
        machine.wait(child)
    assert seen == [signal.SIGWINCH]


@booted
def test_a_hang_up_by_root(machine: Machine) -> None:
    host = machine.host
    _, slave, name = open_pair(host)

    def plain(program: Program) -> None:
        program.setresuid(1000, 1000, 1000)
        assert error_of(program.ioctl, slave, TIOCVHANGUP, 0) == "EPERM"

    assert machine.run(plain) == 0
    host.ioctl(slave, TIOCVHANGUP, 0)
    assert receive(host, slave) == b""
    assert error_of(settings, host, slave) == "EIO"
    again = host.open(name, os.O_RDWR | os.O_NOCTTY)
    assert len(settings(host, again)) == 36
