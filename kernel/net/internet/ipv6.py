"""IPv6: sending and receiving packets (RFC 8200).

`receive` walks the extension headers within bounds, reassembles fragments, and hands the packet to raw sockets and to
the transport of its protocol.

Context: thread context; nothing sleeps.
"""

from typing import Final

from kernel.lang import EMSGSIZE, Errno, final, noinline, span_of
from kernel.lib import random
from kernel.lib.pace import spend
from kernel.net.internet.addresses import ANY6, is_loopback, is_multicast, owner_of
from kernel.net.internet.departure import loop_back, pass_hooks, send_whole
from kernel.net.internet.fragments import reassembler_of
from kernel.net.internet.group_programs import may_leave
from kernel.net.internet.interface_settings import DISABLE6, HOP_LIMIT6
from kernel.net.internet.ipv4 import LARGEST, PIECE_COST, RawListener
from kernel.net.internet.membership import is_member
from kernel.net.internet.output import NextHop
from kernel.net.internet.passage import pass_arrival
from kernel.net.internet.routes import BROADCAST, LOCAL, MULTICAST, find_route
from kernel.net.internet.transport import PROTOCOL_ICMP6, PROTOCOL_TCP, PROTOCOL_UDP, TRANSPORTS
from kernel.net.link.ethernet import ETHERTYPE_IP6, LINK, LinkProtocol, complete_checksum
from kernel.net.link.hooks import INPUT, PREROUTING
from kernel.net.link.network import network_of
from kernel.net.link.packet import CHECKSUM_PARTIAL, PACKET_HOST, Packet
from kernel.time import monotonic_ns

HEADER: Final = 40
LEAST_MTU: Final = 1280

HOP_BY_HOP: Final = 0
ROUTING: Final = 43
FRAGMENT: Final = 44
NO_NEXT_HEADER: Final = 59
DESTINATION_OPTIONS: Final = 60
_FRAGMENT_HEADER: Final = 8
_INTERFACE_LOCAL: Final = 1  # a group's scope
_MOST_OPTIONS: Final = 8  # of one header, besides padding
_MOST_PADDING: Final = 7  # bytes in a row: alignment never needs more
_PAD1: Final = 0
_PADN: Final = 1
_ROUTER_ALERT: Final = 5
_JUMBO: Final = 0xC2
_MOBILE_ROUTE: Final = 2  # types of routing headers
_RPL_ROUTE: Final = 3
_SEGMENT_ROUTE: Final = 4

# Codes of ICMPv6's parameter problem.
BAD_FIELD: Final = 0
BAD_NEXT_HEADER: Final = 1
BAD_OPTION: Final = 2
INCOMPLETE_CHAIN: Final = 3


class Ip6Hook:
    """Calls to layers above or beside that would make imports circular."""

    def send_parameter_problem(self, packet: Packet, code: int, pointer: int) -> None:
        """Answer a packet with an ICMPv6 parameter problem; `pointer` from the IPv6 header on. May raise MemoryError.
        """

    def send_no_route(self, packet: Packet) -> None:
        """Notify the sender that there is no route to a packet's destination. May raise MemoryError."""

    def forward(self, packet: Packet) -> None:
        """Forward a packet for another host, from its IPv6 header on. May raise MemoryError."""


@final
class Ip6State:
    """Hooks, and the number of the next fragmented packet."""

    def __init__(self) -> None:
        self.raw: RawListener | None = None
        self.hook: Ip6Hook = Ip6Hook()


STATE: Final = Ip6State()


def send(
    packet: Packet,
    hop: NextHop,
    source: bytes,
    protocol: int,
    hop_limit: int = -1,
    traffic_class: int = 0,
    dont_fragment: bool = False,
    loops: bool = False,
) -> None:
    """Send a packet that starts with its transport header to `hop.destination`; `hop_limit` -1: the interface's.

    EMSGSIZE for one that is larger than the path's MTU and may not be fragmented, or than 65535 bytes;
    EPERM where the sender's group does not permit it; MemoryError.
    """
    length = len(packet)
    if length > LARGEST and packet.segment_size == 0:
        raise Errno(EMSGSIZE)
    hop.network.ip6.out_requests += 1
    if hop_limit < 0:
        hop_limit = HOP_LIMIT6.of(hop.device)
    header = packet.push(HEADER)
    packet.network_start = packet.start
    header.store_be32(0, 0x60000000 | traffic_class << 20)
    header.store_be16(4, length)
    header[6] = protocol
    header[7] = hop_limit
    header[8:24].copy_from(span_of(source))
    header[24:40].copy_from(span_of(hop.destination))
    packet.source = source
    packet.destination = hop.destination
    packet.protocol = ETHERTYPE_IP6
    if not may_leave(packet, hop.device):
        return
    if hop.device.is_loop:
        packet.from_ourselves = True
        packet.hop_limit = hop_limit
        packet.traffic_class = traffic_class
        packet.transport_start = packet.start + HEADER
    if hop.network.hooks6 is not None:
        send_watched(packet, hop, dont_fragment, loops)
        return
    if loops:
        loop_back(packet, hop)
    transmit(packet, hop, dont_fragment)


def send_watched(packet: Packet, hop: NextHop, dont_fragment: bool, loops: bool) -> None:
    """Send a packet with a complete header where hooks or taps are watching. EPERM, EMSGSIZE, MemoryError, and those of
    `resolve`.
    """
    way = pass_hooks(packet, hop, loops)
    if way is not None:
        transmit(packet, way, dont_fragment)


def transmit(packet: Packet, hop: NextHop, dont_fragment: bool) -> None:
    """Send a packet with a complete header, in fragments if need be. EMSGSIZE, MemoryError."""
    if hop.kind == MULTICAST:
        hop.network.ip6.out_multicast += 1
    if not send_whole(packet, hop, hop.network.ip6, dont_fragment):
        _fragment(packet, hop)


def _fragment(packet: Packet, hop: NextHop) -> None:
    """Fragment a packet without extension headers (RFC 8200, section 4.5)."""
    if packet.checksum == CHECKSUM_PARTIAL:
        complete_checksum(packet)
    # Fragments that were reassembled for hooks are sent on in fragments of that size.
    mtu = hop.mtu if packet.fragment_size == 0 else min(hop.mtu, packet.fragment_size)
    room = (max(mtu, LEAST_MTU) - HEADER - _FRAGMENT_HEADER) & ~7
    identification = random.word() & 0xFFFF_FFFF
    protocol = packet.span()[6]
    data = span_of(packet.storage)[packet.start + HEADER : packet.end]
    refused = hop.device.traffic.sent_dropped
    offset = 0
    while offset < len(data):
        count = min(room, len(data) - offset)
        spend(PIECE_COST)
        piece = Packet(HEADER + _FRAGMENT_HEADER + count)
        header = piece.put(HEADER)
        header.copy_from(packet.span()[0:HEADER])
        header.store_be16(4, _FRAGMENT_HEADER + count)
        header[6] = FRAGMENT
        extension = piece.put(_FRAGMENT_HEADER)
        extension[0] = protocol
        extension[1] = 0
        extension.store_be16(2, offset | (1 if offset + count < len(data) else 0))
        extension.store_be32(4, identification)
        piece.put(count).copy_from(data[offset : offset + count])
        piece.become_fragment_of(packet, HEADER + _FRAGMENT_HEADER)
        hop.network.ip6.fragment_creates += 1
        hop.network.ip6.out_transmits += 1
        hop.network.ip6.out_bytes += len(piece)
        hop.transmit(piece)
        if hop.device.traffic.sent_dropped != refused:
            hop.network.ip6.fragment_fails += 1
            return  # without this fragment the others are useless
        offset += count
    hop.network.ip6.fragment_oks += 1


@final
class Ip6(LinkProtocol):
    """Takes packets from the link layer."""

    def receive(self, packet: Packet) -> None:
        device = packet.device
        if device is None:
            return
        counters = device.network.ip6
        counters.in_receives += 1
        counters.in_bytes += len(packet)
        if DISABLE6.of(device) != 0:
            counters.in_discards += 1
            return
        if device.network.hooks6 is not None:
            _receive_watched(packet)
            return
        if packet.from_ourselves and device.is_loop and packet.transport_start == packet.start + HEADER:
            protocol = packet.span()[6]
            if is_multicast(packet.destination) and not is_member(device, packet.destination):
                return
            if protocol != FRAGMENT and TRANSPORTS.by_number[protocol] is not None:
                packet.pull(HEADER)
                deliver(packet, protocol, packet.network_start + 6)
                return
        if _check_header(packet):
            _accept(packet)


@noinline
def _receive_watched(packet: Packet) -> None:
    """Receive a packet where hooks are watching, also from ourselves."""
    if not _check_header(packet):
        return
    hooks = network_of(packet).hooks6
    if hooks is not None and hooks.want_whole > 0:
        whole = _join_fragments(packet)
        if whole is None:
            return
        packet = whole
    if pass_arrival(packet, PREROUTING):
        _accept(packet)


def _join_fragments(packet: Packet) -> Packet | None:
    """Take a packet that may be a fragment. Returns the packet if it is whole, or the whole packet that it completes,
    both from the IPv6 header on; or None.
    """
    header = packet.span()
    next_header = header[6]
    at = HEADER
    while next_header == HOP_BY_HOP or next_header == DESTINATION_OPTIONS or next_header == ROUTING:
        if at + 2 > len(header):
            return packet
        next_header = header[at]
        at += 8 + header[at + 1] * 8
    if next_header != FRAGMENT or at + _FRAGMENT_HEADER > len(header):
        return packet
    packet.pull(at)
    whole = _reassemble(packet)
    if whole is packet:
        packet.start = packet.network_start
    return whole


def _check_header(packet: Packet) -> bool:
    """Whether the header is sound; trims the packet to its length and sets its addresses."""
    counters = network_of(packet).ip6
    if len(packet) < HEADER:
        counters.in_header_errors += 1
        return False
    header = packet.span()
    if header[0] >> 4 != 6:
        counters.in_header_errors += 1
        return False
    total = HEADER + header.load_be16(4)
    if total > len(packet):
        counters.in_truncated += 1
        return False
    packet.trim(total)
    packet.source = header[8:24].to_bytes()
    packet.destination = header[24:40].to_bytes()
    packet.hop_limit = header[7]
    packet.traffic_class = header.load_be16(0) >> 4 & 0xFF
    packet.network_start = packet.start
    return True


def _accept(packet: Packet) -> None:
    """Decide where a sound packet goes."""
    source = packet.source
    destination = packet.destination
    device = packet.device
    if device is None:
        return
    network = device.network
    counters = network.ip6
    is_here = device.is_loop or packet.from_ourselves
    if is_multicast(source) or (not is_here and (is_loopback(source) or is_loopback(destination))):
        counters.in_header_errors += 1
        return
    if is_multicast(destination):
        scope = destination[1] & 0xF
        if scope == 0 or (scope == _INTERFACE_LOCAL and not is_here):
            counters.in_header_errors += 1
            return
        counters.in_multicast += 1
        if is_here or is_member(device, destination):
            _receive_here(packet)
        return
    if owner_of(network, destination) is not None:
        _receive_here(packet)
        return
    route = find_route(network, destination)
    if route is not None and (route.kind == LOCAL or route.kind == BROADCAST):
        _receive_here(packet)
    elif route is None or route.device is None:
        if destination == ANY6:
            counters.in_address_errors += 1
        else:
            counters.in_no_routes += 1
        STATE.hook.send_no_route(packet)
    elif packet.link_kind == PACKET_HOST:
        STATE.hook.forward(packet)


def _receive_here(packet: Packet) -> None:
    if network_of(packet).hooks6 is None or pass_arrival(packet, INPUT):
        _walk(packet)


def _walk(packet: Packet) -> None:
    """Walk the extension headers up to the transport's. A packet with very many of them costs its sender more
    than us: a step is a few instructions, and moves on by 8 bytes.
    """
    next_header = packet.span()[6]
    pointer = packet.start + 6  # in the storage: the position of the next header's number
    packet.pull(HEADER)
    is_first = True
    was_fragment = False
    while True:
        if next_header == FRAGMENT:
            if was_fragment or len(packet) < _FRAGMENT_HEADER:
                # A fragment within another is an attack.
                network_of(packet).ip6.reassembly_required += 0 if was_fragment else 1
                _malformed(packet, BAD_FIELD, packet.start)
                return
            whole = _reassemble(packet)
            if whole is None:
                return
            was_fragment = True
            length = _FRAGMENT_HEADER
            if whole is not packet:
                packet = whole
                next_header = packet.span()[6]
                pointer = packet.start + 6
                packet.pull(HEADER)
                is_first = True
                continue
        elif next_header == DESTINATION_OPTIONS or next_header == ROUTING or (next_header == HOP_BY_HOP and is_first):
            if len(packet) < 8 or len(packet) < 8 + packet.span()[1] * 8:
                network_of(packet).ip6.in_header_errors += 1
                return
            length = 8 + packet.span()[1] * 8
            if next_header == ROUTING:
                if not _check_routing(packet):
                    return
            elif not (was_fragment and next_header == HOP_BY_HOP) and not _check_options(
                packet, length, next_header == HOP_BY_HOP
            ):
                network_of(packet).ip6.in_header_errors += 1
                return
        else:
            break
        is_first = False
        following = packet.span()[0]
        pointer = packet.start
        packet.pull(length)
        next_header = following
    if next_header == NO_NEXT_HEADER:
        return
    packet.transport_start = packet.start
    deliver(packet, next_header, pointer)


def _check_routing(packet: Packet) -> bool:
    """Whether a routing header, which the packet starts with, allows the packet to go on: no host routes at another's
    request (RFC 5095), and the kinds of routes that must be enabled are not.
    """
    header = packet.span()
    kind = header[2]
    if is_multicast(packet.destination) or packet.link_kind != PACKET_HOST or kind == _MOBILE_ROUTE:
        network_of(packet).ip6.in_address_errors += 1
        return False
    if kind == _RPL_ROUTE or kind == _SEGMENT_ROUTE:
        return False
    if header[3] != 0:
        _malformed(packet, BAD_FIELD, packet.start + 2)
        return False
    return True


def _check_options(packet: Packet, length: int, is_hop_by_hop: bool) -> bool:
    """Whether the options of a header let the packet go on (RFC 8200, section 4.2); if not, it is not counted yet."""
    options = packet.span()[0:length]
    at = 2
    count = 0
    padding = 0
    while at < length:
        kind = options[at]
        size = 1
        if kind != _PAD1:
            if at + 1 >= length or at + 2 + options[at + 1] > length:
                return False
            size = 2 + options[at + 1]
        if kind == _PAD1 or kind == _PADN:
            padding += size
            for i in range(at + 2, at + size):
                if options[i] != 0:
                    return False  # it may hide data (RFC 4942, section 2.1.9.5)
            if padding > _MOST_PADDING:
                return False
        else:
            padding = 0
            count += 1
            if count > _MOST_OPTIONS or not _check_option(packet, at, is_hop_by_hop):
                return False
        at += size
    return True


def _check_option(packet: Packet, at: int, is_hop_by_hop: bool) -> bool:
    """Whether one option, `at` bytes after the header's start, allows the packet to go on."""
    options = packet.span()
    kind = options[at]
    if is_hop_by_hop and kind == _ROUTER_ALERT:
        return options[at + 1] == 2
    if is_hop_by_hop and kind == _JUMBO:
        _refuse_jumbo(packet, at)
        return False
    action = kind >> 6
    if action == 2 or (action == 3 and not is_multicast(packet.destination)):
        _problem(packet, BAD_OPTION, packet.start + at)
    return action == 0


def _refuse_jumbo(packet: Packet, at: int) -> None:
    """No link here carries jumbograms (RFC 2675): report an error to the sender of a jumbo option."""
    options = packet.span()
    if options[at + 1] != 4 or (packet.start - packet.network_start + at) & 3 != 2:
        return
    if options.load_be32(at + 2) <= LARGEST:
        _problem(packet, BAD_FIELD, packet.start + at + 2)
    elif packet.network_header().load_be16(4) != 0:
        _problem(packet, BAD_FIELD, packet.start + at)


def _malformed(packet: Packet, code: int, pointer: int) -> None:
    """Count a malformed header, and notify the sender."""
    network_of(packet).ip6.in_header_errors += 1
    _problem(packet, code, pointer)


def _problem(packet: Packet, code: int, pointer: int) -> None:
    STATE.hook.send_parameter_problem(packet, code, pointer - packet.network_start)


def _lacks_headers(packet: Packet) -> bool:
    """Whether a first fragment, which starts with its fragment header, ends before the transport's header does
    (RFC 7112).
    """
    data = packet.span()
    next_header = data[0]
    at = _FRAGMENT_HEADER
    while next_header == HOP_BY_HOP or next_header == DESTINATION_OPTIONS or next_header == ROUTING:
        if at + 2 > len(data):
            return False  # the header itself is truncated: the whole packet is judged later
        next_header = data[at]
        at += 8 + data[at + 1] * 8
    least = 1
    if next_header == PROTOCOL_TCP:
        least = 20
    elif next_header == PROTOCOL_UDP or next_header == PROTOCOL_ICMP6:
        least = 8
    return at + least > len(data)


def _reassemble(packet: Packet) -> Packet | None:
    """Take a fragment, which starts with its fragment header. Returns the whole packet from its IPv6 header on; the
    packet itself if it is the only fragment; or None.
    """
    header = packet.span()
    fields = header.load_be16(2)
    offset = fields & 0xFFF8
    is_last = fields & 1 == 0
    network_of(packet).ip6.reassembly_required += 1
    if offset == 0 and is_last:
        network_of(packet).ip6.reassembly_oks += 1
        return packet  # an atomic fragment (RFC 6946)
    if offset == 0 and _lacks_headers(packet):
        _malformed(packet, INCOMPLETE_CHAIN, packet.network_start)
        return None
    if not is_last and (len(packet) - _FRAGMENT_HEADER) & 7 != 0:
        _malformed(packet, BAD_FIELD, packet.network_start + 4)
        return None
    if offset + len(packet) - _FRAGMENT_HEADER > LARGEST:
        _malformed(packet, BAD_FIELD, packet.start + 2)
        return None
    device = packet.device
    number = 0 if device is None else device.number
    key = packet.source + packet.destination + header[4:8].to_bytes() + number.to_bytes(8, "little")
    packet.pull(_FRAGMENT_HEADER)
    whole = reassembler_of(network_of(packet)).add(key, packet, offset, is_last, monotonic_ns())
    if whole is None:
        return None
    _take_fragment_header_out(whole)
    if len(whole) - HEADER > LARGEST:
        network_of(packet).ip6.reassembly_fails += 1
        return None
    network_of(packet).ip6.reassembly_oks += 1
    whole.span().store_be16(4, len(whole) - HEADER)
    return whole


def _take_fragment_header_out(whole: Packet) -> None:
    """A whole packet's data follow the headers of its first fragment, the fragment header last: move what precedes
    that header over it.
    """
    data = whole.span()
    at = 6
    length = HEADER
    while data[at] != FRAGMENT:
        at = length
        length += 8 + data[at + 1] * 8
    data[at] = data[length]
    front = data[0:length].to_bytes()
    data[_FRAGMENT_HEADER : _FRAGMENT_HEADER + length].copy_from(span_of(front))
    whole.pull(_FRAGMENT_HEADER)
    whole.network_start = whole.start


def deliver(packet: Packet, protocol: int, pointer: int) -> None:
    """Hand up a whole packet: it starts with its transport header. `pointer`: the position of the protocol's number."""
    counters = network_of(packet).ip6
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
        _problem(packet, BAD_NEXT_HEADER, pointer)


LINK.ip6 = Ip6()
