"""Options of level AF_VSOCK: the size of the buffer, and how long connecting takes (vsock(7))."""

from typing import Final

from kernel.lang import EINVAL, ENOPROTOOPT, ERANGE, Errno, span_of
from kernel.net.vsock import option_names as names
from kernel.net.vsock.addresses import AF_VSOCK
from kernel.net.vsock.endpoint import CONNECT_TIMEOUT_NS, Endpoint, State
from kernel.net.vsock.loopback import deliver
from kernel.net.vsock.packet import OP_CREDIT_UPDATE
from kernel.net.vsock.protocol import tell

_LARGEST_BUFFER: Final = 0xFFFF_FFFF  # of the sizes announced to peers
_HIGH_LIMIT: Final = 1 << 30
_SECONDS_LIMIT: Final = ((1 << 63) - 1) // 250 - 1  # of the time limit, as Linux has it
_NS: Final = 1_000_000_000
_TICK_US: Final = 4000  # Linux counts the time limit in ticks
_MOST_SECONDS: Final = 1 << 32


def get_vsock_option(endpoint: Endpoint, level: int, name: int, limit: int) -> bytes:
    """The value of an option. EINVAL without room for it, ENOPROTOOPT."""
    if level != AF_VSOCK:
        raise Errno(ENOPROTOOPT)
    match name:
        case names.BUFFER_SIZE:
            value = _u64(endpoint.options.buffer_size)
        case names.BUFFER_MIN_SIZE:
            value = _u64(endpoint.options.buffer_least)
        case names.BUFFER_MAX_SIZE:
            value = _u64(endpoint.options.buffer_most)
        case names.CONNECT_TIMEOUT | names.CONNECT_TIMEOUT_NEW:
            timeout_ns = endpoint.options.connect_timeout_ns
            value = _u64(timeout_ns // _NS) + _u64(timeout_ns % _NS // 1000)
        case _:
            raise Errno(ENOPROTOOPT)
    if limit < len(value):
        raise Errno(EINVAL)
    return value


def set_vsock_option(endpoint: Endpoint, level: int, name: int, value: bytes) -> None:
    """Set an option. EINVAL for a short value, ERANGE for an invalid time, ENOPROTOOPT."""
    if level != AF_VSOCK:
        raise Errno(ENOPROTOOPT)
    match name:
        case names.BUFFER_SIZE:
            _set_size(endpoint, _size_of(value))
        case names.BUFFER_MIN_SIZE:
            endpoint.options.buffer_least = _size_of(value)
            _set_size(endpoint, endpoint.options.buffer_size)
        case names.BUFFER_MAX_SIZE:
            endpoint.options.buffer_most = _size_of(value)
            _set_size(endpoint, endpoint.options.buffer_size)
        case names.CONNECT_TIMEOUT | names.CONNECT_TIMEOUT_NEW:
            endpoint.options.connect_timeout_ns = _timeout_of(value)
        case _:
            raise Errno(ENOPROTOOPT)


def _set_size(endpoint: Endpoint, size: int) -> None:
    """Choose a size between the least and the most, the most winning, and notify the peer."""
    size = min(max(size, endpoint.options.buffer_least), endpoint.options.buffer_most)
    if size != endpoint.options.buffer_size and endpoint.transport is not None:
        size = min(size, _LARGEST_BUFFER)
        endpoint.options.buffer_size = size
        if endpoint.state == State.ESTABLISHED:
            tell(endpoint, OP_CREDIT_UPDATE)
            deliver()
    endpoint.options.buffer_size = size
    endpoint.write_queue.wake_all()  # no more is sent than this side would take


def _u64(value: int) -> bytes:
    """Eight bytes of a number below 2**62."""
    storage = bytearray(8)
    span = span_of(storage)
    span.store_u32(0, value & 0xFFFF_FFFF)
    span.store_u32(4, value >> 32)
    return bytes(storage)


def _size_of(value: bytes) -> int:
    """A 64-bit size; 2**62 and more is reduced to one less than that."""
    if len(value) < 8:
        raise Errno(EINVAL)
    span = span_of(value)
    high = span.load_u32(4)
    return (1 << 62) - 1 if high >= _HIGH_LIMIT else high << 32 | span.load_u32(0)


def _timeout_of(value: bytes) -> int:
    """A struct timeval in nanoseconds, in whole ticks; 0 stands for the default."""
    if len(value) < 16:
        raise Errno(EINVAL)
    span = span_of(value)
    high = span.load_u32(4)
    microseconds = span.load_u32(8)
    # Linux compares microseconds as a signed number: a negative one passes the limit, and is used as it is.
    if high >= 1 << 31 or span.load_u32(12) != 0 or microseconds >= 1_000_000:
        raise Errno(ERANGE)
    seconds = high << 32 | span.load_u32(0)
    if seconds >= _SECONDS_LIMIT:
        raise Errno(ERANGE)
    ticks = (microseconds + _TICK_US - 1) // _TICK_US
    timeout_ns = min(seconds, _MOST_SECONDS) * _NS + ticks * _TICK_US * 1000
    return timeout_ns if timeout_ns != 0 else CONNECT_TIMEOUT_NS
