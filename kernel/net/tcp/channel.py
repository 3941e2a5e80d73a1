"""A connection's place in the kernel: its route to the peer, its timer, the threads that wait for it.

A `Channel` is the `Wire` of its connection. After every operation on the connection, `settle` handles the results:
it wakes waiting threads, arms the timer, and removes a connection that has ended from the tables.

Ports are counted: a socket, each connection and each TIME_WAIT that uses a binding is a user of its `PortHold`.

Context: thread context; nothing sleeps.
"""

from typing import Final

from kernel.fs.file import File
from kernel.lang import Errno, final, inline, noraise
from kernel.lib.credentials import Credentials
from kernel.lib.socket_group import SocketGroup
from kernel.net.internet import ip
from kernel.net.internet.group_programs import are_judged, is_sender_asked_for, may_enter
from kernel.net.internet.output import NextHop, resolve
from kernel.net.internet.transport import PROTOCOL_TCP
from kernel.net.link.checksum import pseudo_header
from kernel.net.link.network import Network
from kernel.net.link.packet import CHECKSUM_PARTIAL, Packet
from kernel.net.link.timers import NetworkTimer
from kernel.net.sockets.bpf import Filter
from kernel.net.sockets.error_queue import NOTHING_MORE, ZeroCopies
from kernel.net.sockets.inet import Binding, ports_of
from kernel.net.tcp.connection import (
    EVENT_CLOSED,
    EVENT_ESTABLISHED,
    EVENT_READABLE,
    EVENT_STATE,
    EVENT_URGENT,
    EVENT_WRITABLE,
    FOREVER,
    Connection,
    State,
    Wire,
)
from kernel.net.tcp.memory import account
from kernel.net.tcp.tcp_options import TcpOptions
from kernel.sched import WaitQueue
from kernel.time import monotonic_ns

LARGEST_PACKET: Final = 65_535
_CHECKSUM_OFFSET: Final = 16
_LONGEST_HEADERS: Final = 40 + 60  # IPv6's and TCP's
_AGAIN_NS: Final = 10_000_000
NOWHERE: Final = Wire()


@final
class PortHold:
    """A binding in the table of ports, as long as it has users."""

    def __init__(self, binding: Binding) -> None:
        self.binding: Binding = binding
        self.users: int = 0

    def acquire(self) -> "PortHold":
        self.users += 1
        return self

    @noraise
    def release(self) -> None:
        self.users -= 1
        if self.users == 0:
            ports_of(self.binding.network).tcp.remove(self.binding)


class SettleHook:
    """Events of a channel that concern the tables and listeners. Base class, see table.py."""

    def established(self, channel: "Channel") -> None:
        """A passive connection is complete."""

    def closed(self, channel: "Channel") -> None:
        """The connection has ended."""

    def urgent(self, channel: "Channel") -> None:
        """Urgent data was announced."""

    def expire(self, channel: "Channel", now_ns: int) -> None:
        """The connection's deadline came."""


@final
class ChannelTimer(NetworkTimer):
    """The one timer of a connection."""

    def __init__(self, channel: "Channel") -> None:
        super().__init__()
        self.channel: Channel | None = channel

    def expire(self, now_ns: int) -> None:
        channel = self.channel
        if channel is not None:
            HOOK.expire(channel, now_ns)


@final
class Channel(Wire):
    """See above. `connection` is set right after it is created."""

    def __init__(
        self, hop: NextHop, options: TcpOptions, family: int, read_queue: WaitQueue, write_queue: WaitQueue
    ) -> None:
        self.connection: Connection | None = None
        self.network: Network = hop.network
        self.hop: NextHop = hop
        self.options: TcpOptions = options
        self.family: int = family  # of the socket: an AF_INET6 one may speak IPv4
        self.bound_device: int = 0
        self.hold: PortHold | None = None
        self.file: File | None = None  # the socket, while a program has it
        self.timer: ChannelTimer = ChannelTimer(self)
        self.read_queue: WaitQueue = read_queue
        self.write_queue: WaitQueue = write_queue
        self.key: int = 0  # in the table of connections
        self.next_in_table: Channel | None = None
        self.is_listed: bool = False
        self.backlog: WaitQueue | None = None  # of the listener that created it
        self.mark: int = 0  # of its packets
        self.copies: ZeroCopies | None = None  # since the first send with MSG_ZEROCOPY, while a program has the socket
        self.filter: Filter | None = None  # SO_ATTACH_FILTER
        self.group: SocketGroup | None = None  # the socket's: programs judge its packets
        self.creator: Credentials | None = None  # the opener of the socket, or at first of the listener

    @inline
    def wants(self, packet: Packet) -> bool:
        """Whether the socket gets a segment: its group's programs and its filter decide."""
        if are_judged() and not may_enter(self.group, packet):
            return False
        filter_ = self.filter
        start = packet.transport_start
        return filter_ is None or filter_.passes(packet, start, packet.start - start, self.file)

    @noraise
    def abandon(self) -> None:
        """There is no memory to go on with it: break the reference cycles of a channel that was never in the table."""
        self.timer.channel = None
        c = self.connection
        if c is not None:
            c.wire = NOWHERE
        self.connection = None

    def send(self, connection: Connection, packet: Packet) -> None:
        hop = self.hop
        if not hop.is_current():
            if not self._find_way(connection):
                return
            hop = self.hop
        if not hop.device.is_loop or hop.network.onlookers != 0:
            length = len(packet)
            header = packet.span()
            header.store_be16(
                _CHECKSUM_OFFSET, pseudo_header(connection.local, connection.remote, PROTOCOL_TCP, length)
            )
            packet.checksum_start = packet.start
            packet.checksum_offset = _CHECKSUM_OFFSET
        packet.checksum = CHECKSUM_PARTIAL
        packet.mark = self.mark
        is_ip4 = len(connection.local) == 4
        internet = self.options.internet
        ttl = internet.ttl_for(is_ip4, is_multicast=False)
        tos = (internet.tos if is_ip4 else internet.traffic_class) | packet.traffic_class
        if is_sender_asked_for():
            packet.group = self.group
            if self.file is not None or connection.state == State.SYN_RECEIVED:
                packet.sender = self.creator
        try:
            ip.send(packet, hop, connection.local, PROTOCOL_TCP, ttl, tos, dont_fragment=True)
        except (Errno, MemoryError):
            return  # as if it were lost on the wire: the retransmission timer repairs that

    def _find_way(self, connection: Connection) -> bool:
        """Look the route up again. False: there is none now."""
        try:
            hop = resolve(self.network, connection.remote, connection.local, self.bound_device)
        except Errno as error:
            connection.soft_error = error.code
            return False
        except MemoryError:
            return False
        self.hop = hop
        self.measure_path(connection)
        return True

    def measure_path(self, connection: Connection) -> None:
        """Set the connection's sizes for the route to the peer."""
        hop = self.hop
        is_ip4 = len(connection.local) == 4
        mtu = min(hop.mtu, LARGEST_PACKET)
        connection.sizes.network_header = 20 if is_ip4 else 40
        connection.sizes.path_mtu = mtu
        connection.sizes.advertised_mss = max(min(mtu, hop.device.mtu) - connection.sizes.network_header - 20, 88)
        if connection.sizes.mss_limit != 0:
            connection.sizes.advertised_mss = min(connection.sizes.advertised_mss, connection.sizes.mss_limit)
        connection.sizes.packet_limit = LARGEST_PACKET - _LONGEST_HEADERS
        if connection.is_synchronized():
            connection.fix_segment_size()

    def tell_copies(self) -> None:
        """Tell the program of sends with MSG_ZEROCOPY whose data are no longer needed. Raises nothing."""
        copies = self.copies
        c = self.connection
        if copies is None or c is None:
            return
        sequence = NOTHING_MORE if c.state == State.CLOSED else c.sender.una
        if not copies.are_due(sequence):
            return
        if copies.done(sequence):
            self.read_queue.wake_all()
        if copies.are_due(sequence) and c.state != State.CLOSED:
            c.timers.resume_ns = min(c.timers.resume_ns, monotonic_ns() + _AGAIN_NS)  # there was no memory

    def where(self) -> Network:
        return self.network

    def update_path(self, connection: Connection) -> None:
        self._find_way(connection)


@final
class Hook:
    """The hook of table.py."""

    def __init__(self) -> None:
        self.target: SettleHook = SettleHook()

    def expire(self, channel: Channel, now_ns: int) -> None:
        self.target.expire(channel, now_ns)


HOOK: Final = Hook()


def settle(channel: Channel) -> None:
    """Handle the results of an operation on the connection."""
    c = channel.connection
    if c is None:
        return
    account(c)
    if channel.copies is not None:
        channel.tell_copies()
    events = c.events
    if events != 0:
        c.events = 0
        if events & (EVENT_READABLE | EVENT_STATE) != 0:
            channel.read_queue.wake_all()
        if events & (EVENT_WRITABLE | EVENT_STATE) != 0:
            channel.write_queue.wake_all()
        if events & EVENT_URGENT != 0:
            HOOK.target.urgent(channel)
        if events & EVENT_ESTABLISHED != 0:
            HOOK.target.established(channel)
        if events & EVENT_CLOSED != 0:
            HOOK.target.closed(channel)
            return
    deadline_ns = c.next_deadline()
    timer = channel.timer
    if deadline_ns != timer.deadline_ns:
        if deadline_ns == FOREVER:
            timer.cancel()
        else:
            try:
                timer.start(deadline_ns)
            except MemoryError:
                # No room in the queue of timers; the next event of this connection tries again.
                timer.cancel()
