"""The reports of NETLINK_SOCK_DIAG about TCP, UDP and raw sockets: inet_diag_req_v2 and inet_diag_msg (sock_diag(7)).

A dump may be filtered by state, ports, interface, and by a program (inet_filter.py).

Context: system calls, which take safe points between two sockets. So those of a port, or of a place in a table, are
listed first, and some of them may have ended when their turn comes.
"""

from typing import Final

from kernel.fs.file import File
from kernel.lang import ENOENT, ESTALE, Errno, final
from kernel.lib.capabilities import CAP_NET_ADMIN
from kernel.lib.credentials import uid_for_caller
from kernel.lib.order import Walk
from kernel.lib.pace import pace_or_end, spend
from kernel.net.datagram import udp
from kernel.net.datagram.raw_socket import RawSocket, raw_sockets_of
from kernel.net.datagram.socket import DatagramSocket
from kernel.net.internet.addresses import ANY4, ANY6, mapped
from kernel.net.link.network import Network
from kernel.net.netlink.diagnosis import BY_FAMILY, is_meant
from kernel.net.netlink.inet_filter import DiagnosisFilter, Subject
from kernel.net.netlink.messages import HEADER_SIZE, MessageWriter, Request
from kernel.net.sockets.inet import listed_ports
from kernel.net.sockets.inet_names import ON_V6ONLY
from kernel.net.sockets.inet_options import InternetOptions
from kernel.net.sockets.socket import AF_INET, AF_INET6, Socket
from kernel.net.sockets.socket_options import int_bytes, memory_bytes
from kernel.net.tcp.channel import Channel
from kernel.net.tcp.connection import FOREVER, State
from kernel.net.tcp.index import BucketWalk
from kernel.net.tcp.information import TIMER_TIME_WAIT, information, pending_timer
from kernel.net.tcp.table import TABLE, Listener, port_key
from kernel.net.tcp.tcp_options import TcpOptions
from kernel.net.tcp.tcp_settings import SETTINGS
from kernel.net.tcp.time_wait import TimeWait
from kernel.task import current
from kernel.time import monotonic_ns

_REQUEST: Final = 56  # struct inet_diag_req_v2
_ID: Final = 8  # in it, the struct inet_diag_sockid
_BYTECODE: Final = 1  # attribute of a request
_TCP: Final = 6
_UDP: Final = 17
_RAW: Final = 255
_NS_PER_MS: Final = 1_000_000
_VISIT_COST: Final = 1500  # instructions for a socket
_LOOK_COST: Final = 150  # … for a place in the table
_LISTENER_COST: Final = 10  # … for one that listens at a connection's port
_WRITE_COST: Final = 6000  # … and for its message
_WORD: Final = 0xFFFF_FFFF
_NO_LISTENERS: Final[list[Listener]] = []
_NO_SOCKETS: Final[list[udp.UdpEndpoint]] = []

# Attributes of an answer; a request has a bit for each one it wants, from bit 0 for the first.
_MEMORY: Final = 1
_INFORMATION: Final = 2
_CONGESTION: Final = 4
_TOS: Final = 5
_CLASS: Final = 6
_SOCKET_MEMORY: Final = 7
_SHUTDOWN: Final = 8
_PROTOCOL: Final = 10
_V6ONLY: Final = 11
_MARK: Final = 15

_ESTABLISHED: Final = 1
_TIME_WAIT: Final = 6
_CLOSED: Final = 7
_LISTEN: Final = 10


@final
class Entry:
    """One socket, or the remains of one."""

    def __init__(self, family: int, state: int, subject: Subject) -> None:
        self.family: int = family
        self.state: int = state
        self.subject: Subject = subject  # its ends
        self.socket: Socket | None = None  # while a program has it
        self.internet: InternetOptions | None = None
        self.tcp: TcpOptions | None = None
        self.channel: Channel | None = None
        self.shutdown: int = 0
        self.timer: int = 0
        self.retries: int = 0
        self.expires_ms: int = 0
        self.receive_queue: int = 0
        self.send_queue: int = 0
        self.received: int = 0  # bytes of memory
        self.sent: int = 0
        self.dropped: int = 0
        self.receive_limit: int = SETTINGS.receive_default
        self.send_limit: int = SETTINGS.send_default

    def cookie(self) -> int:
        socket = self.socket
        return 0 if socket is None else socket.inode.ino


class Visitor:
    """Receives the entries of a protocol, one by one."""

    def visit(self, entry: Entry) -> None:
        """May raise MemoryError."""


@final
class Dumper(Visitor):
    """Writes the entries that a request asks for."""

    def __init__(self, request: Request, writer: MessageWriter) -> None:
        asked = request.payload(_REQUEST)
        self._writer: MessageWriter = writer
        self._family: int = asked[0]
        self._extensions: int = asked[2]
        self._states: int = asked.load_u32(4)
        self._source_port: int = asked.load_be16(_ID)
        self._destination_port: int = asked.load_be16(_ID + 2)
        self._device: int = asked.load_u32(_ID + 36)
        program = request.attribute(_BYTECODE)
        self._filter: DiagnosisFilter | None = DiagnosisFilter(program) if len(program) > 0 else None

    def visit(self, entry: Entry) -> None:
        subject = entry.subject
        if entry.family != self._family or self._states >> entry.state & 1 == 0:
            return
        if self._source_port != 0 and subject.source_port != self._source_port:
            return
        if self._destination_port != 0 and subject.destination_port != self._destination_port:
            return
        if self._device != 0 and subject.device_index != self._device:
            return
        filter_ = self._filter
        if filter_ is None or filter_.passes(subject):
            _write(entry, self._extensions, self._writer)
            spend(_WRITE_COST)


@final
class Finder(Visitor):
    """Looks for the socket with both requested ends; a listener or an unconnected one matches any far end."""

    def __init__(self, request: Request) -> None:
        asked = request.payload(_REQUEST)
        size = 4 if asked[0] == AF_INET else 16
        self._family: int = asked[0]
        self._source_port: int = asked.load_be16(_ID)
        self._destination_port: int = asked.load_be16(_ID + 2)
        self._source: bytes = asked[_ID + 4 : _ID + 4 + size].to_bytes()
        self._destination: bytes = asked[_ID + 20 : _ID + 20 + size].to_bytes()
        self._device: int = asked.load_u32(_ID + 36)
        self.found: Entry | None = None
        self._score: int = 0

    def visit(self, entry: Entry) -> None:
        subject = entry.subject
        if entry.family != self._family or subject.source_port != self._source_port:
            return
        score = 1
        if not _is_any(subject.source):
            if subject.source != self._source:
                return
            score += 1
        if subject.destination_port != 0:
            if subject.destination_port != self._destination_port or subject.destination != self._destination:
                return
            score += 2
        if subject.device_index != 0:
            if subject.device_index != self._device:
                return
            score += 1
        if score > self._score:
            self._score = score
            self.found = entry


def dump_internet(request: Request, writer: MessageWriter) -> int:
    """Write all entries that a request asks for; returns 0, or ENOENT for an unknown protocol. EINVAL."""
    dumper = Dumper(request, writer)
    protocol = request.raw[HEADER_SIZE + 1]
    if not _is_known(protocol):
        return ENOENT
    _visit_protocol(request.network, protocol, dumper)
    return 0


def find_internet(request: Request, writer: MessageWriter) -> None:
    """Write one entry. EINVAL, ENOENT; ESTALE for another socket's cookie."""
    finder = Finder(request)
    protocol = request.raw[HEADER_SIZE + 1]
    if not _is_known(protocol):
        raise Errno(ENOENT)
    _visit_protocol(request.network, protocol, finder)
    entry = finder.found
    if entry is None:
        raise Errno(ENOENT)
    asked = request.payload(_REQUEST)
    low = asked.load_u32(_ID + 40)
    high = asked.load_u32(_ID + 44)
    if not is_meant(low, high, entry.cookie()):
        raise Errno(ENOENT if protocol == _TCP else ESTALE)  # as Linux has it
    _write(entry, asked[2], writer)


def _is_known(protocol: int) -> bool:
    return protocol == _TCP or protocol == _UDP or protocol == _RAW


# ---- Finding ------------------------------------------------------------------------------------------------------


def _visit_protocol(network: Network, protocol: int, visitor: Visitor) -> None:
    if protocol == _TCP:
        _visit_tcp(network, visitor)
        return
    if protocol == _UDP:
        table = udp.udp_sockets_of(network)
        for port in listed_ports(table.by_port):
            for each in table.by_port.get(port, _NO_SOCKETS)[:]:
                if each.users > 0:
                    visitor.visit(_of_datagrams(each, each.binding.port))
                pace_or_end(_VISIT_COST)
        return
    walk = Walk(raw_sockets_of(network).sockets)
    raw = walk.next()
    while raw is not None:
        if raw.users > 0:
            visitor.visit(_of_datagrams(raw, raw.protocol))
        pace_or_end(_VISIT_COST)
        raw = walk.next()


def _visit_tcp(network: Network, visitor: Visitor) -> None:
    for port in TABLE.listened_ports(network):
        for listener in TABLE.listeners.get(port, _NO_LISTENERS)[:]:
            if listener.network is network and not listener.is_closed:
                visitor.visit(_of_listener(listener))
            pace_or_end(_VISIT_COST)
    walk = BucketWalk(TABLE.connections)
    channels = walk.next()
    while channels is not None:
        for channel in channels:
            entry = _of_channel(channel, monotonic_ns()) if channel.is_listed and channel.network is network else None
            if entry is not None:
                visitor.visit(entry)
            pace_or_end(_VISIT_COST)
        pace_or_end(_LOOK_COST)
        channels = walk.next()
    waits = Walk(TABLE.wait_queue)
    wait = waits.next()
    while wait is not None:
        if wait.network is network:
            visitor.visit(_of_wait(wait, monotonic_ns()))
        pace_or_end(_VISIT_COST)
        wait = waits.next()


def _whole(family: int, address: bytes) -> bytes:
    """An address as a socket of a family shows it; an empty one means any host."""
    if family == AF_INET:
        return address if len(address) == 4 else ANY4
    return ANY6 if len(address) == 0 else mapped(address)


def _is_any(address: bytes) -> bool:
    return address == ANY4 or address == ANY6


def _of_listener(listener: Listener) -> Entry:
    binding = listener.hold.binding
    family = listener.family
    subject = Subject(family, _whole(family, binding.address), binding.port, _whole(family, b""), 0)
    subject.device_index = binding.device_index
    subject.is_explicit = binding.is_explicit
    entry = Entry(family, _LISTEN, subject)
    entry.tcp = listener.options
    entry.internet = listener.options.internet
    entry.receive_queue = len(listener.ready)
    entry.send_queue = listener.backlog
    _put_socket(entry, listener.file)
    return entry


def _put_socket(entry: Entry, file: File | None) -> None:
    if isinstance(file, Socket):
        entry.socket = file
        entry.subject.mark = file.mark
        entry.received, entry.sent, entry.dropped = file.memory_use()
        _put_limits(entry, file)


def _put_limits(entry: Entry, file: File | None) -> None:
    if isinstance(file, Socket):
        entry.receive_limit = file.receive_limit
        entry.send_limit = file.send_limit


def _listening(channel: Channel) -> File | None:
    """The listener whose port a connection has."""
    hold = channel.hold
    if hold is None:
        return None
    listeners = TABLE.listeners.get(port_key(channel.network, hold.binding.port))
    if listeners is not None:
        spend(len(listeners) * _LISTENER_COST)
        for listener in listeners:
            if listener.hold is hold:
                return listener.file
    return None


def _of_channel(channel: Channel, now_ns: int) -> Entry | None:
    c = channel.connection
    if c is None:
        return None
    family = channel.family
    subject = Subject(family, _whole(family, c.local), c.local_port, _whole(family, c.remote), c.remote_port)
    subject.device_index = channel.bound_device
    hold = channel.hold
    subject.is_explicit = hold is not None and hold.binding.is_explicit
    entry = Entry(family, c.state.value, subject)
    entry.timer, deadline_ns = pending_timer(c)
    entry.expires_ms = 0 if deadline_ns == FOREVER else _milliseconds(deadline_ns - now_ns)
    entry.retries = min(c.timers.retries, 255)
    if c.state == State.SYN_RECEIVED:
        return entry  # no program has it yet: only part is shown
    entry.channel = channel
    entry.tcp = channel.options
    entry.internet = channel.options.internet
    entry.receive_queue = c.receive.bytes & _WORD
    entry.send_queue = 0 if c.state == State.SYN_SENT else min(max(0, c.send_end() - c.sender.una), _WORD)
    entry.received = c.receive.memory
    entry.sent = c.queue.memory
    if channel.file is None:
        _put_limits(entry, _listening(channel))  # it waits to be accepted
    else:
        _put_socket(entry, channel.file)
    return entry


def _of_wait(wait: TimeWait, now_ns: int) -> Entry:
    family = wait.family
    near = _whole(family, wait.local)
    subject = Subject(family, near, wait.local_port, _whole(family, wait.remote), wait.remote_port)
    entry = Entry(family, _TIME_WAIT, subject)
    entry.timer = TIMER_TIME_WAIT
    entry.expires_ms = _milliseconds(wait.deadline_ns - now_ns)
    return entry


def _milliseconds(duration_ns: int) -> int:
    return max(0, min(duration_ns // _NS_PER_MS, _WORD))


def _of_datagrams(socket: DatagramSocket, port: int) -> Entry:
    family = socket.family
    is_connected = len(socket.remote) != 0
    far = _whole(family, socket.remote)
    subject = Subject(family, _whole(family, socket.local), port, far, socket.remote_port if is_connected else 0)
    subject.device_index = socket.bound_device
    subject.is_explicit = socket.binding.is_explicit
    entry = Entry(family, _ESTABLISHED if is_connected else _CLOSED, subject)
    entry.internet = socket.options
    entry.shutdown = socket.shutdown
    entry.receive_queue, entry.send_queue, _ = socket.memory_use()
    _put_socket(entry, socket)
    return entry


# ---- Writing ------------------------------------------------------------------------------------------------------


def _write(entry: Entry, extensions: int, writer: MessageWriter) -> None:
    """Write a struct inet_diag_msg, and the requested attributes."""
    subject = entry.subject
    socket = entry.socket
    writer.begin(BY_FAMILY)
    writer.u8(entry.family)
    writer.u8(entry.state)
    writer.u8(entry.timer)
    writer.u8(entry.retries)
    writer.raw(bytes([subject.source_port >> 8, subject.source_port & 0xFF]))
    writer.raw(bytes([subject.destination_port >> 8, subject.destination_port & 0xFF]))
    writer.raw(subject.source + bytes(16 - len(subject.source)))
    writer.raw(subject.destination + bytes(16 - len(subject.destination)))
    writer.u32(subject.device_index)
    writer.u64(entry.cookie())
    writer.u32(entry.expires_ms)
    writer.u32(entry.receive_queue)
    writer.u32(entry.send_queue)
    writer.u32(0 if socket is None else uid_for_caller(socket.inode.uid))
    writer.u32(0 if socket is None else socket.inode.ino)
    internet = entry.internet
    if internet is not None:
        _write_options(entry, internet, extensions, writer)
        _write_memory(entry, extensions, writer)
    if isinstance(socket, RawSocket):
        writer.attribute_u8(_PROTOCOL, socket.protocol)
    options = entry.tcp
    if options is not None:
        _write_tcp(entry, options, extensions, writer)
    writer.end()


def _wants(extensions: int, attribute: int) -> bool:
    return extensions >> (attribute - 1) & 1 != 0


def _write_options(entry: Entry, internet: InternetOptions, extensions: int, writer: MessageWriter) -> None:
    writer.attribute_u8(_SHUTDOWN, entry.shutdown)
    if _wants(extensions, _TOS):
        writer.attribute_u8(_TOS, internet.tos)
    if entry.family == AF_INET6:
        if _wants(extensions, _CLASS):
            writer.attribute_u8(_CLASS, internet.traffic_class)
        if entry.state == _LISTEN or entry.state == _CLOSED:
            writer.attribute_u8(_V6ONLY, 1 if internet.is_on(ON_V6ONLY) else 0)
    if current().credentials.capable_in(internet.network.owner, CAP_NET_ADMIN):
        writer.attribute_u32(_MARK, entry.subject.mark)


def _write_memory(entry: Entry, extensions: int, writer: MessageWriter) -> None:
    if _wants(extensions, _MEMORY):
        writer.attribute(_MEMORY, int_bytes(entry.received) + int_bytes(entry.sent) + bytes(4) + int_bytes(entry.sent))
    if _wants(extensions, _SOCKET_MEMORY):
        numbers = memory_bytes(entry.received, entry.receive_limit, entry.sent, entry.send_limit, entry.dropped)
        writer.attribute(_SOCKET_MEMORY, numbers)


def _write_tcp(entry: Entry, options: TcpOptions, extensions: int, writer: MessageWriter) -> None:
    channel = entry.channel
    if _wants(extensions, _INFORMATION):
        c = None if channel is None else channel.connection
        writer.attribute(_INFORMATION, information(options, c, State.LISTEN, monotonic_ns()))
    if _wants(extensions, _CONGESTION):
        writer.attribute(_CONGESTION, b"cubic\0" if options.use_cubic else b"reno\0")
