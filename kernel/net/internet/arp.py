"""ARP: finding the Ethernet address for an IPv4 address (RFC 826, RFC 5227).

Answers questions for this host's addresses, learns from answers, and announces an address new to an interface.

Context: thread context; nothing sleeps.
"""

from typing import Final

from kernel.lang import Errno, final, span_of
from kernel.lib.linked import LinkedList
from kernel.lib.pace import spend
from kernel.net.internet import icmp
from kernel.net.internet.addresses import (
    ANY4,
    SCOPE_LINK,
    AddressWatcher,
    InterfaceAddress,
    is_loopback,
    is_multicast,
    list_addresses,
    owner_of,
    watch_addresses,
)
from kernel.net.internet.interface_settings import ARP_NOTIFY4, ROUTE_LOCALNET4, settings_of
from kernel.net.internet.output import select_source4
from kernel.net.internet.routes import LOCAL, UNICAST, find_route
from kernel.net.link.device import ARPHRD_ETHER, IFF_NOARP, DeviceWatcher, NetworkDevice, watch_devices
from kernel.net.link.ethernet import ETHERTYPE_ARP, LINK, LinkProtocol, send
from kernel.net.link.neighbours import (
    CACHE,
    FAILED,
    HAS_ADDRESS,
    INCOMPLETE,
    NOARP,
    PERMANENT,
    Neighbour,
    Resolver,
    find_neighbour,
    neighbour_for,
)
from kernel.net.link.network import Network
from kernel.net.link.packet import PACKET_HOST, Packet
from kernel.net.link.timers import NetworkTimer
from kernel.time import monotonic_ns

_LENGTH: Final = 28
_REQUEST: Final = 1
_REPLY: Final = 2
_PREAMBLE: Final = b"\x00\x01\x08\x00\x06\x04"  # Ethernet, IPv4, lengths of both addresses
_PREAMBLE_802: Final = b"\x00\x06\x08\x00\x06\x04"  # the same on other networks of IEEE 802
_LOCK_NS: Final = 1_000_000_000  # for this long an unsolicited answer does not replace a new link address
_NOBODY: Final[bytes] = bytes(6)
_ANNOUNCE_AFTER_NS: Final = 1_000_000
_ANNOUNCED_AT_ONCE: Final = 16  # addresses
_ANNOUNCE_COST: Final = 2_500  # instructions


def send_arp(
    device: NetworkDevice, operation: int, sender: bytes, target_link: bytes, target: bytes, to: bytes
) -> None:
    """Send an ARP packet from our link address to the link address `to`. May raise MemoryError."""
    packet = Packet(_LENGTH)
    body = packet.put(_LENGTH)
    body[0:6].copy_from(span_of(_PREAMBLE))
    body.store_be16(6, operation)
    body[8:14].copy_from(span_of(device.address))
    body[14:18].copy_from(span_of(sender))
    body[18:24].copy_from(span_of(target_link))
    body[24:28].copy_from(span_of(target))
    send(packet, device, to, ETHERTYPE_ARP)


@final
class Arp(LinkProtocol):
    """Takes ARP packets from the link layer."""

    def receive(self, packet: Packet) -> None:
        device = packet.device
        if device is None or device.kind != ARPHRD_ETHER or device.flags & IFF_NOARP != 0 or len(packet) < _LENGTH:
            return
        body = packet.span()
        preamble = body[0:6].to_bytes()
        if preamble != _PREAMBLE and preamble != _PREAMBLE_802:
            return
        operation = body.load_be16(6)
        sender_link = body[8:14].to_bytes()
        sender = body[14:18].to_bytes()
        target = body[24:28].to_bytes()
        if (operation != _REQUEST and operation != _REPLY) or is_multicast(target):
            return
        if is_loopback(target) and not ROUTE_LOCALNET4.is_set_for(device):
            return
        if sender_link[0] & 1 != 0:
            return  # no host has a group's link address
        owner = owner_of(device.network, target)
        is_ours = owner is not None
        if sender == ANY4:
            # A probe: the host that wants to use the address learns that it is taken (RFC 5227).
            if operation == _REQUEST and is_ours:
                send_arp(device, _REPLY, target, sender_link, sender, sender_link)
            return
        if is_multicast(sender) or sender == b"\xff\xff\xff\xff" or owner_of(device.network, sender) is not None:
            return
        if operation == _REQUEST and is_ours and _may_answer(device.network, sender):
            # The sender will be answered: learn its address.
            _learn(device, sender, sender_link, may_create=True, is_answer=False)
            send_arp(device, _REPLY, target, sender_link, sender, sender_link)
            return
        is_gratuitous = sender == target and (operation == _REQUEST or body[18:24].to_bytes() == sender_link)
        if is_gratuitous or not _is_locked(device, sender, sender_link):
            is_answer = operation == _REPLY and packet.link_kind == PACKET_HOST
            _learn(device, sender, sender_link, may_create=False, is_answer=is_answer)


def _may_answer(network: Network, sender: bytes) -> bool:
    """Whether the sender is a host that we could reach at all: no answer to one that claims a local address."""
    route = find_route(network, sender)
    return route is None or route.kind != LOCAL


def _is_locked(device: NetworkDevice, address: bytes, link_address: bytes) -> bool:
    """Whether the neighbour has another link address that is too new to be replaced by an unsolicited answer."""
    neighbour = find_neighbour(device, address)
    if neighbour is None or neighbour.state & HAS_ADDRESS == 0 or neighbour.link_address == link_address:
        return False
    return monotonic_ns() - neighbour.updated_ns <= _LOCK_NS


def _learn(device: NetworkDevice, address: bytes, link_address: bytes, may_create: bool, is_answer: bool) -> None:
    """Note a link address. A request to us creates an entry; unsolicited news only changes an existing one."""
    neighbour = find_neighbour(device, address)
    if neighbour is None:
        if not may_create:
            return
        route = find_route(device.network, address, device.index)
        if route is None or route.kind != UNICAST:
            return
        try:
            neighbour = neighbour_for(device, address)
        except Errno:
            return  # the table is full
    if neighbour.state & (PERMANENT | NOARP) != 0:
        return
    now_ns = monotonic_ns()
    was_waiting = neighbour.state & (INCOMPLETE | FAILED) != 0
    if is_answer or neighbour.state == INCOMPLETE:
        neighbour.become_reachable(now_ns)
    elif was_waiting or neighbour.link_address != link_address:
        neighbour.become_stale(now_ns)
    neighbour.learn(link_address, now_ns)


@final
class ArpResolver(Resolver):
    """Sends questions for the neighbour cache."""

    def solicit(self, neighbour: Neighbour, is_unicast: bool) -> None:
        device = neighbour.device
        source = ANY4
        waiting = neighbour.waiting.head
        if waiting is not None and len(waiting.source) == 4 and owner_of(device.network, waiting.source) is not None:
            source = waiting.source
        if source == ANY4:
            source = select_source4(device, neighbour.address, SCOPE_LINK)
        to = neighbour.link_address if is_unicast else device.broadcast
        target_link = neighbour.link_address if is_unicast else _NOBODY
        send_arp(device, _REQUEST, source, target_link, neighbour.address, to)

    def unreachable(self, packet: Packet) -> None:
        icmp.host_unreachable(packet)


@final
class Announcer(NetworkTimer):
    """Announces new addresses to their link shortly after interfaces got them: then the interface is ready."""

    def __init__(self) -> None:
        super().__init__()
        self.pending: LinkedList[InterfaceAddress] = LinkedList()  # no address twice

    def expire(self, now_ns: int) -> None:
        for _ in range(_ANNOUNCED_AT_ONCE):
            entry = self.pending.first()
            if entry is None:
                return
            self.forget(entry)
            spend(_ANNOUNCE_COST)
            device = entry.device
            if device.is_up() and owner_of(device.network, entry.address) is not None:
                try:
                    send_arp(device, _REQUEST, entry.address, _NOBODY, entry.address, device.broadcast)
                except MemoryError:
                    device.traffic.sent_dropped += 1  # neighbours learn when they ask
        if not self.pending.is_empty():
            self.start(now_ns)

    def announce(self, entry: InterfaceAddress) -> None:
        """Announce an address soon; addresses already waiting are not delayed by it. May raise MemoryError."""
        if not entry.is_announced_soon:
            entry.is_announced_soon = True
            self.pending.link_last(entry)
        if not self.is_armed():
            self.start(monotonic_ns() + _ANNOUNCE_AFTER_NS)

    def forget(self, entry: InterfaceAddress) -> None:
        """Cancel the announcement of an address."""
        if entry.is_announced_soon:
            entry.is_announced_soon = False
            self.pending.unlink(entry)


ANNOUNCER: Final = Announcer()


def _announce(entry: InterfaceAddress) -> None:
    device = entry.device
    if len(entry.address) == 4 and device.kind == ARPHRD_ETHER and device.is_up():
        ANNOUNCER.announce(entry)


@final
class _AnnounceAddresses(AddressWatcher):
    def address_added(self, entry: InterfaceAddress) -> None:
        _announce(entry)

    def address_deleted(self, entry: InterfaceAddress) -> None:
        ANNOUNCER.forget(entry)


@final
class _NotifyNeighbours(DeviceWatcher):
    """Tells neighbours at once where an interface's addresses are now, if that is wanted."""

    def device_up(self, device: NetworkDevice) -> None:
        self._notify(device)

    def device_changed(self, device: NetworkDevice) -> None:
        if device.is_up() and settings_of(device).announced_address != device.address:
            self._notify(device)

    def _notify(self, device: NetworkDevice) -> None:
        settings_of(device).announced_address = device.address
        if ARP_NOTIFY4.most_of(device) != 0:
            for entry in list_addresses(device, 4):
                _announce(entry)


LINK.arp = Arp()
CACHE.arp = ArpResolver()
watch_addresses(_AnnounceAddresses())
watch_devices(_NotifyNeighbours())
