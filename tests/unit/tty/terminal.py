"""A pseudo terminal, as programs use it."""

from __future__ import annotations

import os

from tools.simulated.program import Program

TIOCGPTN = 0x8004_5430
TIOCSPTLCK = 0x4004_5431
TIOCSCTTY = 0x540E


def open_pair(host: Program) -> tuple[int, int, str]:
    """A master, its slave, and the slave's name."""
    host.mkdir("/dev/pts", 0o755)
    host.mount("devpts", "/dev/pts", "devpts", 0, "ptmxmode=666")
    master = host.open("/dev/pts/ptmx", os.O_RDWR | os.O_NOCTTY)
    number = bytearray(4)
    host.ioctl(master, TIOCGPTN, number)
    host.ioctl(master, TIOCSPTLCK, bytearray(4))
    name = f"/dev/pts/{number[0]}"
    return master, host.open(name, os.O_RDWR | os.O_NOCTTY), name


def take_terminal(program: Program, name: str) -> int:
    """Lead a session whose terminal it is."""
    program.setsid()
    terminal = program.open(name, os.O_RDWR)
    program.ioctl(terminal, TIOCSCTTY, 0)
    return terminal


def receive(program: Program, descriptor: int) -> bytes:
    buffer = bytearray(100)
    return bytes(buffer[: program.read(descriptor, buffer, len(buffer))])


def send(program: Program, descriptor: int, data: bytes) -> None:
    assert program.write(descriptor, data, len(data)) == len(data)
