"""Reporting groups to routers: IGMPv3 and MLDv2, for a host that listens to all sources (RFC 3376, RFC 3810).

A joined group is reported twice; a query is answered after a random time, by a report of each group that it
asks for; leaving is reported at once and once more within a second.

Context: thread context; nothing sleeps.
"""

from typing import Final

from kernel.lang import Errno, final, noinline, noraise, span_of
from kernel.lib import random
from kernel.lib.pace import spend
from kernel.net.internet import icmpv6, ipv4
from kernel.net.internet.addresses import ANY4, ANY6, SCOPE_LINK, is_link_local, list_addresses
from kernel.net.internet.icmpv6 import HANDLERS, MessageHandler
from kernel.net.internet.membership import (
    MEMBERSHIPS,
    GroupProtocol,
    Membership,
    find_membership,
    groups_of,
    list_memberships,
)
from kernel.net.internet.output import NextHop, select_source4
from kernel.net.internet.routes import MULTICAST
from kernel.net.internet.transport import PROTOCOL_IGMP, Transport, register_transport
from kernel.net.link.checksum import checksum
from kernel.net.link.device import NetworkDevice
from kernel.net.link.network import Network
from kernel.net.link.packet import CHECKSUM_VERIFIED, Packet
from kernel.net.link.timers import NEVER_NS, NetworkTimer
from kernel.time import monotonic_ns

_IGMP_QUERY: Final = 0x11
_IGMP_REPORT: Final = 0x22
_IGMP_ROUTERS: Final = b"\xe0\x00\x00\x16"
_MLD_ROUTERS: Final = b"\xff\x02" + bytes(13) + b"\x16"
_ROUTER_ALERT4: Final = b"\x94\x04\x00\x00"

# Kinds of group records.
_IS_EXCLUDE: Final = 2  # the answer to a query: we listen to all but no sources
_TO_INCLUDE: Final = 3  # we leave
_TO_EXCLUDE: Final = 4  # we join

_SECOND_NS: Final = 1_000_000_000
_UNSOLICITED: Final = 2
_MOST_DEPARTURES: Final = 256  # of a network
_UNSOLICITED_INTERVAL_NS: Final = _SECOND_NS
_SHARE: Final = 64  # reports at once; the others follow
_PAUSE_NS: Final = 1_000_000
_REPORT_COST: Final = 3000  # instructions
_LOOK_COST: Final = 20
_PLAN_COST: Final = 150


@noinline  # what is sent goes deep: nothing of this should lie on the stack then
def _record(kind: int, group: bytes) -> Packet:
    """A report with one record, without its checksum."""
    length = 8 + 4 + len(group)
    packet = Packet(length)
    body = packet.put(length)
    body[0] = _IGMP_REPORT if len(group) == 4 else icmpv6.MLD2_REPORT
    body.store_be16(6, 1)
    body[8] = kind
    body[12:length].copy_from(span_of(group))
    return packet


def _send(device: NetworkDevice, group: bytes, kind: int) -> None:
    """Report one group. MemoryError, Errno."""
    if not device.is_up() or device.is_loopback():
        return
    packet = _record(kind, group)
    if len(group) == 4:
        _add_checksum(packet)
        source = select_source4(device, _IGMP_ROUTERS, SCOPE_LINK)
        hop = NextHop(_IGMP_ROUTERS, device, MULTICAST)
        ipv4.send(packet, hop, source, PROTOCOL_IGMP, 1, 0xC0, dont_fragment=True, options=_ROUTER_ALERT4)
        return
    icmpv6.send_with_router_alert(packet, NextHop(_MLD_ROUTERS, device, MULTICAST), _link_local(device))


@noinline
def _add_checksum(packet: Packet) -> None:
    """IGMP's. MLD's is that of ICMPv6, which adds it."""
    body = packet.span()
    body.store_be16(2, checksum(body))


@noinline
def _link_local(device: NetworkDevice) -> bytes:
    for entry in list_addresses(device, 16):
        if entry.is_usable() and is_link_local(entry.address):
            return entry.address
    return ANY6


@final
class Departure:
    """A group that was left, whose departure will be reported once more."""

    def __init__(self, device: NetworkDevice, group: bytes, at_ns: int) -> None:
        self.device: NetworkDevice = device
        self.group: bytes = group
        self.at_ns: int = at_ns


@final
class Reporter(NetworkTimer):
    """The pending reports of a network. It is in REPORTERS while there are some."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number: int = number  # of the network
        self.departures: list[Departure] = []
        self.planned: dict[bytes, Membership] = {}

    def expire(self, now_ns: int) -> None:
        next_ns = NEVER_NS
        left = _SHARE
        spend((len(self.departures) + len(self.planned)) * _LOOK_COST)
        for departure in self.departures[:]:
            if departure.at_ns <= now_ns and left > 0:
                left -= 1
                self.departures.remove(departure)
                if find_membership(departure.device, departure.group) is None:
                    _try(departure.device, departure.group, _TO_INCLUDE)
            else:
                next_ns = min(next_ns, max(departure.at_ns, now_ns + _PAUSE_NS))
        for membership in list(self.planned.values()):
            if membership.report_at_ns <= now_ns and left > 0:
                left -= 1
                kind = _TO_EXCLUDE if membership.reports_left > 0 else _IS_EXCLUDE
                membership.reports_left = max(0, membership.reports_left - 1)
                membership.report_at_ns = now_ns + _UNSOLICITED_INTERVAL_NS if membership.reports_left > 0 else 0
                _try(membership.device, membership.group, kind)
            if membership.report_at_ns == 0:
                self.planned.pop(membership.key, membership)
            else:
                next_ns = min(next_ns, max(membership.report_at_ns, now_ns + _PAUSE_NS))
        if next_ns != NEVER_NS:
            self.start(next_ns)
        else:
            REPORTERS.pop(self.number, self)

    def plan(self, membership: Membership, delay_ns: int) -> None:
        """Report a group after a delay, or sooner if that is already planned. Raises MemoryError."""
        at_ns = monotonic_ns() + delay_ns
        self.planned[membership.key] = membership
        if membership.report_at_ns == 0 or at_ns < membership.report_at_ns:
            membership.report_at_ns = at_ns
        self._be_called_at(at_ns)

    def repeat_departure(self, membership: Membership) -> None:
        """Report a second time that a group was left: the first may get lost. Raises MemoryError."""
        at_ns = monotonic_ns() + random.word() % _UNSOLICITED_INTERVAL_NS
        if len(self.departures) < _MOST_DEPARTURES:
            self.departures.append(Departure(membership.device, membership.group, at_ns))
            self._be_called_at(at_ns)

    def _be_called_at(self, at_ns: int) -> None:
        if at_ns < self.deadline_ns:
            self.start(at_ns)


REPORTERS: Final[dict[int, Reporter]] = {}
"""By the numbers of their networks: none takes another's time or room."""


def _reporter_of(network: Network) -> Reporter:
    """A network's reporter, created if there is none. Raises MemoryError."""
    found = REPORTERS.get(network.number)
    if found is None:
        found = Reporter(network.number)
        REPORTERS[network.number] = found
    return found


@noraise
def _try(device: NetworkDevice, group: bytes, kind: int) -> None:
    """Report a group; a report that cannot be sent is counted: routers ask again."""
    spend(_REPORT_COST)
    try:
        _send(device, group, kind)
    except (Errno, MemoryError):
        device.traffic.sent_dropped += 1


@final
class Reports(GroupProtocol):
    """Both protocols."""

    def joined(self, membership: Membership) -> None:
        if membership.device.is_loopback():
            return
        membership.reports_left = _UNSOLICITED
        try:
            _reporter_of(membership.network).plan(membership, 0)
        except MemoryError:
            membership.device.traffic.sent_dropped += 1  # routers learn of it when they ask

    @noraise
    def dropped(self, membership: Membership) -> None:
        found = REPORTERS.get(membership.network.number)
        if found is not None:
            found.planned.pop(membership.key, membership)

    @noraise
    def left(self, membership: Membership) -> None:
        if membership.device.is_loopback() or not membership.device.is_up():
            return
        _try(membership.device, membership.group, _TO_INCLUDE)
        try:
            _reporter_of(membership.network).repeat_departure(membership)
        except MemoryError:
            membership.device.traffic.sent_dropped += 1  # it was reported once


def _answer(device: NetworkDevice, group: bytes, size: int, longest_ms: int) -> None:
    """Answer a query: for one group, or with an unspecified one for all."""
    is_general = group == ANY4 or group == ANY6
    spend(len(groups_of(device.network).by_key) * _PLAN_COST)
    for membership in list_memberships(device, size):
        if is_general or membership.group == group:
            _reporter_of(membership.network).plan(membership, random.word() % (max(1, longest_ms) * 1_000_000))


def _milliseconds(code: int) -> int:
    """The longest response time: a number of tenths of seconds, large ones as a floating-point number."""
    if code < 128:
        return code * 100
    return ((code & 0xF | 0x10) << (code >> 4 & 7) + 3) * 100


@final
class Igmp(Transport):
    """Takes IGMP messages from IPv4."""

    def receive(self, packet: Packet) -> bool:
        device = packet.device
        if len(packet.source) != 4:
            return False
        body = packet.span()
        if device is None or len(body) < 8:
            return True
        if packet.checksum != CHECKSUM_VERIFIED and checksum(body) != 0:
            return True
        if body[0] == _IGMP_QUERY and packet.hop_limit == 1:
            longest_ms = _milliseconds(body[1]) if body[1] != 0 else 10_000
            _answer(device, body[4:8].to_bytes(), 4, longest_ms)
        return True


@final
class MldQueries(MessageHandler):
    """Takes queries from ICMPv6."""

    def receive(self, packet: Packet) -> None:
        device = packet.device
        body = packet.span()
        if device is None or len(body) < 24 or packet.hop_limit != 1 or not is_link_local(packet.source):
            return
        code = body.load_be16(4)
        longest_ms = code if code < 32768 else (code & 0xFFF | 0x1000) << (code >> 12 & 7) + 3
        _answer(device, body[8:24].to_bytes(), 16, longest_ms)


_reports: Final = Reports()
MEMBERSHIPS.igmp = _reports
MEMBERSHIPS.mld = _reports
HANDLERS.by_type[icmpv6.MLD_QUERY] = MldQueries()
register_transport(PROTOCOL_IGMP, Igmp())
