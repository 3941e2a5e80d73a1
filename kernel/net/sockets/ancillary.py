"""Ancillary messages for receivers of every family: the time of arrival (socket(7): SO_TIMESTAMP and its kin), and the
mark (SO_RCVMARK).

Times are of the wall clock, and taken by the kernel; no device provides any.
"""

from typing import Final

from kernel.lang import span_of, u64
from kernel.net.sockets.inet_options import int_bytes
from kernel.net.sockets.option_names import (
    SO_MARK,
    SO_TIMESTAMP,
    SO_TIMESTAMP_NEW,
    SO_TIMESTAMPING,
    SO_TIMESTAMPING_NEW,
    SO_TIMESTAMPNS,
    SO_TIMESTAMPNS_NEW,
)
from kernel.net.sockets.socket import (
    SOL_SOCKET,
    SWITCH_ARRIVALS,
    SWITCH_KEEP_STAMP,
    SWITCH_TIMESTAMP,
    SWITCH_TIMESTAMP_NEW,
    SWITCH_TIMESTAMP_NS,
    ControlMessage,
    Socket,
)
from kernel.time import realtime_ns

WANTS_TIME: Final = SWITCH_TIMESTAMP | SWITCH_KEEP_STAMP | SWITCH_ARRIVALS
_NS: Final = 1_000_000_000


def timestamp_option(socket: Socket) -> int:
    """The option that chose the form of timestamps; also the type of the messages that hold them."""
    if socket.is_on(SWITCH_TIMESTAMP_NEW):
        return SO_TIMESTAMPNS_NEW if socket.is_on(SWITCH_TIMESTAMP_NS) else SO_TIMESTAMP_NEW
    return SO_TIMESTAMPNS if socket.is_on(SWITCH_TIMESTAMP_NS) else SO_TIMESTAMP


def timestamp_message(socket: Socket, time_ns: int) -> ControlMessage | None:
    """The time of arrival (real time; 0 for now), if the socket asked for it by SO_TIMESTAMP and its kin."""
    if not socket.is_on(SWITCH_TIMESTAMP):
        return None
    if time_ns == 0:
        time_ns = realtime_ns()
    storage = bytearray(16)
    _store(storage, time_ns, 1 if socket.is_on(SWITCH_TIMESTAMP_NS) else 1000)
    return ControlMessage(SOL_SOCKET, timestamp_option(socket), bytes(storage))


def put_timestamps(socket: Socket, time_ns: int, found: list[ControlMessage]) -> None:
    """Add the timestamps that the socket asked for; `time_ns` is 0 if the arrival was not recorded."""
    message = timestamp_message(socket, time_ns)
    if message is not None:
        found.append(message)
    if socket.is_on(SWITCH_ARRIVALS) and time_ns != 0:
        # struct scm_timestamping: the kernel's time, one that was never used, the device's.
        storage = bytearray(48)
        _store(storage, time_ns, 1)
        kind = SO_TIMESTAMPING_NEW if socket.is_on(SWITCH_TIMESTAMP_NEW) else SO_TIMESTAMPING
        found.append(ControlMessage(SOL_SOCKET, kind, bytes(storage)))


def put_mark(mark: int, found: list[ControlMessage]) -> None:
    """Add the mark of a datagram, for SO_RCVMARK."""
    found.append(ControlMessage(SOL_SOCKET, SO_MARK, int_bytes(mark)))


def _store(storage: bytearray, time_ns: int, unit_ns: int) -> None:
    """Store seconds, and the rest in units: a struct timeval or timespec."""
    span = span_of(storage)
    span.store_u64(0, u64(time_ns // _NS))
    span.store_u64(8, u64(time_ns % _NS // unit_ns))
