"""UDP: datagrams between ports (RFC 768, RFC 1122 section 4.1, RFC 8200 section 8.1).

`send` prepends the header; `Udp.receive` finds the socket that fits best, or for broadcasts and groups all that fit.

Context: thread context; nothing sleeps.
"""

from typing import Final

from kernel.lang import final, span_of
from kernel.lib.credentials import Credentials
from kernel.lib.pace import PACE, pace, spend
from kernel.net.datagram.socket import PACKET_OVERHEAD, DatagramSocket
from kernel.net.internet import ip
from kernel.net.internet.addresses import is_multicast, owner_of
from kernel.net.internet.output import NextHop
from kernel.net.internet.transport import PROTOCOL_UDP, NetworkError, Transport, register_transport
from kernel.net.link.checksum import checksum, pseudo_header
from kernel.net.link.counters import UdpCounters
from kernel.net.link.device import NetworkDevice
from kernel.net.link.handout import Crowd, Handout
from kernel.net.link.network import Network, PartMaker, network_of, register_part
from kernel.net.link.packet import CHECKSUM_PARTIAL, CHECKSUM_VERIFIED, PACKET_HOST, Packet
from kernel.net.link.part import Part
from kernel.net.sockets.inet import listed_ports
from kernel.net.sockets.port_group import PortGroup
from kernel.net.sockets.socket import SOCK_DGRAM

HEADER: Final = 8
_COPY_COST: Final = 500  # instructions for one more receiver
_LOOK_COST: Final = 80  # and for each socket of the port, of which there are at most `MOST_SHARING`
_COUNT_COST: Final = 30
_MOST_COST: Final = 200_000  # that the receivers may take for one datagram; the network thread serves the others
_ENTRY_BYTES: Final = 8
_SPREAD: Final = 0x9E37_79B1
_SPREAD_MASK: Final = 0x7FFF_FFFF  # so that a product fits
_COPY_SHIFT: Final = 1  # bytes for each instruction of copying


class UdpEndpoint(DatagramSocket):
    """A socket as the protocol sees it. Base of `UdpSocket`, which adds the rest."""

    def __init__(self, family: int, credentials: Credentials, network: Network) -> None:
        super().__init__(family, SOCK_DGRAM, PROTOCOL_UDP, credentials, network)
        self.takes_without_sum6: bool = False  # accept datagrams of IPv6 that come without a checksum

    def accepts(self, packet: Packet) -> bool:
        """Whether a datagram that fits the socket's addresses passes its other conditions."""
        if not is_multicast(packet.destination):
            return True
        return self.hears_group(packet)

    def lacked_room(self, packet: Packet) -> None:
        super().lacked_room(packet)
        counters_for(self.network, packet.source).receive_buffer_errors += 1

    def filtered_out(self, *, is_lost: bool) -> None:
        """Other protocols count only what is lost, as on Linux."""
        self.drops += 1


@final
class UdpTable(Part):
    """A network's bound sockets by local port, in the order of binding."""

    def __init__(self) -> None:
        super().__init__()
        self.by_port: dict[int, list[UdpEndpoint]] = {}
        self.crowd: Crowd = Crowd()

    def insert(self, socket: UdpEndpoint, port: int) -> None:
        """Enter a socket. Raises MemoryError, with nothing changed."""
        sockets = self.by_port.get(port)
        if sockets is None:
            self.by_port[port] = [socket]
        else:
            sockets.append(socket)

    def share_port(self, socket: UdpEndpoint, port: int) -> None:
        """Let a socket that was just entered join those with which it shares the port. Raises MemoryError, with nothing
        changed.
        """
        group: PortGroup | None = None
        sockets = self.by_port.get(port)
        if sockets is not None:
            spend(len(sockets) * _COUNT_COST)
            for other in sockets:
                if socket.shares_port_with(other):
                    group = other.port_group
                    break
        socket.join_port_group(group)

    def take_out(self, socket: UdpEndpoint, port: int) -> None:
        """Take a socket out; does nothing if it is not in the table."""
        sockets = self.by_port.get(port)
        if sockets is not None and socket in sockets:
            spend(len(sockets) * _LOOK_COST // 2)
            sockets.remove(socket)
            if len(sockets) == 0:
                del self.by_port[port]

    def count(self, family: int) -> int:
        """About how many sockets of a family there are, with safe points between ports."""
        count = 0
        for port in listed_ports(self.by_port):
            sockets = self.by_port.get(port)
            if sockets is not None:
                for socket in sockets:
                    count += 1 if socket.family == family else 0
                spend(len(sockets) * _COUNT_COST)
            pace(_COUNT_COST)
        return count


@final
class _Maker(PartMaker):
    def make(self, network: Network) -> None:
        network.udp_sockets = UdpTable()


register_part(_Maker())


def udp_sockets_of(network: Network) -> UdpTable:
    """The bound sockets of a network."""
    part = network.udp_sockets
    assert isinstance(part, UdpTable)
    return part


def counters_for(network: Network, address: bytes) -> UdpCounters:
    """The counters of the IP version of an address."""
    return network.udp4 if len(address) == 4 else network.udp6


def send(
    packet: Packet,
    hop: NextHop,
    source: bytes,
    source_port: int,
    destination_port: int,
    ttl: int,
    tos: int,
    dont_fragment: bool,
    without_checksum: bool = False,
    options: bytes = b"",
    loops: bool = False,
) -> None:
    """Send a packet that holds the payload; see `ipv4.send`. EMSGSIZE, ENOBUFS, MemoryError."""
    length = HEADER + len(packet)
    header = packet.push(HEADER)
    header.store_be16(0, source_port)
    header.store_be16(2, destination_port)
    header.store_be16(4, length)
    header.store_be16(6, 0)
    packet.transport_start = packet.start
    if hop.device.is_loop and length + 60 <= hop.mtu and hop.network.onlookers == 0:
        packet.checksum = CHECKSUM_VERIFIED  # it never leaves this host, so no one can see it
    elif without_checksum:
        packet.checksum = CHECKSUM_VERIFIED
    else:
        header.store_be16(6, pseudo_header(source, hop.destination, PROTOCOL_UDP, length))
        packet.checksum = CHECKSUM_PARTIAL
        packet.checksum_start = packet.start
        packet.checksum_offset = 6
    ip.send(packet, hop, source, PROTOCOL_UDP, ttl, tos, dont_fragment, options, loops)
    counters_for(hop.network, source).out_datagrams += 1


@final
class Udp(Transport):
    """Takes datagrams from IP."""

    def receive(self, packet: Packet) -> bool:
        network = network_of(packet)
        counters = counters_for(network, packet.source)
        if len(packet) < HEADER:
            counters.in_errors += 1
            return True
        header = packet.span()
        length = header.load_be16(4)
        if length == 0 and len(packet.source) == 16:
            length = len(packet)  # a jumbogram does not give its length (RFC 2675)
        if length < HEADER or length > len(packet):
            counters.in_errors += 1
            return True
        packet.trim(length)
        if packet.checksum != CHECKSUM_VERIFIED and not _is_sound(packet):
            counters.in_checksum_errors += 1
            counters.in_errors += 1
            return True
        port = header.load_be16(2)
        packet.transport_start = packet.start
        packet.pull(HEADER)
        if packet.link_kind != PACKET_HOST or is_multicast(packet.destination) or (
            owner_of(network, packet.destination) is None
        ):
            if _is_for_many(packet):
                _deliver_to_all(packet, port, header.load_be16(0))
                return True
        socket = find_socket(packet.destination, port, packet.source, header.load_be16(0), packet.device, packet)
        if socket is None:
            counters.no_ports += 1
            packet.start -= HEADER
            ip.send_port_unreachable(packet)
            return True
        if socket.accepts(packet):
            _enqueue(socket, packet, counters)
        else:
            counters.in_errors += 1
        return True

    def has_sender(self, packet: Packet) -> bool:
        return _sender_of(packet) is not None

    def report_error(self, packet: Packet, error: NetworkError) -> None:
        socket = _sender_of(packet)
        if socket is not None:
            port = packet.span().load_be16(2)
            packet.pull(HEADER)
            socket.report(packet, error, port)


def _sender_of(packet: Packet) -> UdpEndpoint | None:
    """The socket that sent a datagram quoted in an error."""
    header = packet.span()
    return find_socket(
        packet.source, header.load_be16(0), packet.destination, header.load_be16(2), packet.device
    )


def _is_sound(packet: Packet) -> bool:
    data = packet.span()
    if data.load_be16(6) == 0:
        # IPv4's senders may leave the checksum out, IPv6's only where the receiver agrees (RFC 6936).
        if len(packet.source) == 4:
            return True
        taker = find_socket(
            packet.destination, data.load_be16(2), packet.source, data.load_be16(0), packet.device
        )
        return taker is not None and taker.takes_without_sum6
    return checksum(data, pseudo_header(packet.source, packet.destination, PROTOCOL_UDP, len(data))) == 0


def _is_for_many(packet: Packet) -> bool:
    if is_multicast(packet.destination):
        return True
    return len(packet.destination) == 4 and ip.is_broadcast(network_of(packet), packet.destination)


def _reaches(socket: UdpEndpoint, destination: bytes, source: bytes, source_port: int, device_index: int) -> int:
    """How well a socket fits a datagram for its port: 0 for not at all, more for each condition that it sets."""
    binding = socket.binding
    if binding.versions & (1 if len(destination) == 4 else 2) == 0:
        return 0
    score = 1
    if len(socket.local) != 0:
        if socket.local != destination:
            return 0
        score += 4
    if len(socket.remote) != 0:
        if socket.remote != source or (socket.remote_port != source_port):
            return 0
        score += 8
    if socket.bound_device != 0:
        if socket.bound_device != device_index:
            return 0
        score += 4
    if len(destination) == 4 and binding.versions == 1:
        score += 1
    return score


def find_socket(
    local: bytes,
    port: int,
    remote: bytes,
    remote_port: int,
    device: NetworkDevice | None,
    packet: Packet | None = None,
) -> UdpEndpoint | None:
    """The socket that fits best: the last one bound among equals, or one of a group that shares by SO_REUSEPORT, for
    which a program may choose if the packet is given. May raise MemoryError then.
    """
    if device is None:
        return None
    sockets = udp_sockets_of(device.network).by_port.get(port)
    if sockets is None:
        return None
    index = device.index
    if len(sockets) == 1:
        only = sockets[0]
        return only if _reaches(only, local, remote, remote_port, index) > 0 else None
    best: UdpEndpoint | None = None  # the last of the best ones
    chosen: UdpEndpoint | None = None  # that of them whose number, mixed with the sender, is the greatest
    best_score = 0
    greatest = 0
    equals = 0
    sender = (hash(remote) ^ remote_port) & _SPREAD_MASK
    spend(len(sockets) * _LOOK_COST)
    for place in range(len(sockets)):
        socket = sockets[place]
        score = _reaches(socket, local, remote, remote_port, index)
        if score > 0 and score >= best_score:
            mixed = (((sender ^ place * _SPREAD) & _SPREAD_MASK) * _SPREAD & _SPREAD_MASK) >> 8
            if score > best_score or mixed > greatest:
                greatest = mixed
                chosen = socket
            equals = equals + 1 if score == best_score else 1
            best_score = score
            best = socket
    if best is None or equals == 1 or not best.binding.reuse_port:
        return best
    group = best.port_group
    if packet is not None and group is not None and group.chooser is not None and len(best.remote) == 0:
        wanted = group.choose(packet)
        if isinstance(wanted, UdpEndpoint):
            return wanted
    return chosen


def _deliver_to_all(packet: Packet, port: int, source_port: int) -> None:
    network = network_of(packet)
    counters = counters_for(network, packet.source)
    table = udp_sockets_of(network)
    sockets = table.by_port.get(port)
    if sockets is None:
        counters.ignored_multicast += 1
        return
    if len(sockets) > 1 and table.crowd.is_busy():
        _leave_rest(table, packet, sockets, 0)
        return
    device = packet.device
    index = 0 if device is None else device.index
    last: UdpEndpoint | None = None
    floor = PACE.left - _MOST_COST
    for place in range(len(sockets)):
        socket = sockets[place]
        if PACE.left < floor:
            _leave_rest(table, packet.copy(), sockets, place)
            break
        spend(_LOOK_COST)
        if _reaches(socket, packet.destination, packet.source, source_port, index) == 0:
            continue
        if not socket.accepts(packet):
            continue
        if last is not None:
            spend(_COPY_COST + (len(packet.storage) >> _COPY_SHIFT))
            _enqueue(last, packet.copy(), counters)
        last = socket
    if last is None:
        counters.ignored_multicast += 1
    else:
        _enqueue(last, packet, counters)


@final
class _GroupHandout(Handout):
    """A datagram for the sockets of its port that are left. These are listed: later ones are not to get it, and those
    that have gone have no port.
    """

    def __init__(self, packet: Packet, sockets: list[UdpEndpoint]) -> None:
        super().__init__(len(packet.storage) + PACKET_OVERHEAD + len(sockets) * _ENTRY_BYTES)
        self.packet: Packet = packet
        self.sockets: list[UdpEndpoint] = sockets
        self.place: int = 0

    def serve(self) -> bool:
        if self.place == len(self.sockets):
            return False
        socket = self.sockets[self.place]
        self.place += 1
        spend(_LOOK_COST)
        packet = self.packet
        start = packet.transport_start
        storage = span_of(packet.storage)
        device = packet.device
        if device is None or socket.binding.port != storage.load_be16(start + 2):
            return True
        if _reaches(socket, packet.destination, packet.source, storage.load_be16(start), device.index) == 0:
            return True
        if socket.accepts(packet):
            spend(_COPY_COST + (len(packet.storage) >> _COPY_SHIFT))
            _enqueue(socket, packet.copy(), counters_for(socket.network, packet.source))
        return True


def _leave_rest(table: UdpTable, packet: Packet, sockets: list[UdpEndpoint], place: int) -> None:
    """Have the network thread serve the sockets from a place on. They miss a datagram for which there is no room. May
    raise MemoryError.
    """
    size = len(packet.storage) + PACKET_OVERHEAD + (len(sockets) - place) * _ENTRY_BYTES
    spend((len(sockets) - place) * 3)
    if table.crowd.has_room(size):
        table.crowd.put(_GroupHandout(packet, sockets[place:]))


def _enqueue(socket: UdpEndpoint, packet: Packet, counters: UdpCounters) -> None:
    if socket.enqueue(packet):
        counters.in_datagrams += 1
    else:
        counters.in_errors += 1


register_transport(PROTOCOL_UDP, Udp())
