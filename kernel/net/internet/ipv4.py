"""IPv4: sending and receiving datagrams (RFC 791, RFC 1122 section 3.2).

`send` prepends the header and fragments large datagrams. `receive` checks everything that a stranger could get
wrong, reassembles fragments, and hands the datagram to raw sockets and to the transport of its protocol; datagrams for
other hosts are forwarded, if that is turned on (`forwarding.py`).

Context: thread context; nothing sleeps.
"""

from typing import Final

from kernel.lang import EMSGSIZE, Errno, final, noinline, span_of
from kernel.lib import random
from kernel.lib.pace import spend
from kernel.net.internet.addresses import (
    ANY4,
    LIMITED_BROADCAST,
    SCOPE_LINK,
    first_address,
    is_loopback,
    is_multicast,
    owner_of,
)
from kernel.net.internet.departure import loop_back, pass_hooks, send_whole
from kernel.net.internet.fragments import reassembler_of
from kernel.net.internet.group_programs import may_leave
from kernel.net.internet.interface_settings import ROUTE_LOCALNET4, RP_FILTER4
from kernel.net.internet.ipv4_options import VALID, fragment_options, has_source_route, note_passage
from kernel.net.internet.membership import is_member
from kernel.net.internet.output import NextHop, select_source4
from kernel.net.internet.passage import pass_arrival
from kernel.net.internet.routes import BROADCAST, LOCAL, MULTICAST, UNICAST, find_route
from kernel.net.internet.transport import PROTOCOL_IGMP, TRANSPORTS, NetworkError
from kernel.net.link.checksum import checksum
from kernel.net.link.counters import IpCounters
from kernel.net.link.device import NetworkDevice
from kernel.net.link.ethernet import ETHERTYPE_IP4, LINK, LinkProtocol, complete_checksum
from kernel.net.link.hooks import INPUT, PREROUTING
from kernel.net.link.network import FIRST_NETWORK, Network, network_of
from kernel.net.link.packet import CHECKSUM_PARTIAL, PACKET_HOST, Packet
from kernel.time import monotonic_ns, realtime_ns

HEADER: Final = 20
LARGEST: Final = 65535
DONT_FRAGMENT: Final = 0x4000
MORE_FRAGMENTS: Final = 0x2000
_OFFSET_MASK: Final = 0x1FFF
_MOST_PIECES: Final = 512  # of a datagram, where any user may administer the network: they are sent in one go
PIECE_COST: Final = 1000  # instructions for making one
_PLAIN: Final = 0x45  # the first byte of a header without options
_DAY_MS: Final = 86_400_000

_LOCAL_GROUPS: Final = b"\xe0\x00\x00"  # 224.0.0.0/24: groups that no router forwards to

ICMP_PROTOCOL_UNREACHABLE: Final = 2


class RawListener:
    """Takes copies of all datagrams for this host: raw sockets. Base class."""

    def deliver(self, packet: Packet, protocol: int) -> bool:
        """Take a datagram that starts after its IP header; the stack keeps it. True: some socket wanted it."""
        return False

    def report_error(self, packet: Packet, protocol: int, error: NetworkError) -> None:
        """Take an error about a datagram of ours, as in `Transport.report_error`."""


class Ip4Hook:
    """Calls to layers above or beside that would make imports circular."""

    def send_unreachable(self, packet: Packet, code: int) -> None:
        """Answer a datagram for this host with an ICMP destination unreachable. May raise MemoryError."""

    def send_parameter_problem(self, packet: Packet, pointer: int) -> None:
        """Answer a datagram with an ICMP parameter problem: the byte at `pointer` of its header is wrong. May raise
        MemoryError.
        """

    def forward(self, packet: Packet) -> None:
        """Forward a datagram for another host, from its IP header on. May raise MemoryError."""


@final
class Ip4State:
    """Hooks, and the identifications of datagrams that may be fragmented."""

    def __init__(self) -> None:
        self.raw: RawListener | None = None
        self.hook: Ip4Hook = Ip4Hook()

    def identification(self, network: Network) -> int:
        """A number for a datagram of a network. It starts anywhere, so that one network reveals nothing about another;
        datagrams that no one may fragment don't need one.
        """
        value = network.next_identification
        if value == 0:
            value = 1 + random.word() % 65535
        network.next_identification = value % 65535 + 1
        return value


STATE: Final = Ip4State()


def send(
    packet: Packet,
    hop: NextHop,
    source: bytes,
    protocol: int,
    ttl: int = 64,
    tos: int = 0,
    dont_fragment: bool = False,
    options: bytes = b"",
    loops: bool = False,
) -> None:
    """Send a packet that starts with its transport header to `hop.destination`. `options` is padded to 4 bytes.
    `loops`: packets to a group or broadcast are received by this host as well.

    EMSGSIZE for one that is larger than the path's MTU and may not be fragmented, or larger than 65535 bytes;
    EPERM where the sender's group does not permit it; MemoryError.
    """
    header_length = HEADER + len(options)
    total = header_length + len(packet)
    if total > LARGEST and packet.segment_size == 0:
        raise Errno(EMSGSIZE)
    network = hop.network
    counters = network.ip4
    counters.out_requests += 1
    identification = 0 if dont_fragment else STATE.identification(network)
    header = packet.push(header_length)
    packet.network_start = packet.start
    # The length field cannot hold a super-segment of more than 64 KiB, so none is sent.
    header.store_be32(0, 0x45000000 + (len(options) << 22) + (tos << 16) + total)
    header.store_be32(4, (identification << 16) | (DONT_FRAGMENT if dont_fragment else 0))
    header.store_be32(8, (ttl << 24) | (protocol << 16))
    header[12:16].copy_from(span_of(source))
    header[16:20].copy_from(span_of(hop.destination))
    if len(options) > 0:
        header[20:header_length].copy_from(span_of(options))
    packet.source = source
    packet.destination = hop.destination
    packet.protocol = ETHERTYPE_IP4
    if not may_leave(packet, hop.device):
        return
    if hop.device.is_loop:
        # No one checks it on this path: our own receiver trusts the sender.
        packet.from_ourselves = True
        packet.hop_limit = ttl
        packet.traffic_class = tos
        packet.transport_start = packet.start + header_length
        if len(packet) <= hop.mtu and network.onlookers == 0 and len(options) == 0:
            counters.out_transmits += 1
            counters.out_bytes += total
            hop.transmit(packet)
            return
    header.store_be16(10, checksum(header))
    if network.hooks4 is not None:
        send_watched(packet, hop, dont_fragment, loops)
        return
    if loops:
        loop_back(packet, hop)
    transmit(packet, hop, dont_fragment)


def send_watched(packet: Packet, hop: NextHop, dont_fragment: bool, loops: bool) -> None:
    """Send a datagram with a complete header where others are watching. EPERM, EMSGSIZE, MemoryError, and those of
    `resolve`.
    """
    way = pass_hooks(packet, hop, loops)
    if way is not None:
        transmit(packet, way, dont_fragment)


def transmit(packet: Packet, hop: NextHop, dont_fragment: bool) -> None:
    """Send a datagram with a complete header, in fragments if need be. EMSGSIZE, MemoryError."""
    if hop.kind == MULTICAST or hop.kind == BROADCAST:
        _count_group(hop)
    if not send_whole(packet, hop, hop.network.ip4, dont_fragment):
        _fragment(packet, hop)


def _count_group(hop: NextHop) -> None:
    if hop.kind == MULTICAST:
        hop.network.ip4.out_multicast += 1
    else:
        hop.network.ip4.out_broadcast += 1


def _fragment(packet: Packet, hop: NextHop) -> None:
    if packet.checksum == CHECKSUM_PARTIAL:
        complete_checksum(packet)
    header_length = (packet.span()[0] & 0xF) * 4
    # Fragments that were reassembled for hooks are sent on in fragments of that size.
    mtu = hop.mtu if packet.fragment_size == 0 else min(hop.mtu, packet.fragment_size)
    room = (mtu - header_length) & ~7
    if room <= 0:
        hop.network.ip4.fragment_fails += 1
        raise Errno(EMSGSIZE)
    fields = packet.span().load_be16(6)
    data = span_of(packet.storage)[packet.start + header_length : packet.end]
    if hop.network is not FIRST_NETWORK and len(data) > room * _MOST_PIECES:
        hop.network.ip4.fragment_fails += 1
        raise Errno(EMSGSIZE)
    refused = hop.device.traffic.sent_dropped
    offset = 0
    while offset < len(data):
        count = min(room, len(data) - offset)
        spend(PIECE_COST)
        piece = Packet(header_length + count)
        header = piece.put(header_length)
        header.copy_from(packet.span()[0:header_length])
        if offset > 0 and header_length > HEADER:
            header[HEADER:header_length].copy_from(span_of(fragment_options(header[HEADER:header_length])))
        piece.put(count).copy_from(data[offset : offset + count])
        more = MORE_FRAGMENTS if offset + count < len(data) else fields & MORE_FRAGMENTS
        header.store_be16(2, header_length + count)
        header.store_be16(6, more | ((fields & _OFFSET_MASK) + (offset >> 3)))
        header.store_be16(10, 0)
        header.store_be16(10, checksum(header))
        piece.become_fragment_of(packet, header_length)
        hop.network.ip4.fragment_creates += 1
        hop.network.ip4.out_transmits += 1
        hop.network.ip4.out_bytes += len(piece)
        hop.transmit(piece)
        if hop.device.traffic.sent_dropped != refused:
            hop.network.ip4.fragment_fails += 1
            return  # without this fragment the others are useless
        offset += count
    hop.network.ip4.fragment_oks += 1


@final
class Ip4(LinkProtocol):
    """Takes packets from the link layer."""

    def receive(self, packet: Packet) -> None:
        device = packet.device
        if device is None:
            return
        counters = device.network.ip4
        counters.in_receives += 1
        counters.in_bytes += len(packet)
        if device.network.hooks4 is not None:
            _receive_watched(packet, device)
            return
        if packet.from_ourselves and device.is_loop and packet.transport_start > packet.start:
            header = packet.span()
            if is_multicast(packet.destination) and not is_member(device, packet.destination):
                return
            if header[0] == _PLAIN and header.load_be16(6) & (MORE_FRAGMENTS | _OFFSET_MASK) == 0:
                packet.pull(packet.transport_start - packet.start)
                deliver(packet, header[9], counters)
                return
        if _check_header(packet):
            _accept(packet)


@noinline
def _receive_watched(packet: Packet, device: NetworkDevice) -> None:
    """Receive a packet where hooks are watching, also from ourselves."""
    is_sound = packet.from_ourselves and device.is_loop and packet.transport_start > packet.start
    if not is_sound and not _check_header(packet):
        return
    hooks = device.network.hooks4
    if hooks is not None and hooks.want_whole > 0 and packet.span().load_be16(6) & (MORE_FRAGMENTS | _OFFSET_MASK) != 0:
        whole = _join_fragments(packet)
        if whole is None:
            return
        packet = whole
    if pass_arrival(packet, PREROUTING):
        _accept(packet)


def _check_header(packet: Packet) -> bool:
    """Whether the header is sound; trims the packet to the datagram's length and stores the header's fields in it."""
    counters = network_of(packet).ip4
    if len(packet) < HEADER:
        counters.in_header_errors += 1
        return False
    header = packet.span()
    header_length = (header[0] & 0xF) * 4
    if header[0] >> 4 != 4 or header_length < HEADER or header_length > len(packet):
        counters.in_header_errors += 1
        return False
    if checksum(header[0:header_length]) != 0:
        counters.in_checksum_errors += 1
        counters.in_header_errors += 1
        return False
    total = header.load_be16(2)
    if total > len(packet):
        counters.in_truncated += 1
        return False
    if total < header_length:
        counters.in_header_errors += 1
        return False
    packet.trim(total)
    packet.source = header[12:16].to_bytes()
    packet.destination = header[16:20].to_bytes()
    packet.hop_limit = header[8]
    packet.traffic_class = header[1]
    packet.network_start = packet.start
    return True


def _accept(packet: Packet) -> None:
    """Decide where a sound datagram goes."""
    source = packet.source
    destination = packet.destination
    device = packet.device
    if device is None:
        return
    network = device.network
    counters = network.ip4
    # Impossible sources and destinations are dropped and not counted, as on Linux.
    is_here = device.is_loop or packet.from_ourselves
    if is_multicast(source) or source == LIMITED_BROADCAST:
        return
    if not is_here and not _may_come_in(device, source, destination):
        return
    if is_multicast(destination):
        is_local = destination.startswith(_LOCAL_GROUPS) or packet.span()[9] == PROTOCOL_IGMP
        if is_member(device, destination) and (source != ANY4 or is_local):
            counters.in_multicast += 1
            _receive_here(packet)
        return
    if destination == LIMITED_BROADCAST or (destination == ANY4 and source == ANY4):
        counters.in_broadcast += 1
        _receive_here(packet)
        return
    if source == ANY4 or destination == ANY4:
        return
    if owner_of(network, destination) is not None:
        _receive_here(packet)
        return
    route = find_route(network, destination)
    if route is not None and route.kind == LOCAL:
        _receive_here(packet)
    elif route is not None and route.kind == BROADCAST:
        counters.in_broadcast += 1
        _receive_here(packet)
    elif packet.link_kind == PACKET_HOST and _take_options(packet):
        STATE.hook.forward(packet)


def _may_come_in(device: NetworkDevice, source: bytes, destination: bytes) -> bool:
    """Whether a datagram with these addresses may come in on an interface: not with those of lo, unless they may be on
    its link; and not from one of our own addresses, or if the route back fails the filter that is set.
    """
    if (is_loopback(destination) or is_loopback(source)) and not ROUTE_LOCALNET4.is_set_for(device):
        return False
    if source == ANY4:
        return True
    network = device.network
    mode = RP_FILTER4.most_of(device)
    if mode == 0:
        return owner_of(network, source) is None
    route = find_route(network, source)
    if route is None or route.kind != UNICAST:
        return False
    if route.device is device:
        return True
    return mode != 1 and first_address(device, 4) is not None


def _receive_here(packet: Packet) -> None:
    if _take_options(packet):
        _reassemble(packet)


def _take_options(packet: Packet) -> bool:
    """Check the header's options, and record in them that the datagram passed here. False: it is dropped."""
    header = packet.span()
    header_length = (header[0] & 0xF) * 4
    device = packet.device
    if header_length == HEADER or device is None:
        return True
    options = header[HEADER:header_length]
    is_ours = owner_of(device.network, packet.destination) is not None
    own = packet.destination if is_ours else select_source4(device, packet.source, SCOPE_LINK)
    wrong = note_passage(device.network, options, own, time_of_day_ms())
    if wrong != VALID:
        device.network.ip4.in_header_errors += 1
        STATE.hook.send_parameter_problem(packet, HEADER + wrong)
        return False
    return not has_source_route(options)


def time_of_day_ms() -> int:
    """Milliseconds since midnight, universal time."""
    return realtime_ns() // 1_000_000 % _DAY_MS


def _reassemble(packet: Packet) -> None:
    """Go on with a whole datagram, or wait for its other fragments."""
    if packet.span().load_be16(6) & (MORE_FRAGMENTS | _OFFSET_MASK) != 0:
        whole = _join_fragments(packet)
        if whole is None:
            return
        packet = whole
    header = packet.span()
    packet.pull((header[0] & 0xF) * 4)
    packet.transport_start = packet.start
    network = network_of(packet)
    if network.hooks4 is None or pass_arrival(packet, INPUT):
        deliver(packet, header[9], network.ip4)


def _join_fragments(packet: Packet) -> Packet | None:
    """Take a fragment. Returns the whole datagram from its IP header on once it is complete, or None."""
    header = packet.span()
    header_length = (header[0] & 0xF) * 4
    fields = header.load_be16(6)
    packet.pull(header_length)
    network = network_of(packet)
    counters = network.ip4
    counters.reassembly_required += 1
    is_last = fields & MORE_FRAGMENTS == 0
    if not is_last:
        packet.trim(len(packet) & ~7)  # as Linux does: the bytes cut off may come in another fragment
    device = packet.device
    number = 0 if device is None else device.number
    key = header[12:20].to_bytes() + header[4:6].to_bytes() + bytes([header[9]]) + number.to_bytes(8, "little")
    place = (fields & _OFFSET_MASK) * 8
    whole = reassembler_of(network).add(key, packet, place, is_last, monotonic_ns())
    if whole is None:
        return None
    if len(whole) > LARGEST:
        counters.reassembly_fails += 1
        return None
    counters.reassembly_oks += 1
    header = whole.span()
    header.store_be16(2, len(whole))
    header.store_be16(6, 0)
    header.store_be16(10, 0)
    header.store_be16(10, checksum(header[0 : (header[0] & 0xF) * 4]))
    return whole


def deliver(packet: Packet, protocol: int, counters: IpCounters) -> None:
    """Hand up a whole datagram, which starts with its transport header. `counters` are the network's."""
    wanted = False
    raw = STATE.raw
    if raw is not None:
        wanted = raw.deliver(packet, protocol)
    transport = TRANSPORTS.by_number[protocol]
    if transport is not None and transport.receive(packet):
        counters.in_delivers += 1
    elif wanted:
        counters.in_delivers += 1
    else:
        counters.in_unknown_protocols += 1
        STATE.hook.send_unreachable(packet, ICMP_PROTOCOL_UNREACHABLE)


LINK.ip4 = Ip4()
