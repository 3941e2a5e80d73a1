"""Serial ports (16550A): the console, and lines for programs.

Transmission is polled: a byte is written only when the holding register is empty, because a line that is connected to
a socket loses bytes that come faster than they are taken. Reception interrupts; the handler moves the bytes to a ring,
from which the tty takes them. When the ring is full, bytes stay in the chip, with its interrupt off, until the ring is
half empty: the other side then waits.

Locking: interrupts are off in all of these.
Source: National Semiconductor PC16550D data sheet.
"""

from typing import Final

from arch.x86_64.ports import in_u8, out_u8
from kernel.lang import Span, u8

PORT_COUNT: Final = 4

# Register offsets.
DATA: Final = 0
INTERRUPT_ENABLE: Final = 1
INTERRUPT_IDENTITY: Final = 2
FIFO_CONTROL: Final = 2
LINE_CONTROL: Final = 3
MODEM_CONTROL: Final = 4
LINE_STATUS: Final = 5
SCRATCH: Final = 7

LCR_8N1: Final = 0x03
LCR_DIVISOR: Final = 0x80
FCR_ENABLE_AND_CLEAR: Final = 0xC7  # interrupt at 14 bytes or after four byte times
MCR_READY: Final = 0x0B  # DTR, RTS, and OUT2, which lets the interrupt out
IER_RECEIVE: Final = 0x01
LSR_DATA_READY: Final = 0x01
LSR_HOLDING_EMPTY: Final = 0x20

CLOCK_BAUD: Final = 115_200
RING_SIZE: Final = 1024
SPIN_LIMIT: Final = 100_000_000


class SerialPort:
    """One chip. `present` says whether `initialise` found it."""

    def __init__(self, number: int, base: int, line: int) -> None:
        self.number: int = number
        self.base: int = base
        self.line: int = line
        self.present: bool = False
        self.ring: list[int] = [0] * RING_SIZE
        self.ring_start: int = 0
        self.ring_length: int = 0
        self.stalled: bool = False
        """The ring is full, and the chip keeps what comes."""

    def initialise(self) -> None:
        """Probes the chip by its scratch register, which nothing else uses; sets 115200 baud, 8 bits, no parity; no
        interrupts yet.
        """
        out_u8(self.base + SCRATCH, 0xA5)
        if in_u8(self.base + SCRATCH) != 0xA5:
            return
        out_u8(self.base + SCRATCH, 0x5A)
        if in_u8(self.base + SCRATCH) != 0x5A:
            return
        self.present = True
        out_u8(self.base + INTERRUPT_ENABLE, 0)
        self.set_speed(CLOCK_BAUD)
        out_u8(self.base + FIFO_CONTROL, FCR_ENABLE_AND_CLEAR)
        out_u8(self.base + MODEM_CONTROL, MCR_READY)

    def set_speed(self, baud: int) -> None:
        """Rounds to what the divisor can do."""
        divisor = max(1, min(CLOCK_BAUD // max(baud, 1), 0xFFFF))
        out_u8(self.base + LINE_CONTROL, LCR_DIVISOR | LCR_8N1)
        out_u8(self.base + DATA, divisor & 0xFF)
        out_u8(self.base + INTERRUPT_ENABLE, divisor >> 8)
        out_u8(self.base + LINE_CONTROL, LCR_8N1)

    def enable_receive(self) -> None:
        """Interrupts on reception."""
        if self.present:
            out_u8(self.base + INTERRUPT_ENABLE, IER_RECEIVE)
            self.receive()

    def write_byte(self, byte: int) -> None:
        """Waits for room, then sends. A line that never drains (no chip, hardware handshake gone) is given up after
        a while.
        """
        if not self.present:
            return
        for _ in range(SPIN_LIMIT):
            if in_u8(self.base + LINE_STATUS) & LSR_HOLDING_EMPTY != 0:
                out_u8(self.base + DATA, byte)
                return

    def write(self, data: Span[u8]) -> None:
        for byte in data:
            self.write_byte(byte)

    def receive(self) -> None:
        """The interrupt handler's work: empties the chip's FIFO into the ring. Harmless when there is nothing."""
        if not self.present:
            return
        for _ in range(RING_SIZE + 1):
            if in_u8(self.base + LINE_STATUS) & LSR_DATA_READY == 0:
                return
            if self.ring_length == RING_SIZE:
                self.stalled = True
                out_u8(self.base + INTERRUPT_ENABLE, 0)
                return
            self.ring[(self.ring_start + self.ring_length) % RING_SIZE] = in_u8(self.base + DATA)
            self.ring_length += 1

    def take_byte(self) -> int:
        """The oldest received byte, or -1."""
        if self.ring_length == 0:
            return -1
        byte = self.ring[self.ring_start]
        self.ring_start = (self.ring_start + 1) % RING_SIZE
        self.ring_length -= 1
        if self.stalled and self.ring_length <= RING_SIZE // 2:
            self.stalled = False
            self.enable_receive()
        return byte


# The PC's customary places: COM1 and COM3 share line 4, COM2 and COM4 line 3.
ports: Final[list[SerialPort]] = [
    SerialPort(0, 0x3F8, 4),
    SerialPort(1, 0x2F8, 3),
    SerialPort(2, 0x3E8, 4),
    SerialPort(3, 0x2E8, 3),
]


def initialise() -> None:
    for port in ports:
        port.initialise()
