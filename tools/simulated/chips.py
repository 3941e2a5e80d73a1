"""The chips of a small PC, as far as the kernel asks them: interval timer, serial port, clock, interrupt controller.

Everything else is an empty bus: reads give ones, writes are lost. So there is no PCI and no APIC; disks and network
cards are plugged in above the drivers (disk.py, wire.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable

from arch.x86_64.chips import pic8259, pit, rtc, serial16550
from arch.x86_64.simulation import processor
from kernel.time.clock import NS_PER_SECOND

SERIAL_BASE = 0x3F8
PORT_NS = 1000  # what an access takes; the counter runs at 1 GHz
PIC_PORTS = (pic8259.MASTER_COMMAND, pic8259.MASTER_DATA, pic8259.SLAVE_COMMAND, pic8259.SLAVE_DATA)


class Chips:
    """All of them, at their ports."""

    def __init__(self, print_byte: Callable[[int], None], wall_clock: Callable[[], float] = time.time) -> None:
        self.print_byte = print_byte
        self.wall_clock = wall_clock
        self.latched: list[int] = []
        self.scratch = 0
        self.line_control = 0
        self.clock_index = 0
        self.timer_due: int | None = None  # on the counter: when the interval timer interrupts
        self._timer_count: list[int] = []

    def read(self, port: int, size_bytes: int) -> int:
        """`processor.port_read`."""
        processor.tsc += PORT_NS
        if port == pit.CHANNEL_0:
            return self.latched.pop(0) if self.latched else 0
        if SERIAL_BASE <= port < SERIAL_BASE + 8:
            return self._read_serial(port - SERIAL_BASE)
        if port == rtc.DATA:
            return self._read_clock()
        if port in PIC_PORTS:
            return 0
        return (1 << 8 * size_bytes) - 1

    def write(self, port: int, size_bytes: int, value: int) -> None:
        """`processor.port_write`."""
        if port == pit.COMMAND and value == pit.CHANNEL_0_LATCH:
            count = 0x1_0000 - processor.tsc * pit.FREQUENCY_HZ // NS_PER_SECOND % 0x1_0000
            self.latched = [count & 0xFF, count >> 8 & 0xFF]
        elif port == pit.COMMAND and value == pit.CHANNEL_0_ONCE:
            self._timer_count = []
        elif port == pit.CHANNEL_0:
            self._timer_count.append(value)
            if len(self._timer_count) == 2:
                count = self._timer_count[0] | self._timer_count[1] << 8
                self.timer_due = processor.tsc + count * NS_PER_SECOND // pit.FREQUENCY_HZ
        elif SERIAL_BASE <= port < SERIAL_BASE + 8:
            self._write_serial(port - SERIAL_BASE, value)
        elif port == rtc.INDEX:
            self.clock_index = value & ~rtc.NMI_DISABLE

    def _read_serial(self, register: int) -> int:
        if register == serial16550.SCRATCH:
            return self.scratch
        if register == serial16550.LINE_STATUS:
            return serial16550.LSR_HOLDING_EMPTY
        return 0

    def _write_serial(self, register: int, value: int) -> None:
        if register == serial16550.SCRATCH:
            self.scratch = value
        elif register == serial16550.LINE_CONTROL:
            self.line_control = value
        elif register == serial16550.DATA and not self.line_control & serial16550.LCR_DIVISOR:
            self.print_byte(value)

    def _read_clock(self) -> int:
        now = time.gmtime(self.wall_clock())
        values = {
            rtc.SECONDS: now.tm_sec, rtc.MINUTES: now.tm_min, rtc.HOURS: now.tm_hour, rtc.DAY: now.tm_mday,
            rtc.MONTH: now.tm_mon, rtc.YEAR: now.tm_year % 100, rtc.STATUS_A: 0,
            rtc.STATUS_B: rtc.HOURS_24 | rtc.BINARY,
        }  # fmt: skip
        return values.get(self.clock_index, 0)
