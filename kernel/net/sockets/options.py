"""Options of level SOL_SOCKET, the same for all families (socket(7)).

A value travels as bytes: the first four are the int that most options are. The order of checks is Linux's:
SO_BINDTODEVICE takes a string of any length; everything else needs an int at least, then the name is looked at.

Context: system calls; reading a filter's program may sleep.
"""

from typing import Final

from kernel.bpf.code import SOCKET_FILTER
from kernel.fs.bpf.files import ProgramFile
from kernel.lang import (
    EACCES,
    EDOM,
    EINVAL,
    ENODEV,
    ENOTCONN,
    EOPNOTSUPP,
    EPERM,
    Errno,
    UserAddr,
    span_of,
    u64,
)
from kernel.lib import user
from kernel.lib.capabilities import CAP_NET_ADMIN, CAP_NET_RAW
from kernel.lib.credentials import Credentials
from kernel.net.internet.sysctl import CORE
from kernel.net.link.device import device_by_index, device_by_name
from kernel.net.sockets import option_names as so
from kernel.net.sockets.ancillary import timestamp_option
from kernel.net.sockets.bpf import ClassicFilter, ProgramFilter
from kernel.net.sockets.device_options import get_device_option, set_device_option
from kernel.net.sockets.inet_options import signed
from kernel.net.sockets.socket import (
    AF_INET,
    AF_INET6,
    SWITCH_ARRIVALS,
    SWITCH_BROADCAST,
    SWITCH_DEBUG,
    SWITCH_DONT_ROUTE,
    SWITCH_FILTER_LOCKED,
    SWITCH_KEEP_ALIVE,
    SWITCH_LINGER,
    SWITCH_MARK,
    SWITCH_NO_CHECK,
    SWITCH_NO_FCS,
    SWITCH_OOB_INLINE,
    SWITCH_OVERFLOWS,
    SWITCH_PASS_CREDENTIALS,
    SWITCH_PASS_PIDFD,
    SWITCH_PASS_SECURITY,
    SWITCH_PREFER_BUSY_POLL,
    SWITCH_REUSE_ADDRESS,
    SWITCH_REUSE_PORT,
    SWITCH_SELECT_ERROR_QUEUE,
    SWITCH_TIMESTAMP,
    SWITCH_TIMESTAMP_NEW,
    SWITCH_TIMESTAMP_NS,
    SWITCH_WIFI_STATUS,
    Socket,
)
from kernel.task import current

# The options that are one switch, which anybody may turn.
_SWITCHES: Final[dict[int, int]] = {
    so.SO_REUSEADDR: SWITCH_REUSE_ADDRESS,
    so.SO_REUSEPORT: SWITCH_REUSE_PORT,
    so.SO_DONTROUTE: SWITCH_DONT_ROUTE,
    so.SO_BROADCAST: SWITCH_BROADCAST,
    so.SO_KEEPALIVE: SWITCH_KEEP_ALIVE,
    so.SO_OOBINLINE: SWITCH_OOB_INLINE,
    so.SO_NO_CHECK: SWITCH_NO_CHECK,
    so.SO_PASSCRED: SWITCH_PASS_CREDENTIALS,
    so.SO_PASSSEC: SWITCH_PASS_SECURITY,
    so.SO_PASSPIDFD: SWITCH_PASS_PIDFD,
    so.SO_RXQ_OVFL: SWITCH_OVERFLOWS,
    so.SO_WIFI_STATUS: SWITCH_WIFI_STATUS,
    so.SO_NOFCS: SWITCH_NO_FCS,
    so.SO_LOCK_FILTER: SWITCH_FILTER_LOCKED,
    so.SO_SELECT_ERR_QUEUE: SWITCH_SELECT_ERROR_QUEUE,
    so.SO_DEBUG: SWITCH_DEBUG,
    so.SO_PREFER_BUSY_POLL: SWITCH_PREFER_BUSY_POLL,
    so.SO_RCVMARK: SWITCH_MARK,
}

_SMALLEST_SEND_BUFFER: Final = 4608
_SMALLEST_RECEIVE_BUFFER: Final = 2304
_INT_MAX: Final = 0x7FFF_FFFF
_NAME_SIZE: Final = 16  # IFNAMSIZ
_LARGEST_PROGRAM: Final = 4096  # instructions of a filter (BPF_MAXINSNS)
_SECONDS_LIMIT: Final = 1 << 32
_NS: Final = 1_000_000_000
_FILTER_EXTENSIONS: Final = 64
_TIMESTAMPING_FLAGS: Final = 0x2_A07C  # of what is received, by software and by devices
_ARRIVALS: Final = 0x18  # SOF_TIMESTAMPING_RX_SOFTWARE, SOF_TIMESTAMPING_SOFTWARE: note it, report it
_BIND_PHC: Final = 1 << 15


def int_bytes(value: int) -> bytes:
    """The value of an option that is an int, or an unsigned one."""
    storage = bytearray(4)
    span_of(storage).store_u32(0, value & 0xFFFF_FFFF)
    return bytes(storage)


def int_of(value: bytes) -> int:
    """The int at the start of a value. EINVAL if it is shorter."""
    if len(value) < 4:
        raise Errno(EINVAL)
    return signed(span_of(value).load_u32(0))


# ---- Reading --------------------------------------------------------------------------------------------------------


def get_socket_option(socket: Socket, name: int, limit: int) -> bytes:
    """The value of an option; the caller truncates it to `limit`, which only some options consider."""
    switch = _SWITCHES.get(name, 0)
    if switch != 0:
        return int_bytes(1 if socket.is_on(switch) else 0)
    match name:
        case so.SO_TYPE:
            return int_bytes(socket.kind)
        case so.SO_ERROR:
            return int_bytes(socket.take_error())
        case so.SO_SNDBUF:
            return int_bytes(socket.send_limit)
        case so.SO_RCVBUF:
            return int_bytes(socket.receive_limit)
        case so.SO_PRIORITY:
            return int_bytes(socket.priority)
        case so.SO_LINGER:
            return int_bytes(1 if socket.is_on(SWITCH_LINGER) else 0) + int_bytes(socket.linger_seconds)
        case so.SO_PEERCRED:
            return socket.peer_credentials()
        case so.SO_RCVLOWAT:
            return int_bytes(socket.receive_low_water)
        case so.SO_RCVTIMEO | so.SO_RCVTIMEO_NEW:
            return _timeout_bytes(socket.receive_timeout_ns)
        case so.SO_SNDTIMEO | so.SO_SNDTIMEO_NEW:
            return _timeout_bytes(socket.send_timeout_ns)
        case so.SO_PEERNAME:
            return _peer_name(socket, limit)
        case so.SO_ACCEPTCONN:
            return int_bytes(1 if socket.is_listening else 0)
        case so.SO_MARK:
            return int_bytes(socket.mark)
        case so.SO_PROTOCOL:
            return int_bytes(socket.protocol)
        case so.SO_DOMAIN:
            return int_bytes(socket.family)
    return _get_rare_option(socket, name, limit)


def _get_rare_option(socket: Socket, name: int, limit: int) -> bytes:
    match name:
        case so.SO_BSDCOMPAT:
            return int_bytes(0)
        case so.SO_SNDLOWAT:
            return int_bytes(1)
        case so.SO_BINDTODEVICE:
            return _device_name(socket, limit)
        case so.SO_TIMESTAMP | so.SO_TIMESTAMPNS | so.SO_TIMESTAMP_NEW | so.SO_TIMESTAMPNS_NEW:
            return int_bytes(1 if socket.is_on(SWITCH_TIMESTAMP) and timestamp_option(socket) == name else 0)
        case so.SO_TIMESTAMPING | so.SO_TIMESTAMPING_NEW:
            return int_bytes(socket.timestamping) + int_bytes(0)
        case so.SO_PEEK_OFF:
            socket.set_peek_offset(socket.peek_offset)
            return int_bytes(socket.peek_offset)
        case so.SO_BPF_EXTENSIONS:
            return int_bytes(_FILTER_EXTENSIONS)
        case so.SO_INCOMING_CPU:
            return int_bytes(socket.incoming_cpu)
        case so.SO_MEMINFO:
            return memory_information(socket)
        case so.SO_COOKIE:
            if limit < 8:
                raise Errno(EINVAL)
            return _u64_bytes(socket.inode.ino)
        case so.SO_BINDTOIFINDEX:
            return int_bytes(socket.bound_device)
        case so.SO_NETNS_COOKIE:
            if limit != 8:
                raise Errno(EINVAL)
            return _u64_bytes(1)
        case so.SO_BUF_LOCK:
            return int_bytes(socket.buffer_locks)
        case so.SO_RESERVE_MEM:
            return int_bytes(0)
    return get_device_option(socket, name, limit)


def _u64_bytes(value: int) -> bytes:
    storage = bytearray(8)
    span_of(storage).store_u64(0, u64(value))
    return bytes(storage)


def _timeout_bytes(timeout_ns: int) -> bytes:
    """A struct timeval."""
    return _u64_bytes(timeout_ns // _NS) + _u64_bytes(timeout_ns % _NS // 1000)


def _peer_name(socket: Socket, limit: int) -> bytes:
    code = 0
    address = b""
    try:
        address = socket.shown_peer_address()
    except Errno as error:
        code = error.code
    if code != 0:
        raise Errno(ENOTCONN)
    if len(address) < limit:
        raise Errno(EINVAL)
    return address


def _device_name(socket: Socket, limit: int) -> bytes:
    if socket.bound_device == 0:
        return b""
    if limit < _NAME_SIZE:
        raise Errno(EINVAL)
    device = device_by_index(socket.network, socket.bound_device)
    if device is None:
        raise Errno(ENODEV)
    return device.name + b"\0"


def memory_information(socket: Socket) -> bytes:
    """SK_MEMINFO_*: the size and limit of the queues, and the number of dropped packets. Nothing else is reserved."""
    received, sent, dropped = socket.memory_use()
    return memory_bytes(received, socket.receive_limit, sent, socket.send_limit, dropped)


def memory_bytes(received: int, receive_limit: int, sent: int, send_limit: int, dropped: int) -> bytes:
    """The numbers of SK_MEMINFO_* in their order."""
    limits = int_bytes(received) + int_bytes(receive_limit) + int_bytes(0) + int_bytes(send_limit)
    return limits + int_bytes(0) + int_bytes(sent) + bytes(8) + int_bytes(dropped)


# ---- Setting --------------------------------------------------------------------------------------------------------


def set_socket_option(socket: Socket, name: int, value: bytes, credentials: Credentials) -> None:
    """Set an option. EINVAL for a short value or one out of range, ENOPROTOOPT for an unknown name, EPERM, EACCES,
    EOPNOTSUPP, EBADF; MemoryError.
    """
    if name == so.SO_BINDTODEVICE:
        _bind_to_device(socket, value, credentials)
        return
    number = int_of(value)
    switch = _SWITCHES.get(name, 0)
    if switch != 0:
        _check_switch(socket, name, number != 0, credentials)
        socket.turn(switch, on=number != 0)
    else:
        _set_valued_option(socket, name, number, value, credentials)
    socket.option_changed(name)


def _check_switch(socket: Socket, name: int, on: bool, credentials: Credentials) -> None:
    if name == so.SO_DEBUG and on and not credentials.capable(CAP_NET_ADMIN):
        raise Errno(EACCES)
    if name == so.SO_PREFER_BUSY_POLL and on and not credentials.capable(CAP_NET_ADMIN):
        raise Errno(EPERM)
    if name == so.SO_REUSEPORT and on and socket.family != AF_INET and socket.family != AF_INET6:
        raise Errno(EOPNOTSUPP)
    if name == so.SO_LOCK_FILTER and not on and socket.is_on(SWITCH_FILTER_LOCKED):
        raise Errno(EPERM)


def _set_valued_option(socket: Socket, name: int, number: int, value: bytes, credentials: Credentials) -> None:
    match name:
        case so.SO_SNDBUF | so.SO_SNDBUFFORCE:
            size = _buffer_size(number, CORE.wmem_max.value, name == so.SO_SNDBUFFORCE, credentials)
            socket.send_limit = max(size, _SMALLEST_SEND_BUFFER)
            socket.buffer_locks |= 1
        case so.SO_RCVBUF | so.SO_RCVBUFFORCE:
            size = _buffer_size(number, CORE.rmem_max.value, name == so.SO_RCVBUFFORCE, credentials)
            socket.receive_limit = max(size, _SMALLEST_RECEIVE_BUFFER)
            socket.buffer_locks |= 2
        case so.SO_PRIORITY:
            if not 0 <= number <= 6 and not may_mark(socket, credentials):
                raise Errno(EPERM)
            socket.priority = number
        case so.SO_LINGER:
            if len(value) < 8:
                raise Errno(EINVAL)
            socket.turn(SWITCH_LINGER, on=number != 0)
            if number != 0:
                socket.linger_seconds = span_of(value).load_u32(4)
        case so.SO_BSDCOMPAT:
            return
        case so.SO_RCVLOWAT:
            socket.receive_low_water = socket.low_water_limit(_INT_MAX if number < 0 else max(1, number))
        case so.SO_RCVTIMEO | so.SO_RCVTIMEO_NEW:
            socket.receive_timeout_ns = _timeout_of(value)
        case so.SO_SNDTIMEO | so.SO_SNDTIMEO_NEW:
            socket.send_timeout_ns = _timeout_of(value)
        case so.SO_MARK:
            if not may_mark(socket, credentials):
                raise Errno(EPERM)
            socket.mark = number & 0xFFFF_FFFF
        case _:
            _set_rare_option(socket, name, number, value, credentials)


def _set_rare_option(socket: Socket, name: int, number: int, value: bytes, credentials: Credentials) -> None:
    match name:
        case so.SO_ATTACH_FILTER:
            socket.set_filter(_classic_of(socket, value))
        case so.SO_DETACH_FILTER:
            _check_not_locked(socket)
            socket.set_filter(None)
        case so.SO_TIMESTAMP | so.SO_TIMESTAMPNS | so.SO_TIMESTAMP_NEW | so.SO_TIMESTAMPNS_NEW:
            socket.turn(SWITCH_TIMESTAMP, on=number != 0)
            precise = name == so.SO_TIMESTAMPNS or name == so.SO_TIMESTAMPNS_NEW
            socket.turn(SWITCH_TIMESTAMP_NS, on=number != 0 and precise)
            socket.turn(SWITCH_TIMESTAMP_NEW, on=number != 0 and name >= so.SO_TIMESTAMP_NEW)
        case so.SO_TIMESTAMPING | so.SO_TIMESTAMPING_NEW:
            _check_timestamping(socket, number)
            socket.timestamping = number
            socket.turn(SWITCH_ARRIVALS, on=number & _ARRIVALS == _ARRIVALS)
            socket.turn(SWITCH_TIMESTAMP_NEW, on=name == so.SO_TIMESTAMPING_NEW)
        case so.SO_PEEK_OFF:
            socket.set_peek_offset(number)
        case so.SO_INCOMING_CPU:
            socket.incoming_cpu = number
        case so.SO_BINDTOIFINDEX:
            _bind_to_index(socket, number, credentials)
        case so.SO_BUF_LOCK:
            if number & ~3 != 0:
                raise Errno(EINVAL)
            socket.buffer_locks = number
        case _:
            _set_newest_option(socket, name, number, value, credentials)


def _set_newest_option(socket: Socket, name: int, number: int, value: bytes, credentials: Credentials) -> None:
    match name:
        case so.SO_ATTACH_BPF:
            socket.set_filter(_filter_of(socket, value, number))
        case so.SO_ATTACH_REUSEPORT_EBPF:
            socket.set_chooser(_filter_of(socket, value, number))
        case so.SO_ATTACH_REUSEPORT_CBPF:
            socket.set_chooser(_classic_of(socket, value))
        case so.SO_DETACH_REUSEPORT_BPF:
            socket.set_chooser(None)
        case so.SO_CNX_ADVICE:
            socket.route_is_bad(number)
        case so.SO_RESERVE_MEM:
            # Memory is reserved for members of memory control groups, of which there are none.
            raise Errno(EINVAL if number < 0 or number > _INT_MAX - 4096 else EOPNOTSUPP)
        case _:
            set_device_option(socket, name, number, value, credentials)


def _check_timestamping(socket: Socket, flags: int) -> None:
    """SOF_TIMESTAMPING_*: EINVAL for unknown flags, and for those about the time of sending, which is not recorded.
    For arrivals only the kernel's time exists; no device has a clock, and on Linux those flags have no effect then.
    """
    if flags & ~_TIMESTAMPING_FLAGS != 0:
        raise Errno(EINVAL)
    if flags & _BIND_PHC != 0:
        raise Errno(EOPNOTSUPP if socket.bound_device == 0 else EINVAL)


def may_mark(socket: Socket, credentials: Credentials) -> bool:
    """Whether a program may choose how its packets are treated on their way."""
    owner = socket.network.owner
    return credentials.capable_in(owner, CAP_NET_ADMIN) or credentials.capable_in(owner, CAP_NET_RAW)


def _buffer_size(number: int, most: int, forced: bool, credentials: Credentials) -> int:
    """Twice the requested size: the other half is for what a packet costs besides its data."""
    if forced:
        if not credentials.capable(CAP_NET_ADMIN):
            raise Errno(EPERM)
        number = max(0, number)
    else:
        number = min(number & 0xFFFF_FFFF, most)
    return min(number, _INT_MAX // 2) * 2


def _timeout_of(value: bytes) -> int:
    """A struct timeval in nanoseconds; 0 for no limit. A negative time expires at once, like the shortest one."""
    if len(value) < 16:
        raise Errno(EINVAL)
    span = span_of(value)
    seconds_low = span.load_u32(0)
    seconds_high = signed(span.load_u32(4))
    us_low = span.load_u32(8)
    if span.load_u32(12) != 0 or us_low >= 1_000_000:
        raise Errno(EDOM)
    if seconds_high < 0:
        return 1
    return min(seconds_high << 32 | seconds_low, _SECONDS_LIMIT) * _NS + us_low * 1000


def _bind_to_device(socket: Socket, value: bytes, credentials: Credentials) -> None:
    name = value[: min(len(value), _NAME_SIZE - 1)]
    end = name.find(b"\0")
    if end >= 0:
        name = name[:end]
    index = 0
    if name:
        device = device_by_name(socket.network, name)
        if device is None:
            raise Errno(ENODEV)
        index = device.index
    _bind_to_index(socket, index, credentials)


def _bind_to_index(socket: Socket, index: int, credentials: Credentials) -> None:
    if socket.bound_device != 0 and not credentials.capable_in(socket.network.owner, CAP_NET_RAW):
        raise Errno(EPERM)
    if index < 0:
        raise Errno(EINVAL)
    socket.bound_device = index
    socket.option_changed(so.SO_BINDTODEVICE)


def _classic_of(socket: Socket, value: bytes) -> ClassicFilter:
    """struct sock_fprog: a count and the address of the instructions. EPERM for a locked filter, EINVAL, EFAULT."""
    if len(value) != 16:
        raise Errno(EINVAL)
    span = span_of(value)
    count = span.load_u16(0)
    high = signed(span.load_u32(12))
    _check_not_locked(socket)
    address = UserAddr(high << 32 | span.load_u32(8))
    if count == 0 or count > _LARGEST_PROGRAM or address == 0:
        raise Errno(EINVAL)
    instructions = user.read_bytes(address, count * 8)
    made = ClassicFilter(instructions)
    _check_not_locked(socket)  # another thread may have locked it meanwhile
    return made


def _filter_of(socket: Socket, value: bytes, descriptor: int) -> ProgramFilter:
    """A program of bpf(2). EPERM for a locked filter, EBADF, EINVAL for no such program."""
    if len(value) != 4:
        raise Errno(EINVAL)
    _check_not_locked(socket)
    file = current().files.get(descriptor)
    if not isinstance(file, ProgramFile) or file.program.kind != SOCKET_FILTER:
        raise Errno(EINVAL)
    return ProgramFilter(file.program, socket.network.owner)


def _check_not_locked(socket: Socket) -> None:
    if socket.is_on(SWITCH_FILTER_LOCKED):
        raise Errno(EPERM)
