"""IPv6: packets out and in (RFC 8200).

`receive` walks the extension headers with bounds, puts fragments together, and hands the packet to raw sockets and to
the transport of its protocol.

Context: thread context; nothing sleeps.
"""

from typing import Final

from kernel.lang import EMSGSIZE, Errno, final, span_of
from kernel.lib import random
from kernel.net.addresses import ANY6, is_loopback, is_multicast, owner_of
from kernel.net.counters import IP6
from kernel.net.fragments import REASSEMBLER
from kernel.net.ipv4 import LARGEST, RawListener
from kernel.net.link import ETHERTYPE_IP6, LINK, LinkProtocol, complete_checksum
from kernel.net.loopback import LOOPBACK
from kernel.net.membership import is_member
from kernel.net.output import NextHop
from kernel.net.packet import CHECKSUM_PARTIAL, CHECKSUM_VERIFIED, PACKET_HOST, Packet
from kernel.net.routes import BROADCAST, LOCAL, MULTICAST, find_route
from kernel.net.transport import TRANSPORTS
from kernel.time import monotonic_ns

HEADER: Final = 40
LEAST_MTU: Final = 1280

HOP_BY_HOP: Final = 0
ROUTING: Final = 43
FRAGMENT: Final = 44
NO_NEXT_HEADER: Final = 59
DESTINATION_OPTIONS: Final = 60
_FRAGMENT_HEADER: Final = 8
_MOST_HEADERS: Final = 8

# Codes of ICMPv6's parameter problem.
BAD_FIELD: Final = 0
BAD_NEXT_HEADER: Final = 1
BAD_OPTION: Final = 2


class Ip6Hook:
    """What lies above or beside, and would make a circle of imports."""

    def send_parameter_problem(self, packet: Packet, code: int, pointer: int) -> None:
        """Answer a packet with an ICMPv6 parameter problem; `pointer` from the IPv6 header on. May raise MemoryError.
        """

    def forward(self, packet: Packet) -> None:
        """A packet for another host, from its IPv6 header on. May raise MemoryError."""


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
    hop_limit: int = 64,
    traffic_class: int = 0,
    dont_fragment: bool = False,
    loops: bool = False,
) -> None:
    """Send a packet that starts with its transport header to `hop.destination`.

    EMSGSIZE for one that is larger than the path's MTU and may not be fragmented, or than 65535 bytes; MemoryError.
    """
    length = len(packet)
    if length > LARGEST and packet.segment_size == 0:
        raise Errno(EMSGSIZE)
    IP6.out_requests += 1
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
    if hop.device is LOOPBACK:
        packet.from_ourselves = True
        packet.hop_limit = hop_limit
        packet.traffic_class = traffic_class
        packet.transport_start = packet.start + HEADER
    elif loops and hop.kind == MULTICAST:
        _loop_back(packet, hop)
    transmit(packet, hop, dont_fragment)


def transmit(packet: Packet, hop: NextHop, dont_fragment: bool) -> None:
    """Send a packet with a complete header, in fragments if need be. EMSGSIZE, MemoryError."""
    if hop.kind == MULTICAST:
        IP6.out_multicast += 1
    if len(packet) <= hop.mtu or packet.segment_size != 0:
        IP6.out_transmits += 1
        IP6.out_bytes += len(packet)
        hop.transmit(packet)
        return
    if dont_fragment:
        IP6.fragment_fails += 1
        raise Errno(EMSGSIZE)
    _fragment(packet, hop)


def _loop_back(packet: Packet, hop: NextHop) -> None:
    copy = packet.copy()
    if copy.checksum == CHECKSUM_PARTIAL:
        copy.checksum = CHECKSUM_VERIFIED
    copy.from_ourselves = True
    if LOOPBACK.transmit(copy):
        copy.device = hop.device


def _fragment(packet: Packet, hop: NextHop) -> None:
    """Cut a packet without extension headers (RFC 8200, section 4.5)."""
    if packet.checksum == CHECKSUM_PARTIAL:
        complete_checksum(packet)
    room = (max(hop.mtu, LEAST_MTU) - HEADER - _FRAGMENT_HEADER) & ~7
    identification = random.word() & 0xFFFF_FFFF
    protocol = packet.span()[6]
    data = span_of(packet.storage)[packet.start + HEADER : packet.end]
    offset = 0
    while offset < len(data):
        count = min(room, len(data) - offset)
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
        IP6.fragment_creates += 1
        IP6.out_transmits += 1
        IP6.out_bytes += len(piece)
        hop.transmit(piece)
        offset += count
    IP6.fragment_oks += 1


@final
class Ip6(LinkProtocol):
    """What the link layer hands its packets to."""

    def receive(self, packet: Packet) -> None:
        IP6.in_receives += 1
        IP6.in_bytes += len(packet)
        if packet.from_ourselves and packet.device is LOOPBACK and packet.transport_start == packet.start + HEADER:
            protocol = packet.span()[6]
            if is_multicast(packet.destination) and not is_member(LOOPBACK, packet.destination):
                return
            if protocol != FRAGMENT and TRANSPORTS.by_number[protocol] is not None:
                packet.pull(HEADER)
                deliver(packet, protocol, packet.network_start + 6)
                return
        if _check_header(packet):
            _accept(packet)


def _check_header(packet: Packet) -> bool:
    """Whether the header is sound; the packet is cut to its length and its addresses are set."""
    if len(packet) < HEADER:
        IP6.in_header_errors += 1
        return False
    header = packet.span()
    if header[0] >> 4 != 6:
        IP6.in_header_errors += 1
        return False
    total = HEADER + header.load_be16(4)
    if total > len(packet):
        IP6.in_truncated += 1
        return False
    packet.trim(total)
    packet.source = header[8:24].to_bytes()
    packet.destination = header[24:40].to_bytes()
    packet.hop_limit = header[7]
    packet.traffic_class = header.load_be16(0) >> 4 & 0xFF
    packet.network_start = packet.start
    return True


def _accept(packet: Packet) -> None:
    """Decide whom a sound packet is for."""
    source = packet.source
    destination = packet.destination
    device = packet.device
    if device is None:
        return
    is_here = device is LOOPBACK or packet.from_ourselves
    if is_multicast(source) or (not is_here and (is_loopback(source) or is_loopback(destination))):
        IP6.in_address_errors += 1
        return
    if is_multicast(destination):
        IP6.in_multicast += 1
        if is_member(device, destination):
            _walk(packet)
        return
    if destination == ANY6:
        IP6.in_address_errors += 1
        return
    if owner_of(destination) is not None:
        if packet.link_kind != PACKET_HOST and not is_here:
            IP6.in_discards += 1
            return
        _walk(packet)
        return
    route = find_route(destination)
    if route is not None and (route.kind == LOCAL or route.kind == BROADCAST):
        _walk(packet)
    elif packet.link_kind == PACKET_HOST:
        STATE.hook.forward(packet)


def _walk(packet: Packet) -> None:
    """Go through the extension headers up to the transport's."""
    next_header = packet.span()[6]
    pointer = packet.start + 6  # in the storage: where the number of the next header stands
    packet.pull(HEADER)
    count = 0
    while True:
        if next_header == HOP_BY_HOP and count > 0:
            _problem(packet, BAD_NEXT_HEADER, pointer)
            return
        if next_header == HOP_BY_HOP or next_header == DESTINATION_OPTIONS or next_header == ROUTING:
            count += 1
            if len(packet) < 8 or len(packet) < 8 + packet.span()[1] * 8 or count > _MOST_HEADERS:
                IP6.in_header_errors += 1
                return
            length = 8 + packet.span()[1] * 8
            if next_header == ROUTING:
                if packet.span()[3] != 0:
                    # Segments are left: nobody is a router by somebody else's wish (RFC 5095).
                    _problem(packet, BAD_FIELD, packet.start + 2)
                    return
            elif not _check_options(packet, length):
                return
        elif next_header == FRAGMENT:
            count += 1
            if len(packet) < _FRAGMENT_HEADER or count > _MOST_HEADERS:
                IP6.in_header_errors += 1
                return
            whole = _reassemble(packet, pointer)
            if whole is None:
                return
            if whole is not packet:
                _walk_reassembled(whole)
                return
            length = _FRAGMENT_HEADER
        else:
            break
        following = packet.span()[0]
        pointer = packet.start
        packet.pull(length)
        next_header = following
    if next_header == NO_NEXT_HEADER:
        return
    packet.transport_start = packet.start
    deliver(packet, next_header, pointer)


def _walk_reassembled(packet: Packet) -> None:
    """Go through the headers of a packet that was put together; a fragment inside it is an attack."""
    next_header = packet.span()[6]
    pointer = packet.start + 6
    packet.pull(HEADER)
    count = 0
    while next_header == HOP_BY_HOP or next_header == DESTINATION_OPTIONS or next_header == ROUTING:
        count += 1
        if len(packet) < 8 or len(packet) < 8 + packet.span()[1] * 8 or count > _MOST_HEADERS:
            IP6.in_header_errors += 1
            return
        length = 8 + packet.span()[1] * 8
        if next_header == DESTINATION_OPTIONS and not _check_options(packet, length):
            return
        next_header = packet.span()[0]
        pointer = packet.start
        packet.pull(length)
    if next_header == FRAGMENT:
        IP6.in_header_errors += 1
        return
    if next_header == NO_NEXT_HEADER:
        return
    packet.transport_start = packet.start
    deliver(packet, next_header, pointer)


def _check_options(packet: Packet, length: int) -> bool:
    """Whether the options of a header allow going on (RFC 8200, section 4.2)."""
    options = packet.span()[0:length]
    at = 2
    while at < length:
        kind = options[at]
        if kind == 0:
            at += 1
            continue
        if at + 1 >= length or at + 2 + options[at + 1] > length:
            IP6.in_header_errors += 1
            return False
        is_known = kind == 1 or kind == 5  # padding, router alert
        if not is_known and kind >> 6 != 0:
            IP6.in_header_errors += 1
            if kind >> 6 == 2 or (kind >> 6 == 3 and not is_multicast(packet.destination)):
                _problem(packet, BAD_OPTION, packet.start + at)
            return False
        at += 2 + options[at + 1]
    return True


def _problem(packet: Packet, code: int, pointer: int) -> None:
    IP6.in_header_errors += 1
    STATE.hook.send_parameter_problem(packet, code, pointer - packet.network_start)


def _reassemble(packet: Packet, pointer: int) -> Packet | None:
    """Take a fragment, which starts with its fragment header. Returns the whole packet from its IPv6 header on; the
    packet itself if it is the only fragment; or None. `pointer`: where the header in front names the fragment header.
    """
    header = packet.span()
    fields = header.load_be16(2)
    offset = fields & 0xFFF8
    is_last = fields & 1 == 0
    if offset == 0 and is_last:
        return packet  # an atomic fragment (RFC 6946)
    IP6.reassembly_required += 1
    if not is_last and (len(packet) - _FRAGMENT_HEADER) & 7 != 0:
        _problem(packet, BAD_FIELD, packet.network_start + 4)
        return None
    if offset + len(packet) - _FRAGMENT_HEADER > LARGEST:
        _problem(packet, BAD_FIELD, packet.start + 2)
        return None
    device = packet.device
    key = packet.source + packet.destination + header[4:8].to_bytes() + bytes(
        [0 if device is None else device.index & 0xFF]
    )
    following = header[0]
    # What stands in front of the data in the whole packet is what stands in front of the fragment header: that moves
    # over it.
    unfragmentable = packet.start - packet.network_start
    storage = span_of(packet.storage)
    storage[pointer] = following
    front = storage[packet.network_start : packet.start].to_bytes()
    packet.pull(_FRAGMENT_HEADER)
    packet.network_start += _FRAGMENT_HEADER
    storage[packet.network_start : packet.network_start + unfragmentable].copy_from(span_of(front))
    whole = REASSEMBLER.add(key, packet, offset, is_last, monotonic_ns())
    if whole is None:
        return None
    IP6.reassembly_oks += 1
    if len(whole) - HEADER > LARGEST:
        IP6.in_header_errors += 1
        return None
    whole.span().store_be16(4, len(whole) - HEADER)
    return whole


def deliver(packet: Packet, protocol: int, pointer: int) -> None:
    """Hand a whole packet up: it starts with its transport header. `pointer`: where the protocol's number stands."""
    wanted = False
    raw = STATE.raw
    if raw is not None:
        wanted = raw.deliver(packet, protocol)
    transport = TRANSPORTS.by_number[protocol]
    if transport is not None and transport.receive(packet):
        IP6.in_delivers += 1
    elif wanted:
        IP6.in_delivers += 1
    else:
        IP6.in_unknown_protocols += 1
        _problem(packet, BAD_NEXT_HEADER, pointer)


LINK.ip6 = Ip6()
