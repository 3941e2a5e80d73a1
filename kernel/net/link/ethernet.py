"""The link layer: adding and removing Ethernet headers, dispatch by EtherType, and taps that see everything.

Drivers hand packets in through `receive`; `send` is the way out. Loopback packets take the same path without a header.

Code that sends in thread context, a system call or a timer, calls `drain` at the end: it delivers the packets sent to
the loopback interface in the meantime.

Context: thread context; nothing sleeps, nothing raises: a packet for which there is no memory is dropped and counted.
Source: IEEE 802.3, RFC 894, packet(7).
"""

from typing import Final

from kernel.lang import Errno, Span, final, inline, noinline, noraise, recursion, span_of, u8
from kernel.lib.pace import PACE, spend
from kernel.net.link.checksum import checksum
from kernel.net.link.device import (
    OFFLOAD_CHECKSUM,
    OFFLOAD_GATHER,
    DeviceWatcher,
    NetworkDevice,
    register_device,
    watch_devices,
)
from kernel.net.link.loopback import BACKLOG
from kernel.net.link.network import LOOPBACK
from kernel.net.link.packet import (
    CHECKSUM_NONE,
    CHECKSUM_PARTIAL,
    PACKET_BROADCAST,
    PACKET_HOST,
    PACKET_MULTICAST,
    PACKET_OTHERHOST,
    PACKET_OUTGOING,
    Packet,
)
from kernel.net.link.segmentation import Segmenter

ETHERNET_HEADER: Final = 14
ETHERTYPE_IP4: Final = 0x0800
ETHERTYPE_ARP: Final = 0x0806
ETHERTYPE_IP6: Final = 0x86DD
_SHARE: Final = 200_000  # instructions to spend on delivering at once; see `kernel.lib.pace.spend`
_LATEST: Final = 200_000  # instructions past the time for a safe point: then the network thread delivers
_PACKET_COST: Final = 2500  # for delivering one, besides what its receivers report to have spent
_ASIDE_COST: Final = 100
_CUT_COST: Final = 2500  # for one segment of a large one
SMALLEST_ETHERTYPE: Final = 0x600  # below: a length (IEEE 802.3)
_MOST_ROUNDS: Final = 8  # interfaces on top of one another


class LinkProtocol:
    """Base of protocols above the link layer."""

    def receive(self, packet: Packet) -> None:
        """Take a packet without its link header. May raise MemoryError: it is dropped."""


class LinkHook:
    """Filled by the network thread."""

    def left_over(self) -> None:
        """There is more to deliver: `drain` should be called soon."""


@final
class Link:
    """Protocols, and the thread that continues deliveries that take too long."""

    def __init__(self) -> None:
        self.ip4: LinkProtocol | None = None
        self.ip6: LinkProtocol | None = None
        self.arp: LinkProtocol | None = None
        self.hook: LinkHook = LinkHook()


LINK: Final = Link()


@noraise
def receive(packet: Packet) -> None:
    """Take a packet from a driver; it starts with its Ethernet header, and `packet.device` is set."""
    device = packet.device
    if device is None or not device.is_up():
        return
    if len(packet) < ETHERNET_HEADER or not device.has_header:
        _receive_bare(packet, device)
        return
    device.traffic.received_packets += 1
    device.traffic.received_bytes += len(packet)
    header = packet.span()
    packet.link_start = packet.start
    packet.protocol = header.load_be16(12)
    packet.from_ourselves = False
    try:
        packet.link_kind = kind_of(header, device)
        if len(device.network.taps) > 0:
            _show(packet, device, is_outgoing=False)
        if device.handler is not None and _is_handled(packet, device):
            return
        packet.pull(ETHERNET_HEADER)
        if packet.link_kind != PACKET_OTHERHOST and packet.protocol >= SMALLEST_ETHERTYPE:
            _deliver(packet)
    except (Errno, MemoryError):
        device.traffic.received_dropped += 1


@noinline
def _is_handled(packet: Packet, device: NetworkDevice) -> bool:
    """Offer a frame to the handler of an interface, then to that of the interface above it, and so on. False: the
    protocols are to get it. Raises Errno, MemoryError.
    """
    for _ in range(_MOST_ROUNDS):
        handler = device.handler
        if handler is None:
            return False
        if handler.handle(packet):
            return True
        above = packet.device
        if above is None or above is device:
            return above is None
        device = above
        if not device.is_up():
            return True
        device.traffic.received_packets += 1
        device.traffic.received_bytes += len(packet)
        if packet.link_kind == PACKET_OTHERHOST:
            packet.link_kind = kind_of(packet.span(), device)
        if len(device.network.taps) > 0:
            _show(packet, device, is_outgoing=False)
    return True


@noraise
@noinline
def _receive_bare(packet: Packet, device: NetworkDevice) -> None:
    """Take a packet without a link header, whose `protocol` is set, on an interface that has none. One too short for
    its network header is dropped.
    """
    if device.has_header:
        device.traffic.received_errors += 1
        return
    device.traffic.received_packets += 1
    device.traffic.received_bytes += len(packet)
    packet.link_start = packet.start
    packet.from_ourselves = False
    packet.link_kind = PACKET_HOST
    try:
        if len(device.network.taps) > 0:
            _show(packet, device, is_outgoing=False)
        _deliver(packet)
    except (Errno, MemoryError):
        device.traffic.received_dropped += 1


@inline
def kind_of(header: Span[u8], device: NetworkDevice) -> int:
    """For which host a frame is meant: PACKET_*."""
    if header[0] & 1 != 0:
        return PACKET_BROADCAST if header[0:6].to_bytes() == device.broadcast else PACKET_MULTICAST
    address = device.address
    for i in range(6):
        if header[i] != address[i]:
            return PACKET_OTHERHOST
    return PACKET_HOST


def _deliver(packet: Packet) -> None:
    protocol: LinkProtocol | None = None
    if packet.protocol == ETHERTYPE_IP4:
        protocol = LINK.ip4
    elif packet.protocol == ETHERTYPE_IP6:
        protocol = LINK.ip6
    elif packet.protocol == ETHERTYPE_ARP:
        protocol = LINK.arp
    if protocol is not None:
        protocol.receive(packet)


def _show(packet: Packet, device: NetworkDevice, is_outgoing: bool) -> None:
    packet.network_start = packet.link_start + (ETHERNET_HEADER if device.has_header else 0)
    if is_outgoing:
        packet.link_kind = PACKET_OUTGOING
    for tap in device.network.taps:
        tap.saw(packet, device, is_outgoing)


def send(packet: Packet, device: NetworkDevice, destination: bytes, protocol: int) -> None:
    """Send a packet of a protocol (ETHERTYPE_*) to a link address, 6 bytes. `destination` is ignored on loopback."""
    if not device.is_up():
        return
    packet.protocol = protocol
    if device.is_loop or not device.has_header:
        _send_bare(packet, device)
        return
    header = packet.push(ETHERNET_HEADER)
    header[0:6].copy_from(span_of(destination))
    header[6:12].copy_from(span_of(device.address))
    header.store_be16(12, protocol)
    send_frame(packet, device)


@inline
def _send_bare(packet: Packet, device: NetworkDevice) -> None:
    """Send a packet on an interface that has no link headers."""
    if not device.is_loop:
        send_frame(packet, device)
        return
    if len(device.network.taps) > 0:
        _show_loopback(packet, device)
    device.transmit(packet)


def send_frame(packet: Packet, device: NetworkDevice) -> None:
    """Send a packet that has its link header, on a device other than loopback."""
    packet.device = device
    packet.link_start = packet.start
    if packet.segment_size != 0 and not device.cuts(packet):
        _send_large(packet, device)
        return
    if packet.checksum == CHECKSUM_PARTIAL and device.offload & OFFLOAD_CHECKSUM == 0:
        complete_checksum(packet)
    if len(device.network.taps) > 0:
        try:
            _show(packet, device, is_outgoing=True)
        except MemoryError:
            device.traffic.sent_dropped += 1
    length = len(packet)
    if device.transmit(packet):
        device.traffic.sent_packets += 1
        device.traffic.sent_bytes += length
    else:
        device.traffic.sent_dropped += 1


@recursion(1)  # no segment is large
def _send_large(packet: Packet, device: NetworkDevice) -> None:
    """Send a TCP segment that the device does not cut. The driver cuts it if it can; but taps see single frames."""
    segmenter = Segmenter()
    if not segmenter.begin(packet, device.offload & OFFLOAD_CHECKSUM != 0):
        device.traffic.sent_dropped += 1
        return
    count = segmenter.count()
    if device.offload & OFFLOAD_GATHER != 0 and len(device.network.taps) == 0:
        length = len(packet) + (count - 1) * segmenter.headers
        if device.transmit(packet):
            device.traffic.sent_packets += count
            device.traffic.sent_bytes += length
        else:
            device.traffic.sent_dropped += count
        return
    spend(count * _CUT_COST)
    for done in range(count):
        try:
            frame = segmenter.next_packet(packet)
        except MemoryError:
            device.traffic.sent_dropped += count - done
            return
        send_frame(frame, device)


def complete_checksum(packet: Packet) -> None:
    """Do in software what CHECKSUM_PARTIAL asks of a device."""
    start = packet.checksum_start
    data = span_of(packet.storage)[start : packet.end]
    # The field holds the pseudo header's sum, so that the sum over everything includes it.
    data.store_be16(packet.checksum_offset, checksum(data))
    packet.checksum = CHECKSUM_NONE


def _show_loopback(packet: Packet, device: NetworkDevice) -> None:
    """Taps see a header of zeros there, and the packet twice: when it leaves and when it comes in."""
    header = packet.push(ETHERNET_HEADER)
    header.fill(0)
    header.store_be16(12, packet.protocol)
    packet.link_start = packet.start
    packet.device = device
    try:
        _show(packet, device, is_outgoing=True)
        packet.link_kind = PACKET_HOST
        _show(packet, device, is_outgoing=False)
    except MemoryError:
        device.traffic.sent_dropped += 1
    packet.pull(ETHERNET_HEADER)


def loop_frame(packet: Packet, device: NetworkDevice) -> None:
    """Send a packet that has its link header to a loopback interface: it comes in as the header says."""
    packet.device = device
    packet.link_start = packet.start
    header = packet.span()
    try:
        if len(device.network.taps) > 0:
            _show(packet, device, is_outgoing=True)
        packet.protocol = header.load_be16(12)
        packet.link_kind = kind_of(header, device)
        if len(device.network.taps) > 0:
            _show(packet, device, is_outgoing=False)
    except MemoryError:
        device.traffic.sent_dropped += 1
    packet.pull(ETHERNET_HEADER)
    if packet.link_kind != PACKET_OTHERHOST:
        device.transmit(packet)


def drain() -> None:
    """Deliver the packets that wait in software interfaces, and those sent there in consequence. Packets may circulate
    for long, and may be much work, so after a share, or if sending was late, the network thread goes on.
    """
    if BACKLOG.is_draining:
        return
    if BACKLOG.frame_count != 0:
        _drain_frames(_floor())
        return
    packet = BACKLOG.queue.pop()
    if packet is None:
        BACKLOG.shown_cost = 0
        return
    BACKLOG.is_draining = True
    floor = _floor()
    while PACE.left > floor:
        _receive_loop(packet)
        packet = BACKLOG.queue.pop()
        if packet is None:
            break
        spend(_PACKET_COST)
    if packet is not None:
        BACKLOG.set_aside(packet)
        _drain_frames(floor)
        return
    BACKLOG.is_draining = False
    BACKLOG.shown_cost = 0
    if BACKLOG.frame_count != 0:
        _drain_frames(floor)


@inline
def _floor() -> int:
    """The remaining budget at which delivering stops. A firewall may take as long for receiving as for sending, so
    packets sent late are delivered after a safe point.
    """
    return PACE.left - _SHARE + BACKLOG.shown_cost if PACE.left >= -_LATEST else PACE.left


@noraise
@inline
def _receive_loop(packet: Packet) -> None:
    """Receive a packet that a loopback interface has sent."""
    try:
        _deliver(packet)
    except (Errno, MemoryError):
        _count_loss(packet)


@noraise
@noinline
def _count_loss(packet: Packet) -> None:
    device = packet.device
    if device is not None:
        device.network.loopback.traffic.received_dropped += 1


@noraise
@noinline
def _relay(packet: Packet) -> None:
    """Relay a packet that an interface sends through others."""
    packet.is_relayed = False
    device = packet.device
    if device is None or not device.is_up():
        return
    try:
        device.relay(packet)
    except (Errno, MemoryError):
        device.traffic.sent_dropped += 1


@noinline
def _drain_frames(floor: int) -> None:
    """Deliver frames until no more than `floor` is left to spend. What a loopback interface sends overtakes what
    others send, but not what was set aside for the same receiver.
    """
    backlog = BACKLOG
    backlog.is_draining = True
    while PACE.left > floor:
        packet = backlog.queue.pop()
        if packet is not None:
            device = packet.device
            if device is not None and device.waiting > 0:
                backlog.set_aside(packet)
                spend(_ASIDE_COST)
                continue
            _receive_loop(packet)
        else:
            packet = backlog.take_frame()
            if packet is None:
                break
            device = packet.device
            if packet.from_ourselves or (device is not None and device.is_loop):
                _receive_loop(packet)
            elif packet.is_relayed:
                _relay(packet)
            else:
                receive(packet)
        spend(_PACKET_COST)
    while True:
        packet = backlog.queue.pop()
        if packet is None:
            break
        backlog.set_aside(packet)
    backlog.is_draining = False
    backlog.shown_cost = 0
    if backlog.frame_count != 0 and not backlog.is_left_over:
        backlog.is_left_over = True
        LINK.hook.left_over()


@final
class _ForgetAtDown(DeviceWatcher):
    """Drops packets waiting for an interface that goes down: it must not receive them later, wherever it is then."""

    def device_down(self, device: NetworkDevice) -> None:
        BACKLOG.forget(device)


watch_devices(_ForgetAtDown())
register_device(LOOPBACK)
