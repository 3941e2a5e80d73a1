"""The kernel's log: a ring of records with a level and a time, and the console that shows them as they come.

A record that is older than what the ring holds is gone; readers (syslog(2), /dev/kmsg) learn how many they missed from
the sequence numbers. The console shows records of a level below `console_level`. It is a function that the serial
driver sets; before that the records wait in the ring and are shown when it appears.

Context: any but a non-maskable interrupt. A message that cannot be stored for lack of memory is dropped and counted.
Source: syslog(2), dmesg(1); levels 0 (emergency) … 7 (debug).
"""

from collections.abc import Callable
from typing import Final

from kernel.lang import Span, final, span_of, u8

EMERGENCY: Final = 0
ERROR: Final = 3
WARNING: Final = 4
NOTICE: Final = 5
INFO: Final = 6
DEBUG: Final = 7

FACILITY_USER: Final = 1  # LOG_USER: what programs write

RING_BYTES: Final = 128 * 1024

ConsoleWriter = Callable[[Span[u8]], None]
ClockReader = Callable[[], int]
Listener = Callable[[], None]


@final
class Record:
    """One message."""

    def __init__(self, sequence: int, level: int, facility: int, time_ns: int, text: bytes) -> None:
        self.sequence: int = sequence
        self.level: int = level
        self.facility: int = facility  # the source, as syslog(3) numbers them; 0 is the kernel
        self.time_ns: int = time_ns
        self.text: bytes = text

    def priority(self) -> int:
        """Facility and level, as in the "<N>" of syslog."""
        return self.facility << 3 | self.level

    def stamp(self) -> bytes:
        """The time, as dmesg shows it."""
        seconds = self.time_ns // 1_000_000_000
        micros = self.time_ns // 1000 % 1_000_000
        return f"[{seconds:5d}.{micros:06d}] ".encode()

    def line(self) -> bytes:
        """As the console shows it."""
        return self.stamp() + self.text + b"\n"


@final
class Log:
    """The ring."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.first: int = 0  # index of the oldest valid record in `records`
        self.next_sequence: int = 0
        self.bytes_kept: int = 0
        self.dropped: int = 0
        self.console_level: int = 7
        self.cleared: int = 0  # records before this sequence number were cleared (SYSLOG_ACTION_CLEAR)
        self.console: ConsoleWriter | None = None
        self.clock: ClockReader | None = None
        self.listener: Listener | None = None  # called for each record, in any context

    def add(self, level: int, text: bytes, facility: int = 0) -> None:
        """Store a record, show it, and wake waiting readers."""
        clock = self.clock
        now = clock() if clock is not None else 0
        try:
            record = Record(self.next_sequence, level, facility, now, text)
            self.records.append(record)
            self.next_sequence += 1
            self.bytes_kept += len(text) + 16
            self._trim()
            if level < self.console_level:
                self._show(record)
        except MemoryError:
            self.dropped += 1
        listener = self.listener
        if listener is not None:
            listener()

    def _trim(self) -> None:
        while self.bytes_kept > RING_BYTES:
            self.bytes_kept -= len(self.records[self.first].text) + 16
            self.first += 1
        if self.first > 256:
            kept: list[Record] = []
            for i in range(self.first, len(self.records)):
                kept.append(self.records[i])
            self.records = kept
            self.first = 0

    def _show(self, record: Record) -> None:
        console = self.console
        if console is not None:
            line = record.line()
            console(span_of(line[: len(line) - 1]))
            console(span_of(b"\r\n"))

    def use_console(self, console: ConsoleWriter) -> None:
        """Show records through `console` from now on, the waiting ones first."""
        self.console = console
        for i in range(self.first, len(self.records)):
            if self.records[i].level < self.console_level:
                self._show(self.records[i])

    def oldest_sequence(self) -> int:
        """Sequence number of the oldest record kept; `next_sequence` if there is none."""
        if self.first < len(self.records):
            return self.records[self.first].sequence
        return self.next_sequence

    def record(self, sequence: int) -> Record | None:
        """The record with this number, if it is still kept."""
        index = self.first + sequence - self.oldest_sequence()
        if self.first <= index < len(self.records):
            return self.records[index]
        return None


log: Final = Log()
_said_once: Final[dict[int, bool]] = {}


def debug(message: str) -> None:
    """A message for kernel developers."""
    log.add(DEBUG, message.encode())


def info(message: str) -> None:
    """What happened in the normal course."""
    log.add(INFO, message.encode())


def warn(message: str) -> None:
    """Something is not as it should be; the kernel goes on."""
    log.add(WARNING, message.encode())


def error(message: str) -> None:
    """Something failed."""
    log.add(ERROR, message.encode())


def emergency(message: str) -> None:
    """A message to show whatever the console's level: the system is not usable as intended."""
    log.add(EMERGENCY, message.encode())


def once(key: int, message: str) -> None:
    """A warning that is given once for each key."""
    if key in _said_once:
        return
    try:
        _said_once[key] = True
    except MemoryError:
        return
    log.add(WARNING, message.encode())


def printable(text: bytes) -> str:
    """Text for the log from any bytes of a boot loader or a program: question marks replace what is not ASCII."""
    shown = bytearray()
    for byte in text:
        shown.append(byte if ord(" ") <= byte <= ord("~") else ord("?"))
    return bytes(shown).decode()
