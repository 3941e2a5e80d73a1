"""getsockopt and setsockopt at level IPPROTO_TCP (tcp(7)).

Context: system calls; nothing sleeps.
"""

from typing import Final

from kernel.lang import EINVAL, ENOENT, ENOPROTOOPT, EPERM, Errno
from kernel.net.internet.sysctl import NetworkSetting
from kernel.net.sockets.inet_options import int_bytes, int_of
from kernel.net.tcp import output, tcp_options
from kernel.net.tcp.connection import NS_PER_MS, Connection, State
from kernel.net.tcp.information import information
from kernel.net.tcp.tcp_options import TcpOptions
from kernel.net.tcp.tcp_settings import SETTINGS
from kernel.time import monotonic_ns

_LONGEST_NAME: Final = 16  # of a congestion control algorithm
_LARGEST_MSS: Final = 32_767
_LEAST_MSS: Final = 88
_LONGEST_KEEPALIVE: Final = 32_767
_MOST_PROBES: Final = 127
_LONGEST_FIN_WAIT: Final = 120
_MOST_DEFERRALS: Final = 255
_LEAST_CLAMP: Final = 1152  # half of the least receive buffer


def get(options: TcpOptions, c: Connection | None, idle_state: State, name: int, limit: int) -> bytes:
    """The value of an option; `idle_state` is the state of a socket without a connection. ENOPROTOOPT."""
    match name:
        case tcp_options.TCP_NODELAY:
            return int_bytes(1 if options.no_delay else 0)
        case tcp_options.TCP_MAXSEG:
            if c is not None and c.state != State.CLOSED and c.state != State.SYN_SENT:
                return int_bytes(c.sizes.mss)
            return int_bytes(options.mss_limit if options.mss_limit != 0 else 536)
        case tcp_options.TCP_CORK:
            return int_bytes(1 if options.is_corked else 0)
        case tcp_options.TCP_KEEPIDLE:
            return int_bytes(_own_or(options, options.keepalive_idle_s, SETTINGS.keepalive_time))
        case tcp_options.TCP_KEEPINTVL:
            return int_bytes(_own_or(options, options.keepalive_interval_s, SETTINGS.keepalive_interval))
        case tcp_options.TCP_KEEPCNT:
            return int_bytes(_own_or(options, options.keepalive_probes, SETTINGS.keepalive_probes))
        case tcp_options.TCP_SYNCNT:
            return int_bytes(_own_or(options, options.syn_retries, SETTINGS.syn_retries))
        case tcp_options.TCP_LINGER2:
            return int_bytes(_own_or(options, options.linger2_s, SETTINGS.fin_timeout))
        case tcp_options.TCP_DEFER_ACCEPT:
            return int_bytes(options.defer_accept_s)
        case tcp_options.TCP_WINDOW_CLAMP:
            return int_bytes(
                options.window_clamp if options.window_clamp != 0 or c is None else c.receiver.window_clamp
            )
        case tcp_options.TCP_INFO:
            return information(options, c, idle_state, monotonic_ns())
        case tcp_options.TCP_QUICKACK:
            return int_bytes(0 if (options.is_ping_pong if c is None else c.receiver.is_ping_pong) else 1)
        case tcp_options.TCP_CONGESTION:
            text = b"cubic" if options.use_cubic else b"reno"
            return text + bytes(_LONGEST_NAME - len(text))
        case tcp_options.TCP_USER_TIMEOUT:
            return int_bytes(options.user_timeout_ms)
        case tcp_options.TCP_NOTSENT_LOWAT:
            return int_bytes(options.not_sent_limit)
        case tcp_options.TCP_THIN_LINEAR_TIMEOUTS:
            return int_bytes(1 if options.is_thin else 0)
        case tcp_options.TCP_THIN_DUPACK | tcp_options.TCP_REPAIR | tcp_options.TCP_IS_MPTCP:
            return int_bytes(0)
        case tcp_options.TCP_REPAIR_QUEUE | tcp_options.TCP_QUEUE_SEQ | tcp_options.TCP_REPAIR_WINDOW:
            raise Errno(EINVAL)  # only under repair
        case tcp_options.TCP_TIMESTAMP:
            return int_bytes(monotonic_ns() // NS_PER_MS)
        case tcp_options.TCP_INQ:
            return int_bytes(1 if options.tells_queued else 0)
        case tcp_options.TCP_CC_INFO | tcp_options.TCP_ULP | tcp_options.TCP_SAVED_SYN:
            return b""
    raise Errno(ENOPROTOOPT)


def least_of_value(name: int, length: int) -> int:
    """How many bytes of a new value of `length` bytes must be readable. EINVAL for what is shorter than an int, which
    comes before the name is looked at.
    """
    if name == tcp_options.TCP_CONGESTION or name == tcp_options.TCP_ULP:
        return min(length, 4)
    if length < 4:
        raise Errno(EINVAL)
    return 4


def set_option(options: TcpOptions, c: Connection | None, name: int, value: bytes, is_listening: bool) -> None:
    """Set an option. EINVAL, ENOENT for an unknown congestion control, ENOPROTOOPT."""
    if name == tcp_options.TCP_CONGESTION:
        _set_congestion(options, value)
        return
    if name == tcp_options.TCP_ULP:
        raise Errno(EINVAL if len(value) < 1 else ENOENT)  # no protocol is layered between programs and TCP
    number = int_of(value)
    match name:
        case tcp_options.TCP_NODELAY:
            options.no_delay = number != 0
        case tcp_options.TCP_MAXSEG:
            if number != 0 and not _LEAST_MSS <= number <= _LARGEST_MSS:
                raise Errno(EINVAL)
            options.mss_limit = number
        case tcp_options.TCP_CORK:
            options.is_corked = number != 0
        case tcp_options.TCP_KEEPIDLE:
            options.keepalive_idle_s = _in_range(number, 1, _LONGEST_KEEPALIVE)
        case tcp_options.TCP_KEEPINTVL:
            options.keepalive_interval_s = _in_range(number, 1, _LONGEST_KEEPALIVE)
        case tcp_options.TCP_KEEPCNT:
            options.keepalive_probes = _in_range(number, 1, _MOST_PROBES)
        case tcp_options.TCP_SYNCNT:
            options.syn_retries = _in_range(number, 1, _MOST_PROBES)
        case tcp_options.TCP_LINGER2:
            options.linger2_s = -1 if number < 0 else min(number, _LONGEST_FIN_WAIT)
        case tcp_options.TCP_DEFER_ACCEPT:
            options.defer_accept_s = _deferral(number)
        case tcp_options.TCP_WINDOW_CLAMP:
            if number == 0:
                if is_listening or (c is not None and c.state != State.CLOSED):
                    raise Errno(EINVAL)
                options.window_clamp = 0
            else:
                options.window_clamp = max(number & 0xFFFF_FFFF, _LEAST_CLAMP)
        case tcp_options.TCP_QUICKACK:
            if c is not None and not is_listening:
                _set_quick_ack(c, number)
            else:
                options.is_ping_pong = number == 0
        case tcp_options.TCP_USER_TIMEOUT:
            options.user_timeout_ms = _in_range(number, 0, 0x7FFF_FFFF)
        case tcp_options.TCP_NOTSENT_LOWAT:
            options.not_sent_limit = number & 0xFFFF_FFFF
        case tcp_options.TCP_THIN_LINEAR_TIMEOUTS:
            options.is_thin = _in_range(number, 0, 1) == 1
        case tcp_options.TCP_THIN_DUPACK:
            _in_range(number, 0, 1)  # has long had no effect: recovery does without
        case tcp_options.TCP_INQ:
            options.tells_queued = _in_range(number, 0, 1) == 1
        case _:
            _refuse(name, is_listening or c is not None)


def _refuse(name: int, is_in_use: bool) -> None:
    """Connections cannot be extracted from the kernel and put back (TCP_REPAIR)."""
    if name == tcp_options.TCP_QUEUE_SEQ:
        raise Errno(EPERM if is_in_use else EINVAL)
    is_repair = name == tcp_options.TCP_REPAIR or name == tcp_options.TCP_REPAIR_QUEUE
    if is_repair or name == tcp_options.TCP_REPAIR_WINDOW or name == tcp_options.TCP_TIMESTAMP:
        raise Errno(EPERM)
    raise Errno(ENOPROTOOPT)


def _own_or(options: TcpOptions, own: int, setting: NetworkSetting) -> int:
    """The socket's own value, or the network's."""
    return own if own != 0 else setting.of(options.internet.network)


def _in_range(number: int, least: int, most: int) -> int:
    if not least <= number <= most:
        raise Errno(EINVAL)
    return number


def _deferral(seconds: int) -> int:
    """Linux counts retransmissions of the SYN-ACK, and returns their time: 1, 3, 7, 15 … seconds."""
    total_s = 0
    step = 1
    count = 0
    while total_s < seconds and count < _MOST_DEFERRALS:
        total_s += step
        step = min(step << 1, 120)
        count += 1
    return total_s


def _set_quick_ack(c: Connection, number: int) -> None:
    if number == 0:
        c.receiver.is_ping_pong = True
        return
    c.receiver.is_ping_pong = False
    if c.receiver.ack_wanted and c.is_synchronized():
        output.send_ack(c, monotonic_ns())
    if number & 1 == 0:
        c.receiver.is_ping_pong = True


def _set_congestion(options: TcpOptions, value: bytes) -> None:
    if len(value) < 1:
        raise Errno(EINVAL)
    name = value[: min(len(value), _LONGEST_NAME - 1)]
    end = name.find(b"\0")
    if end >= 0:
        name = name[:end]
    if name == b"cubic":
        options.use_cubic = True
    elif name == b"reno":
        options.use_cubic = False
    else:
        raise Errno(ENOENT)
