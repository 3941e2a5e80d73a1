"""The serial port against a model of the chip."""

from collections.abc import Iterator

import pytest

from arch.x86_64.chips import serial16550
from arch.x86_64.chips.serial16550 import SerialPort
from arch.x86_64.simulation import processor

BASE = 0x3F8


class Chip:
    """Accepts a byte only every third time that it is asked whether it can."""

    def __init__(self) -> None:
        self.registers = [0] * 8
        self.sent = bytearray()
        self.incoming = bytearray()
        self.asked = 0

    def read(self, port: int, size_bytes: int) -> int:
        if not BASE <= port < BASE + 8:
            return 0xFF
        register = port - BASE
        if register == serial16550.LINE_STATUS:
            self.asked += 1
            ready = serial16550.LSR_HOLDING_EMPTY if self.asked % 3 == 0 else 0
            return ready | (serial16550.LSR_DATA_READY if self.incoming else 0)
        if register == serial16550.DATA:
            return self.incoming.pop(0)
        return self.registers[register]

    def write(self, port: int, size_bytes: int, value: int) -> None:
        if not BASE <= port < BASE + 8:
            return
        register = port - BASE
        if register == serial16550.DATA and not self.registers[serial16550.LINE_CONTROL] & serial16550.LCR_DIVISOR:
            assert self.asked % 3 == 0, "written while the holding register was full"
            self.sent.append(value)
        self.registers[register] = value


@pytest.fixture
def chip() -> Iterator[Chip]:
    model = Chip()
    processor.port_read = model.read
    processor.port_write = model.write
    yield model
    processor.port_read = None
    processor.port_write = None


def test_no_byte_is_sent_before_there_is_room(chip: Chip) -> None:
    port = SerialPort(0, BASE, 4)
    port.initialise()
    assert port.present
    for byte in b"hello":
        port.write_byte(byte)
    assert chip.sent == b"hello"


def test_received_bytes_wait_in_the_ring(chip: Chip) -> None:
    port = SerialPort(0, BASE, 4)
    port.initialise()
    chip.incoming += b"abc"
    port.receive()
    assert [port.take_byte() for _ in range(4)] == [97, 98, 99, -1]


def test_a_full_ring_leaves_the_rest_to_the_chip(chip: Chip) -> None:
    port = SerialPort(0, BASE, 4)
    port.initialise()
    port.enable_receive()
    sent = [i % 251 for i in range(3 * serial16550.RING_SIZE)]
    chip.incoming += bytes(sent)
    port.receive()
    assert len(chip.incoming) == 2 * serial16550.RING_SIZE
    assert chip.registers[serial16550.INTERRUPT_ENABLE] == 0
    assert [port.take_byte() for _ in sent] == sent
    assert port.take_byte() == -1
    assert chip.registers[serial16550.INTERRUPT_ENABLE] == serial16550.IER_RECEIVE


def test_absent_port() -> None:
    port = SerialPort(1, 0x2F8, 3)
    port.initialise()
    assert not port.present
    port.write_byte(65)
