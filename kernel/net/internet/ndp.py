"""Neighbour discovery: the IPv6 counterpart of ARP, duplicate address detection, answers (RFC 4861, RFC 4862).

Router discovery is in `router_discovery.py`.

Context: thread context; nothing sleeps.
"""

from typing import Final

from kernel.lang import Errno, Span, final, noinline, span_of, u8, u64
from kernel.lib import random
from kernel.net.internet import icmpv6
from kernel.net.internet.addresses import (
    ADDRESS_DADFAILED,
    ADDRESS_NODAD,
    ADDRESS_PERMANENT,
    ADDRESS_TENTATIVE,
    ALL_NODES6,
    ANY6,
    AddressWatcher,
    InterfaceAddress,
    address_changed,
    delete_address,
    find_on,
    is_multicast,
    owner_of,
    solicited_node,
    watch_addresses,
)
from kernel.net.internet.icmpv6 import HANDLERS, MessageHandler
from kernel.net.internet.interface_settings import DAD_TRANSMITS6, FORWARDING6, proves_addresses
from kernel.net.internet.membership import join, leave
from kernel.net.internet.output import NextHop, resolve, select_source6
from kernel.net.internet.routes import MULTICAST
from kernel.net.link.device import ARPHRD_ETHER, NetworkDevice
from kernel.net.link.neighbours import (
    CACHE,
    FAILED,
    INCOMPLETE,
    NOARP,
    PERMANENT,
    REACHABLE,
    Neighbour,
    Resolver,
    find_neighbour,
    neighbour_for,
)
from kernel.net.link.packet import Packet
from kernel.net.link.timers import NetworkTimer
from kernel.time import monotonic_ns

SOURCE_LINK_ADDRESS: Final = 1
TARGET_LINK_ADDRESS: Final = 2
_NONCE: Final = 14
HOP_LIMIT: Final = 255  # no host beyond the link can have sent it

_HEADER: Final = 24
_OPTION: Final = 8
_ROUTER: Final = 0x80
_SOLICITED: Final = 0x40
_OVERRIDE: Final = 0x20
_RETRANSMIT_NS: Final = 1_000_000_000


def find_option(options: Span[u8], kind: int) -> int:
    """Where the first option of a kind starts; -1 if there is none, -2 if the options are malformed."""
    at = 0
    found = -1
    while at < len(options):
        if at + 2 > len(options) or options[at + 1] == 0 or at + options[at + 1] * 8 > len(options):
            return -2
        if options[at] == kind and found < 0:
            found = at
        at += options[at + 1] * 8
    return found


def link_address_in(options: Span[u8], kind: int) -> bytes:
    """The link address in an option; empty if there is none."""
    at = find_option(options, kind)
    return options[at + 2 : at + 8].to_bytes() if at >= 0 else b""


def multicast_hop(device: NetworkDevice, group: bytes) -> NextHop:
    """The route to a group on one link."""
    return NextHop(group, device, MULTICAST)


def send_solicitation(
    device: NetworkDevice, source: bytes, target: bytes, hop: NextHop, nonce: bytes = b""
) -> None:
    """Ask who has `target`; from :: it is duplicate address detection, with `nonce`, 6 bytes that identify the
    question if it comes back (RFC 7527). May raise MemoryError.
    """
    has_option = source != ANY6 and len(device.address) > 0
    length = _HEADER + (_OPTION if has_option or len(nonce) != 0 else 0)
    packet = Packet(length)
    body = packet.put(length)
    body[0] = icmpv6.NEIGHBOUR_SOLICITATION
    body[8:24].copy_from(span_of(target))
    if has_option:
        _put_link_address(body, SOURCE_LINK_ADDRESS, device)
    elif len(nonce) != 0:
        body[24] = _NONCE
        body[25] = 1
        body[26:32].copy_from(span_of(nonce))
    icmpv6.send_message(packet, hop, source, HOP_LIMIT)


def _put_link_address(body: Span[u8], kind: int, device: NetworkDevice) -> None:
    body[24] = kind
    body[25] = 1
    body[26:32].copy_from(span_of(device.address))


def send_advertisement(device: NetworkDevice, target: bytes, hop: NextHop, flags: int) -> None:
    """Announce that `target` is ours; with _OVERRIDE, with our link address. May raise MemoryError."""
    tells = flags & _OVERRIDE != 0 and len(device.address) > 0
    length = _HEADER + (_OPTION if tells else 0)
    packet = Packet(length)
    body = packet.put(length)
    body[0] = icmpv6.NEIGHBOUR_ADVERTISEMENT
    body[4] = flags | (_ROUTER if FORWARDING6.of(device) != 0 else 0)
    body[8:24].copy_from(span_of(target))
    if tells:
        _put_link_address(body, TARGET_LINK_ADDRESS, device)
    icmpv6.send_message(packet, hop, target, HOP_LIMIT)


@final
class Solicitations(MessageHandler):
    """Takes questions about addresses."""

    def receive(self, packet: Packet) -> None:
        device = packet.device
        entry = None if device is None else _asked_for(packet, device)
        if device is None or entry is None or entry.flags & ADDRESS_DADFAILED != 0:
            return
        if entry.flags & ADDRESS_TENTATIVE == 0:
            _answer(packet, device, entry.address)
        elif packet.source == ANY6 and not _is_own_probe(entry, packet):
            duplicate_found(entry)  # another host wants it too


@noinline  # what follows goes deep: nothing of this should lie on the stack then
def _asked_for(packet: Packet, device: NetworkDevice) -> InterfaceAddress | None:
    """The address of ours that a question is about; None if it is not, or if the question is malformed."""
    body = packet.span()
    if packet.hop_limit != HOP_LIMIT or len(body) < _HEADER or body[1] != 0:
        return None
    target = body[8:24].to_bytes()
    options = body[_HEADER : len(body)]
    if is_multicast(target) or find_option(options, SOURCE_LINK_ADDRESS) == -2:
        return None
    if packet.source == ANY6:
        has_link_address = len(link_address_in(options, SOURCE_LINK_ADDRESS)) != 0
        if packet.destination != solicited_node(target) or has_link_address:
            return None
    return find_on(device, target)


@noinline
def _answer(packet: Packet, device: NetworkDevice, target: bytes) -> None:
    """Answer a question about an address of ours. Raises MemoryError."""
    if packet.source == ANY6:
        send_advertisement(device, target, multicast_hop(device, ALL_NODES6), _OVERRIDE)
        return
    body = packet.span()
    link_address = link_address_in(body[_HEADER : len(body)], SOURCE_LINK_ADDRESS)
    if len(link_address) == 6 and link_address[0] & 1 == 0:
        learn_link_address(device, packet.source, link_address)
    try:
        hop = resolve(device.network, packet.source, target, device.index)
    except Errno:
        return  # no route back
    # A question to one host comes from a host that knows its link address.
    override = _OVERRIDE if is_multicast(packet.destination) else 0
    send_advertisement(device, target, hop, _SOLICITED | override)


@noinline
def _is_own_probe(entry: InterfaceAddress, packet: Packet) -> bool:
    """Whether a question for an address that is being tested is our own, which the link has brought back."""
    body = packet.span()
    options = body[_HEADER : len(body)]
    at = find_option(options, _NONCE)
    return at >= 0 and len(entry.nonce) != 0 and options[at + 2 : at + 8].to_bytes() == entry.nonce


def learn_link_address(device: NetworkDevice, address: bytes, link_address: bytes) -> Neighbour | None:
    """Note what a neighbour said about itself unasked: an entry becomes STALE if that is news."""
    try:
        neighbour = neighbour_for(device, address)
    except Errno:
        return None  # the table is full
    if neighbour.state & (PERMANENT | NOARP) != 0:
        return neighbour
    now_ns = monotonic_ns()
    if neighbour.state & (INCOMPLETE | FAILED) != 0 or neighbour.link_address != link_address:
        neighbour.become_stale(now_ns)
        neighbour.learn(link_address, now_ns)
    return neighbour


@final
class Advertisements(MessageHandler):
    """Takes announcements of addresses (RFC 4861, section 7.2.5)."""

    def receive(self, packet: Packet) -> None:
        device = packet.device
        body = packet.span()
        if device is None or packet.hop_limit != HOP_LIMIT or len(body) < _HEADER or body[1] != 0:
            return
        target = body[8:24].to_bytes()
        options = body[_HEADER : len(body)]
        flags = body[4]
        if is_multicast(target) or find_option(options, TARGET_LINK_ADDRESS) == -2:
            return
        if is_multicast(packet.destination) and flags & _SOLICITED != 0:
            return
        ours = find_on(device, target)
        if ours is not None:
            if ours.flags & ADDRESS_TENTATIVE != 0 and ours.flags & ADDRESS_DADFAILED == 0:
                duplicate_found(ours)
            return
        neighbour = find_neighbour(device, target)
        if neighbour is None or neighbour.state & (PERMANENT | NOARP) != 0:
            return
        link_address = link_address_in(options, TARGET_LINK_ADDRESS)
        self._update(neighbour, flags, link_address)

    def _update(self, neighbour: Neighbour, flags: int, link_address: bytes) -> None:
        now_ns = monotonic_ns()
        is_new = len(link_address) == 6 and link_address != neighbour.link_address
        if neighbour.state & (INCOMPLETE | FAILED) != 0:
            if len(link_address) != 6:
                return
            neighbour.is_router = flags & _ROUTER != 0
            if flags & _SOLICITED != 0:
                neighbour.become_reachable(now_ns)
            else:
                neighbour.become_stale(now_ns)
            neighbour.learn(link_address, now_ns)
            return
        if flags & _OVERRIDE == 0 and is_new:
            if neighbour.state == REACHABLE:
                neighbour.become_stale(now_ns)
            return
        neighbour.is_router = flags & _ROUTER != 0
        if flags & _SOLICITED != 0:
            neighbour.become_reachable(now_ns)
        elif is_new:
            neighbour.become_stale(now_ns)
        if len(link_address) == 6:
            neighbour.learn(link_address, now_ns)


@final
class NdpResolver(Resolver):
    """Sends questions for the neighbour cache."""

    def solicit(self, neighbour: Neighbour, is_unicast: bool) -> None:
        device = neighbour.device
        source = b""
        waiting = neighbour.waiting.head
        if waiting is not None and len(waiting.source) == 16 and owner_of(device.network, waiting.source) is not None:
            source = waiting.source
        if len(source) == 0:
            source = select_source6(device, neighbour.address)
        if source == ANY6:
            return
        if is_unicast:
            hop = NextHop(neighbour.address, device, 1)
            hop.neighbour = neighbour
        else:
            hop = multicast_hop(device, solicited_node(neighbour.address))
        send_solicitation(device, source, neighbour.address, hop)

    def unreachable(self, packet: Packet) -> None:
        icmpv6.address_unreachable(packet)


# ---- Duplicate address detection ------------------------------------------------------------------------------------


class AddressReady:
    """Is notified when an address has proved to be unique. Base class: does nothing."""

    def address_ready(self, entry: InterfaceAddress) -> None:
        """The address may be used now. May raise MemoryError."""


@final
class Proof(NetworkTimer):
    """An address that is being tested, with its own timer (RFC 4862, section 5.4)."""

    def __init__(self, entry: InterfaceAddress) -> None:
        super().__init__()
        self.entry: InterfaceAddress = entry
        self.key: bytes = _key(entry)

    def expire(self, now_ns: int) -> None:
        entry = self.entry
        if entry.probes_left > 0:
            # The test goes on even if the question is lost. Moving a timer that has a place needs no memory.
            self.start(now_ns + _RETRANSMIT_NS)
            entry.probes_left -= 1
            hop = multicast_hop(entry.device, solicited_node(entry.address))
            try:
                entry.nonce = _new_nonce()
                send_solicitation(entry.device, ANY6, entry.address, hop, entry.nonce)
            except MemoryError:
                entry.device.traffic.sent_dropped += 1
            return
        entry.flags &= ~ADDRESS_TENTATIVE
        address_changed(entry)
        DETECTION.listener.address_ready(entry)
        DETECTION.proofs.pop(self.key, self)


@final
class Detection:
    """All addresses that are being tested."""

    def __init__(self) -> None:
        self.proofs: dict[bytes, Proof] = {}  # by the device's number and the address
        self.listener: AddressReady = AddressReady()

    def begin(self, entry: InterfaceAddress) -> None:
        """Ask whether another host has a new address. Raises MemoryError, and then no question was sent."""
        entry.flags |= ADDRESS_TENTATIVE
        entry.probes_left = DAD_TRANSMITS6.of(entry.device)
        proof = Proof(entry)
        proof.start(monotonic_ns() + _RETRANSMIT_NS // 100)
        try:
            self.proofs[proof.key] = proof
        except MemoryError:
            proof.remove()
            raise
        entry.proof_key = proof.key

    def forget(self, entry: InterfaceAddress) -> None:
        """Stop testing an address, if that was going on. Needs no memory."""
        proof = self.proofs.pop(entry.proof_key, None)
        if proof is not None:
            proof.remove()


def _key(entry: InterfaceAddress) -> bytes:
    return entry.device.number.to_bytes(8, "little") + entry.address


DETECTION: Final = Detection()


def _new_nonce() -> bytes:
    nonce = bytearray(8)
    span_of(nonce).store_u64(0, u64(random.word()))
    return bytes(nonce[0:6])


def duplicate_found(entry: InterfaceAddress) -> None:
    """Another host has an address of ours that was being tested. An address that no one chose is deleted."""
    DETECTION.forget(entry)
    if entry.flags & ADDRESS_PERMANENT == 0:
        try:
            delete_address(entry)
        except Errno:
            return  # it is already gone
        return
    entry.flags |= ADDRESS_TENTATIVE | ADDRESS_DADFAILED
    address_changed(entry)


@final
class _FollowAddresses(AddressWatcher):
    """Joins the solicited-node group of an address, and tests the address."""

    def address_added(self, entry: InterfaceAddress) -> None:
        device = entry.device
        if len(entry.address) != 16 or device.kind != ARPHRD_ETHER:
            return
        entry.membership = join(device, solicited_node(entry.address))
        is_asked = entry.flags & ADDRESS_NODAD == 0 and proves_addresses(device)
        if device.is_up() and is_asked:
            DETECTION.begin(entry)

    def address_deleted(self, entry: InterfaceAddress) -> None:
        DETECTION.forget(entry)
        membership = entry.membership
        if membership is not None:
            entry.membership = None
            leave(membership)


HANDLERS.by_type[icmpv6.NEIGHBOUR_SOLICITATION] = Solicitations()
HANDLERS.by_type[icmpv6.NEIGHBOUR_ADVERTISEMENT] = Advertisements()
CACHE.ndp = NdpResolver()
watch_addresses(_FollowAddresses())
