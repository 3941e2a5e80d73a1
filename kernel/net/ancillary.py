"""Ancillary messages that receivers of every family get (socket(7), SO_TIMESTAMP)."""

from typing import Final

from kernel.lang import span_of, u64
from kernel.net.option_names import SO_TIMESTAMP, SO_TIMESTAMP_NEW, SO_TIMESTAMPNS, SO_TIMESTAMPNS_NEW
from kernel.net.socket import (
    SOL_SOCKET,
    SWITCH_TIMESTAMP,
    SWITCH_TIMESTAMP_NEW,
    SWITCH_TIMESTAMP_NS,
    ControlMessage,
    Socket,
)
from kernel.time import realtime_ns

_NS: Final = 1_000_000_000


def timestamp_option(socket: Socket) -> int:
    """The option that chose how timestamps look; also the type of the messages that hold them."""
    if socket.is_on(SWITCH_TIMESTAMP_NEW):
        return SO_TIMESTAMPNS_NEW if socket.is_on(SWITCH_TIMESTAMP_NS) else SO_TIMESTAMP_NEW
    return SO_TIMESTAMPNS if socket.is_on(SWITCH_TIMESTAMP_NS) else SO_TIMESTAMP


def timestamp_message(socket: Socket, time_ns: int) -> ControlMessage | None:
    """When a datagram came (real time; 0 for now), if the socket wants to know."""
    if not socket.is_on(SWITCH_TIMESTAMP):
        return None
    if time_ns == 0:
        time_ns = realtime_ns()
    part = time_ns % _NS
    storage = bytearray(16)
    span = span_of(storage)
    span.store_u64(0, u64(time_ns // _NS))
    span.store_u64(8, u64(part if socket.is_on(SWITCH_TIMESTAMP_NS) else part // 1000))
    return ControlMessage(SOL_SOCKET, timestamp_option(socket), bytes(storage))
