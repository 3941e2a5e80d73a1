"""Raw sockets: the datagrams of one IP protocol, unprocessed (raw(7), RFC 3542 for IPv6).

An IPv4 socket receives datagrams with their IP header, an IPv6 one without it. With IP_HDRINCL (or IPPROTO_RAW) the
program writes the header itself.

Context: system calls; `deliver` and `report_error` run in thread context and never sleep.
"""

from typing import Final

from kernel.lang import EFAULT, EINVAL, EMSGSIZE, ENOBUFS, ENOPROTOOPT, EOPNOTSUPP, Errno, final, span_of
from kernel.lib.credentials import Credentials
from kernel.lib.order import Order, Walk
from kernel.lib.pace import PACE, pace, spend
from kernel.net.datagram.send import SendPlan, connect_datagram, disconnect_datagram, plan_datagram
from kernel.net.datagram.socket import PACKET_OVERHEAD, DatagramSocket
from kernel.net.internet import ip, ipv4, ipv6
from kernel.net.internet.addresses import ANY4, is_multicast
from kernel.net.internet.group_programs import may_leave
from kernel.net.internet.ipv4 import RawListener
from kernel.net.internet.routes import BROADCAST, MULTICAST
from kernel.net.internet.transport import PROTOCOL_ICMP, PROTOCOL_ICMP6, PROTOCOL_RAW, NetworkError
from kernel.net.link import ethernet
from kernel.net.link.checksum import checksum, pseudo_header
from kernel.net.link.handout import Crowd, Handout
from kernel.net.link.network import FIRST_NETWORK, Network, PartMaker, network_of, register_part
from kernel.net.link.packet import CHECKSUM_PARTIAL, CHECKSUM_VERIFIED, Packet
from kernel.net.link.part import Part
from kernel.net.sockets import inet_names
from kernel.net.sockets.inet import family_of
from kernel.net.sockets.inet_options import int_bytes, int_of
from kernel.net.sockets.inet_socket import check_family_length
from kernel.net.sockets.socket import AF_INET, AF_INET6, MSG_OOB, SOCK_RAW, SWITCH_REUSE_ADDRESS, Message

_LARGEST: Final = 65535
_NO_CHECKSUM: Final = -1
_ICMP_FILTER_TYPES: Final = 32
_MOST_OF_OTHERS: Final = 256  # sockets of a network that is not the first
_MOST_COST: Final = 250_000  # instructions that sockets may take for a datagram; the network thread serves the others
_LOOK_COST: Final = 300  # instructions for each of them
_REPORT_COST: Final = 1000  # and for an error that it learns of
_COPY_SHIFT: Final = 1  # bytes of a datagram for each instruction of copying it


@final
class RawSocket(DatagramSocket):
    """A socket of type SOCK_RAW of AF_INET or AF_INET6."""

    def __init__(self, family: int, protocol: int, credentials: Credentials, network: Network) -> None:
        if network is not FIRST_NETWORK and raw_sockets_of(network).total >= _MOST_OF_OTHERS:
            raise Errno(ENOBUFS)
        self.type_filter6: bytes = bytes(32)  # ICMPV6_FILTER: a bit for each unwanted type
        super().__init__(family, SOCK_RAW, protocol, credentials, network)
        self.binding.port = protocol  # what getsockname(2) and /proc/net/raw show
        if protocol == PROTOCOL_RAW:
            self.options.turn(inet_names.ON_HDRINCL | inet_names.ON_HDRINCL6, on=True)
        self.number: int = 0  # in the network's list; 0: it is not there
        self.checksum_offset: int = 2 if protocol == PROTOCOL_ICMP6 and family == AF_INET6 else _NO_CHECKSUM
        self.type_filter: int = 0  # ICMP_FILTER: the same
        self.switches |= SWITCH_REUSE_ADDRESS  # there are no ports to share
        try:
            raw_sockets_of(network).insert(self)
        except MemoryError:
            self.release()
            raise

    def is_ip6_only(self) -> bool:
        return True

    def _is_bound(self) -> bool:
        return len(self.remote) != 0

    def local_address(self) -> bytes:
        return self.encode(self.local, self.protocol)

    def connect(self, address: bytes) -> None:
        if family_of(address) == 0:
            disconnect_datagram(self)
            return
        check_family_length(address, self.family)
        connect_datagram(self, address)

    # ---- Receiving ------------------------------------------------------------------------------------------------

    def wants(self, packet: Packet, protocol: int) -> bool:
        """Whether a datagram, which starts with its transport header, is for this socket."""
        is_ip4 = len(packet.source) == 4
        if (self.family == AF_INET) != is_ip4 or self.protocol != protocol:
            return False
        if len(self.local) != 0 and self.local != packet.destination:
            return False
        if len(self.remote) != 0 and self.remote != packet.source:
            return False
        if is_multicast(packet.destination) and not self.hears_group(packet):
            return False
        device = packet.device
        if self.bound_device != 0 and (device is None or device.index != self.bound_device):
            return False
        if len(packet) > 0 and protocol == PROTOCOL_ICMP and is_ip4:
            kind = packet.span()[0]
            if kind < _ICMP_FILTER_TYPES and self.type_filter >> kind & 1 != 0:
                return False
        if len(packet) > 0 and protocol == PROTOCOL_ICMP6 and not is_ip4:
            kind = packet.span()[0]
            if self.type_filter6[kind >> 3] >> (kind & 7) & 1 != 0:
                return False
        return True

    def sent(self, packet: Packet, protocol: int) -> bool:
        """Whether a datagram that an error quotes may have been this socket's."""
        return (
            (self.family == AF_INET) == (len(packet.source) == 4)
            and self.protocol == protocol
            and (len(self.remote) == 0 or self.remote == packet.destination)
            and (len(self.local) == 0 or self.local == packet.source)
        )

    def take_copy(self, packet: Packet) -> None:
        """Queue a copy of a datagram that this socket wants. May raise MemoryError."""
        spend(len(packet.storage) >> _COPY_SHIFT)
        copy = packet.copy()
        if self.family == AF_INET:
            if copy.from_ourselves:
                self._finish_header(copy)
            copy.start = copy.network_start
        elif self.checksum_offset != _NO_CHECKSUM and copy.checksum != CHECKSUM_VERIFIED:
            data = copy.span()
            if checksum(data, pseudo_header(copy.source, copy.destination, self.protocol, len(data))) != 0:
                return
        self.enqueue(copy)

    def _finish_header(self, packet: Packet) -> None:
        """Fill in the header's checksum, which is not computed on loopback: this socket's program can see it."""
        length = packet.start - packet.network_start
        header = packet.network_header()[0:length]
        header.store_be16(10, 0)
        header.store_be16(10, checksum(header))

    # ---- Sending --------------------------------------------------------------------------------------------------

    def receive(self, message: Message) -> int:
        if message.flags & MSG_OOB != 0:
            raise Errno(EOPNOTSUPP)
        return super().receive(message)

    def send(self, message: Message) -> int:
        pace(0)  # so that no firewall drops it because of earlier packets
        length = message.buffer.remaining
        if length > _LARGEST:
            raise Errno(EMSGSIZE)
        plan = plan_datagram(self, message)
        packet = Packet(length)
        if message.buffer.take(packet.put(length)) < length:
            raise Errno(EFAULT)
        packet.mark = plan.mark
        hop = plan.way()
        if not hop.is_current():
            hop = self.route_to(plan.address, plan.source, plan.device_index)
            plan.hop = hop
        is_ip4 = len(plan.address) == 4
        if self.options.is_on(inet_names.ON_HDRINCL if is_ip4 else inet_names.ON_HDRINCL6):
            self._send_whole(packet, plan)
        else:
            self._send_payload(packet, plan)
        ethernet.drain()
        return length

    def _send_payload(self, packet: Packet, plan: SendPlan) -> None:
        hop = plan.way()
        options = self.options
        is_ip4 = len(plan.address) == 4
        ttl = plan.ttl if plan.ttl >= 0 else options.ttl_for(is_ip4, hop.kind == MULTICAST)
        tos = plan.tos if plan.tos >= 0 else options.tos if is_ip4 else options.traffic_class
        packet.transport_start = packet.start
        if self.checksum_offset != _NO_CHECKSUM:
            if self.checksum_offset + 2 > len(packet):
                raise Errno(EINVAL)
            sum_ = pseudo_header(plan.source, hop.destination, self.protocol & 0xFF, len(packet))
            packet.span().store_be16(self.checksum_offset, sum_)
            packet.checksum = CHECKSUM_PARTIAL
            packet.checksum_start = packet.start
            packet.checksum_offset = self.checksum_offset
            if hop.is_local() or self.checksum_offset == 0:  # an offset of 0 would mean that there is no checksum
                ethernet.complete_checksum(packet)
        header = 20 + len(options.header_options) if is_ip4 else 40
        if options.must_not_fragment(is_ip4) and len(packet) + header > hop.mtu:
            raise Errno(EMSGSIZE)
        dont_fragment = options.wants_discovery(is_ip4) and len(packet) + header <= hop.mtu
        loops = hop.kind == BROADCAST or options.is_on(
            inet_names.ON_MULTICAST_LOOP4 if is_ip4 else inet_names.ON_MULTICAST_LOOP6
        )
        header_options = options.header_options if is_ip4 else b""
        packet.group = self.group
        packet.sender = self.creator
        ip.send(packet, hop, plan.source, self.protocol & 0xFF, ttl, tos, dont_fragment, header_options, loops)

    def _send_whole(self, packet: Packet, plan: SendPlan) -> None:
        """Send a program's own header: fill in IPv4's length, checksum and identification, and a missing source."""
        hop = plan.way()
        header = packet.span()
        if len(plan.address) == 16:
            if len(packet) < ipv6.HEADER:
                raise Errno(EINVAL)
            packet.source = header[8:24].to_bytes()
            packet.destination = header[24:40].to_bytes()
        else:
            if len(packet) < ipv4.HEADER or (header[0] & 0xF) * 4 < ipv4.HEADER or (header[0] & 0xF) * 4 > len(packet):
                raise Errno(EINVAL)
            header.store_be16(2, len(packet))
            if header[12:16].to_bytes() == ANY4:
                header[12:16].copy_from(span_of(plan.source))
            if header.load_be16(4) == 0:
                header.store_be16(4, ipv4.STATE.identification(self.network))
            header.store_be16(10, 0)
            header.store_be16(10, checksum(header[0 : (header[0] & 0xF) * 4]))
            packet.source = header[12:16].to_bytes()
            packet.destination = header[16:20].to_bytes()
        packet.network_start = packet.start
        if len(packet) > hop.mtu and not hop.device.is_loop:
            raise Errno(EMSGSIZE)
        packet.group = self.group
        packet.sender = self.creator
        packet.protocol = ethernet.ETHERTYPE_IP4 if len(plan.address) == 4 else ethernet.ETHERTYPE_IP6
        if not may_leave(packet, hop.device):
            return
        if len(packet.source) == 4 and hop.network.hooks4 is not None:
            ipv4.send_watched(packet, hop, dont_fragment=False, loops=False)
        elif len(packet.source) == 16 and hop.network.hooks6 is not None:
            ipv6.send_watched(packet, hop, dont_fragment=False, loops=False)
        else:
            hop.transmit(packet)

    # ---- Options --------------------------------------------------------------------------------------------------

    def check_level(self, level: int) -> None:
        if not self._is_own_level(level):
            super().check_level(level)

    def least_of_value(self, level: int, name: int, length: int) -> int:
        if self._is_own_level(level):
            return min(length, 4)
        return super().least_of_value(level, name, length)

    def _is_own_level(self, level: int) -> bool:
        return level == inet_names.SOL_RAW or (level == inet_names.SOL_ICMPV6 and self.family == AF_INET6)

    def get_option(self, level: int, name: int, limit: int) -> bytes:
        if level == inet_names.SOL_RAW and self.family == AF_INET:
            if name == inet_names.ICMP_FILTER and self.protocol == PROTOCOL_ICMP:
                return int_bytes(self.type_filter)
            raise Errno(EOPNOTSUPP if name == inet_names.ICMP_FILTER else ENOPROTOOPT)
        if level == inet_names.SOL_ICMPV6 and self.family == AF_INET6:
            if name == inet_names.ICMPV6_FILTER and self.protocol == PROTOCOL_ICMP6:
                return self.type_filter6
            raise Errno(ENOPROTOOPT)
        if (level == inet_names.SOL_RAW or level == inet_names.SOL_IPV6) and name == inet_names.IPV6_CHECKSUM:
            if self.family == AF_INET6:
                return int_bytes(self.checksum_offset)
        return super().get_option(level, name, limit)

    def set_option(self, level: int, name: int, value: bytes) -> None:
        if level == inet_names.SOL_RAW and self.family == AF_INET:
            if name != inet_names.ICMP_FILTER or self.protocol != PROTOCOL_ICMP:
                raise Errno(EOPNOTSUPP if name == inet_names.ICMP_FILTER else ENOPROTOOPT)
            filter_ = value + bytes(4)
            self.type_filter = span_of(filter_).load_u32(0)
            return
        if level == inet_names.SOL_ICMPV6 and self.family == AF_INET6:
            if name != inet_names.ICMPV6_FILTER or self.protocol != PROTOCOL_ICMP6:
                raise Errno(ENOPROTOOPT)
            self.type_filter6 = (value[: min(len(value), 32)] + self.type_filter6)[:32]
            return
        is_checksum = name == inet_names.IPV6_CHECKSUM and self.family == AF_INET6
        if is_checksum and (level == inet_names.SOL_RAW or level == inet_names.SOL_IPV6):
            number = int_of(value)
            is_fixed = self.protocol == PROTOCOL_ICMP6 and level == inet_names.SOL_IPV6
            if is_fixed or (number > 0 and number & 1 != 0):
                raise Errno(EINVAL)
            self.checksum_offset = number if number >= 0 else _NO_CHECKSUM
            return
        if level == inet_names.SOL_RAW:
            int_of(value)
            raise Errno(ENOPROTOOPT)
        super().set_option(level, name, value)

    def close(self) -> None:
        raw_sockets_of(self.network).take_out(self)
        super().close()


@final
class RawSockets(Part):
    """All raw sockets of a network, of both families."""

    def __init__(self) -> None:
        super().__init__()
        self.sockets: Order[RawSocket] = Order()  # in the order of their creation
        self.last: int = 0  # the number that was given last
        self.total: int = 0
        self.of_ip4: int = 0  # of these
        self.by_kind: dict[int, _Kind] = {}
        self.crowd: Crowd = Crowd()

    def insert(self, socket: RawSocket) -> None:
        """Enter a socket. Raises MemoryError, with nothing changed."""
        key = _kind_of(socket.family == AF_INET, socket.protocol)
        self.sockets.put(self.last + 1, socket)
        kind = self.by_kind.get(key)
        if kind is None:
            try:
                kind = _Kind()
                self.by_kind[key] = kind
            except MemoryError:
                self.sockets.remove(self.last + 1)
                raise
        kind.count += 1
        self.last += 1
        socket.number = self.last
        self.total += 1
        self.of_ip4 += 1 if socket.family == AF_INET else 0
        _TABLE.count += 1

    def take_out(self, socket: RawSocket) -> None:
        """Take a socket out, if it is in."""
        if socket.number == 0:
            return
        self.sockets.remove(socket.number)
        socket.number = 0
        key = _kind_of(socket.family == AF_INET, socket.protocol)
        kind = self.by_kind.get(key)
        if kind is not None:
            kind.count -= 1
            if kind.count == 0:
                self.by_kind.pop(key)
        self.total -= 1
        self.of_ip4 -= 1 if socket.family == AF_INET else 0
        _TABLE.count -= 1

    def count(self, family: int) -> int:
        """How many sockets of a family there are."""
        return self.of_ip4 if family == AF_INET else self.total - self.of_ip4


@final
class _Kind:
    """How many sockets have the same family and protocol."""

    def __init__(self) -> None:
        self.count: int = 0


def _kind_of(is_ip4: bool, protocol: int) -> int:
    return protocol << 1 | (1 if is_ip4 else 0)


@final
class _Maker(PartMaker):
    def make(self, network: Network) -> None:
        network.raw_sockets = RawSockets()


register_part(_Maker())


def raw_sockets_of(network: Network) -> RawSockets:
    """The raw sockets of a network."""
    part = network.raw_sockets
    assert isinstance(part, RawSockets)
    return part


@final
class RawTable(RawListener):
    """Takes datagrams from IP."""

    def __init__(self) -> None:
        self.count: int = 0  # raw sockets of all networks

    def deliver(self, packet: Packet, protocol: int) -> bool:
        if self.count == 0:
            return False
        raws = raw_sockets_of(network_of(packet))
        if raws.crowd.is_busy():
            _leave_rest(raws, 0, packet, protocol, None)
            return _kind_of(len(packet.source) == 4, protocol) in raws.by_kind
        found = False
        floor = PACE.left - _MOST_COST
        walk = Walk(raws.sockets)
        socket = walk.next()
        while socket is not None:
            if PACE.left < floor:
                _leave_rest(raws, socket.number, packet, protocol, None)
                return found or _kind_of(len(packet.source) == 4, protocol) in raws.by_kind
            spend(_LOOK_COST)
            if socket.wants(packet, protocol):
                socket.take_copy(packet)
                found = True
            socket = walk.next()
        return found

    def report_error(self, packet: Packet, protocol: int, error: NetworkError) -> None:
        raws = raw_sockets_of(network_of(packet))
        if raws.crowd.is_busy():
            _leave_rest(raws, 0, packet, protocol, error)
            return
        floor = PACE.left - _MOST_COST
        walk = Walk(raws.sockets)
        socket = walk.next()
        while socket is not None:
            if PACE.left < floor:
                _leave_rest(raws, socket.number, packet, protocol, error)
                return
            spend(_LOOK_COST)
            if socket.sent(packet, protocol):
                spend(_REPORT_COST)
                socket.report(packet, error, 0)
            socket = walk.next()


@final
class _RawHandout(Handout):
    """A datagram, or an error with what it quotes, for raw sockets. The walk meets all that stay."""

    def __init__(self, walk: Walk[RawSocket], packet: Packet, protocol: int, error: NetworkError | None) -> None:
        super().__init__(len(packet.storage) + PACKET_OVERHEAD)
        self.walk: Walk[RawSocket] = walk
        self.packet: Packet = packet
        self.protocol: int = protocol
        self.error: NetworkError | None = error

    def serve(self) -> bool:
        socket = self.walk.next()
        if socket is None:
            return False
        spend(_LOOK_COST)
        error = self.error
        if error is None:
            if socket.wants(self.packet, self.protocol):
                socket.take_copy(self.packet)
        elif socket.sent(self.packet, self.protocol):
            spend(_REPORT_COST)
            socket.report(self.packet, error, 0)
        return True


def _leave_rest(
    raws: RawSockets, following: int, packet: Packet, protocol: int, error: NetworkError | None
) -> None:
    """Have the network thread serve the sockets from a number on. They miss a datagram for which there is no room. May
    raise MemoryError.
    """
    spend(len(packet.storage) >> _COPY_SHIFT)
    if raws.crowd.has_room(len(packet.storage) + PACKET_OVERHEAD):
        raws.crowd.put(_RawHandout(Walk(raws.sockets, following), packet.copy(), protocol, error))


_TABLE: Final = RawTable()
ipv4.STATE.raw = _TABLE
ipv6.STATE.raw = _TABLE
