"""NAT in a packet's path: chains of type nat decide about a connection's first packet, then each packet is translated.

Destinations change in PREROUTING and OUTPUT, before the route is looked up (in OUTPUT it is looked up again), sources
in POSTROUTING and INPUT. While a network has a chain, connections that no chain translates are bound to their own
addresses, so that no two share one.

A masqueraded connection ends when the device goes down, when the address is removed, or when its packets would leave
through another device.

Context: thread context; nothing sleeps. May raise MemoryError.
Source: nft(8) "NAT statements"; RFC 5508 section 4.2 (errors).
"""

from typing import Final

from kernel.lang import Errno, final, noinline, recursion
from kernel.lib.pace import spend
from kernel.net.filter.connection import (
    STATUS_DST_NAT,
    STATUS_DST_NAT_DONE,
    STATUS_NAT,
    STATUS_NAT_DONE,
    STATUS_SRC_NAT,
    STATUS_SRC_NAT_DONE,
    TRACKING_NEW,
    TRACKING_RELATED,
    TRACKING_RELATED_REPLY,
    Connection,
    is_reply,
)
from kernel.net.filter.connection_table import ConnectionTable, Cursor, find_table, table_of
from kernel.net.filter.rewriting import rewrite, rewrite_error
from kernel.net.filter.tracking import unuse_tracking, use_tracking
from kernel.net.filter.translation import bind_to_itself
from kernel.net.internet import icmp, icmpv6
from kernel.net.internet.addresses import AddressWatcher, InterfaceAddress, is_own, watch_addresses
from kernel.net.internet.transport import PROTOCOL_ICMP, PROTOCOL_ICMP6
from kernel.net.link.device import DeviceWatcher, NetworkDevice, watch_devices
from kernel.net.link.hooks import (
    FAMILY_IP4,
    INPUT,
    OUTPUT,
    POSTROUTING,
    PREROUTING,
    PRIORITY_DESTINATION_NAT,
    PRIORITY_SOURCE_NAT,
    Hook,
    Place,
    Verdict,
    register_hook,
    unregister_hook,
)
from kernel.net.link.network import Network
from kernel.net.link.packet import Packet
from kernel.net.link.thread import Work, schedule_work

_LOOKED_AT: Final = 200  # connections per turn
_MOST_DOWNED: Final = 64
_LOOK_COST: Final = 100  # instructions


@final
class _Translation(Hook):
    """Translates destinations, or sources."""

    def __init__(self, priority: int, to_source: bool) -> None:
        super().__init__(priority)
        self.to_source: bool = to_source
        self.done: int = STATUS_SRC_NAT_DONE if to_source else STATUS_DST_NAT_DONE

    @recursion(1)  # the chains that it runs hold rules, and no translation
    def look(self, packet: Packet, place: Place) -> Verdict:
        connection = packet.connection
        table = find_table(place.network)
        if table is None or not isinstance(connection, Connection):
            return Verdict.ACCEPT
        tracking = packet.tracking
        is_related = tracking == TRACKING_RELATED or tracking == TRACKING_RELATED_REPLY
        if is_related and place.protocol == (PROTOCOL_ICMP if place.family == FAMILY_IP4 else PROTOCOL_ICMP6):
            return self._translate_error(packet, place, connection)
        if (tracking == TRACKING_NEW or is_related) and not connection.has(self.done):
            verdict = self._set_up(packet, place, table, connection)
            if verdict != Verdict.ACCEPT:
                return verdict
        elif _leaves_elsewhere(packet, place, connection):
            table.drop(connection)
            return Verdict.DROP
        if connection.has(self._bit(packet)):
            self._apply(packet, place, connection)
        return Verdict.ACCEPT

    @noinline  # so that the chains, which are on the deepest path, find more of the stack
    def _apply(self, packet: Packet, place: Place, connection: Connection) -> None:
        before = packet.destination
        rewrite(packet, place.protocol, connection, is_reply(packet.tracking), self.to_source)
        _note_way(packet, place, before)

    def _bit(self, packet: Packet) -> int:
        """The status bit of connections whose packets in this direction change here."""
        if self.to_source != is_reply(packet.tracking):
            return STATUS_SRC_NAT
        return STATUS_DST_NAT

    def _set_up(self, packet: Packet, place: Place, table: ConnectionTable, connection: Connection) -> Verdict:
        """Run the chains, until one has decided."""
        chains = table.chains4 if place.family == FAMILY_IP4 else table.chains6
        for chain in chains.lists[place.point]:
            verdict = chain.look(packet, place)
            if verdict != Verdict.ACCEPT:
                return verdict
            if connection.has(self.done):
                return Verdict.ACCEPT
        return bind_to_itself(packet, place, self.to_source)

    @noinline  # for the stack of what the chains call
    def _translate_error(self, packet: Packet, place: Place, connection: Connection) -> Verdict:
        kind = packet.storage[packet.transport_start]
        if kind == (icmp.REDIRECT if place.family == FAMILY_IP4 else icmpv6.REDIRECT):
            # It names a gateway, which the other side could not use.
            if connection.status & STATUS_NAT_DONE != STATUS_NAT_DONE or connection.has(STATUS_NAT):
                return Verdict.DROP
        if connection.has(self._bit(packet)):
            before = packet.destination
            if not rewrite_error(packet, connection, is_reply(packet.tracking), self.to_source):
                return Verdict.DROP
            _note_way(packet, place, before)
        return Verdict.ACCEPT


def _note_way(packet: Packet, place: Place, before: bytes) -> None:
    """Look the route up again if the translation may have changed it."""
    if place.point == OUTPUT and packet.destination != before:
        place.reroute = True


def _leaves_elsewhere(packet: Packet, place: Place, connection: Connection) -> bool:
    """Whether a masqueraded packet would leave through a device whose address it does not have."""
    if connection.masquerade_device == 0 or place.point != POSTROUTING or is_reply(packet.tracking):
        return False
    device = place.output
    return device is not None and device.number != connection.masquerade_device


_DESTINATIONS: Final = _Translation(PRIORITY_DESTINATION_NAT, to_source=False)
_SOURCES: Final = _Translation(PRIORITY_SOURCE_NAT, to_source=True)


def _hook_at(point: int) -> Hook | None:
    if point == PREROUTING or point == OUTPUT:
        return _DESTINATIONS
    return _SOURCES if point == INPUT or point == POSTROUTING else None


def add_nat_chain(network: Network, family: int, point: int, chain: Hook) -> None:
    """Let a chain decide about the connections whose first packets pass a point. Raises E2BIG for too many chains,
    MemoryError, with nothing done.
    """
    table = table_of(network)
    chains = table.chains4 if family == FAMILY_IP4 else table.chains6
    if chains.count == 0:
        _enter_hooks(network, family)
    try:
        chains.enter(point, chain)
    except (Errno, MemoryError):
        if chains.count == 0:
            _leave_hooks(network, family, POSTROUTING + 1)
            unuse_tracking(network, family)
        raise


def remove_nat_chain(network: Network, family: int, point: int, chain: Hook) -> None:
    """Take out a chain that was added. Connections stay set up, but are translated only while there are chains."""
    table = find_table(network)
    if table is None:
        return
    chains = table.chains4 if family == FAMILY_IP4 else table.chains6
    chains.leave(point, chain)
    if chains.count == 0:
        _leave_hooks(network, family, POSTROUTING + 1)
        unuse_tracking(network, family)


def _enter_hooks(network: Network, family: int) -> None:
    """Enter the hooks of a family. Raises MemoryError, with nothing done."""
    use_tracking(network, family)
    entered = 0
    try:
        for point in range(POSTROUTING + 1):
            hook = _hook_at(point)
            if hook is not None:
                register_hook(network, family, point, hook)
            entered += 1
    except MemoryError:
        _leave_hooks(network, family, entered)
        unuse_tracking(network, family)
        raise


def _leave_hooks(network: Network, family: int, end: int) -> None:
    """Take the hooks of all points before `end` out."""
    for point in range(end):
        hook = _hook_at(point)
        if hook is not None:
            unregister_hook(network, family, point, hook)


# ---- Masquerade -------------------------------------------------------------------------------------------------


@final
class Sweep:
    """A walk over a network's connections that looks for those that have lost their address."""

    def __init__(self, table: ConnectionTable) -> None:
        self.table: ConnectionTable = table
        self.cursor: Cursor = Cursor()
        self.downed: dict[int, int] = {}  # by a device's number: the last connection that began before it went down
        self.all_before: int = 0  # all masqueraded ones up to this serial have lost it: too many devices went down
        self.is_again: bool = False  # something happened since the walk began: another walk follows


@final
class Sweeper(Work):
    """Carries out these walks, a share in each turn."""

    def __init__(self) -> None:
        super().__init__()
        self.sweeps: list[Sweep] = []  # at most one of each table

    def begin(self, network: Network, device_number: int) -> None:
        """A device went down, or with 0 an address was removed. Without memory for the walk, connections that have
        lost their address end when they expire.
        """
        table = find_table(network)
        if table is None or table.first is None:
            return
        try:
            sweep = self._sweep_of(table)
            schedule_work(self)
            if device_number != 0:
                if len(sweep.downed) >= _MOST_DOWNED:
                    sweep.downed.clear()
                    sweep.all_before = table.last_serial
                sweep.downed[device_number] = table.last_serial
        except MemoryError:
            return

    def _sweep_of(self, table: ConnectionTable) -> Sweep:
        """Raises MemoryError."""
        for sweep in self.sweeps:
            if sweep.table is table:
                sweep.is_again = True
                return sweep
        sweep = Sweep(table)
        sweep.cursor.at = table.first
        table.cursors.append(sweep.cursor)
        try:
            self.sweeps.append(sweep)
        except MemoryError:
            table.cursors.remove(sweep.cursor)
            raise
        return sweep

    def run(self, now_ns: int) -> None:
        if len(self.sweeps) == 0:
            return
        sweep = self.sweeps[0]
        for _ in range(_LOOKED_AT):
            connection = sweep.cursor.at
            if connection is None:
                break
            sweep.cursor.at = connection.next
            spend(_LOOK_COST)
            if connection.masquerade_device != 0 and _has_lost(sweep, connection):
                sweep.table.drop(connection)
        if sweep.cursor.at is None and sweep.is_again:
            sweep.is_again = False
            sweep.cursor.at = sweep.table.first
        if sweep.cursor.at is None:
            sweep.table.cursors.remove(sweep.cursor)
            self.sweeps.remove(sweep)
        if len(self.sweeps) > 0:
            schedule_work(self)


def _has_lost(sweep: Sweep, connection: Connection) -> bool:
    """Whether a masqueraded connection has lost its address."""
    network = sweep.table.network
    lost = max(sweep.downed.get(connection.masquerade_device, 0), sweep.all_before)
    if connection.serial <= lost:
        return True
    return network is not None and not is_own(network, connection.reply.destination)


SWEEPER: Final = Sweeper()


@final
class _Devices(DeviceWatcher):
    def device_down(self, device: NetworkDevice) -> None:
        SWEEPER.begin(device.network, device.number)


@final
class _Addresses(AddressWatcher):
    def address_deleted(self, entry: InterfaceAddress) -> None:
        SWEEPER.begin(entry.device.network, 0)


watch_devices(_Devices())
watch_addresses(_Addresses())
