"""The base of UDP, raw and ping sockets: a queue of datagrams, a queue of errors, ancillary messages, readiness.

Invariants: `queued_bytes` is the memory of the queue's packets; it stays below the receive limit plus one packet.
Context: system calls may sleep in `receive`; `enqueue` and `report` run in thread context and never sleep.
Source: ip(7), ipv6(7), recvmsg(2), udp(7).
"""

from typing import Final

from kernel.fs.constants import (
    POLLERR,
    POLLHUP,
    POLLIN,
    POLLOUT,
    POLLPRI,
    POLLRDHUP,
    POLLRDNORM,
    POLLWRBAND,
    POLLWRNORM,
)
from kernel.lang import EFAULT, EINVAL, EMSGSIZE, ENOTCONN, Errno, UserAddr, span_of
from kernel.lib import user
from kernel.lib.credentials import Credentials
from kernel.lib.pace import pace
from kernel.net.datagram.extension_headers import WANTS_EXTENSIONS, put_extensions
from kernel.net.datagram.memory import MEMORY
from kernel.net.internet.addresses import ANY4, is_link_local, mapped
from kernel.net.internet.group_programs import are_judged, may_enter
from kernel.net.internet.ipv4 import time_of_day_ms
from kernel.net.internet.ipv4_options import answer_options
from kernel.net.internet.output import NextHop
from kernel.net.internet.transport import NetworkError
from kernel.net.link.network import Network
from kernel.net.link.packet import Packet, PacketQueue
from kernel.net.sockets import inet_names, option_names
from kernel.net.sockets.ancillary import WANTS_TIME, put_mark, put_timestamps
from kernel.net.sockets.bpf import LOST, cut
from kernel.net.sockets.error_queue import QueuedError
from kernel.net.sockets.inet import encode_inet, encode_inet6
from kernel.net.sockets.inet_options import int_bytes
from kernel.net.sockets.inet_socket import InetSocket
from kernel.net.sockets.socket import (
    AF_INET,
    MSG_ERRQUEUE,
    MSG_PEEK,
    MSG_TRUNC,
    SHUT_RD,
    SHUT_RDWR,
    SHUT_WR,
    SOL_SOCKET,
    SWITCH_KEEP_STAMP,
    SWITCH_MARK,
    SWITCH_OVERFLOWS,
    SWITCH_SELECT_ERROR_QUEUE,
    ControlMessage,
    Message,
)
from kernel.sched import PollWaiter, WaitQueue
from kernel.time import realtime_ns

PACKET_OVERHEAD: Final = 256  # what a queued packet takes besides its storage
_ERRORS_LIMIT: Final = 64
_DROP_COST: Final = 400  # instructions for each that is dropped when the socket closes
_IP4_HEADER: Final = 20
_IP6_HEADER: Final = 40
FIONREAD: Final = 0x541B
SIOCOUTQ: Final = 0x5411

_READ_DOWN: Final = 1
_WRITE_DOWN: Final = 2


class DatagramSocket(InetSocket):
    """Base of sockets that receive whole datagrams."""

    def __init__(self, family: int, kind: int, protocol: int, credentials: Credentials, network: Network) -> None:
        self.queue: PacketQueue = PacketQueue()
        self.waiters: WaitQueue = WaitQueue()
        super().__init__(family, kind, protocol, credentials, network)
        self.last_hop: NextHop | None = None  # the route of the last datagram that named its destination …
        self.last_source: bytes = b""  # … and the source it was looked up with
        self.last_index: int = 0
        self.queued_bytes: int = 0
        self.shutdown: int = 0  # _READ_DOWN | _WRITE_DOWN
        self.drops: int = 0

    def option_changed(self, name: int) -> None:
        self.last_hop = None
        super().option_changed(name)

    # ---- From the protocol ----------------------------------------------------------------------------------------

    def enqueue(self, packet: Packet) -> bool:
        """Queue a datagram that came in; it starts with what the program gets. False: it is dropped."""
        size = len(packet.storage) + PACKET_OVERHEAD
        has_room = self.queued_bytes < self.receive_limit and MEMORY.may_grow(self.queued_bytes)
        if not has_room:
            self.lacked_room(packet)
            return False
        if are_judged() and not may_enter(self.group, packet):
            self.drops += 1
            return False
        filter_ = self.filter
        if filter_ is not None:
            start = self.filter_start(packet)
            wanted = filter_.wanted(packet, start, self)
            if wanted <= 0:
                self.filtered_out(is_lost=wanted == LOST)
                return False
            cut(packet, start, max(wanted, self.filter_least()))
        if self.is_on(WANTS_TIME):
            packet.received_ns = realtime_ns()
        self.queued_bytes += size
        MEMORY.used += size
        self.queue.append(packet)
        self.waiters.wake_all()
        return True

    def lacked_room(self, packet: Packet) -> None:
        """Count a datagram for which there was no room."""
        self.drops += 1

    def filtered_out(self, *, is_lost: bool) -> None:
        """Count a datagram that the filter did not want, or had no time for."""
        if is_lost:
            self.drops += 1

    def filter_start(self, packet: Packet) -> int:
        """Where in its storage the filter begins to see a packet."""
        return packet.start

    def filter_least(self) -> int:
        """How many bytes it leaves at least of a packet that is wanted."""
        return 1

    def hears_group(self, packet: Packet) -> bool:
        """Whether a datagram for a group is wanted, considering its source."""
        is_ip4 = len(packet.destination) == 4
        hears_all = self.options.is_on(inet_names.ON_MULTICAST_ALL4 if is_ip4 else inet_names.ON_MULTICAST_ALL6)
        groups = self.groups
        if groups is None:
            return hears_all
        return groups.accepts(packet.destination, packet.device, packet.source, hears_all)

    def report(self, packet: Packet, error: NetworkError, port: int) -> None:
        """The network reports an error about a datagram of ours to `packet.destination`; `packet` starts with what
        the program sent. May raise MemoryError.
        """
        is_ip4 = len(packet.destination) == 4
        code = error.errno
        is_hard = error.is_hard
        if code == EMSGSIZE:
            mode = self.options.mtu_discover if is_ip4 else self.options.mtu_discover6
            ignores = mode == inet_names.PMTU_INTERFACE or mode == inet_names.PMTU_OMIT
            if mode == inet_names.PMTU_DONT or (ignores and not is_ip4):
                return
            is_hard = True
        wants = self.options.is_on(inet_names.ON_RECVERR4 if is_ip4 else inet_names.ON_RECVERR6)
        if wants:
            self.queue_error(QueuedError(error, packet.span().to_bytes(), packet.destination, port))
        elif not is_hard or len(self.remote) == 0:
            return
        self.pending_error = code
        self.waiters.wake_all()

    # ---- Receiving ------------------------------------------------------------------------------------------------

    def receive(self, message: Message) -> int:
        if message.flags & MSG_ERRQUEUE != 0:
            return self.receive_error(message)
        deadline_ns = self.receive_deadline(message.flags)
        while True:
            if self.pending_error != 0:
                raise Errno(self.take_error())
            packet = self.queue.head
            if packet is None:
                if self.shutdown & _READ_DOWN != 0:
                    return 0
                self.wait(self.waiters, deadline_ns)
                continue
            # What needs memory comes before the datagram leaves the queue.
            if message.wants_address:
                message.address = self.source_address(packet)
            if message.wants_control:
                message.control = self.control_of(packet)
            if message.flags & MSG_PEEK != 0:
                break
            if self.queue.head is packet:  # another thread may take it while a program of bpf(2) judges the address
                self.take_packet()
                break
        return self._give(message, packet)

    def take_packet(self) -> Packet | None:
        """Take the first datagram out of the queue; None if there is none."""
        packet = self.queue.pop()
        if packet is not None:
            size = len(packet.storage) + PACKET_OVERHEAD
            self.queued_bytes -= size
            MEMORY.used -= size
        return packet

    def _give(self, message: Message, packet: Packet) -> int:
        length = len(packet)
        room = min(length, message.buffer.remaining)
        given = message.buffer.put(packet.span()[0:room])
        if given < room:
            raise Errno(EFAULT)
        if given < length:
            message.result_flags |= MSG_TRUNC
        if self.stamp_ns < 0 or self.is_on(SWITCH_KEEP_STAMP):
            self.stamp_ns = packet.received_ns
        return length if message.flags & MSG_TRUNC != 0 else given

    def source_port(self, packet: Packet) -> int:
        """The port that a received datagram came from; 0 where there are none."""
        return 0

    def destination_port(self, packet: Packet) -> int:
        """The port that a received datagram was sent to."""
        return self.binding.port

    def source_address(self, packet: Packet) -> bytes:
        """The struct sockaddr of a received datagram's sender."""
        if self.family == AF_INET:
            return encode_inet(packet.source if len(packet.source) == 4 else ANY4, self.source_port(packet))
        return encode_inet6(mapped(packet.source), self.source_port(packet), 0, self._scope_of(packet))

    def _scope_of(self, packet: Packet) -> int:
        device = packet.device
        if device is None or len(packet.source) != 16 or not is_link_local(packet.source):
            return 0
        return device.index

    def control_of(self, packet: Packet) -> list[ControlMessage] | None:
        """The ancillary messages that the socket's options ask for."""
        found: list[ControlMessage] = []
        if self.is_on(WANTS_TIME) and packet.received_ns != 0:
            put_timestamps(self, packet.received_ns, found)
        if self.is_on(SWITCH_OVERFLOWS) and self.drops > 0:
            found.append(ControlMessage(SOL_SOCKET, option_names.SO_RXQ_OVFL, int_bytes(self.drops)))
        if self.is_on(SWITCH_MARK):
            put_mark(packet.mark, found)
        if self.options.switches != 0:
            if self.family == AF_INET:
                self._control4(packet, found)
            else:
                self._control6(packet, found)
                if len(packet.source) == 4:
                    self._control4(packet, found)
        return found if len(found) > 0 else None

    def _control4(self, packet: Packet, found: list[ControlMessage]) -> None:
        options = self.options
        device = packet.device
        if options.is_on(inet_names.ON_PKTINFO4):
            index = 0 if device is None else device.index
            data = int_bytes(index) + self._specific_destination(packet) + packet.destination
            found.append(ControlMessage(inet_names.SOL_IP, inet_names.IP_PKTINFO, data))
        if options.is_on(inet_names.ON_RECVTTL):
            found.append(ControlMessage(inet_names.SOL_IP, inet_names.IP_TTL, int_bytes(packet.hop_limit)))
        if options.is_on(inet_names.ON_RECVTOS):
            found.append(ControlMessage(inet_names.SOL_IP, inet_names.IP_TOS, bytes([packet.traffic_class])))
        if options.is_on(inet_names.ON_ORIGDST4):
            data = encode_inet(packet.destination, self.destination_port(packet))
            found.append(ControlMessage(inet_names.SOL_IP, inet_names.IP_RECVORIGDSTADDR, data))
        self._put_header_options(packet, found)
        name = inet_names.IP_RECVFRAGSIZE
        self._put_fragment_size(packet, inet_names.ON_RECVFRAGSIZE4, inet_names.SOL_IP, name, found)

    def _put_header_options(self, packet: Packet, found: list[ControlMessage]) -> None:
        """Append the options of the IP header, as received and as an answer's would be."""
        header = span_of(packet.storage)[packet.network_start :]  # all of it, whatever a filter has cut off
        length = (header[0] & 0xF) * 4
        if length <= _IP4_HEADER:
            return
        came = header[_IP4_HEADER:length]
        if self.options.is_on(inet_names.ON_RECVOPTS):
            found.append(ControlMessage(inet_names.SOL_IP, inet_names.IP_RECVOPTS, came.to_bytes()))
        if self.options.is_on(inet_names.ON_RETOPTS):
            answer = answer_options(self.network, came, packet.destination, time_of_day_ms())
            found.append(ControlMessage(inet_names.SOL_IP, inet_names.IP_RETOPTS, answer))

    def _put_fragment_size(
        self, packet: Packet, switch: int, level: int, name: int, found: list[ControlMessage]
    ) -> None:
        if packet.fragment_size != 0 and self.options.is_on(switch):
            found.append(ControlMessage(level, name, int_bytes(packet.fragment_size)))

    def _specific_destination(self, packet: Packet) -> bytes:
        """The local address that an answer would have as its source."""
        return packet.destination if len(packet.destination) == 4 else ANY4

    def _control6(self, packet: Packet, found: list[ControlMessage]) -> None:
        options = self.options
        device = packet.device
        if options.is_on(inet_names.ON_PKTINFO6 | inet_names.ON_2292PKTINFO):
            data = mapped(packet.destination) + int_bytes(0 if device is None else device.index)
            if options.is_on(inet_names.ON_PKTINFO6):
                found.append(ControlMessage(inet_names.SOL_IPV6, inet_names.IPV6_PKTINFO, data))
            if options.is_on(inet_names.ON_2292PKTINFO):
                found.append(ControlMessage(inet_names.SOL_IPV6, inet_names.IPV6_2292PKTINFO, data))
        if len(packet.source) == 4:
            return
        if options.is_on(inet_names.ON_RECVHOPLIMIT):
            found.append(ControlMessage(inet_names.SOL_IPV6, inet_names.IPV6_HOPLIMIT, int_bytes(packet.hop_limit)))
        if options.is_on(inet_names.ON_2292HOPLIMIT):
            limit = int_bytes(packet.hop_limit)
            found.append(ControlMessage(inet_names.SOL_IPV6, inet_names.IPV6_2292HOPLIMIT, limit))
        if options.is_on(inet_names.ON_RECVTCLASS):
            data = int_bytes(packet.traffic_class)
            found.append(ControlMessage(inet_names.SOL_IPV6, inet_names.IPV6_TCLASS, data))
        if options.is_on(inet_names.ON_FLOWINFO):
            flow = packet.network_header().load_be32(0) & 0x0FFF_FFFF
            if flow != 0:
                data = bytes([flow >> 24, flow >> 16 & 0xFF, flow >> 8 & 0xFF, flow & 0xFF])
                found.append(ControlMessage(inet_names.SOL_IPV6, inet_names.IPV6_FLOWINFO, data))
        if packet.transport_start - packet.network_start > _IP6_HEADER and options.is_on(WANTS_EXTENSIONS):
            put_extensions(packet, options, found)
        if options.is_on(inet_names.ON_ORIGDST6):
            data = encode_inet6(packet.destination, self.destination_port(packet))
            found.append(ControlMessage(inet_names.SOL_IPV6, inet_names.IPV6_RECVORIGDSTADDR, data))
        name = inet_names.IPV6_RECVFRAGSIZE
        self._put_fragment_size(packet, inet_names.ON_RECVFRAGSIZE6, inet_names.SOL_IPV6, name, found)

    def queue_error(self, entry: QueuedError) -> None:
        """Keep an error for MSG_ERRQUEUE, unless many are waiting there already."""
        errors = self.own_errors()
        if len(errors) < _ERRORS_LIMIT:
            errors.append(entry)

    # ---- State ----------------------------------------------------------------------------------------------------

    def held_bytes(self) -> int:
        return super().held_bytes() + self.queued_bytes

    def memory_use(self) -> tuple[int, int, int]:
        return self.queued_bytes, 0, self.drops

    def poll(self, waiter: PollWaiter | None) -> int:
        if waiter is not None:
            waiter.wait_on(self.waiters)
        state = POLLOUT | POLLWRNORM | POLLWRBAND
        if self.queue.head is not None:
            state |= POLLIN | POLLRDNORM
        if self.pending_error != 0 or self.has_errors():
            state |= POLLERR | (POLLPRI if self.is_on(SWITCH_SELECT_ERROR_QUEUE) else 0)
        if self.shutdown & _READ_DOWN != 0:
            state |= POLLIN | POLLRDNORM | POLLRDHUP
        if self.shutdown == _READ_DOWN | _WRITE_DOWN:
            state |= POLLHUP
        return state

    def input_queue(self) -> WaitQueue | None:
        return self.waiters

    def shut_down(self, how: int) -> None:
        if how != SHUT_RD and how != SHUT_WR and how != SHUT_RDWR:
            raise Errno(EINVAL)
        self.shutdown |= _READ_DOWN if how == SHUT_RD else _WRITE_DOWN if how == SHUT_WR else 3
        self.waiters.wake_all()
        if len(self.remote) == 0:
            raise Errno(ENOTCONN)  # though it is shut down, as on Linux

    def is_write_down(self) -> bool:
        return self.shutdown & _WRITE_DOWN != 0

    def takes_ring_commands(self) -> bool:
        return True

    def readable_bytes(self) -> int:
        packet = self.queue.head
        return 0 if packet is None else len(packet)

    def ioctl(self, command: int, argument: int) -> int:
        if command == FIONREAD:
            user.write_i32(UserAddr(argument), self.readable_bytes())
            return 0
        if command == SIOCOUTQ:
            user.write_i32(UserAddr(argument), 0)
            return 0
        return super().ioctl(command, argument)

    def close(self) -> None:
        super().close()  # until that has unbound it, datagrams still come in
        while self.queue.pop() is not None:
            pace(_DROP_COST)
        MEMORY.used -= self.queued_bytes
        self.queued_bytes = 0


