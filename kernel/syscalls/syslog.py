"""The kernel's log, read and cleared by programs (syslog(2), dmesg(1)).

Consuming reads (actions 2 and 9) have a position of their own, which all readers share, and wait for records. Lines
look like "<6>[    1.234567] text"; those of a record with several lines all begin so.
"""

from typing import Final

from kernel.doors.table import syscall
from kernel.fs.devices.kmsg import CONSOLE_LEVELS, READING, check_reader, line_of
from kernel.lang import EFAULT, EINVAL, EPERM, Errno, UserAddr, i32, span_of
from kernel.lib import log, user
from kernel.lib.capabilities import CAP_SYSLOG
from kernel.lib.pace import pace
from kernel.task.task import current

_CLOSE: Final = 0
_OPEN: Final = 1
_READ: Final = 2
_READ_ALL: Final = 3
_READ_CLEAR: Final = 4
_CLEAR: Final = 5
_CONSOLE_OFF: Final = 6
_CONSOLE_ON: Final = 7
_CONSOLE_LEVEL: Final = 8
_SIZE_UNREAD: Final = 9
_SIZE_BUFFER: Final = 10

_NOISIEST: Final = 8
_LINE_COST: Final = 1500  # instructions


@syscall("syslog", status="Full", args="one:0|1|2|3|4|5|6|7|8|9|10 >bytes[length] size")
def syslog(action: i32, address: UserAddr, length: i32) -> int:
    """syslog(2)."""
    if action != _READ_ALL and action != _SIZE_BUFFER:
        if not current().credentials.capable(CAP_SYSLOG):
            raise Errno(EPERM)
    else:
        check_reader()
    if action == _CLOSE or action == _OPEN:
        return 0
    if action == _READ or action == _READ_ALL or action == _READ_CLEAR:
        if address == 0 or length < 0:
            raise Errno(EINVAL)
        if length == 0:
            return 0
        user.check(address, length)
        if action == _READ:
            buffer = user.UserBuffer(address, length)
            done = READING.read(buffer, waits=True)
            if done == 0 and buffer.faulted:
                raise Errno(EFAULT)
            return done
        return _read_last(address, length, action == _READ_CLEAR)
    if action == _CLEAR:
        log.log.cleared = log.log.next_sequence
        return 0
    if action == _CONSOLE_OFF or action == _CONSOLE_ON or action == _CONSOLE_LEVEL:
        return _set_console(action, length)
    if action == _SIZE_UNREAD:
        return READING.unread()
    if action == _SIZE_BUFFER:
        return log.RING_BYTES
    raise Errno(EINVAL)


def _set_console(action: int, level: int) -> int:
    ring = log.log
    if action == _CONSOLE_OFF:
        if READING.saved_level < 0:
            READING.saved_level = ring.console_level
        ring.console_level = CONSOLE_LEVELS.values[2]
        return 0
    if action == _CONSOLE_ON:
        if READING.saved_level >= 0:
            ring.console_level = READING.saved_level
            READING.saved_level = -1
        return 0
    if level < 1 or level > _NOISIEST:
        raise Errno(EINVAL)
    ring.console_level = max(level, CONSOLE_LEVELS.values[2])
    READING.saved_level = -1
    return 0


def _read_last(address: UserAddr, length: int, clears: bool) -> int:
    """SYSLOG_ACTION_READ_ALL: the last whole lines that fit, except cleared ones. `clears` those that there were, but
    none that came meanwhile.
    """
    ring = log.log
    end = ring.next_sequence
    first = end
    lowest = max(ring.oldest_sequence(), ring.cleared)
    total = 0
    while first > lowest:
        record = ring.record(first - 1)
        if record is None:
            break
        size = len(line_of(record))
        if total + size > length:
            break
        total += size
        first -= 1
        pace(_LINE_COST)
    done = 0
    for sequence in range(first, end):
        record = ring.record(sequence)
        if record is not None:  # else it had to go for newer ones meanwhile
            line = line_of(record)
            user.write_from(user.at(address, done), span_of(line))
            done += len(line)
        pace(_LINE_COST)
    if clears:
        ring.cleared = max(ring.cleared, end)
    return done
