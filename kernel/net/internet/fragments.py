"""Reassembly of fragmented datagrams, for both versions of IP.

Fragments wait, sorted by offset, until there is no hole. An overlap is treated as an attack: the whole
datagram is dropped (RFC 5722; for IPv4 Linux does the same). A fragment that brings nothing new is not an attack but
a copy: one that lies in a run, a sequence of fragments that came in order. Memory is bounded by bytes over all
datagrams of a network, by bytes over all networks but the first together, and each datagram by fragments and time.

Invariants: pieces are sorted, disjoint and not empty; `bytes_held` is what all pieces' storages take.
Context: thread context; nothing sleeps, but where a device leaves its network or that ends there are safe points.
Source: RFC 791 section 3.2, RFC 815, RFC 8200 section 4.5.
"""

from typing import Final

from kernel.lang import final, span_of
from kernel.lib.pace import pace, spend
from kernel.net.internet.sysctl import IP4_SETTINGS, IP6_SETTINGS
from kernel.net.link.counters import IpCounters
from kernel.net.link.device import DeviceWatcher, NetworkDevice, watch_devices
from kernel.net.link.network import FIRST_NETWORK, Network, PartMaker, network_of, register_part
from kernel.net.link.packet import CHECKSUM_NONE, Packet
from kernel.net.link.part import Part
from kernel.net.link.timers import NEVER_NS

# Congestion codes (RFC 3168) of fragments, a bit each; fragments with and without ECN capability do not belong
# together.
_NOT_CAPABLE: Final = 1
_CONGESTED: Final = 8
_PIECES_LIMIT: Final = 1024
_FREE_COST: Final = 400  # instructions for a fragment that is dropped
_OVERHEAD: Final = 256  # of a packet besides its storage
_UNKNOWN: Final = -1
_KEY6: Final = 32  # keys of IPv6 are longer than that, those of IPv4 shorter
_PAGE_SHIFT: Final = 12
_SHARED_SHIFT: Final = 6  # all networks but the first together hold at most this part of memory
_LEAST_SHARED_BYTES: Final = 512 << 10
_SHARE: Final = 1024  # expired fragments that are dropped at once; the others follow


@final
class Piece:
    """A fragment: its data are at the front of the packet."""

    def __init__(self, packet: Packet, offset: int, continues: bool) -> None:
        self.packet: Packet = packet
        self.offset: int = offset
        self.continues: bool = continues  # the run of the piece in front of it

    def end(self) -> int:
        return self.offset + len(self.packet)


class TimeoutListener:
    """Is notified of datagrams that expire. Base class."""

    def timed_out(self, first: Packet) -> None:
        """`first` is the fragment with offset 0, and starts with its data; its IP header is at `network_start`."""


@final
class Datagram:
    """An incomplete datagram."""

    def __init__(self, owner: "Reassembler", key: bytes, deadline_ns: int) -> None:
        self.owner: Reassembler = owner  # until it is dropped: each refers to the other
        self.serial: int = 0  # its key in SHARED_ROOM
        self.key: bytes = key
        self.deadline_ns: int = deadline_ns
        self.pieces: list[Piece] = []
        self.total: int = _UNKNOWN  # its length, known from the last fragment
        self.received: int = 0
        self.bytes_held: int = 0
        self.largest: int = 0  # the largest fragment's length with its IP header
        self.congestion: int = 0  # the ECN codes that were seen, a bit each


def _is_in_run(pieces: list[Piece], last: int, offset: int) -> bool:
    """Whether data that start at `offset` and end in the piece number `last` lie in that piece's run."""
    while last > 0 and pieces[last].continues:
        last -= 1
    return pieces[last].offset <= offset


@final
class Timeouts:
    """The registered listeners."""

    def __init__(self) -> None:
        self.listener4: TimeoutListener = TimeoutListener()
        self.listener6: TimeoutListener = TimeoutListener()


TIMEOUTS: Final = Timeouts()


@final
class SharedRoom:
    """Incomplete datagrams of all networks but the first, oldest first. Creating more networks yields no more memory,
    and delays others only until their next fragment: the oldest datagram is dropped.
    """

    def __init__(self) -> None:
        self.most_bytes: int = 1 << 20
        self.bytes_held: int = 0
        self.last_serial: int = 0
        self.waiting: dict[int, Datagram] = {}

    def configure(self, page_count: int) -> None:
        """Derive the bound from the machine's memory."""
        self.most_bytes = max((page_count << _PAGE_SHIFT) >> _SHARED_SHIFT, _LEAST_SHARED_BYTES)

    def enter(self, datagram: Datagram) -> None:
        """Enter a datagram. Raises MemoryError."""
        self.last_serial += 1
        self.waiting[self.last_serial] = datagram
        datagram.serial = self.last_serial

    def keep_bound(self) -> None:
        """Drop the oldest until the bound holds."""
        while self.bytes_held > self.most_bytes:
            for datagram in self.waiting.values():
                datagram.owner.fail(datagram)
                break


SHARED_ROOM: Final = SharedRoom()


@final
class Reassembler(Part):
    """All incomplete datagrams of a network, oldest first. The timer drops those that expire."""

    def __init__(self, ip4: IpCounters, ip6: IpCounters, shares_room: bool) -> None:
        super().__init__()
        self.shares_room: bool = shares_room  # of a network that is not the first
        self.ip4: IpCounters = ip4
        self.ip6: IpCounters = ip6
        self.datagrams: dict[bytes, Datagram] = {}
        self.bytes_held: int = 0

    def end(self) -> None:
        super().end()
        self._forget_all(b"")

    def _counters_of(self, datagram: Datagram) -> IpCounters:
        return self.ip4 if len(datagram.key) < _KEY6 else self.ip6

    def add(self, key: bytes, packet: Packet, offset: int, is_last: bool, now_ns: int) -> Packet | None:
        """Take a fragment whose data start at `packet.start` and belong at `offset`; a fragment that is not the last
        holds a multiple of 8 bytes. Returns the whole datagram once it is complete: a packet that starts with the
        first fragment's IP header (and what stands between that and the data), followed by all data. May raise
        MemoryError.
        """
        network = network_of(packet)
        datagram = self.datagrams.get(key)
        if datagram is None:
            patience = IP4_SETTINGS.ipfrag_time_s if len(key) < _KEY6 else IP6_SETTINGS.frag_time_s
            patience_s = min(patience.of(network), patience.of(FIRST_NETWORK))
            datagram = Datagram(self, key, now_ns + patience_s * 1_000_000_000)
            self.datagrams[key] = datagram
            if self.shares_room:
                self._share_room(datagram)
            if datagram.deadline_ns < self.deadline_ns:
                self.start(datagram.deadline_ns)
        if not self._insert(datagram, packet, offset, is_last):
            self.fail(datagram)
            return None
        if datagram.received != datagram.total:
            while self.bytes_held > _limit(network, key):
                self._drop_oldest()
            SHARED_ROOM.keep_bound()
            return None
        self._forget(datagram)
        if datagram.congestion & _NOT_CAPABLE != 0 and datagram.congestion != _NOT_CAPABLE:
            self._counters_of(datagram).reassembly_fails += 1
            return None
        return self._assemble(datagram)

    def use(self, size: int) -> tuple[int, int]:
        """The bytes that incomplete datagrams between addresses of `size` bytes hold, and how many there are."""
        held = 0
        count = 0
        for key, datagram in self.datagrams.items():
            if (len(key) < _KEY6) == (size == 4):
                held += datagram.bytes_held
                count += 1
        return held, count

    def _insert(self, datagram: Datagram, packet: Packet, offset: int, is_last: bool) -> bool:
        """Put the piece in its place. False: it contradicts the others. A copy of a piece is dropped quietly."""
        end = offset + len(packet)
        pieces = datagram.pieces
        highest = 0 if len(pieces) == 0 else pieces[len(pieces) - 1].end()
        if is_last:
            if end < highest or (datagram.total != _UNKNOWN and end != datagram.total):
                return False
        elif datagram.total != _UNKNOWN and end > datagram.total:
            return False
        if len(packet) == 0:
            return False
        if is_last:
            datagram.total = end
        at = len(pieces)
        continues = False
        if end > highest:
            if offset < highest:
                return False
            continues = at > 0 and offset == highest
        else:
            while at > 0 and pieces[at - 1].offset >= end:
                at -= 1
            if at > 0 and pieces[at - 1].end() > offset:
                return end <= pieces[at - 1].end() and _is_in_run(pieces, at - 1, offset)
        if len(pieces) >= _PIECES_LIMIT:
            return False
        pieces.insert(at, Piece(packet, offset, continues))
        datagram.received += len(packet)
        cost = len(packet.storage) + _OVERHEAD
        datagram.bytes_held += cost
        self.bytes_held += cost
        if self.shares_room:
            SHARED_ROOM.bytes_held += cost
        datagram.largest = max(datagram.largest, packet.end - packet.network_start)
        datagram.congestion |= 1 << (packet.traffic_class & 3)
        return True

    def _assemble(self, datagram: Datagram) -> Packet:
        first = datagram.pieces[0].packet
        header = first.start - first.network_start
        whole = Packet(header + datagram.total)
        whole.put(header).copy_from(span_of(first.storage)[first.network_start : first.start])
        for piece in datagram.pieces:
            whole.put(len(piece.packet)).copy_from(piece.packet.span())
        whole.network_start = whole.start
        whole.link_start = whole.start
        whole.device = first.device
        whole.protocol = first.protocol
        whole.source = first.source
        whole.destination = first.destination
        whole.link_kind = first.link_kind
        whole.hop_limit = first.hop_limit
        whole.traffic_class = first.traffic_class
        whole.checksum = CHECKSUM_NONE
        whole.fragment_size = datagram.largest
        # RFC 3168, section 5.3: congestion that one fragment met is the datagram's.
        if datagram.congestion & _CONGESTED != 0:
            whole.traffic_class |= 3
        return whole

    def _share_room(self, datagram: Datagram) -> None:
        try:
            SHARED_ROOM.enter(datagram)
        except MemoryError:
            self.datagrams.pop(datagram.key)
            raise

    def fail(self, datagram: Datagram) -> None:
        """Give a datagram up."""
        self._forget(datagram)
        self._counters_of(datagram).reassembly_fails += 1

    def _drop_oldest(self) -> None:
        for datagram in self.datagrams.values():
            self.fail(datagram)
            return

    def forget_device(self, number: int) -> None:
        """A device has left its network: drop the datagrams that came through it."""
        self._forget_all(number.to_bytes(8, "little"))

    def _forget_all(self, end: bytes) -> None:
        """Drop the datagrams whose keys have this end, with safe points between."""
        for datagram in list(self.datagrams.values()):
            if datagram.key.endswith(end) and self.datagrams.get(datagram.key) is datagram:
                self._forget(datagram)
                datagram.pieces.clear()
            pace(_FREE_COST)

    def _forget(self, datagram: Datagram) -> None:
        spend(len(datagram.pieces) * _FREE_COST)
        self.bytes_held -= datagram.bytes_held
        if self.shares_room:
            SHARED_ROOM.bytes_held -= datagram.bytes_held
            SHARED_ROOM.waiting.pop(datagram.serial)
        self.datagrams.pop(datagram.key)

    def expire(self, now_ns: int) -> None:
        due: list[Datagram] = []
        next_ns = NEVER_NS
        left = _SHARE
        for datagram in self.datagrams.values():
            if datagram.deadline_ns <= now_ns:
                if left <= 0:
                    next_ns = now_ns
                    break
                due.append(datagram)
                left -= 1 + len(datagram.pieces)
            else:
                next_ns = min(next_ns, datagram.deadline_ns)
        for datagram in due:
            self.fail(datagram)
            is_ip4 = len(datagram.key) < _KEY6
            self._counters_of(datagram).reassembly_timeouts += 1
            pieces = datagram.pieces
            if len(pieces) > 0 and pieces[0].offset == 0:
                listener = TIMEOUTS.listener4 if is_ip4 else TIMEOUTS.listener6
                listener.timed_out(pieces[0].packet)
        if next_ns != NEVER_NS:
            self.start(next_ns)


def _limit(network: Network, key: bytes) -> int:
    """How many bytes incomplete datagrams may hold, for the IP version of a key: the administrator of a network may set
    less than the first network's limit.
    """
    limit = IP4_SETTINGS.ipfrag_high_bytes if len(key) < _KEY6 else IP6_SETTINGS.frag_high_bytes
    return min(limit.of(network), limit.of(FIRST_NETWORK))


@final
class _Maker(PartMaker):
    def make(self, network: Network) -> None:
        network.fragments = Reassembler(network.ip4, network.ip6, shares_room=network is not FIRST_NETWORK)


register_part(_Maker())


def reassembler_of(network: Network) -> Reassembler:
    """The incomplete datagrams of a network."""
    part = network.fragments
    assert isinstance(part, Reassembler)
    return part


@final
class _FollowDevices(DeviceWatcher):
    def device_removed(self, device: NetworkDevice) -> None:
        reassembler_of(device.network).forget_device(device.number)


watch_devices(_FollowDevices())
