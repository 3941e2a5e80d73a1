"""Preparing to send a datagram of UDP, raw and ping sockets: address, ancillary messages, route, rights.

Context: system calls; nothing sleeps but programs of bpf(2), which may change a datagram's addresses.
Source: ip(7), ipv6(7), sendmsg(2), RFC 3542 section 6.
"""

from typing import Final

from kernel.bpf.subject import ADDRESS_SENDS
from kernel.cgroup.programs import ADDRESS_PROGRAMS
from kernel.lang import (
    EACCES,
    EADDRNOTAVAIL,
    EDESTADDRREQ,
    EINVAL,
    EMSGSIZE,
    ENETUNREACH,
    ENODEV,
    EOPNOTSUPP,
    EPERM,
    EPIPE,
    Errno,
    final,
    span_of,
)
from kernel.net.datagram.socket import DatagramSocket
from kernel.net.internet.addresses import (
    ANY4,
    ANY6,
    LOOPBACK4,
    LOOPBACK6,
    is_link_local,
    is_mapped,
    is_multicast,
    is_unspecified,
    mapped,
    owner_of,
    unmapped,
)
from kernel.net.internet.output import NextHop
from kernel.net.internet.routes import BROADCAST
from kernel.net.internet.transport import PROTOCOL_UDP
from kernel.net.link.device import device_by_index
from kernel.net.sockets import inet_names
from kernel.net.sockets.address_programs import REFUSED, judge
from kernel.net.sockets.inet import encode_inet, encode_inet6
from kernel.net.sockets.inet_options import int_of
from kernel.net.sockets.inet_socket import MOST_DATAGRAM
from kernel.net.sockets.sent_messages import mark_after
from kernel.net.sockets.socket import (
    AF_INET,
    AF_UNSPEC,
    MSG_DONTROUTE,
    MSG_OOB,
    SOCK_DGRAM,
    SOCK_RAW,
    SOL_SOCKET,
    SWITCH_BROADCAST,
    ControlMessage,
    Message,
)

_FAMILY_SIZE: Final = 2
_INET: Final = b"\2\0"  # AF_INET, as a struct sockaddr begins with it
ENOTSUPP: Final = 524  # which Linux does not export
_PKTINFO4: Final = 12
_PKTINFO6: Final = 20


@final
class SendPlan:
    """How to send one datagram."""

    def __init__(self, address: bytes, port: int) -> None:
        self.address: bytes = address
        self.port: int = port
        self.scope: int = 0
        self.source: bytes = b""  # from a control message, or the socket's
        self.device_index: int = 0
        self.ttl: int = -1  # -1: the socket's
        self.tos: int = -1
        self.segment_size: int = 0  # UDP_SEGMENT
        self.mark: int = 0
        self.hop: NextHop | None = None

    def way(self) -> NextHop:
        """The route, once it has been found."""
        hop = self.hop
        if hop is None:
            raise Errno(ENETUNREACH)
        return hop


def plan_datagram(socket: DatagramSocket, message: Message) -> SendPlan:
    """Find out where a message goes and how. EPIPE, EMSGSIZE, EOPNOTSUPP, EDESTADDRREQ, EINVAL, EAFNOSUPPORT,
    ENETUNREACH and its kin, EACCES for a broadcast without permission; a pending error of the socket; what is wrong
    with the ancillary messages.
    """
    is_of_udp = is_udp(socket)
    is_udp6 = is_of_udp and socket.family != AF_INET
    if not is_udp6:
        check_message(message, is_of_udp=is_of_udp)
    address = message.address
    if len(address) >= _FAMILY_SIZE and address[0] | address[1] == AF_UNSPEC:
        address = _without_family(socket, address)
    if message.has_empty_address and not (socket.kind == SOCK_RAW and socket.family == AF_INET):
        raise Errno(EINVAL)
    is_connected = len(address) == 0
    if is_connected:
        if len(socket.remote) == 0:
            raise Errno(EDESTADDRREQ)
        plan = SendPlan(socket.remote, socket.remote_port)
        plan.scope = socket.scope
    else:
        destination = socket.destination_of(address)
        plan = SendPlan(destination.address, destination.port)
        plan.scope = destination.scope
    if socket.family != AF_INET and len(plan.address) == 4 and socket.is_ip6_only():
        raise Errno(ENETUNREACH)
    if is_udp6 and len(plan.address) == 4:
        check_message(message, is_of_udp=True)
    if plan.port == 0 and is_of_udp:
        raise Errno(EINVAL)
    plan.source = socket.local if not is_multicast_or_empty(socket, socket.local) else b""
    if len(plan.address) == 16:
        _take_packet_information(socket, plan)
    plan.mark = socket.mark
    control = message.sent_control()
    says_only_sizes = True
    if control is not None:
        for entry in control:
            _apply(socket, plan, entry)
            says_only_sizes = says_only_sizes and entry.level == inet_names.SOL_UDP
    if ADDRESS_PROGRAMS.count != 0 and not (is_connected and says_only_sizes) and is_udp(socket):
        _ask_programs(socket, plan, not is_connected)
    if socket.is_write_down():
        raise Errno(EPIPE)
    if socket.pending_error != 0:
        raise Errno(socket.take_error())
    _find_way(socket, plan, is_connected and control is None, message.flags & MSG_DONTROUTE != 0)
    return plan


def check_message(message: Message, *, is_of_udp: bool) -> None:
    """What is checked before the destination, except by UDP where it is one of IPv6: EMSGSIZE, EOPNOTSUPP."""
    if is_of_udp and message.buffer.remaining > MOST_DATAGRAM:
        raise Errno(EMSGSIZE)
    if message.flags & MSG_OOB != 0:
        raise Errno(EOPNOTSUPP)


def _without_family(socket: DatagramSocket, address: bytes) -> bytes:
    """What a struct sockaddr of AF_UNSPEC stands for: UDP and raw sockets of AF_INET take it for one of their own
    family, UDP sockets of AF_INET6 for no address at all.
    """
    if socket.family != AF_INET:
        return b"" if is_udp(socket) else address
    return _INET + address[_FAMILY_SIZE:] if is_udp(socket) or socket.kind == SOCK_RAW else address


def is_udp(socket: DatagramSocket) -> bool:
    """Whether it is neither a raw nor a ping socket."""
    return socket.kind == SOCK_DGRAM and socket.protocol == PROTOCOL_UDP


def _ask_programs(socket: DatagramSocket, plan: SendPlan, is_named: bool) -> None:
    """Let programs of the socket's group change where a datagram goes and comes from. A destination that the message
    does not name they neither see nor change. May sleep. EPERM, EINVAL, ENOTSUPP; MemoryError.
    """
    if plan.port == 0:
        raise Errno(EINVAL)
    is_ip4 = len(plan.address) == 4
    name = bytearray()
    if is_named:
        name.extend(encode_inet(plan.address, plan.port) if is_ip4 else encode_inet6(plan.address, plan.port))
    source = bytearray(len(plan.address))
    known = plan.source if is_ip4 else mapped(plan.source)
    if len(known) == len(source):
        span_of(source).copy_from(span_of(known))
    before = bytes(source)
    if judge(socket, ADDRESS_SENDS, len(source), name, source) == REFUSED:
        raise Errno(EPERM)
    if is_named:
        if is_ip4:
            plan.address = bytes(name[4:8])
        else:
            plan.address = bytes(name[8:24])
            if is_mapped(plan.address):
                raise Errno(ENOTSUPP)
        plan.port = span_of(name).load_be16(2)
        if plan.port == 0:
            raise Errno(EINVAL)
    changed = bytes(source)
    if changed != before:
        plan.source = b"" if is_unspecified(changed) else changed


def _take_packet_information(socket: DatagramSocket, plan: SendPlan) -> None:
    """Apply IPV6_PKTINFO set as an option: for all datagrams that say nothing else."""
    options = socket.options
    plan.device_index = options.packet_device6
    if len(options.packet_source6) != 0:
        plan.source = options.packet_source6


def is_multicast_or_empty(socket: DatagramSocket, address: bytes) -> bool:
    """Whether a bound address cannot be a source."""
    if len(address) == 0 or is_multicast(address):
        return True
    return _is_broadcast(address) and owner_of(socket.network, address) is None


def _is_broadcast(address: bytes) -> bool:
    return len(address) == 4 and address == b"\xff\xff\xff\xff"


def _find_way(socket: DatagramSocket, plan: SendPlan, may_keep: bool, is_link_only: bool) -> None:
    hop = socket.hop if may_keep else None
    if hop is None or not hop.is_current():
        index = plan.device_index
        if index == 0:
            index = plan.scope
        options = socket.options
        if index == 0 and socket.bound_device == 0:
            is_ip4 = len(plan.address) == 4
            if is_multicast(plan.address):
                index = options.multicast_device if is_ip4 else options.multicast_device6
                if len(plan.source) == 0 and is_ip4 and len(options.multicast_source) == 4:
                    if options.multicast_source != ANY4:
                        plan.source = options.multicast_source
            else:
                index = options.unicast_device if is_ip4 else options.unicast_device6
        if len(plan.source) != 0 and len(plan.source) != len(plan.address):
            raise Errno(ENETUNREACH if len(plan.source) == 16 else EINVAL)
        if may_keep:
            hop = socket.route_to(plan.address, plan.source, index)
            socket.hop = hop
        else:
            hop = _way_to(socket, plan.address, plan.source, index)
    if hop.kind == BROADCAST and not socket.is_on(SWITCH_BROADCAST):
        raise Errno(EACCES)
    if is_link_only and len(hop.gateway) != 0:
        raise Errno(ENETUNREACH)
    plan.hop = hop
    if len(plan.source) == 0 or is_unspecified(plan.source):
        plan.source = hop.source


def _way_to(socket: DatagramSocket, address: bytes, source: bytes, index: int) -> NextHop:
    """The route to a destination that a datagram names: most often that of the datagram before."""
    last = socket.last_hop
    if last is not None and last.is_current() and index == socket.last_index:
        if last.destination == address and socket.last_source == source:
            return last
    hop = socket.route_to(address, source, index)
    socket.last_hop = hop
    socket.last_source = source
    socket.last_index = index
    return hop


def _apply(socket: DatagramSocket, plan: SendPlan, entry: ControlMessage) -> None:
    """Apply one ancillary message of a sender."""
    if entry.level == SOL_SOCKET:
        plan.mark = mark_after(socket, entry, plan.mark)
        return
    if entry.level == inet_names.SOL_UDP and is_udp(socket):
        if entry.kind != inet_names.UDP_SEGMENT or len(entry.data) != 2:
            raise Errno(EINVAL)
        plan.segment_size = span_of(entry.data).load_u16(0)
        return
    if entry.level == inet_names.SOL_IP and (socket.family == AF_INET or len(plan.address) == 4):
        _apply4(socket, plan, entry)
    elif entry.level == inet_names.SOL_IPV6 and socket.family != AF_INET:
        _apply6(socket, plan, entry)
    else:
        if socket.family == AF_INET and entry.level == inet_names.SOL_IPV6:
            raise Errno(EINVAL)


def _apply4(socket: DatagramSocket, plan: SendPlan, entry: ControlMessage) -> None:
    match entry.kind:
        case inet_names.IP_PKTINFO:
            if len(entry.data) != _PKTINFO4:
                raise Errno(EINVAL)
            _set_device(socket, plan, span_of(entry.data).load_u32(0))
            address = entry.data[4:8]
            if address != ANY4:
                plan.source = address
        case inet_names.IP_TTL:
            number = int_of(entry.data)
            if not 1 <= number <= 255:
                raise Errno(EINVAL)
            plan.ttl = number
        case inet_names.IP_TOS:
            number = entry.data[0] if len(entry.data) == 1 else int_of(entry.data)
            if not 0 <= number <= 255:
                raise Errno(EINVAL)
            plan.tos = number
        case _:
            raise Errno(EINVAL)


def _apply6(socket: DatagramSocket, plan: SendPlan, entry: ControlMessage) -> None:
    match entry.kind:
        case inet_names.IPV6_PKTINFO:
            if len(entry.data) < _PKTINFO6:
                raise Errno(EINVAL)
            _set_device(socket, plan, span_of(entry.data).load_u32(16))
            address = entry.data[0:16]
            if address != ANY6:
                plain = unmapped(address)
                if owner_of(socket.network, plain) is None:
                    raise Errno(EINVAL)
                plan.source = plain
        case inet_names.IPV6_HOPLIMIT:
            number = int_of(entry.data)
            if not -1 <= number <= 255:
                raise Errno(EINVAL)
            plan.ttl = number
        case inet_names.IPV6_TCLASS:
            number = int_of(entry.data)
            if not -1 <= number <= 255:
                raise Errno(EINVAL)
            plan.tos = number
        case _:
            raise Errno(EINVAL)


def _set_device(socket: DatagramSocket, plan: SendPlan, index: int) -> None:
    if index != 0:
        if device_by_index(socket.network, index & 0x7FFF_FFFF) is None:
            raise Errno(ENODEV)
        plan.device_index = index


def connect_datagram(socket: DatagramSocket, address: bytes) -> None:
    """connect(2) of a connectionless socket: remember the peer, choose the local address."""
    destination = socket.destination_of(address)
    peer = destination.address
    if socket.family != AF_INET and len(peer) == 4 and socket.is_ip6_only():
        raise Errno(ENETUNREACH)
    if is_unspecified(peer):
        peer = LOOPBACK4 if len(peer) == 4 else LOOPBACK6
    source = b"" if is_multicast_or_empty(socket, socket.local) else socket.local
    index = destination.scope
    if index == 0 and is_multicast(peer):
        options = socket.options
        index = options.multicast_device if len(peer) == 4 else options.multicast_device6
    if len(peer) == 16 and is_link_local(peer) and index == 0 and socket.bound_device == 0:
        raise Errno(EINVAL)  # no link is named
    if len(source) != 0 and len(source) != len(peer):
        raise Errno(ENETUNREACH if len(source) == 16 else EINVAL)
    hop = socket.route_to(peer, source, index)
    if hop.kind == BROADCAST and not socket.is_on(SWITCH_BROADCAST):
        raise Errno(EACCES)
    if len(hop.source) == 0:
        raise Errno(EADDRNOTAVAIL)
    if len(socket.local) == 0:
        socket.local = hop.source
        socket.binding.address = hop.source
    socket.remote = peer
    socket.remote_port = destination.port
    socket.scope = destination.scope
    socket.hop = hop


def disconnect_datagram(socket: DatagramSocket) -> None:
    """connect(2) with AF_UNSPEC: forget the peer, and the local address unless the program chose it."""
    socket.remote = b""
    socket.remote_port = 0
    socket.hop = None
    if not socket.is_address_fixed:
        socket.local = b""
        socket.binding.set_address(socket.family, ANY4 if socket.family == AF_INET else ANY6, socket.is_ip6_only())
