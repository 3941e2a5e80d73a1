"""The neighbour cache: the link address of each IP address on the link, and whether it answers.

ARP and neighbour discovery share it. An entry goes INCOMPLETE → REACHABLE → STALE → DELAY → PROBE; packets for an entry
that is being resolved wait in it. Waiting packets are bounded for an entry, a network, and all networks but the first
together; where there is no room, the oldest of the same network is dropped. How to ask is up to a `Resolver`.

Invariants: an entry in the table has a `link_address` unless it is INCOMPLETE or FAILED; the table is bounded. Entries
in which packets wait are in their network's `waiting`, and its `waiting_bytes` are those of their packets.
Context: thread context; nothing sleeps, but where an interface goes down there are safe points.
Source: RFC 4861, section 7.3.
"""

from typing import Final

from kernel.lang import EINVAL, ENOBUFS, ENOENT, Errno, final
from kernel.lib import random
from kernel.lib.pace import pace, spend
from kernel.mm.frames import PAGE_SIZE, total_frame_count
from kernel.net.link import ethernet
from kernel.net.link.device import IFF_LOOPBACK, IFF_NOARP, DeviceWatcher, NetworkDevice, watch_devices
from kernel.net.link.network import FIRST_NETWORK, Network, PartMaker, register_part
from kernel.net.link.packet import Packet, PacketQueue
from kernel.net.link.part import Part
from kernel.net.link.timers import NetworkTimer
from kernel.time import monotonic_ns

# States, as NUD_* of rtnetlink(7).
INCOMPLETE: Final = 0x01
REACHABLE: Final = 0x02
STALE: Final = 0x04
DELAY: Final = 0x08
PROBE: Final = 0x10
FAILED: Final = 0x20
NOARP: Final = 0x40
PERMANENT: Final = 0x80
HAS_ADDRESS: Final = REACHABLE | STALE | DELAY | PROBE | NOARP | PERMANENT

_SECOND_NS: Final = 1_000_000_000
_RETRANSMIT_NS: Final = _SECOND_NS
_REACHABLE_NS: Final = 30 * _SECOND_NS  # randomized between half and one and a half of it
_DELAY_NS: Final = 5 * _SECOND_NS
_FORGET_NS: Final = 60 * _SECOND_NS  # an unused entry
_MULTICAST_PROBES: Final = 3
_UNICAST_PROBES: Final = 3
_QUEUE_LIMIT: Final = 64
_QUEUE_BYTES: Final = 212_992  # of an entry, as Linux's unres_qlen_bytes
_TABLE_LIMIT: Final = 1024
_PACKET_OVERHEAD: Final = 512
_MEMORY_SHARE: Final = 64  # for packets waiting in a network, and in all but the first together: this part of memory,
_LEAST_LIMIT: Final = 1 << 18  # bytes, if that is not less than this
_LEAST_ROOM: Final = 2048  # bytes that each network may have waiting whatever the others have
# Instructions for each entry that may be evicted, that goes with its interface, and for each packet that waits in it
_LOOK_COST: Final = 30
_FORGET_COST: Final = 3000
_DROP_COST: Final = 500


class Resolver:
    """Asks neighbours for their link addresses: ARP, or neighbour discovery."""

    def solicit(self, neighbour: "Neighbour", is_unicast: bool) -> None:
        """Send a question: to the known link address, or to all hosts. May raise MemoryError."""

    def unreachable(self, packet: Packet) -> None:
        """A packet that waited starts with its IP header, and no answer came: notify its sender. May raise
        MemoryError.
        """


@final
class Neighbour(NetworkTimer):
    """An entry of the cache."""

    def __init__(self, device: NetworkDevice, address: bytes) -> None:
        super().__init__()
        self.device: NetworkDevice = device
        self.address: bytes = address
        self.link_address: bytes = b""
        self.state: int = FAILED
        self.is_router: bool = False
        self.is_proxy: bool = False
        self.is_listed: bool = True  # in the table; an entry that was removed is useless
        self.probes: int = 0
        self.confirmed_ns: int = 0
        self.used_ns: int = 0
        self.updated_ns: int = 0
        self.waiting: PacketQueue = PacketQueue()
        self.waiting_bytes: int = 0

    def send(self, packet: Packet, protocol: int) -> None:
        """Send a packet, which starts with its IP header, to this neighbour; it waits if need be."""
        state = self.state
        if state & HAS_ADDRESS != 0:
            if state == STALE:
                self.used_ns = monotonic_ns()
                self.state = DELAY
                self.start(self.used_ns + _DELAY_NS)
            ethernet.send(packet, self.device, self.link_address, protocol)
            return
        if not self.is_listed:
            self.device.traffic.sent_dropped += 1  # no answer will come
            return
        packet.protocol = protocol
        size_bytes = _bytes_of(packet)
        while self.waiting.count >= _QUEUE_LIMIT or (
            self.waiting.count > 0 and self.waiting_bytes + size_bytes > _QUEUE_BYTES
        ):
            self.take_waiting()
            self.device.traffic.sent_dropped += 1
        table = neighbours_of(self.device.network)
        if table.make_room(size_bytes):
            table.waiting[self] = True
            table.count_waiting(size_bytes)
            self.waiting_bytes += size_bytes
            self.waiting.append(packet)
        else:
            self.device.traffic.sent_dropped += 1
        if state == FAILED:
            self.begin()

    def take_waiting(self) -> Packet | None:
        """The packet that has waited longest; None if there is none."""
        packet = self.waiting.pop()
        if packet is not None:
            size_bytes = _bytes_of(packet)
            table = neighbours_of(self.device.network)
            table.count_waiting(-size_bytes)
            self.waiting_bytes -= size_bytes
            if self.waiting.count == 0:
                table.waiting.pop(self)
        return packet

    def drop_waiting(self) -> None:
        """Drop all waiting packets."""
        while self.take_waiting() is not None:
            pass

    def begin(self) -> None:
        """Start asking."""
        now_ns = monotonic_ns()
        self.state = INCOMPLETE
        self.probes = 1
        self.used_ns = now_ns
        self.start(now_ns + _RETRANSMIT_NS)
        _resolver(self).solicit(self, is_unicast=False)

    def confirm(self) -> None:
        """A protocol above has just heard from this neighbour: no question is needed."""
        if self.state & (STALE | DELAY | PROBE | REACHABLE) != 0:
            self.confirmed_ns = monotonic_ns()
            if self.state != REACHABLE:
                self.become_reachable(self.confirmed_ns)

    def become_reachable(self, now_ns: int) -> None:
        """The neighbour answered."""
        self.state = REACHABLE
        self.confirmed_ns = now_ns
        self.probes = 0
        spread_ns = _REACHABLE_NS // 2 + random.word() % _REACHABLE_NS
        self.start(now_ns + spread_ns)

    def become_stale(self, now_ns: int) -> None:
        """The address is known, but not whether it still answers."""
        self.state = STALE
        self.start(now_ns + _FORGET_NS)

    def learn(self, link_address: bytes, now_ns: int) -> None:
        """Set the link address, and send the packets that waited for it; the state must already have an address."""
        if link_address != self.link_address:
            self.link_address = link_address
            self.updated_ns = now_ns
        while True:
            packet = self.take_waiting()
            if packet is None:
                break
            ethernet.send(packet, self.device, link_address, packet.protocol)

    def expire(self, now_ns: int) -> None:
        try:
            self._advance(now_ns)
        except MemoryError:
            self.state = FAILED  # the next packet begins anew
            self.drop_waiting()
        ethernet.drain()

    def _advance(self, now_ns: int) -> None:
        state = self.state
        if state == REACHABLE:
            self.become_stale(now_ns)
        elif state == DELAY:
            if now_ns - self.confirmed_ns < _DELAY_NS:
                self.become_reachable(now_ns)
            else:
                self.state = PROBE
                self.probes = 0
                self._probe(now_ns, _UNICAST_PROBES, is_unicast=True)
        elif state == PROBE:
            self._probe(now_ns, _UNICAST_PROBES, is_unicast=True)
        elif state == INCOMPLETE:
            self._probe(now_ns, _MULTICAST_PROBES, is_unicast=False)
        elif state & (STALE | FAILED) != 0:
            forget(self)

    def _probe(self, now_ns: int, limit: int, is_unicast: bool) -> None:
        if self.probes < limit:
            self.probes += 1
            self.start(now_ns + _RETRANSMIT_NS)
            _resolver(self).solicit(self, is_unicast)
            return
        self.state = FAILED
        self.start(now_ns + _FORGET_NS)
        while True:
            packet = self.take_waiting()
            if packet is None:
                break
            packet.device = self.device
            _resolver(self).unreachable(packet)


class NeighbourWatcher:
    """Is notified of entries that may interest programs. Base class: every method does nothing."""

    def neighbour_changed(self, neighbour: Neighbour) -> None:
        """Its link address changed, or a program entered it."""

    def neighbour_deleted(self, neighbour: Neighbour) -> None:
        """It was removed."""


@final
class Cache:
    """The registered resolvers and watchers."""

    def __init__(self) -> None:
        self.arp: Resolver = Resolver()
        self.ndp: Resolver = Resolver()
        self.watchers: list[NeighbourWatcher] = []


CACHE: Final = Cache()


def _bytes_of(packet: Packet) -> int:
    """What a waiting packet counts as: that does not change while it waits."""
    return len(packet.storage) + _PACKET_OVERHEAD


@final
class WaitingBytes:
    """The bytes of the packets that wait in all networks but the first one."""

    def __init__(self) -> None:
        self.total: int = 0

    def limit(self) -> int:
        """The limit for these, and for those of the first network, or of any one."""
        return max(total_frame_count() * PAGE_SIZE // _MEMORY_SHARE, _LEAST_LIMIT)


WAITING: Final = WaitingBytes()


@final
class Neighbours(Part):
    """The neighbours of a network, by device and address. Each network has its own room, so none takes another's."""

    def __init__(self, is_first: bool) -> None:
        super().__init__()
        self.is_first: bool = is_first
        self.entries: dict[bytes, Neighbour] = {}
        self.waiting: dict[Neighbour, bool] = {}  # in which packets wait, in the order in which they began to
        self.waiting_bytes: int = 0

    def end(self) -> None:
        super().end()
        self.entries.clear()
        self.waiting.clear()
        self.count_waiting(-self.waiting_bytes)

    def count_waiting(self, size_bytes: int) -> None:
        """Count that many more waiting bytes, or fewer."""
        self.waiting_bytes += size_bytes
        if not self.is_first:
            WAITING.total += size_bytes

    def make_room(self, size_bytes: int) -> bool:
        """Drop older packets of the network until `size_bytes` more fit. False if they never will."""
        limit = WAITING.limit()
        while self.waiting_bytes + size_bytes > _LEAST_ROOM and (
            self.waiting_bytes + size_bytes > limit or (not self.is_first and WAITING.total + size_bytes > limit)
        ):
            oldest = self._first_waiting()
            if oldest is None:
                return False
            oldest.take_waiting()
            oldest.device.traffic.sent_dropped += 1
        return True

    def _first_waiting(self) -> Neighbour | None:
        for entry in self.waiting.keys():
            return entry
        return None


@final
class _Maker(PartMaker):
    def make(self, network: Network) -> None:
        network.neighbours = Neighbours(is_first=network is FIRST_NETWORK)


register_part(_Maker())


def neighbours_of(network: Network) -> Neighbours:
    """The neighbours of a network."""
    part = network.neighbours
    assert isinstance(part, Neighbours)
    return part


def _resolver(neighbour: Neighbour) -> Resolver:
    return CACHE.arp if len(neighbour.address) == 4 else CACHE.ndp


def _key(device: NetworkDevice, address: bytes) -> bytes:
    return device.number.to_bytes(8, "little") + address


def find_neighbour(device: NetworkDevice, address: bytes) -> Neighbour | None:
    """The entry, if there is one."""
    return neighbours_of(device.network).entries.get(_key(device, address))


def neighbour_for(device: NetworkDevice, address: bytes) -> Neighbour:
    """The entry, created if there is none. ENOBUFS when the table is full of entries in use."""
    entries = neighbours_of(device.network).entries
    found = entries.get(_key(device, address))
    if found is not None:
        return found
    if len(entries) >= _TABLE_LIMIT:
        _make_room(entries)
    fresh = Neighbour(device, address)
    if device.flags & (IFF_NOARP | IFF_LOOPBACK) != 0:
        fresh.state = NOARP
        fresh.link_address = device.broadcast
    entries[_key(device, address)] = fresh
    return fresh


def fixed_neighbour(device: NetworkDevice, address: bytes, link_address: bytes) -> Neighbour:
    """An entry for a group or for broadcasts, which is in no table and needs no question."""
    fresh = Neighbour(device, address)
    fresh.state = NOARP
    fresh.link_address = link_address
    return fresh


def _make_room(entries: dict[bytes, Neighbour]) -> None:
    oldest: Neighbour | None = None
    spend(len(entries) * _LOOK_COST)
    for entry in entries.values():
        if entry.state & (PERMANENT | NOARP | INCOMPLETE) == 0 and (oldest is None or entry.used_ns < oldest.used_ns):
            oldest = entry
    if oldest is None:
        for entry in entries.values():
            if entry.state & PERMANENT == 0 and (oldest is None or entry.used_ns < oldest.used_ns):
                oldest = entry
    if oldest is None:
        raise Errno(ENOBUFS)
    forget(oldest)


def forget(neighbour: Neighbour) -> None:
    """Remove an entry; its waiting packets are dropped. Watchers see the state that it had."""
    neighbour.remove()
    if neighbour.is_listed:
        neighbour.drop_waiting()
        neighbour.is_listed = False
        device = neighbour.device
        neighbours_of(device.network).entries.pop(_key(device, neighbour.address))
        for watcher in CACHE.watchers:
            watcher.neighbour_deleted(neighbour)
    neighbour.state = FAILED


def list_neighbours(network: Network, size: int) -> list[Neighbour]:
    """The entries of a network for addresses of `size` bytes, 4 or 16."""
    found: list[Neighbour] = []
    for entry in neighbours_of(network).entries.values():
        if len(entry.address) == size:
            found.append(entry)
    return found


def set_neighbour(device: NetworkDevice, address: bytes, link_address: bytes, state: int) -> None:
    """Set an entry for a program, with a state (PERMANENT, STALE, REACHABLE …). EINVAL for a bad link address."""
    if len(link_address) != 6:
        raise Errno(EINVAL)
    neighbour = neighbour_for(device, address)
    now_ns = monotonic_ns()
    neighbour.cancel()
    neighbour.state = state & HAS_ADDRESS
    if neighbour.state == 0:
        neighbour.state = STALE
    if neighbour.state == STALE:
        neighbour.become_stale(now_ns)
    elif neighbour.state == REACHABLE:
        neighbour.become_reachable(now_ns)
    neighbour.learn(link_address, now_ns)
    for watcher in CACHE.watchers:
        watcher.neighbour_changed(neighbour)


def delete_neighbour(device: NetworkDevice, address: bytes) -> None:
    """Remove an entry; ENOENT if there is none."""
    neighbour = find_neighbour(device, address)
    if neighbour is None:
        raise Errno(ENOENT)
    neighbour.state = FAILED
    forget(neighbour)


@final
class _ForgetAtDown(DeviceWatcher):
    """A device that is down has no neighbours, except those that programs have entered since."""

    def device_down(self, device: NetworkDevice) -> None:
        forget_neighbours(device, 4)  # those of IPv6 go after their routes (interface_routes.py)

    def device_removed(self, device: NetworkDevice) -> None:
        forget_neighbours(device, 4)
        forget_neighbours(device, 16)


def forget_neighbours(device: NetworkDevice, size: int) -> None:
    """Remove an interface's entries for addresses of `size` bytes, with safe points between them."""
    for entry in list_neighbours(device.network, size):
        if entry.device is device and entry.is_listed:
            spend(entry.waiting.count * _DROP_COST)
            forget(entry)
            pace(_FORGET_COST)


watch_devices(_ForgetAtDown())
