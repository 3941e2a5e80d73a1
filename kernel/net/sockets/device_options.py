"""Options of level SOL_SOCKET about how a socket's packets and a device work together: pacing, sending without copies,
times of sending, busy polling (socket(7); Linux's networking/msg_zerocopy.rst, networking/napi.rst, tc-etf(8)).

TCP keeps to SO_MAX_PACING_RATE (kernel/net/tcp/pacing.py), and `error_queue.py` has the notices of SO_ZEROCOPY. The
rest holds values for devices and queueing disciplines of which there are none here: nothing orders packets by a time of
sending, no device is polled by a waiting program or puts data into its own memory, and of the ways to a peer there is
only one. Linux on such a machine stores the same values, and also does no more.

Context: system calls; nothing sleeps.
"""

from typing import Final

from kernel.lang import EBADF, EINVAL, ENOPROTOOPT, EOPNOTSUPP, EPERM, Errno, span_of
from kernel.lib.capabilities import CAP_NET_ADMIN
from kernel.lib.credentials import Credentials
from kernel.net.internet.sysctl import CORE
from kernel.net.internet.transport import PROTOCOL_TCP, PROTOCOL_UDP
from kernel.net.sockets import option_names as so
from kernel.net.sockets.inet_options import int_bytes, signed
from kernel.net.sockets.socket import (
    AF_INET,
    AF_INET6,
    SOCK_DGRAM,
    SOCK_STREAM,
    SWITCH_REHASH,
    SWITCH_TRANSMIT_TIME,
    SWITCH_ZERO_COPY,
    DeviceValues,
    Socket,
)

_WORD: Final = 0xFFFF_FFFF
_LONG: Final = 8  # bytes of an unsigned long
_TXTIME_BYTES: Final = 8  # struct sock_txtime: a clock and flags
_TXTIME_FLAGS: Final = 3  # SOF_TXTIME_DEADLINE_MODE, SOF_TXTIME_REPORT_ERRORS
_CLOCK_REALTIME: Final = 0
_CLOCK_MONOTONIC: Final = 1
_CLOCK_TAI: Final = 11
_LARGEST_BUDGET: Final = 0xFFFF  # packets
_FROM_SETTING: Final = -1  # SO_TXREHASH
_TOKEN_BYTES: Final = 8  # struct dmabuf_token
_MOST_TOKENS: Final = 128


def get_device_option(socket: Socket, name: int, limit: int) -> bytes:
    """The value of an option, as for `get_socket_option`. ENOPROTOOPT."""
    values = socket.device_values
    match name:
        case so.SO_BUSY_POLL:
            return int_bytes(0 if values is None else values.busy_poll_us)
        case so.SO_MAX_PACING_RATE:
            return _rate_bytes(socket.most_rate(), limit)
        case so.SO_INCOMING_NAPI_ID:
            return int_bytes(0)  # no device is polled
        case so.SO_ZEROCOPY:
            return int_bytes(1 if socket.is_on(SWITCH_ZERO_COPY) else 0)
        case so.SO_TXTIME:
            if values is None:
                return bytes(_TXTIME_BYTES)
            return int_bytes(values.transmit_clock) + int_bytes(values.transmit_flags)
        case so.SO_TXREHASH:
            return int_bytes(1 if socket.is_on(SWITCH_REHASH) else 0)
    raise Errno(ENOPROTOOPT)


def set_device_option(socket: Socket, name: int, number: int, value: bytes, credentials: Credentials) -> None:
    """Set an option, of whose value `number` is the first int. EINVAL for one out of range, EPERM, EOPNOTSUPP for
    sockets of another kind, EBADF, ENOPROTOOPT; MemoryError.
    """
    match name:
        case so.SO_BUSY_POLL:
            if number < 0:
                raise Errno(EINVAL)
            values = _changeable(socket)
            values.busy_poll_us = number
            socket.device_values = values
        case so.SO_BUSY_POLL_BUDGET:
            values = _changeable(socket)
            if number > values.busy_poll_budget and not credentials.capable(CAP_NET_ADMIN):
                raise Errno(EPERM)
            if not 0 <= number <= _LARGEST_BUDGET:
                raise Errno(EINVAL)
            values.busy_poll_budget = number
            socket.device_values = values
        case so.SO_MAX_PACING_RATE:
            values = _changeable(socket)
            values.most_rate = _rate_of(number, value)
            socket.device_values = values
        case so.SO_ZEROCOPY:
            if not _is_tcp(socket) and not _is_udp(socket):
                raise Errno(EOPNOTSUPP)
            if not 0 <= number <= 1:
                raise Errno(EINVAL)
            socket.turn(SWITCH_ZERO_COPY, on=number != 0)
        case so.SO_TXTIME:
            _set_transmit_time(socket, value, credentials)
        case so.SO_TXREHASH:
            if not _FROM_SETTING <= number <= 1:
                raise Errno(EINVAL)
            is_on = CORE.txrehash.of(socket.network) != 0 if number == _FROM_SETTING else number != 0
            socket.turn(SWITCH_REHASH, on=is_on)
        case so.SO_DEVMEM_DONTNEED:
            # Tokens of received data in a device's memory, of which there are none to give back.
            if not _is_tcp(socket):
                raise Errno(EBADF)
            if len(value) % _TOKEN_BYTES != 0 or len(value) > _MOST_TOKENS * _TOKEN_BYTES:
                raise Errno(EINVAL)
        case _:
            raise Errno(ENOPROTOOPT)


def _changeable(socket: Socket) -> DeviceValues:
    """What the options are set to now, in an object that may be changed. Raises MemoryError."""
    values = socket.device_values
    return DeviceValues() if values is None else values.copy()


def _is_internet(socket: Socket) -> bool:
    return socket.family == AF_INET or socket.family == AF_INET6


def _is_tcp(socket: Socket) -> bool:
    return _is_internet(socket) and socket.kind == SOCK_STREAM and socket.protocol == PROTOCOL_TCP


def _is_udp(socket: Socket) -> bool:
    return _is_internet(socket) and socket.kind == SOCK_DGRAM and socket.protocol == PROTOCOL_UDP


def _rate_bytes(rate: int, limit: int) -> bytes:
    """A rate in 64 bits for a caller with room for them, else the largest that 32 hold."""
    if limit < _LONG:
        return int_bytes(rate if 0 <= rate <= _WORD else _WORD)
    return int_bytes(rate & _WORD) + int_bytes(rate >> 32 & _WORD)


def _rate_of(number: int, value: bytes) -> int:
    """The rate in a value of 64 or 32 bits, of which the largest number means no limit."""
    if len(value) >= _LONG:
        return signed(span_of(value).load_u32(4)) << 32 | span_of(value).load_u32(0)
    return so.NO_RATE if number == -1 else number & _WORD


def _set_transmit_time(socket: Socket, value: bytes, credentials: Credentials) -> None:
    """SO_TXTIME: a clock, and what to do with a packet that is late. EINVAL, EPERM; MemoryError."""
    if len(value) != _TXTIME_BYTES:
        raise Errno(EINVAL)
    clock = signed(span_of(value).load_u32(0))
    flags = span_of(value).load_u32(4)
    if flags & ~_TXTIME_FLAGS != 0:
        raise Errno(EINVAL)
    if clock != _CLOCK_MONOTONIC and not credentials.capable_in(socket.network.owner, CAP_NET_ADMIN):
        raise Errno(EPERM)
    if clock != _CLOCK_REALTIME and clock != _CLOCK_MONOTONIC and clock != _CLOCK_TAI:
        raise Errno(EINVAL)
    values = _changeable(socket)
    values.transmit_clock = clock
    values.transmit_flags = flags
    socket.device_values = values
    socket.turn(SWITCH_TRANSMIT_TIME, on=True)
