"""Ping sockets: echo requests and their replies for programs without privileges (icmp(7), SOCK_DGRAM with ICMP).

A message's identifier is the socket's port: a socket receives only the replies to its own requests.

Context: system calls; `echo_reply` and `report_error` run in thread context and never sleep.
"""

from typing import Final

from kernel.lang import EACCES, EFAULT, EINVAL, EMSGSIZE, EOPNOTSUPP, Errno, final
from kernel.lib.credentials import Credentials
from kernel.lib.order import Order
from kernel.lib.pace import pace, spend
from kernel.net.datagram.send import connect_datagram, disconnect_datagram, plan_datagram
from kernel.net.datagram.socket import DatagramSocket
from kernel.net.internet import icmp, icmpv6, ip
from kernel.net.internet.icmp import PingListener
from kernel.net.internet.routes import MULTICAST
from kernel.net.internet.sysctl import IP4_SETTINGS
from kernel.net.internet.transport import PROTOCOL_ICMP, PROTOCOL_ICMP6, NetworkError
from kernel.net.link import ethernet
from kernel.net.link.checksum import checksum, pseudo_header
from kernel.net.link.network import Network, PartMaker, network_of, register_part
from kernel.net.link.packet import Packet
from kernel.net.link.part import Part
from kernel.net.sockets import inet_names
from kernel.net.sockets.inet import PortTable, family_of, ports_of
from kernel.net.sockets.inet_socket import check_family_length
from kernel.net.sockets.socket import AF_INET, MSG_OOB, SOCK_DGRAM, Message

_HEADER: Final = 8
_LARGEST: Final = 65535
_LOOK_COST: Final = 60  # instructions for each socket of an identifier


def check_ping_right(network: Network, credentials: Credentials) -> None:
    """EACCES unless one of the caller's groups is in the range of net.ipv4.ping_group_range."""
    first = IP4_SETTINGS.ping_groups.of(network)
    last = IP4_SETTINGS.ping_groups.second_of(network)
    if first <= int(credentials.egid) <= last:
        return
    for group in credentials.groups:
        if first <= int(group) <= last:
            return
    raise Errno(EACCES)


@final
class PingSocket(DatagramSocket):
    """A socket of type SOCK_DGRAM with protocol ICMP or ICMPv6."""

    def __init__(self, family: int, credentials: Credentials, network: Network) -> None:
        protocol = PROTOCOL_ICMP if family == AF_INET else PROTOCOL_ICMP6
        super().__init__(family, SOCK_DGRAM, protocol, credentials, network)
        self.number: int = 0  # in the network's list; 0: it is not there
        self.identifier_key: int = 0  # and its place in the table of identifiers

    def port_table(self) -> PortTable:
        ports = ports_of(self.network)
        return ports.pings4 if self.family == AF_INET else ports.pings6

    def takes_ring_commands(self) -> bool:
        return False

    def is_judged_when_bound(self) -> bool:
        return False

    def bound(self) -> None:
        ping_sockets_of(self.network).insert(self)

    def unbind(self) -> None:
        ping_sockets_of(self.network).take_out(self)
        super().unbind()

    def connect(self, address: bytes) -> None:
        if family_of(address) == 0:
            disconnect_datagram(self)
            return
        chosen = self.judged_peer(address)
        check_family_length(chosen, self.family)
        self.bind_automatically()
        connect_datagram(self, chosen)

    def receive(self, message: Message) -> int:
        if message.flags & MSG_OOB != 0:
            raise Errno(EOPNOTSUPP)
        return super().receive(message)

    def send(self, message: Message) -> int:
        pace(0)  # so that no firewall drops it because of earlier packets
        length = message.buffer.remaining
        if length > _LARGEST:
            raise Errno(EMSGSIZE)
        if length < _HEADER:
            raise Errno(EINVAL)
        plan = plan_datagram(self, message)
        self.bind_automatically()
        packet = Packet(length)
        if message.buffer.take(packet.put(length)) < length:
            raise Errno(EFAULT)
        is_ip4 = self.family == AF_INET
        body = packet.span()
        if body[0] != (icmp.ECHO if is_ip4 else icmpv6.ECHO) or body[1] != 0 or len(plan.address) != (
            4 if is_ip4 else 16
        ):
            raise Errno(EINVAL)
        hop = plan.way()
        if not hop.is_current():
            hop = self.route_to(plan.address, plan.source, plan.device_index)
        body.store_be16(4, self.binding.port)
        body.store_be16(2, 0)
        start = 0 if is_ip4 else pseudo_header(plan.source, hop.destination, PROTOCOL_ICMP6, length)
        body.store_be16(2, checksum(body, start))
        packet.transport_start = packet.start
        options = self.options
        ttl = plan.ttl if plan.ttl >= 0 else options.ttl_for(is_ip4, hop.kind == MULTICAST)
        tos = plan.tos if plan.tos >= 0 else options.tos if is_ip4 else options.traffic_class
        if options.must_not_fragment(is_ip4) and length + (20 if is_ip4 else 40) > hop.mtu:
            raise Errno(EMSGSIZE)
        loops = options.is_on(inet_names.ON_MULTICAST_LOOP4 if is_ip4 else inet_names.ON_MULTICAST_LOOP6)
        packet.mark = plan.mark
        packet.group = self.group
        packet.sender = self.creator
        ip.send(packet, hop, plan.source, self.protocol, ttl, tos, dont_fragment=False, options=b"", loops=loops)
        ethernet.drain()
        return length

    def close(self) -> None:
        ping_sockets_of(self.network).take_out(self)
        super().close()


@final
class PingSockets(Part):
    """A network's ping sockets that have an identifier."""

    def __init__(self) -> None:
        super().__init__()
        self.sockets: Order[PingSocket] = Order()  # in the order of binding
        self.by_identifier: dict[int, list[PingSocket]] = {}  # by `_key`, and in that order
        self.last: int = 0  # the number that was given last
        self.total: int = 0
        self.of_ip4: int = 0  # of these

    def insert(self, socket: PingSocket) -> None:
        """Enter a socket that has an identifier, unless it is in. Raises MemoryError, with nothing changed."""
        if socket.number != 0:
            return
        key = _key(socket.binding.port, socket.family == AF_INET)
        self.sockets.put(self.last + 1, socket)
        try:
            sharing = self.by_identifier.get(key)
            if sharing is None:
                self.by_identifier[key] = [socket]
            else:
                sharing.append(socket)
        except MemoryError:
            self.sockets.remove(self.last + 1)
            raise
        self.last += 1
        socket.number = self.last
        socket.identifier_key = key
        self.total += 1
        self.of_ip4 += 1 if socket.family == AF_INET else 0

    def take_out(self, socket: PingSocket) -> None:
        """Take a socket out, if it is in."""
        if socket.number == 0:
            return
        self.sockets.remove(socket.number)
        socket.number = 0
        sharing = self.by_identifier.get(socket.identifier_key)
        if sharing is not None and socket in sharing:
            spend(len(sharing) * _LOOK_COST)
            sharing.remove(socket)
            if len(sharing) == 0:
                self.by_identifier.pop(socket.identifier_key)
        self.total -= 1
        self.of_ip4 -= 1 if socket.family == AF_INET else 0

    def count(self, family: int) -> int:
        """How many sockets of a family there are."""
        return self.of_ip4 if family == AF_INET else self.total - self.of_ip4


def _key(identifier: int, is_ip4: bool) -> int:
    return identifier << 1 | (1 if is_ip4 else 0)


@final
class _Maker(PartMaker):
    def make(self, network: Network) -> None:
        network.ping_sockets = PingSockets()


register_part(_Maker())


def ping_sockets_of(network: Network) -> PingSockets:
    """The ping sockets of a network."""
    part = network.ping_sockets
    assert isinstance(part, PingSockets)
    return part


def _find(network: Network, identifier: int, is_ip4: bool, local: bytes, remote: bytes) -> PingSocket | None:
    sharing = ping_sockets_of(network).by_identifier.get(_key(identifier, is_ip4))
    if sharing is None:
        return None
    spend(len(sharing) * _LOOK_COST)
    for socket in sharing:
        if (len(socket.local) == 0 or socket.local == local) and (
            len(socket.remote) == 0 or socket.remote == remote
        ):
            return socket
    return None


@final
class PingTable(PingListener):
    """Takes answers and errors from ICMP."""

    def echo_reply(self, packet: Packet) -> bool:
        is_ip4 = len(packet.source) == 4
        socket = _find(network_of(packet), packet.span().load_be16(4), is_ip4, packet.destination, packet.source)
        if socket is None:
            return False
        socket.enqueue(packet)
        return True

    def report_error(self, packet: Packet, error: NetworkError) -> None:
        is_ip4 = len(packet.source) == 4
        if packet.span()[0] != (icmp.ECHO if is_ip4 else icmpv6.ECHO):
            return
        socket = _find(network_of(packet), packet.span().load_be16(4), is_ip4, packet.source, packet.destination)
        if socket is not None:
            socket.report(packet, error, 0)


_TABLE: Final = PingTable()
icmp.PING4.listener = _TABLE
icmpv6.PING6.listener = _TABLE
