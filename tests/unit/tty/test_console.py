"""The thread that feeds terminals on serial lines."""

import pytest

from kernel.tty import console
from kernel.tty.termios import ECHO
from kernel.tty.tty import Tty, TtyDriver


class Ended(Exception):
    """The thread has nothing to do."""


class Port:
    def __init__(self, data: bytes) -> None:
        self.waiting = list(data)
        self.ring_length = 0

    def take_byte(self) -> int:
        return self.waiting.pop(0) if self.waiting else -1


class Poor(TtyDriver):
    """A wire that has no memory for the first echo."""

    def __init__(self) -> None:
        self.echoes: list[bytes] = []

    def transmit(self, data: bytes) -> None:
        self.echoes.append(data)
        if len(self.echoes) == 1:
            raise MemoryError


class Line:
    def __init__(self, port: Port, tty: Tty) -> None:
        self.port = port
        self.tty = tty


class Queue:
    def sleep(self, interruptible: bool) -> None:
        raise Ended


def test_a_byte_without_memory_does_not_end_the_console(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = Poor()
    tty = Tty(b"ttyS0", 0, driver)
    assert tty.settings.local & ECHO
    monkeypatch.setattr(console, "_serial_lines", [Line(Port(b"ab\n"), tty)])
    monkeypatch.setattr(console, "_input_arrived", Queue())
    with pytest.raises(Ended):
        console._terminal_thread(0)
    assert driver.echoes == [b"a", b"b", b"\r\n"] and tty.discipline.take(100) == b"ab\n"


def test_a_line_without_memory_for_its_echo_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    woken: list[bool] = []
    tty = Tty(b"ttyS0", 0, Poor())
    monkeypatch.setattr(tty.read_queue, "wake_all", lambda: woken.append(tty.discipline.readable()))
    with pytest.raises(MemoryError):
        tty.input_bytes(b"ab\n")
    assert woken == [True]
