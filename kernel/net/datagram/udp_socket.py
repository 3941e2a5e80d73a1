"""UDP sockets (udp(7)).

Context: system calls.
"""

from typing import Final

from kernel.bpf.subject import ADDRESS_CONNECTS, ADDRESS_RECEIVES
from kernel.cgroup.programs import ADDRESS_PROGRAMS
from kernel.lang import EAFNOSUPPORT, EFAULT, EINVAL, EMSGSIZE, ENOPROTOOPT, EPERM, Errno, final, span_of
from kernel.lib.credentials import Credentials
from kernel.lib.pace import pace
from kernel.net.datagram import udp
from kernel.net.datagram.send import SendPlan, check_message, connect_datagram, disconnect_datagram, plan_datagram
from kernel.net.internet.addresses import ANY4
from kernel.net.internet.group_programs import is_sender_asked_for
from kernel.net.internet.output import NextHop
from kernel.net.internet.routes import BROADCAST, MULTICAST
from kernel.net.internet.transport import ORIGIN_LOCAL, NetworkError
from kernel.net.link import ethernet
from kernel.net.link.network import Network
from kernel.net.link.packet import Packet
from kernel.net.sockets import inet_names
from kernel.net.sockets.address_programs import REFUSED, judge
from kernel.net.sockets.error_queue import QueuedError, ZeroCopies
from kernel.net.sockets.inet import SOCKADDR_IN, PortTable, family_of, ports_of
from kernel.net.sockets.inet_options import int_bytes, int_of
from kernel.net.sockets.inet_socket import check_family_length
from kernel.net.sockets.socket import AF_INET, MSG_MORE, MSG_ZEROCOPY, SWITCH_NO_CHECK, Message
from kernel.sched import Mutex, mutex_or_new

_LARGEST: Final = 65535
_MOST_SEGMENTS: Final = 128


@final
class UdpSocket(udp.UdpEndpoint):
    """A socket of type SOCK_DGRAM of AF_INET or AF_INET6."""

    def __init__(self, family: int, credentials: Credentials, network: Network) -> None:
        super().__init__(family, credentials, network)
        self.is_corked: bool = False  # UDP_CORK
        self.segment_size: int = 0  # UDP_SEGMENT: sent messages are cut into datagrams of this size; 0: they are not
        self.sends_without_sum6: bool = False
        self.corked: bytearray | None = None  # what sends with MSG_MORE have gathered
        self.corked_plan: SendPlan | None = None
        self.corked_copies: int = 0  # sends with MSG_ZEROCOPY among them
        self.gathering: Mutex | None = None  # held while they grow or are sent; created at the first cork

    def port_table(self) -> PortTable:
        return ports_of(self.network).udp

    def bound(self) -> None:
        table = udp.udp_sockets_of(self.network)
        table.insert(self, self.binding.port)
        if self.binding.reuse_port:
            try:
                table.share_port(self, self.binding.port)
            except MemoryError:
                table.take_out(self, self.binding.port)
                raise

    def unbind(self) -> None:
        if self.binding.port != 0:
            udp.udp_sockets_of(self.network).take_out(self, self.binding.port)
            self.leave_port_group()
        super().unbind()

    def is_in_table(self) -> bool:
        return self.binding.port != 0

    def take_port(self, port: int) -> None:
        """Bind to a port of any address, without checking rights: for the kernel's own sockets. EADDRINUSE."""
        self._take(ANY4, port)

    def connect(self, address: bytes) -> None:
        """connect(2): no packet is sent. EINVAL, EAFNOSUPPORT, ENETUNREACH, EACCES."""
        if family_of(address) == 0:
            disconnect_datagram(self)
            if not self.binding.is_explicit:
                self.unbind()
            return
        chosen = self.judged_peer(address)
        check_family_length(chosen, self.family)
        self.bind_automatically()
        connect_datagram(self, chosen)

    def judged_peer(self, address: bytes) -> bytes:
        if self.family == AF_INET or family_of(address) != AF_INET or ADDRESS_PROGRAMS.count == 0:
            return super().judged_peer(address)
        if self.is_ip6_only():
            raise Errno(EAFNOSUPPORT)
        if len(address) < SOCKADDR_IN:
            raise Errno(EINVAL)
        name = bytearray(address)  # of the other family, whose programs it concerns
        if judge(self, ADDRESS_CONNECTS, 4, name, bytearray()) == REFUSED:
            raise Errno(EPERM)
        return bytes(name)

    def source_address(self, packet: Packet) -> bytes:
        return self.judged_name(ADDRESS_RECEIVES, super().source_address(packet))

    def source_port(self, packet: Packet) -> int:
        return packet.storage[packet.transport_start] << 8 | packet.storage[packet.transport_start + 1]

    def destination_port(self, packet: Packet) -> int:
        return packet.storage[packet.transport_start + 2] << 8 | packet.storage[packet.transport_start + 3]

    def set_peek_offset(self, offset: int) -> None:
        self.peek_offset = offset

    def filter_start(self, packet: Packet) -> int:
        return packet.transport_start

    def filter_least(self) -> int:
        return udp.HEADER

    def send(self, message: Message) -> int:
        pace(0)  # so that no firewall drops it because of earlier packets
        self.bind_automatically()  # whatever happens to the message, as on Linux
        length = message.buffer.remaining
        if self._is_gathered(message):
            with self._lock():
                if self._is_gathered(message):  # still: another thread may have sent what was gathered
                    return self._gather(message, length)
        plan = plan_datagram(self, message)
        if length > _LARGEST:
            raise Errno(EMSGSIZE)  # over IPv4 that came first
        copies = self.copies_for(message, udp.HEADER + length) if message.flags & MSG_ZEROCOPY != 0 else None
        segment = plan.segment_size if plan.segment_size > 0 else self.segment_size
        if 0 < segment < length:
            self._send_segments(message, plan, segment)
        else:
            packet = Packet(length)
            if message.buffer.take(packet.put(length)) < length:
                raise Errno(EFAULT)
            self._transmit(packet, plan)
        if copies is not None:
            self._tell_copies(copies, 1)
        ethernet.drain()
        return length

    def _tell_copies(self, copies: ZeroCopies, count: int) -> None:
        """That many sends with MSG_ZEROCOPY are over."""
        copies.sent(count)
        self.waiters.wake_all()

    def _send_segments(self, message: Message, plan: SendPlan, segment: int) -> None:
        """Cut a message into datagrams of `segment` bytes. EINVAL for too many, or without checksums; EMSGSIZE."""
        left = message.buffer.remaining
        is_ip4 = len(plan.address) == 4
        if segment + udp.HEADER + (20 if is_ip4 else 40) > plan.way().mtu or left > segment * _MOST_SEGMENTS:
            raise Errno(EINVAL)
        if self._sends_no_sum(is_ip4):
            raise Errno(EINVAL)
        data = message.buffer.take_bytes(left)
        if len(data) < left:
            raise Errno(EFAULT)
        for start in range(0, left, segment):
            pace(0)  # so that no firewall drops it because of those before
            part = data[start : min(start + segment, left)]
            packet = Packet(len(part))
            packet.put(len(part)).copy_from(span_of(part))
            self._transmit(packet, plan)
            ethernet.drain()

    def _sends_no_sum(self, is_ip4: bool) -> bool:
        return self.is_on(SWITCH_NO_CHECK) if is_ip4 else self.sends_without_sum6

    def _is_gathered(self, message: Message) -> bool:
        """Whether a message becomes part of a datagram with others."""
        return self.corked is not None or self.is_corked or message.flags & MSG_MORE != 0

    def _lock(self) -> Mutex:
        """The lock of what is gathered. Raises MemoryError."""
        lock = mutex_or_new(self.gathering)
        self.gathering = lock
        return lock

    def _gather(self, message: Message, length: int) -> int:
        """Append to the pending datagram, or begin one, and send it unless there is more to come. If that fails, the
        pending one is lost, but not by what IPv4 checks before it looks for one.
        """
        counted = length
        pending = self.corked_plan
        if pending is not None and len(pending.address) == 4:
            check_message(message, is_of_udp=True)
        if self.corked is None:
            plan = plan_datagram(self, message)
            if length > _LARGEST:
                raise Errno(EMSGSIZE)
            self.corked = bytearray()
            self.corked_plan = plan
            counted += udp.HEADER
        try:
            self._append(message, length, counted)
        except (Errno, MemoryError):
            self._drop_corked()
            raise
        if not self.is_corked and message.flags & MSG_MORE == 0:
            self._uncork()
        return length

    def _append(self, message: Message, length: int, counted: int) -> None:
        """Append to the pending datagram. `counted`: the bytes that a send with MSG_ZEROCOPY is charged. Raises
        EMSGSIZE, ENOBUFS, EFAULT, MemoryError.
        """
        gathered = self.corked
        assert gathered is not None
        if len(gathered) + length > _LARGEST:
            raise Errno(EMSGSIZE)
        copies = self.copies_for(message, counted)
        part = message.buffer.take_bytes(length)
        if len(part) < length:
            raise Errno(EFAULT)
        gathered.extend(part)
        if copies is not None:
            self.corked_copies += 1

    def _drop_corked(self) -> None:
        """The pending datagram is lost."""
        self.corked = None
        self.corked_plan = None
        self._tell_corked_copies()

    def _tell_corked_copies(self) -> None:
        """Whatever has become of the datagram, its data are not needed any more."""
        copies = self.copies
        count = self.corked_copies
        self.corked_copies = 0
        if copies is not None and count != 0:
            self._tell_copies(copies, count)

    def _uncork(self) -> None:
        gathered = self.corked
        plan = self.corked_plan
        self.corked = None
        self.corked_plan = None
        if gathered is None or plan is None:
            return
        try:
            packet = Packet(len(gathered))
            packet.put(len(gathered)).copy_from(span_of(gathered))
            self._transmit(packet, plan)
        finally:
            self._tell_corked_copies()
        ethernet.drain()

    def _transmit(self, packet: Packet, plan: SendPlan) -> None:
        """Send a datagram. It reaches a socket of this host when the caller drains what is to be delivered."""
        hop = plan.way()
        if not hop.is_current():
            # Copying from the program may have slept.
            hop = self.route_to(plan.address, plan.source, plan.device_index)
        options = self.options
        is_ip4 = len(plan.address) == 4
        if options.ignores_path_mtu(is_ip4):
            hop = hop.with_device_mtu()
        is_group = hop.kind == MULTICAST
        length = len(packet)
        ttl = plan.ttl if plan.ttl >= 0 else options.ttl_for(is_ip4, is_group)
        tos = plan.tos if plan.tos >= 0 else options.tos if is_ip4 else options.traffic_class
        self._check_size(hop, length, is_ip4, plan)
        dont_fragment = options.must_not_fragment(is_ip4) or (
            options.wants_discovery(is_ip4) and length + udp.HEADER + (20 if is_ip4 else 40) <= hop.mtu
        )
        header_options = options.header_options if is_ip4 else b""
        without = self._sends_no_sum(is_ip4)
        loops = hop.kind == BROADCAST or (
            is_group
            and options.is_on(inet_names.ON_MULTICAST_LOOP4 if is_ip4 else inet_names.ON_MULTICAST_LOOP6)
        )
        packet.mark = plan.mark
        if is_sender_asked_for():
            packet.group = self.group
            packet.sender = self.creator
        udp.send(
            packet,
            hop,
            plan.source,
            self.binding.port,
            plan.port,
            ttl,
            tos,
            dont_fragment,
            without,
            header_options,
            loops,
        )

    def _check_size(self, hop: NextHop, length: int, is_ip4: bool, plan: SendPlan) -> None:
        """Raise EMSGSIZE, with an entry in the error queue, for a datagram that does not fit and may not be split."""
        limit = hop.mtu - udp.HEADER - (20 if is_ip4 else 40)
        if not is_ip4 and self.options.mtu6 != 0:
            limit = min(limit, self.options.mtu6 - udp.HEADER - 40)
        if length <= limit:
            return
        refuses = self.options.refuses_large(is_ip4) or (not is_ip4 and self.options.is_on(inet_names.ON_DONTFRAG))
        if length > _LARGEST - udp.HEADER - (20 if is_ip4 else 0):
            raise Errno(EMSGSIZE)
        if not refuses:
            return
        if self.options.is_on(inet_names.ON_RECVERR4 if is_ip4 else inet_names.ON_RECVERR6):
            error = NetworkError(EMSGSIZE, is_hard=False)
            error.origin = ORIGIN_LOCAL
            error.info = hop.mtu
            self.queue_error(QueuedError(error, b"", plan.address, plan.port))
        raise Errno(EMSGSIZE)

    def check_level(self, level: int) -> None:
        if level != inet_names.SOL_UDP:
            super().check_level(level)

    def least_of_value(self, level: int, name: int, length: int) -> int:
        if level != inet_names.SOL_UDP:
            return super().least_of_value(level, name, length)
        if length < 4:
            raise Errno(EINVAL)
        return 4

    def get_option(self, level: int, name: int, limit: int) -> bytes:
        if level == inet_names.SOL_UDP:
            match name:
                case inet_names.UDP_CORK:
                    return int_bytes(1 if self.is_corked else 0)
                case inet_names.UDP_NO_CHECK6_TX:
                    return int_bytes(1 if self.sends_without_sum6 else 0)
                case inet_names.UDP_NO_CHECK6_RX:
                    return int_bytes(1 if self.takes_without_sum6 else 0)
                case inet_names.UDP_SEGMENT:
                    return int_bytes(self.segment_size)
                case inet_names.UDPLITE_SEND_CSCOV | inet_names.UDPLITE_RECV_CSCOV:
                    return int_bytes(0)
            raise Errno(ENOPROTOOPT)
        return super().get_option(level, name, limit)

    def set_option(self, level: int, name: int, value: bytes) -> None:
        if level == inet_names.SOL_UDP:
            self._set_udp(name, int_of(value))
            return
        super().set_option(level, name, value)

    def _set_udp(self, name: int, number: int) -> None:
        match name:
            case inet_names.UDP_CORK:
                self.is_corked = number != 0
                if number == 0 and self.gathering is not None:
                    with self._lock():
                        self._uncork()
            case inet_names.UDP_NO_CHECK6_TX:
                self.sends_without_sum6 = number != 0
            case inet_names.UDP_NO_CHECK6_RX:
                self.takes_without_sum6 = number != 0
            case inet_names.UDP_SEGMENT:
                if not 0 <= number <= 0xFFFF:
                    raise Errno(EINVAL)
                self.segment_size = number
            case _:
                raise Errno(ENOPROTOOPT)

    def close(self) -> None:
        self.corked = None
        self.corked_plan = None
        super().close()
