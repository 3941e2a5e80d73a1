"""Packet sockets: frames of an interface, below all protocols (packet(7)).

SOCK_RAW reads and writes frames with their link header, SOCK_DGRAM without. A socket sees received frames, and with
ETH_P_ALL sent ones too. A filter (SO_ATTACH_FILTER) runs before a frame is copied. Frames go to the socket's queue,
or into a ring that the program maps (ring/).

Context: system calls; `saw` runs in thread context and never sleeps.
"""

from typing import Final

from kernel.fs.constants import POLLERR, POLLIN, POLLOUT, POLLPRI, POLLRDNORM, POLLWRBAND, POLLWRNORM
from kernel.lang import (
    EFAULT,
    EINVAL,
    EMSGSIZE,
    ENETDOWN,
    ENOBUFS,
    ENODEV,
    ENOPROTOOPT,
    ENXIO,
    EOPNOTSUPP,
    EPERM,
    ESOCKTNOSUPPORT,
    Errno,
    UserAddr,
    final,
    span_of,
)
from kernel.lib import user
from kernel.lib.capabilities import CAP_NET_RAW
from kernel.lib.credentials import Credentials
from kernel.lib.order import Order, Walk
from kernel.lib.pace import PACE, pace, pace_or_end, spend
from kernel.mm.keeping import check_room_to_keep
from kernel.mm.objects import MemoryObject
from kernel.net.datagram.socket import FIONREAD, PACKET_OVERHEAD, SIOCOUTQ
from kernel.net.internet.sysctl import CORE
from kernel.net.link import ethernet
from kernel.net.link.device import NetworkDevice, Tap, device_by_index
from kernel.net.link.ethernet import ETHERNET_HEADER
from kernel.net.link.handout import Crowd, Handout
from kernel.net.link.loopback import BACKLOG
from kernel.net.link.network import FIRST_NETWORK, Network, PartMaker, register_part
from kernel.net.link.packet import CHECKSUM_PARTIAL, CHECKSUM_VERIFIED, PACKET_OUTGOING, Packet, PacketQueue
from kernel.net.link.part import Part
from kernel.net.packet.flow_hash import flow_hash
from kernel.net.packet.frame_membership import FrameMembership
from kernel.net.packet.ring.blocks import FEATURE_HASH
from kernel.net.packet.ring.layout import (
    LARGEST_OFFSET,
    STATUS_AVAILABLE,
    STATUS_COPY,
    STATUS_CSUM_NOT_READY,
    STATUS_CSUM_VALID,
    STATUS_GSO_TCP,
    STATUS_TIME_BY_SOFTWARE,
    STATUS_USER,
    STATUS_WRONG_FORMAT,
)
from kernel.net.packet.ring.receive import NO_SLOT, ReceiveRing
from kernel.net.packet.ring.rings import NOT_OURS, RX_RING, Rings
from kernel.net.packet.ring.transmit import TransmitRing
from kernel.net.sockets.ancillary import WANTS_TIME, put_mark, put_timestamps
from kernel.net.sockets.bpf import LOST
from kernel.net.sockets.families import register_family
from kernel.net.sockets.inet_options import int_bytes, int_of
from kernel.net.sockets.socket import (
    AF_PACKET,
    MSG_DONTWAIT,
    MSG_ERRQUEUE,
    MSG_PEEK,
    MSG_TRUNC,
    SOCK_DGRAM,
    SOCK_RAW,
    SWITCH_MARK,
    SWITCH_SELECT_ERROR_QUEUE,
    ControlMessage,
    Message,
    Socket,
)
from kernel.sched import PollWaiter, WaitQueue
from kernel.time import realtime_ns

SOL_PACKET: Final = 263
_ADD_MEMBERSHIP: Final = 1
_DROP_MEMBERSHIP: Final = 2
_AUXDATA: Final = 8
_ORIGDEV: Final = 9
_QDISC_BYPASS: Final = 20
_IGNORE_OUTGOING: Final = 23
_HEADER_LENGTH: Final = 11

_ETH_P_ALL: Final = 3
_SOCKADDR_LL: Final = 20
_SOCKADDR_LL_LEAST: Final = 12
_LARGEST_FRAME: Final = 65535
_MEMBERSHIP_BYTES: Final = 256  # what a membership counts, and may cost, against net.core.optmem_max
_MOST_OF_OTHERS: Final = 256  # sockets of a network that is not the first
_MOST_COST: Final = 250_000  # instructions that sockets may take in an operation: past that, such ones miss frames
_LOOK_COST: Final = 300  # instructions for each socket that is shown a frame
_DROP_COST: Final = 400  # and for each frame that is dropped when it closes
_UNDO_COST: Final = 15_000  # and for each membership that ends then
_RECKONED: Final = 1 << 40  # instructions, past which counting stops
_COPY_SHIFT: Final = 1  # bytes of a frame for each instruction of copying it
_SLOT_COST: Final = 3000  # instructions for sending a frame of a ring, besides those of its receivers
_RECEIVE_FLAGS: Final = MSG_PEEK | MSG_DONTWAIT | MSG_TRUNC | MSG_ERRQUEUE
_FLAGS: Final = 0x7FFF_FFFF  # the highest one has no effect (MSG_CMSG_COMPAT)


@final
class PacketSocket(Socket):
    """A socket of AF_PACKET. `protocol` is the EtherType in network byte order, as in socket(2)."""

    def __init__(self, kind: int, protocol: int, credentials: Credentials, network: Network) -> None:
        self.queue: PacketQueue = PacketQueue()
        self.waiters: WaitQueue = WaitQueue()
        self.rings: Rings = Rings(self.waiters)
        self.memberships: list[FrameMembership] = []
        super().__init__(AF_PACKET, kind, protocol, credentials.fsuid, credentials.fsgid, network)
        self.number: int = 0  # in the network's list; 0: it is not there
        self.ethertype: int = _swapped(protocol)  # 0: nothing is received
        self.device_index: int = 0  # 0: all
        self.queued_bytes: int = 0
        self.bypasses_queues: bool = False
        self.wants_auxdata: bool = False
        self.wants_origin: bool = False
        self.ignores_outgoing: bool = False
        try:
            _TAP.insert(self)
        except (Errno, MemoryError):
            self.release()
            raise

    def bind(self, address: bytes) -> None:
        """Choose an interface and a protocol. EINVAL, ENODEV."""
        if len(address) < _SOCKADDR_LL:
            raise Errno(EINVAL)
        if address[0] | address[1] << 8 != AF_PACKET:
            raise Errno(EINVAL)
        index = span_of(address).load_u32(4) & 0x7FFF_FFFF
        if index != 0:
            device = device_by_index(self.network, index)
            if device is None:
                raise Errno(ENODEV)
            if not device.is_up():
                self.pending_error = ENETDOWN
        self.device_index = index
        protocol = address[2] << 8 | address[3]
        if protocol != 0:
            self.ethertype = protocol
            self.protocol = _swapped(protocol)

    def local_address(self) -> bytes:
        device = device_by_index(self.network, self.device_index)
        address = b"" if device is None else device.address
        whole = _sockaddr(self.ethertype, self.device_index, device, 0, address)
        return whole[: _SOCKADDR_LL_LEAST + len(address)]

    def peer_address(self) -> bytes:
        raise Errno(EOPNOTSUPP)

    # ---- Receiving ------------------------------------------------------------------------------------------------

    def saw(self, packet: Packet, device: NetworkDevice, is_outgoing: bool) -> None:
        """Take a passing frame, with its link header. May raise MemoryError."""
        if self.ethertype == 0 or (self.device_index != 0 and self.device_index != device.index):
            return
        if self.ethertype != _ETH_P_ALL and (self.ethertype != packet.protocol or is_outgoing):
            return
        if is_outgoing and self.ignores_outgoing:
            return
        start = packet.start + (ETHERNET_HEADER if self.kind == SOCK_DGRAM and device.has_header else 0)
        length = packet.end - start
        filter_ = self.filter
        if filter_ is not None:
            wanted = filter_.wanted(packet, start, None)
            self.rings.counts.drops += 1 if wanted == LOST else 0
            length = min(length, wanted)
            if length <= 0:
                return
        ring = self.rings.receive
        if ring is not None:
            self._record(ring, packet, device, start, length)
            return
        if self.queued_bytes >= self.receive_limit:
            self.rings.counts.drops += 1
            return
        spend(len(packet.storage) >> _COPY_SHIFT)
        copy = packet.copy()
        copy.device = device
        if self.is_on(WANTS_TIME):
            copy.received_ns = realtime_ns()
        copy.start = start
        copy.original_length = len(copy)
        copy.trim(length)
        self._enqueue(copy)
        self.rings.counts.packets += 1
        self.waiters.wake_all()

    def _enqueue(self, copy: Packet) -> None:
        self.queued_bytes += len(copy.storage) + PACKET_OVERHEAD
        self.queue.append(copy)

    def _record(self, ring: ReceiveRing, packet: Packet, device: NetworkDevice, start: int, wanted: int) -> None:
        """Put a packet, seen from `start` on, into the ring: `wanted` bytes of it, or as many as fit."""
        record = ring.record
        spend(wanted >> _COPY_SHIFT)
        record.status = STATUS_USER | _checksum_status(packet)
        record.length = packet.end - start
        has_header = self.kind == SOCK_RAW and device.has_header
        record.place(ring.request.version, self.rings.reserve, ETHERNET_HEADER if has_header else 0)
        if not ring.has_room() or record.network_offset > LARGEST_OFFSET:
            self.rings.counts.drops += 1
            return
        record.kept = wanted
        whole: Packet | None = None
        if record.link_offset + wanted > ring.largest():
            if ring.copies_what_is_cut() and self.rings.copy_threshold != 0:
                whole = self._whole_copy(packet, start)
            record.kept = max(ring.largest() - record.link_offset, 0)  # fits: both are of 32 bits
            if not ring.copies_what_is_cut():
                record.link_offset = min(record.link_offset, ring.largest())
        slot = ring.take_slot(record.link_offset + record.kept)
        if slot == NO_SLOT:
            self.rings.counts.drops += 1
            self.waiters.wake_all()
            return
        self.rings.counts.packets += 1
        if whole is not None:
            record.status |= STATUS_COPY
            self._enqueue(whole)
        record.time_ns = realtime_ns()
        if self.is_on(WANTS_TIME):
            record.status |= STATUS_TIME_BY_SOFTWARE
        if ring.request.features & FEATURE_HASH != 0:
            record.hash = flow_hash(packet)
        address = _sockaddr(packet.protocol, device.index, device, packet.link_kind, _source_of(packet, device))
        ring.fill(slot, record, address, span_of(packet.storage)[start : start + record.kept])

    def _whole_copy(self, packet: Packet, start: int) -> Packet | None:
        """A copy for the queue, if there is room and memory. It has no source, as on Linux."""
        if self.queued_bytes >= self.receive_limit:
            return None
        try:
            copy = packet.copy()
        except MemoryError:
            return None
        copy.device = None
        copy.start = start
        return copy

    def receive(self, message: Message) -> int:
        if message.flags & _FLAGS & ~_RECEIVE_FLAGS != 0:
            raise Errno(EINVAL)
        deadline_ns = self.receive_deadline(message.flags)
        while True:
            if self.pending_error != 0:
                raise Errno(self.take_error())
            packet = self.queue.head
            if packet is not None:
                break
            self.wait(self.waiters, deadline_ns)
        # What needs memory comes before the packet leaves the queue.
        device = packet.device
        if device is None:
            message.address = _sockaddr(packet.protocol, 0, None, 0, b"")
        else:
            source = _source_of(packet, device)
            message.address = _sockaddr(packet.protocol, device.index, device, packet.link_kind, source)
        if message.wants_control:
            message.control = self._control_of(packet)
        if message.flags & MSG_PEEK == 0:
            self.queue.pop()
            self.queued_bytes -= len(packet.storage) + PACKET_OVERHEAD
        length = len(packet)
        room = min(length, message.buffer.remaining)
        if message.buffer.put(packet.span()[0:room]) < room:
            raise Errno(EFAULT)
        if room < length:
            message.result_flags |= MSG_TRUNC
        return length if message.flags & MSG_TRUNC != 0 else room

    def _control_of(self, packet: Packet) -> list[ControlMessage] | None:
        found: list[ControlMessage] = []
        put_timestamps(self, packet.received_ns, found)
        if self.is_on(SWITCH_MARK):
            put_mark(packet.mark, found)
        if self.wants_auxdata:
            found.append(ControlMessage(SOL_PACKET, _AUXDATA, _auxiliary(packet)))
        return found if len(found) > 0 else None

    # ---- Sending --------------------------------------------------------------------------------------------------

    def send(self, message: Message) -> int:
        index = self.device_index
        protocol = self.ethertype
        target = b""
        address = message.address
        if len(address) != 0 or message.has_empty_address:
            if len(address) < _SOCKADDR_LL or len(address) < _SOCKADDR_LL_LEAST + address[11]:
                raise Errno(EINVAL)  # nobody looks at the family
            protocol = address[2] << 8 | address[3]
            index = span_of(address).load_u32(4) & 0x7FFF_FFFF
            target = address[12:18] if address[11] >= 6 and len(address) >= 18 else b""
        device = device_by_index(self.network, index)
        if device is None:
            raise Errno(ENXIO)
        if not device.is_up():
            raise Errno(ENETDOWN)
        message.sent_control()  # it is checked, and says nothing to this socket
        ring = self.rings.transmit
        if ring is not None:
            return self._send_ring(ring, device, target, protocol)
        header = ETHERNET_HEADER if self.kind == SOCK_RAW and device.has_header else 0
        length = message.buffer.remaining
        if length > device.mtu + header or length > _LARGEST_FRAME:
            raise Errno(EMSGSIZE)
        if length < header or (self.kind == SOCK_DGRAM and device.has_header and len(target) != 6):
            raise Errno(EINVAL)
        packet = Packet(length)
        if message.buffer.take(packet.put(length)) < length:
            raise Errno(EFAULT)
        if device.network is not self.network:
            raise Errno(ENXIO)  # it has gone while the copy slept
        if not device.is_up():
            raise Errno(ENETDOWN)
        self._transmit(packet, device, target, protocol)
        ethernet.drain()
        return length

    def _send_ring(self, ring: TransmitRing, device: NetworkDevice, target: bytes, protocol: int) -> int:
        """Send what the program left in the ring; returns how many bytes that was. A malformed slot ends it
        with an error, unless PACKET_LOSS says to skip it. Between two slots others run, who may fill more of them, free
        the ring, or take the interface away. Raises EINTR if the thread is being killed.
        """
        header = ETHERNET_HEADER if self.kind == SOCK_RAW and device.has_header else 0
        needs_target = self.kind == SOCK_DGRAM and device.has_header
        total = 0
        while self._may_go_on(ring, device) and ring.wants_to_send():
            try:
                packet = ring.take(device.mtu + header, self.rings.chooses_offset, self.kind == SOCK_DGRAM)
                if len(packet) < header or (needs_target and len(target) != 6):
                    raise Errno(EINVAL)
            except Errno:
                if not self.rings.goes_on_after_errors:
                    ring.set_status(STATUS_WRONG_FORMAT)
                    raise
                ring.set_status(STATUS_AVAILABLE)
                ring.advance()
                pace_or_end(_SLOT_COST)
                continue
            length = len(packet)
            total += length
            self._transmit(packet, device, target, protocol)
            ethernet.drain()
            ring.set_status(STATUS_AVAILABLE)
            ring.advance()
            pace_or_end(_SLOT_COST + (length >> _COPY_SHIFT))
        return total

    def _may_go_on(self, ring: TransmitRing, device: NetworkDevice) -> bool:
        """Whether a ring is still the socket's, and an interface is up and in its network."""
        return self.rings.transmit is ring and device.network is self.network and device.is_up()

    def _transmit(self, packet: Packet, device: NetworkDevice, target: bytes, protocol: int) -> None:
        packet.mark = self.mark
        if self.kind == SOCK_DGRAM:
            packet.network_start = packet.start
            ethernet.send(packet, device, target, protocol)
            return
        if not device.has_header:
            packet.protocol = protocol
            packet.network_start = packet.start
            ethernet.send_frame(packet, device)
            return
        # What taps see: not what the frame says, if the sender says something else.
        packet.protocol = packet.span().load_be16(12) if protocol == 0 or protocol == _ETH_P_ALL else protocol
        packet.network_start = packet.start + ETHERNET_HEADER
        if device.is_loop:
            ethernet.loop_frame(packet, device)
        else:
            ethernet.send_frame(packet, device)

    # ---- State ----------------------------------------------------------------------------------------------------

    def poll(self, waiter: PollWaiter | None) -> int:
        if waiter is not None:
            waiter.wait_on(self.waiters)
        state = POLLOUT | POLLWRNORM | POLLWRBAND
        ring = self.rings.receive
        if self.queue.head is not None or (ring is not None and ring.has_arrivals()):
            state |= POLLIN | POLLRDNORM
        if self.pending_error != 0:
            state |= POLLERR | (POLLPRI if self.is_on(SWITCH_SELECT_ERROR_QUEUE) else 0)
        return state

    def held_bytes(self) -> int:
        memberships = len(self.memberships) * _MEMBERSHIP_BYTES
        return super().held_bytes() + self.queued_bytes + self.rings.size_bytes() + memberships

    def memory_use(self) -> tuple[int, int, int]:
        return self.queued_bytes, 0, self.rings.counts.drops

    def input_queue(self) -> WaitQueue | None:
        return self.waiters

    def check_level(self, level: int) -> None:
        if level != SOL_PACKET:
            raise Errno(ENOPROTOOPT)

    def least_of_value(self, level: int, name: int, length: int) -> int:
        self.check_level(level)
        return min(length, 4)

    def get_option(self, level: int, name: int, limit: int) -> bytes:
        self.check_level(level)
        if name == _AUXDATA:
            return int_bytes(1 if self.wants_auxdata else 0)
        if name == _ORIGDEV:
            return int_bytes(1 if self.wants_origin else 0)
        if name == _QDISC_BYPASS:
            return int_bytes(1 if self.bypasses_queues else 0)
        if name == _IGNORE_OUTGOING:
            return int_bytes(1 if self.ignores_outgoing else 0)
        value = self.rings.get_option(name)
        if value == NOT_OURS:
            raise Errno(ENOPROTOOPT)
        return value

    def reads_option_place(self, level: int, name: int) -> bool:
        return level == SOL_PACKET and name == _HEADER_LENGTH

    def answer_option(self, level: int, name: int, request: bytes) -> bytes:
        return self.rings.header_length(request)

    def set_option(self, level: int, name: int, value: bytes) -> None:
        if level != SOL_PACKET:
            raise Errno(ENOPROTOOPT)
        if name == _ADD_MEMBERSHIP or name == _DROP_MEMBERSHIP:
            self._change_membership(value, name == _ADD_MEMBERSHIP)
        elif name == _QDISC_BYPASS:
            if len(value) != 4:
                raise Errno(EINVAL)
            self.bypasses_queues = int_of(value) != 0  # there are none
        elif name == _AUXDATA:
            self.wants_auxdata = int_of(value) != 0
        elif name == _ORIGDEV:
            self.wants_origin = int_of(value) != 0
        elif name == _IGNORE_OUTGOING:
            if len(value) != 4 or not 0 <= int_of(value) <= 1:
                raise Errno(EINVAL)
            number = int_of(value)
            self.ignores_outgoing = number == 1
        elif not self.rings.set_option(name, value):
            raise Errno(ENOPROTOOPT)
        elif name == RX_RING:
            self._clear_queue()

    def _clear_queue(self) -> None:
        while self.queue.pop() is not None:
            pace(_DROP_COST)
        self.queued_bytes = 0

    def mapped_part(self, offset: int, size_bytes: int) -> MemoryObject:
        return self.rings.mapping(self, offset, size_bytes)

    def _change_membership(self, value: bytes, is_adding: bool) -> None:
        """struct packet_mreq: frames that the interface is to hand up besides its own. EINVAL, ENODEV; ENOBUFS for too
        many (Linux lets a socket have as many as there is memory for).
        """
        if len(value) < 16:
            raise Errno(EINVAL)
        span = span_of(value)
        index = span.load_u32(0) & 0x7FFF_FFFF
        kind = span.load_u16(4)
        length = span.load_u16(6)
        if len(value) < 8 + length:
            raise Errno(EINVAL)
        wanted = FrameMembership(index, kind, value[8 : 8 + length] if length <= 8 else b"")
        if not is_adding:
            for held in self.memberships:
                if held.is_like(wanted):
                    held.users -= 1
                    if held.users == 0:
                        self.memberships.remove(held)
                        held.undo()
                    return
            return
        device = device_by_index(self.network, index)
        if device is None:
            raise Errno(ENODEV)
        if length > len(device.address):
            raise Errno(EINVAL)
        for held in self.memberships:
            if held.is_like(wanted):
                held.users += 1
                return
        if (len(self.memberships) + 1) * _MEMBERSHIP_BYTES >= CORE.optmem(self.network):
            raise Errno(ENOBUFS)
        check_room_to_keep()
        self.memberships.append(wanted)
        try:
            wanted.apply(device)
        except (Errno, MemoryError):
            self.memberships.pop()
            raise

    def ioctl(self, command: int, argument: int) -> int:
        if command == FIONREAD:
            packet = self.queue.head
            user.write_i32(UserAddr(argument), 0 if packet is None else len(packet))
            return 0
        if command == SIOCOUTQ:
            user.write_i32(UserAddr(argument), 0)
            return 0
        return super().ioctl(command, argument)

    def close(self) -> None:
        _TAP.remove(self)
        for held in self.memberships:
            held.undo()
            pace(_UNDO_COST)  # listeners hear of each interface
        self.memberships.clear()
        self._clear_queue()
        self.rings.close()
        super().close()


def _swapped(value: int) -> int:
    """A 16-bit number in the other byte order."""
    return (value & 0xFF) << 8 | value >> 8 & 0xFF


def _sockaddr(protocol: int, index: int, device: NetworkDevice | None, kind: int, address: bytes) -> bytes:
    """A struct sockaddr_ll."""
    result = bytearray(_SOCKADDR_LL)
    span = span_of(result)
    span.store_u16(0, AF_PACKET)
    span.store_be16(2, protocol)
    span.store_u32(4, index)
    span.store_u16(8, 0 if device is None else device.kind)
    result[10] = kind
    result[11] = len(address)
    span[12 : 12 + len(address)].copy_from(span_of(address))
    return bytes(result)


def _source_of(packet: Packet, device: NetworkDevice) -> bytes:
    """The source link address of a packet; none where the link has none."""
    if not device.has_header:
        return b""
    return span_of(packet.storage)[packet.link_start + 6 : packet.link_start + 12].to_bytes()


def _checksum_status(packet: Packet) -> int:
    """The TP_STATUS_* bits for the packet's transport checksum, and for several segments in one packet."""
    status = 0
    if packet.checksum == CHECKSUM_PARTIAL:
        status = STATUS_CSUM_NOT_READY
    elif packet.checksum == CHECKSUM_VERIFIED and packet.link_kind != PACKET_OUTGOING and not packet.from_ourselves:
        status = STATUS_CSUM_VALID if packet.checksum_offset == 0 else STATUS_CSUM_NOT_READY
    return status | STATUS_GSO_TCP if packet.segment_size != 0 else status


def _auxiliary(packet: Packet) -> bytes:
    """A struct tpacket_auxdata: above all, whether the transport's checksum is still missing."""
    result = bytearray(20)
    span = span_of(result)
    span.store_u32(0, STATUS_USER | _checksum_status(packet))
    span.store_u32(4, packet.original_length)
    span.store_u32(8, len(packet))
    span.store_u16(14, ETHERNET_HEADER if packet.start == packet.link_start else 0)
    return bytes(result)


@final
class PacketSockets(Part):
    """A network's packet sockets. The network shows them frames while there are any."""

    def __init__(self) -> None:
        super().__init__()
        self.sockets: Order[PacketSocket] = Order()  # in the order of their creation
        self.last: int = 0  # the number that was given last
        self.count: int = 0
        self.crowd: Crowd = Crowd()


@final
class _Maker(PartMaker):
    def make(self, network: Network) -> None:
        network.packet_sockets = PacketSockets()


register_part(_Maker())


def packet_sockets_of(network: Network) -> PacketSockets:
    """The packet sockets of a network."""
    part = network.packet_sockets
    assert isinstance(part, PacketSockets)
    return part


@final
class PacketTap(Tap):
    """The tap through which a network shows them its frames."""

    def insert(self, socket: PacketSocket) -> None:
        """Enter a socket. ENOBUFS for too many of them, MemoryError."""
        part = packet_sockets_of(socket.network)
        if socket.network is not FIRST_NETWORK and part.count >= _MOST_OF_OTHERS:
            raise Errno(ENOBUFS)
        part.sockets.put(part.last + 1, socket)
        if part.count == 0:
            try:
                socket.network.taps.append(self)
            except MemoryError:
                part.sockets.remove(part.last + 1)
                raise
            socket.network.onlookers += 1
        part.last += 1
        part.count += 1
        socket.number = part.last

    def remove(self, socket: PacketSocket) -> None:
        part = packet_sockets_of(socket.network)
        if socket.number != 0:
            part.sockets.remove(socket.number)
            socket.number = 0
            part.count -= 1
            if part.count == 0:
                socket.network.taps.remove(self)
                socket.network.onlookers -= 1

    def saw(self, packet: Packet, device: NetworkDevice, is_outgoing: bool) -> None:
        part = packet_sockets_of(device.network)
        if part.crowd.is_busy():
            _leave_rest(part, 0, packet, device, is_outgoing)
            return
        before = _left()
        shown = max(0, min(BACKLOG.shown_cost, _RECKONED))
        floor = before + shown - _MOST_COST
        is_limited = device.network is not FIRST_NETWORK
        walk = Walk(part.sockets)
        socket = walk.next()
        while socket is not None:
            spend(_LOOK_COST)
            if PACE.left >= floor:
                socket.saw(packet, device, is_outgoing)
            elif is_limited:
                socket.rings.counts.drops += 1
            else:
                _leave_rest(part, socket.number, packet, device, is_outgoing)
                break
            socket = walk.next()
        BACKLOG.shown_cost = shown + before - _left()


@final
class _FrameHandout(Handout):
    """A frame for packet sockets. The walk meets all that stay."""

    def __init__(self, walk: Walk[PacketSocket], packet: Packet, device: NetworkDevice, is_outgoing: bool) -> None:
        super().__init__(len(packet.storage) + PACKET_OVERHEAD)
        self.walk: Walk[PacketSocket] = walk
        self.packet: Packet = packet
        self.device: NetworkDevice = device
        self.is_outgoing: bool = is_outgoing

    def serve(self) -> bool:
        socket = self.walk.next()
        if socket is None:
            return False
        spend(_LOOK_COST)
        socket.saw(self.packet, self.device, self.is_outgoing)
        return True


def _leave_rest(
    part: PacketSockets, following: int, packet: Packet, device: NetworkDevice, is_outgoing: bool
) -> None:
    """Have the network thread show a frame to the sockets from a number on. They miss one for which there is no room.
    May raise MemoryError.
    """
    spend(len(packet.storage) >> _COPY_SHIFT)
    if part.crowd.has_room(len(packet.storage) + PACKET_OVERHEAD):
        part.crowd.put(_FrameHandout(Walk(part.sockets, following), packet.copy(), device, is_outgoing))


def _left() -> int:
    """Instructions until the next safe point, or how late it is (negative)."""
    return max(-_RECKONED, min(PACE.left, _RECKONED))


_TAP: Final = PacketTap()


def make_packet_socket(kind: int, protocol: int, credentials: Credentials, network: Network) -> Socket:
    """Create a socket of AF_PACKET. EPERM, ESOCKTNOSUPPORT, ENOBUFS."""
    if not credentials.capable_in(network.owner, CAP_NET_RAW):
        raise Errno(EPERM)
    if kind != SOCK_RAW and kind != SOCK_DGRAM:
        raise Errno(ESOCKTNOSUPPORT)
    return PacketSocket(kind, protocol & 0xFFFF, credentials, network)


register_family(AF_PACKET, make_packet_socket)
