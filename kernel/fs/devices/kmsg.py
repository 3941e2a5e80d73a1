"""/dev/kmsg: the kernel's log as a file. One record a read; a line that is written becomes a record (klogd and dmesg
use it), and readers that wait for new records sleep on `LOG_READERS` (syslog(2) too).

A record is shown with its priority, sequence number, microseconds and text, in which what is not printable ASCII is
escaped.

Context: reads sleep. Source: Linux's Documentation/ABI/testing/dev-kmsg.
"""

from typing import Final

from kernel.fs.constants import (
    O_ACCMODE,
    O_NONBLOCK,
    O_WRONLY,
    POLLERR,
    POLLPRI,
    READABLE,
    SEEK_CUR,
    SEEK_DATA,
    SEEK_END,
    SEEK_SET,
)
from kernel.fs.devices.filesystem import register_char_device
from kernel.fs.file import File, add_offset
from kernel.fs.path import Path
from kernel.lang import EAGAIN, EINVAL, EPERM, EPIPE, ESPIPE, Errno, final, span_of
from kernel.lib.capabilities import CAP_SYS_ADMIN, CAP_SYSLOG
from kernel.lib.credentials import caller_credentials
from kernel.lib.log import FACILITY_USER, WARNING, Record, log
from kernel.lib.pace import pace
from kernel.lib.settings import INT_LEAST, INT_MOST, SystemSetting
from kernel.lib.user import Buffer
from kernel.sched import PollWaiter, WaitQueue
from kernel.sched.later import Job, start_thread

_MEMORY_MAJOR: Final = 1
_MINOR: Final = 11
_LONGEST: Final = 1024  # bytes of one write
_DEFAULT_LEVEL: Final = WARNING
_LINE_COST: Final = 1500  # instructions to make one

LOG_READERS: Final = WaitQueue()
RESTRICTED: Final = SystemSetting(b"kernel/dmesg_restrict", [1], 0, 1)  # as on Debian: only root may read the log
RESTRICTED.guard = CAP_SYS_ADMIN


@final
class _ConsoleLevels(SystemSetting):
    """Log levels: the console's, that of records without one, the lowest that the console may have, its first one."""

    def prepare(self) -> None:
        self.values[0] = log.console_level

    def store(self, numbers: list[int]) -> None:
        super().store(numbers)
        log.console_level = numbers[0]


CONSOLE_LEVELS: Final = _ConsoleLevels(b"kernel/printk", [log.console_level, 4, 1, 7], INT_LEAST, INT_MOST)


@final
class _Waking(Job):
    """Wakes readers of the log: in a thread of its own, because anything may log, however deep its calls are nested."""

    def run(self) -> None:
        LOG_READERS.wake_all()


_WAKING: Final = _Waking()


def _record_added() -> None:
    _WAKING.schedule()


log.listener = _record_added


def _wait_for_record() -> None:
    """Sleeps. Raises EINTR, MemoryError."""
    start_thread()
    LOG_READERS.sleep(interruptible=True)


def check_reader() -> None:
    """Raise EPERM if the running thread may not see the log."""
    credentials = caller_credentials()
    if RESTRICTED.value != 0 and credentials is not None and not credentials.capable(CAP_SYSLOG):
        raise Errno(EPERM)


def escaped(text: bytes) -> bytes:
    """Text in which backslashes and what is not printable are written as \\xNN."""
    out = bytearray()
    for byte in text:
        if ord(" ") <= byte <= ord("~") and byte != ord("\\"):
            out.append(byte)
        else:
            out.extend(f"\\x{byte:02x}".encode())
    return bytes(out)


def _shown(record: Record) -> bytes:
    head = f"{record.priority()},{record.sequence},{record.time_ns // 1000},-;".encode()
    return head + escaped(record.text) + b"\n"


def parse_priority(text: bytes) -> int:
    """The number in the "<N>" that a line begins with, or -1."""
    if len(text) < 2 or text[0] != ord("<"):
        return -1
    value = 0
    for i in range(1, min(len(text), 8)):
        digit = text[i]
        if digit == ord(">"):
            return value
        if not ord("0") <= digit <= ord("9"):
            return -1
        value = value * 10 + digit - ord("0")
    return -1


@final
class KmsgFile(File):
    """An open /dev/kmsg."""

    def __init__(self, path: Path, flags: int) -> None:
        if flags & O_ACCMODE != O_WRONLY:
            check_reader()
            start_thread()
        super().__init__(path, flags)
        self.sequence: int = log.oldest_sequence()

    def read(self, buffer: Buffer) -> int:
        while True:
            oldest = log.oldest_sequence()
            if self.sequence < oldest:
                self.sequence = oldest
                raise Errno(EPIPE)  # records were lost; the next read goes on with the oldest
            record = log.record(self.sequence)
            if record is not None:
                break
            if self.flags & O_NONBLOCK != 0:
                raise Errno(EAGAIN)
            _wait_for_record()
        line = _shown(record)
        self.sequence += 1  # as on Linux, even if there is no room for it
        if len(line) > buffer.remaining:
            raise Errno(EINVAL)
        return buffer.put_bytes(line)

    def write(self, buffer: Buffer) -> int:
        count = buffer.remaining
        if count > _LONGEST:
            raise Errno(EINVAL)
        text = buffer.take_bytes(count)
        if len(text) < count:
            return 0
        level = _DEFAULT_LEVEL
        facility = FACILITY_USER
        priority = parse_priority(text)
        if priority >= 0:
            level = priority & 7
            if priority >> 3 != 0:
                facility = priority >> 3 & 0xFF
            text = text[text.find(b">") + 1 :]
        if text.endswith(b"\n"):
            text = text[: len(text) - 1]
        log.add(level, text, facility)
        return count

    def pwrite(self, buffer: Buffer, offset: int) -> int:
        return self.write(buffer)

    def seek(self, offset: int, whence: int) -> int:
        if offset != 0:
            raise Errno(ESPIPE)
        if whence == SEEK_SET:
            self.sequence = log.oldest_sequence()
        elif whence == SEEK_DATA:
            self.sequence = max(log.oldest_sequence(), log.cleared)
        elif whence == SEEK_END:
            self.sequence = log.next_sequence
        else:
            raise Errno(EINVAL)
        return 0

    def poll(self, waiter: PollWaiter | None) -> int:
        if waiter is not None:
            waiter.wait_on(LOG_READERS)
        if self.sequence < log.oldest_sequence():
            return READABLE | POLLERR | POLLPRI
        return READABLE if self.sequence < log.next_sequence else 0


# ---- Reading that consumes ------------------------------------------------------------------------------------------


def line_of(record: Record) -> bytes:
    """A record as syslog(2) and /proc/kmsg show it."""
    head = f"<{record.priority()}>".encode() + record.stamp()
    return b"".join([head + line + b"\n" for line in record.text.split(b"\n")])


@final
class ConsumingReader:
    """The one position that all readers by syslog(2) and /proc/kmsg share, and the console's level from before it was
    switched off.
    """

    def __init__(self) -> None:
        self.sequence: int = 0
        self.offset: int = 0  # how many bytes of that record's line were read
        self.saved_level: int = -1

    def read(self, buffer: Buffer, waits: bool) -> int:
        """Read what was not read yet, in whole lines unless not even one fits. EAGAIN, or a sleep, if there is
        nothing.
        """
        while self.sequence >= log.next_sequence:
            if not waits:
                raise Errno(EAGAIN)
            _wait_for_record()
        done = 0
        while buffer.remaining > 0 and not buffer.faulted:
            self._skip_lost()
            record = log.record(self.sequence)
            if record is None:
                break
            line = line_of(record)
            start = self.offset
            part = min(len(line) - start, buffer.remaining)
            # The position moves on before the copy, in which others may read; as on Linux, a fault loses this part.
            if start + part == len(line):
                self.sequence += 1
                self.offset = 0
            elif done > 0:
                break
            else:
                self.offset = start + part
            if buffer.put(span_of(line)[start : start + part]) < part:
                break
            done += part
        return done

    def has_unread(self) -> bool:
        """Whether a read has something to give. Never sleeps."""
        self._skip_lost()
        return self.sequence < log.next_sequence

    def unread(self) -> int:
        """How many bytes are unread. Sleeps if there are very many."""
        self._skip_lost()
        total = -self.offset
        for sequence in range(self.sequence, log.next_sequence):
            record = log.record(sequence)
            if record is not None:
                total += len(line_of(record))
            pace(_LINE_COST)
        return total

    def _skip_lost(self) -> None:
        if self.sequence < log.oldest_sequence():
            self.sequence = log.oldest_sequence()
            self.offset = 0


READING: Final = ConsumingReader()


@final
class ProcKmsgFile(File):
    """An open /proc/kmsg: reading consumes."""

    def __init__(self, path: Path, flags: int) -> None:
        start_thread()
        super().__init__(path, flags)

    def read(self, buffer: Buffer) -> int:
        return READING.read(buffer, self.flags & O_NONBLOCK == 0)

    def poll(self, waiter: PollWaiter | None) -> int:
        if waiter is not None:
            waiter.wait_on(LOG_READERS)
        return READABLE if READING.has_unread() else 0

    def pread(self, buffer: Buffer, offset: int) -> int:
        return self.read(buffer)

    def seek(self, offset: int, whence: int) -> int:
        """The position can be set, without effect."""
        if whence == SEEK_CUR:
            offset = add_offset(self.position, offset)
        elif whence != SEEK_SET and whence != SEEK_END:
            raise Errno(EINVAL)
        if offset < 0:
            raise Errno(EINVAL)
        self.position = offset
        return offset


def open_kmsg(path: Path, flags: int) -> File:
    """open(2) of the device."""
    return KmsgFile(path, flags)


register_char_device(_MEMORY_MAJOR, _MINOR, b"kmsg", open_kmsg)
