"""Interfaces whose other end is a program: it reads the packets they send, and they receive what it writes (tun(4)).

A tun interface has packets without link headers, a tap interface Ethernet frames. The program has a descriptor of
/dev/net/tun (`kernel/net/control/tun_file.py`) with a `TunQueue`, in which packets wait for it. Without one, the
interface has no carrier and drops the packets it should send; unless it is persistent it ends with the descriptor.

Invariants: a queue's `device` and that device's `queue` refer to each other, or neither does. A queue holds no more
packets than the interface's `queue_length`, and all queues together no more bytes than `TUN_ROOM` has.

Context: thread context; nothing sleeps.
Source: Linux's Documentation/networking/tuntap.rst; <linux/if_tun.h>; VIRTIO 1.2, 5.1.6 (struct virtio_net_hdr).
"""

from typing import TYPE_CHECKING, Final

from kernel.lang import EINVAL, Errno, Span, final, noraise, u8
from kernel.lib.ids import NO_GROUP, NO_USER, KernelGid, KernelUid
from kernel.net.link import ethernet
from kernel.net.link.device import (
    ARPHRD_ETHER,
    ARPHRD_NONE,
    IFF_BROADCAST,
    IFF_MULTICAST,
    IFF_NOARP,
    IFF_POINTOPOINT,
    OFFLOAD_CHECKSUM,
    OFFLOAD_TCP4,
    OFFLOAD_TCP6,
    NetworkDevice,
)
from kernel.net.link.ethernet import ETHERNET_HEADER, ETHERTYPE_IP4, ETHERTYPE_IP6
from kernel.net.link.loopback import BACKLOG, is_first
from kernel.net.link.packet import (
    CHECKSUM_NONE,
    CHECKSUM_PARTIAL,
    CHECKSUM_VERIFIED,
    Packet,
    PacketQueue,
)
from kernel.net.link.segmentation import headers_length
from kernel.sched import WaitQueue

if TYPE_CHECKING:
    from kernel.net.link.network import Network

# Flags of an interface (TUNSETIFF).
IFF_TUN: Final = 0x1
IFF_TAP: Final = 0x2
IFF_NAPI: Final = 0x10
IFF_NO_CARRIER: Final = 0x40
IFF_PERSIST: Final = 0x800
IFF_NO_PI: Final = 0x1000
IFF_ONE_QUEUE: Final = 0x2000
IFF_VNET_HDR: Final = 0x4000
FEATURES: Final = IFF_NAPI | IFF_NO_PI | IFF_ONE_QUEUE | IFF_VNET_HDR
"""What a descriptor may ask for. IFF_NAPI and IFF_ONE_QUEUE have no effect that a program could see."""

PI_SIZE: Final = 4  # struct tun_pi: flags, EtherType
PI_STRIP: Final = 1  # the packet did not fit
OFFLOAD_HEADER: Final = 10  # struct virtio_net_hdr, the least size with IFF_VNET_HDR
_NEEDS_CHECKSUM: Final = 1
_DATA_VALID: Final = 2
_GSO_TCP4: Final = 1
_GSO_TCP6: Final = 4
_GSO_ECN: Final = 0x80
_CWR_OFFSET: Final = 13
_CWR: Final = 0x80
_CHECKSUM_SIZE: Final = 2
_MOST_SEGMENTS: Final = 256  # of one packet: cutting it is a single stretch of work

_MTU: Final = 1500
_MOST_MTU: Final = 65_535
_TUN_QUEUE_LENGTH: Final = 500
_OVERHEAD: Final = 1024  # bytes of a waiting packet besides its storage


@final
class TunRoom:
    """Bytes that wait in queues, counted separately for the first network, as for frames of pairs (`loopback.py`)."""

    def __init__(self) -> None:
        self.of_first: int = 0
        self.of_others: int = 0

    def add(self, size_bytes: int, in_first: bool) -> None:
        """Count that many more waiting bytes, or fewer."""
        if in_first:
            self.of_first += size_bytes
        else:
            self.of_others += size_bytes

    def has_room(self, size_bytes: int, held_bytes: int, in_first: bool) -> bool:
        """Whether a queue that holds `held_bytes` may take more: it may hold no more than it leaves to others."""
        used = (self.of_first if in_first else self.of_others) + held_bytes
        most = BACKLOG.of_first.most_bytes if in_first else BACKLOG.of_others.most_bytes
        return used + size_bytes <= most


TUN_ROOM: Final = TunRoom()


@final
class TunQueue:
    """The packets that wait for the program with the descriptor."""

    def __init__(self, in_first: bool) -> None:
        self.in_first: bool = in_first  # the descriptor was opened in the first network, whose room it uses
        self.device: TunDevice | None = None
        self.packets: PacketQueue = PacketQueue()
        self.held_bytes: int = 0
        self.readers: WaitQueue = WaitQueue()
        self.writers: WaitQueue = WaitQueue()

    def add(self, packet: Packet, limit: int) -> bool:
        """Append a packet, of which there may be `limit`. False: there is no room."""
        size_bytes = len(packet.storage) + _OVERHEAD
        if self.packets.count >= limit or not TUN_ROOM.has_room(size_bytes, self.held_bytes, self.in_first):
            return False
        self.held_bytes += size_bytes
        TUN_ROOM.add(size_bytes, self.in_first)
        self.packets.append(packet)
        self.readers.wake_all()
        return True

    def take(self) -> Packet | None:
        """Remove and return the first packet."""
        packet = self.packets.pop()
        if packet is not None:
            size_bytes = len(packet.storage) + _OVERHEAD
            self.held_bytes -= size_bytes
            TUN_ROOM.add(-size_bytes, self.in_first)
        return packet

    @noraise
    def clear(self) -> None:
        """Drop all waiting packets."""
        while self.take() is not None:
            pass


@final
class TunDevice(NetworkDevice):
    """A tun or tap interface."""

    def __init__(self, network: "Network", name: bytes, mode: int, address: bytes) -> None:
        """`mode` is IFF_TUN or IFF_TAP; `address` is a tap interface's."""
        is_tap = mode == IFF_TAP
        super().__init__(network, name, ARPHRD_ETHER if is_tap else ARPHRD_NONE, address, _MTU)
        self.flags = IFF_BROADCAST | IFF_MULTICAST if is_tap else IFF_POINTOPOINT | IFF_NOARP | IFF_MULTICAST
        self.max_mtu = _MOST_MTU - ETHERNET_HEADER if is_tap else _MOST_MTU
        self.virtual_kind = b"tun"
        if not is_tap:
            self.queue_length = _TUN_QUEUE_LENGTH
        self.standing.is_unknown = True
        self.mode: int = mode
        self.features: int = 0  # of FEATURES, and IFF_PERSIST
        self.header_size: int = OFFLOAD_HEADER  # with IFF_VNET_HDR
        self.owner: KernelUid = NO_USER  # who else may attach a descriptor; NO_USER: anyone
        self.group: KernelGid = NO_GROUP
        self.queue: TunQueue | None = None

    def is_tap(self) -> bool:
        return self.mode == IFF_TAP

    def shown_flags(self) -> int:
        """The flags as TUNGETIFF and /sys show them."""
        return self.mode | self.features

    def has(self, feature: int) -> bool:
        return self.features & feature != 0

    def transmit(self, packet: Packet) -> bool:
        queue = self.queue
        if queue is None:
            return False
        packet.from_ourselves = False
        packet.cut_ties()
        return queue.add(packet, self.queue_length)

    def set_up(self) -> None:
        queue = self.queue
        if queue is not None:
            queue.writers.wake_all()

    def has_ended(self) -> None:
        queue = detach(self)
        if queue is not None:
            queue.readers.wake_all()
            queue.writers.wake_all()


def attach(device: TunDevice, queue: TunQueue) -> None:
    """Have the device send to the holder of a queue; it had none, and the queue had no device."""
    device.queue = queue
    queue.device = device


@noraise
def detach(device: TunDevice) -> TunQueue | None:
    """Separate a device from its queue; waiting packets are lost."""
    queue = device.queue
    device.queue = None
    if queue is not None:
        queue.device = None
        queue.clear()
    return queue


def set_offload(device: TunDevice, wanted: int) -> None:
    """TUNSETOFFLOAD: what the program can process in the packets it reads (TUN_F_*). Raises EINVAL for unknown flags.
    Segments of UDP (TUN_F_USO*, TUN_F_UFO) never come.
    """
    offload = 0
    left = wanted
    if left & 0x1 != 0:
        offload |= OFFLOAD_CHECKSUM
        left &= ~0x1
        if left & 0x6 != 0:
            if left & 0x2 != 0:
                offload |= OFFLOAD_TCP4
            if left & 0x4 != 0:
                offload |= OFFLOAD_TCP6
            left &= ~0xE
        left &= ~0x10
        if left & 0x60 == 0x60:
            left &= ~0x60
    if left != 0:
        raise Errno(EINVAL)
    device.offload = offload


# ---- Packets that the program reads ---------------------------------------------------------------------------------


def put_offload_header(header: Span[u8], packet: Packet) -> None:
    """Fill a struct virtio_net_hdr, which is zero: the work still to be done on the packet."""
    if packet.segment_size != 0:
        frame = packet.span()
        network = packet.network_start - packet.start
        transport = packet.checksum_start - packet.start
        header[1] = _GSO_TCP4 if frame[network] >> 4 == 4 else _GSO_TCP6
        if frame[transport + _CWR_OFFSET] & _CWR != 0:
            header[1] |= _GSO_ECN
        header.store_u16(2, headers_length(packet))
        header.store_u16(4, packet.segment_size)
    if packet.checksum == CHECKSUM_PARTIAL:
        header[0] = _NEEDS_CHECKSUM
        header.store_u16(6, packet.checksum_start - packet.start)
        header.store_u16(8, packet.checksum_offset)
    elif packet.checksum == CHECKSUM_VERIFIED:
        header[0] = _DATA_VALID


def put_packet_information(header: Span[u8], packet: Packet, is_cut: bool) -> None:
    """Fill a struct tun_pi."""
    header.store_u16(0, PI_STRIP if is_cut else 0)
    header.store_be16(2, packet.protocol)


# ---- Packets that the program writes --------------------------------------------------------------------------------


def headers_said(header: Span[u8]) -> int:
    """The least number of header bytes that a struct virtio_net_hdr implies."""
    length = header.load_u16(2)
    if header[0] & _NEEDS_CHECKSUM != 0:
        length = max(length, header.load_u16(6) + header.load_u16(8) + _CHECKSUM_SIZE)
    return length


def note_offload(packet: Packet, header: Span[u8], is_tap: bool) -> None:
    """Note what a struct virtio_net_hdr says about a written packet: parts not yet summed cannot have been corrupted.
    Raises EINVAL for unknown segments (UDP's), for too many, or a header that does not fit the packet.
    """
    kind = header[1] & ~_GSO_ECN
    link_header = ETHERNET_HEADER if is_tap else 0
    packet.network_start = packet.start + link_header
    if kind != 0:
        size = header.load_u16(4)
        headers = headers_length(packet)
        if (kind != _GSO_TCP4 and kind != _GSO_TCP6) or size == 0 or headers == 0:
            raise Errno(EINVAL)
        if len(packet) - headers > size * _MOST_SEGMENTS or len(packet) - link_header > _MOST_MTU:
            raise Errno(EINVAL)
        packet.segment_size = size
    if header[0] & _NEEDS_CHECKSUM != 0:
        start = header.load_u16(6)
        offset = header.load_u16(8)
        if start + offset + _CHECKSUM_SIZE > len(packet):
            raise Errno(EINVAL)
        packet.checksum = CHECKSUM_VERIFIED
        packet.checksum_start = packet.start + start
        packet.checksum_offset = offset
    elif header[0] & _DATA_VALID != 0:
        packet.checksum = CHECKSUM_VERIFIED
    else:
        packet.checksum = CHECKSUM_NONE


def protocol_of(packet: Packet) -> int:
    """The EtherType of a packet without a link header, from its version of IP. Raises EINVAL for other packets."""
    version = packet.span()[0] >> 4 if len(packet) > 0 else 0
    if version == 4:
        return ETHERTYPE_IP4
    if version == 6:
        return ETHERTYPE_IP6
    raise Errno(EINVAL)


def receive_written(device: TunDevice, packet: Packet) -> None:
    """Receive a packet that a program has written, now or in the device's turn."""
    if not BACKLOG.put_frame(packet, device, is_first(device)):
        device.traffic.received_dropped += 1
    ethernet.drain()
