"""Address translation (NAT): where a connection's answers are to be sent, and so what its packets become.

A connection is set up at most twice, for its destination and for its source, while its first packet passes. That
changes only its reply tuple: a packet is translated into what the other direction's tuple expects. So the
same packet may be translated again (with loopback it passes several points), and nothing changes.

No other connection has the new tuple. To ensure that, the source's port may have to change; it stays
in its class (below 512, below 1024, above), as programs that trust low ports expect. The search is bounded; if it
fails, the connection cannot be entered, and its first packet is dropped.

Context: thread context; nothing sleeps. May raise MemoryError.
Source: nft(8) "NAT statements", RFC 4787 section 4, RFC 5382 section 4.
"""

from typing import Final

from kernel.lang import final, noinline, span_of
from kernel.lib import random
from kernel.lib.pace import spend
from kernel.net.filter.connection import (
    STATUS_CONFIRMED,
    STATUS_DST_NAT,
    STATUS_DST_NAT_DONE,
    STATUS_FIXED_TIMEOUT,
    STATUS_SRC_NAT,
    STATUS_SRC_NAT_DONE,
    Connection,
)
from kernel.net.filter.connection_table import ConnectionTable, find_table
from kernel.net.filter.tcp_state import TIME_WAIT
from kernel.net.filter.tuples import Tuple, has_ports, source_hash
from kernel.net.internet.addresses import (
    ANY4,
    LOOPBACK4,
    LOOPBACK6,
    InterfaceAddress,
    is_unspecified,
    list_addresses,
    scope_of,
)
from kernel.net.internet.output import select_source4, select_source6
from kernel.net.internet.transport import PROTOCOL_ICMP, PROTOCOL_ICMP6
from kernel.net.link.device import NetworkDevice
from kernel.net.link.hooks import OUTPUT, Place, Verdict
from kernel.net.link.packet import Packet

# Flags of a request (NF_NAT_RANGE_*).
NAT_ADDRESSES: Final = 0x1  # `first` to `last` are given
NAT_PORTS: Final = 0x2  # `first_port` to `last_port` are given
NAT_RANDOM: Final = 0x4
NAT_PERSISTENT: Final = 0x8  # a host gets the same address for all destinations
NAT_FULLY_RANDOM: Final = 0x10
NAT_OFFSET: Final = 0x20  # a port is as far from `first_port` as it was from `base_port`
NAT_PREFIX: Final = 0x40  # the first bits come from `first`, the others stay
_ANY_RANDOM: Final = NAT_RANDOM | NAT_FULLY_RANDOM

_MOST_TRIES: Final = 128
_LEAST_TRIES: Final = 16
_LAST_TRIES: Final = 32  # in which a closed connection makes way
_SOURCES: Final = 32  # translated connections of one host to compare
_PORTS: Final = 65536
_TRY_COST: Final = 600  # instructions
_WORD: Final = 0xFFFF_FFFF
_STEP: Final = 0x9E37_79B1  # gets from a hash to the one for the next word


@final
class NatRequest:
    """A request for translation."""

    def __init__(self, to_source: bool) -> None:
        self.to_source: bool = to_source  # else to the destination
        self.flags: int = 0  # NAT_*
        self.first: bytes = b""
        self.last: bytes = b""
        self.first_port: int = 0  # of ICMP: the identifier
        self.last_port: int = 0
        self.base_port: int = 0


# One packet at a time is handled between two sleeps.
_NEW: Final = Tuple()
_OLD: Final = Tuple()
_INVERSE: Final = Tuple()


def set_up_nat(packet: Packet, place: Place, request: NatRequest) -> Verdict:
    """Decide what the connection of a packet is translated to. ACCEPT also if there is no connection, or it has already
    been set up or entered.
    """
    connection = packet.connection
    table = find_table(place.network)
    if table is None or not isinstance(connection, Connection):
        return Verdict.ACCEPT
    done = STATUS_SRC_NAT_DONE if request.to_source else STATUS_DST_NAT_DONE
    if connection.has(STATUS_CONFIRMED | done):
        return Verdict.ACCEPT
    _OLD.take_inverse(connection.reply)
    _choose(table, connection, request)
    if not _NEW.equals(_OLD):
        connection.reply.take_inverse(_NEW)
        connection.status |= STATUS_SRC_NAT if request.to_source else STATUS_DST_NAT
    connection.status |= done
    return Verdict.ACCEPT


def bind_to_itself(packet: Packet, place: Place, to_source: bool) -> Verdict:
    """No rule translates the connection: it keeps its addresses. If another connection has its port, the port
    changes.
    """
    connection = packet.connection
    request = NatRequest(to_source)
    if isinstance(connection, Connection):
        request.flags = NAT_ADDRESSES
        request.first = connection.reply.destination if to_source else connection.reply.source
        request.last = request.first
    return set_up_nat(packet, place, request)


def masquerade(packet: Packet, place: Place, request: NatRequest) -> Verdict:
    """The source becomes the output device's address; the connection ends when that is removed. DROP without one.
    """
    connection = packet.connection
    device = place.output
    if device is None or not isinstance(connection, Connection):
        return Verdict.ACCEPT
    if packet.source == ANY4 or connection.has(STATUS_CONFIRMED | STATUS_SRC_NAT_DONE):
        return Verdict.ACCEPT  # before addresses are looked through
    neighbour = packet.destination if len(place.gateway) == 0 else place.gateway
    if len(packet.source) == 4:
        own = select_source4(device, neighbour, 0)
    else:
        own = select_source6(device, packet.destination)
    if is_unspecified(own):
        return Verdict.DROP
    connection.masquerade_device = device.number
    return _to_address(packet, place, request, own, to_source=True)


def redirect(packet: Packet, place: Place, request: NatRequest) -> Verdict:
    """The destination becomes this host: lo's address for what it sends itself, else the input device's. DROP without
    one.
    """
    connection = packet.connection
    if isinstance(connection, Connection) and connection.has(STATUS_CONFIRMED | STATUS_DST_NAT_DONE):
        return Verdict.ACCEPT
    is_ip4 = len(packet.source) == 4
    if place.point == OUTPUT:
        return _to_address(packet, place, request, LOOPBACK4 if is_ip4 else LOOPBACK6, to_source=False)
    device = place.input
    own = None if device is None else _address_for(device, packet.destination)
    if own is None:
        return Verdict.DROP
    return _to_address(packet, place, request, own.address, to_source=False)


def _address_for(device: NetworkDevice, destination: bytes) -> InterfaceAddress | None:
    """The first address of a device; for IPv6 one of the destination's scope."""
    for entry in list_addresses(device, len(destination)):
        if len(destination) == 4 or (entry.is_usable() and scope_of(entry.address) == scope_of(destination)):
            return entry
    return None


def _to_address(packet: Packet, place: Place, request: NatRequest, own: bytes, to_source: bool) -> Verdict:
    return set_up_nat(packet, place, _with_address(request, own, to_source))


@noinline  # what follows goes deep: nothing of this should lie on the stack then
def _with_address(request: NatRequest, own: bytes, to_source: bool) -> NatRequest:
    whole = NatRequest(to_source)
    whole.flags = request.flags | NAT_ADDRESSES
    whole.first = own
    whole.last = own
    whole.first_port = request.first_port
    whole.last_port = request.last_port
    whole.base_port = request.base_port
    return whole


# ---- The choice -------------------------------------------------------------------------------------------------


def _choose(table: ConnectionTable, connection: Connection, request: NatRequest) -> None:
    """Set `_NEW` to what `_OLD` becomes."""
    flags = request.flags
    _NEW.take(_OLD)
    if request.to_source and flags & _ANY_RANDOM == 0:
        if _is_within(_OLD, request):
            if not _is_used(table, _NEW):
                return
        elif _take_known(table, connection, request):
            return
    _choose_address(request)
    if flags & _ANY_RANDOM == 0:
        if flags & NAT_PORTS != 0:
            is_one = request.first_port == request.last_port
            if flags & NAT_OFFSET == 0 and _has_port_within(_NEW, request) and (is_one or not _is_used(table, _NEW)):
                return
        elif not _is_used(table, _NEW):
            return
    _choose_port(table, request)


def _is_within(tuple_: Tuple, request: NatRequest) -> bool:
    """Whether the source is in the wanted range."""
    source = tuple_.source
    if request.flags & NAT_ADDRESSES != 0 and not request.first <= source <= request.last:
        return False
    return request.flags & NAT_PORTS == 0 or _has_port_within(tuple_, request)


def _has_port_within(tuple_: Tuple, request: NatRequest) -> bool:
    """Whether the port, or the identifier, is in the wanted range; true for protocols without ports."""
    protocol = tuple_.protocol
    if has_ports(protocol):
        port = tuple_.source_port if request.to_source else tuple_.destination_port
    elif protocol == PROTOCOL_ICMP or protocol == PROTOCOL_ICMP6:
        port = tuple_.source_port
    else:
        return True
    return request.first_port <= port <= request.last_port


def _is_used(table: ConnectionTable, tuple_: Tuple) -> bool:
    """Whether another connection expects the answers to a tuple."""
    _INVERSE.take_inverse(tuple_)
    if table.is_taken(_INVERSE):
        table.statistics.found += 1
        return True
    return False


def _take_known(table: ConnectionTable, connection: Connection, request: NatRequest) -> bool:
    """Reuse what the same source became in another connection, if that is free here (RFC 4787, section 4.1)."""
    original = connection.original
    other = table.find_by_source(original.source, original.source_port, original.protocol)
    for _ in range(_SOURCES):
        if other is None:
            break
        known = other.original
        if (
            known.source_port == original.source_port
            and known.protocol == original.protocol
            and known.source == original.source
        ):
            _NEW.take(_OLD)
            _NEW.source = other.reply.destination
            _NEW.source_port = other.reply.destination_port
            if not has_ports(original.protocol):
                _NEW.source_port = other.reply.source_port
            if _is_within(_NEW, request) and not _is_used(table, _NEW):
                return True
        other = other.next_of_source
    _NEW.take(_OLD)
    return False


def _choose_address(request: NatRequest) -> None:
    """Choose an address of the range: by the source's hash, and by the destination's unless it is to be persistent."""
    if request.flags & NAT_ADDRESSES == 0:
        return
    chosen = request.first
    if request.flags & NAT_PREFIX != 0:
        chosen = _with_prefix(_NEW.source if request.to_source else _NEW.destination, request)
    elif request.first != request.last:
        chosen = _spread(request)
    if request.to_source:
        _NEW.source = chosen
    else:
        _NEW.destination = chosen


def _with_prefix(address: bytes, request: NatRequest) -> bytes:
    """An address with the bits in which `first` and `last` agree, and its own others."""
    result = bytearray(request.first)
    for i in range(min(len(result), len(address), len(request.last))):
        own = request.first[i] ^ request.last[i]
        result[i] = request.first[i] & (own ^ 0xFF) | address[i] & own
    return bytes(result)


def _spread(request: NatRequest) -> bytes:
    """An address between `first` and `last`."""
    is_persistent = request.flags & NAT_PERSISTENT != 0
    seed = source_hash(_OLD.source if is_persistent else _OLD.source + _OLD.destination, 0, 0)
    result = bytearray(request.first)
    first = span_of(request.first)
    last = span_of(request.last)
    target = span_of(result)
    is_free = False  # an earlier word is below that of `last`
    for at in range(0, len(request.first) & ~3, 4):
        low = 0 if is_free else first.load_be32(at)
        high = _WORD if is_free else last.load_be32(at)
        count = max(high - low + 1, 1)
        word = low + ((seed >> 1) * count >> 31)
        target.store_be32(at, word)
        if word != last.load_be32(at):
            is_free = True
        seed = (seed >> 1) * _STEP + 1 & _WORD
    return bytes(result)


def _choose_port(table: ConnectionTable, request: NatRequest) -> None:
    """Choose a port that makes `_NEW` unique, if one can be found."""
    is_icmp = _NEW.protocol == PROTOCOL_ICMP or _NEW.protocol == PROTOCOL_ICMP6
    if not is_icmp and not has_ports(_NEW.protocol):
        return
    is_source = request.to_source or is_icmp
    port = _NEW.source_port if is_source else _NEW.destination_port
    if request.flags & NAT_PORTS != 0:
        first = min(request.first_port, request.last_port)
        count = max(request.first_port, request.last_port) - first + 1
    elif is_icmp:
        first = 0
        count = _PORTS
    elif not request.to_source:
        return  # a service keeps its port
    elif port < 512:
        first = 1
        count = 511
    elif port < 1024:
        first = 600
        count = 424
    else:
        first = 1024
        count = _PORTS - 1024
    if request.flags & NAT_OFFSET != 0:
        offset = (port - request.base_port) % _PORTS
    elif request.flags & _ANY_RANDOM != 0 or request.to_source:
        offset = random.word() % _PORTS
    else:
        offset = 0
    tries = min(count, _MOST_TRIES)
    while True:
        for i in range(tries):
            spend(_TRY_COST)
            candidate = first + (offset + i) % count
            if is_source:
                _NEW.source_port = candidate
            else:
                _NEW.destination_port = candidate
            if not _is_used(table, _NEW) or (tries - i <= _LAST_TRIES and _make_place(table)):
                return
        if tries >= count or tries < _LEAST_TRIES:
            return
        tries //= 2
        offset = random.word() % _PORTS


def _make_place(table: ConnectionTable) -> bool:
    """Evict the translated connection that expects `_INVERSE`, if it has been closed."""
    found = table.find(_INVERSE)
    other = None if found is None else found.connection
    if other is None or found is not other.reply:
        return False
    tcp = other.tcp
    if tcp is None or tcp.state < TIME_WAIT or not other.has(STATUS_SRC_NAT) or other.has(STATUS_FIXED_TIMEOUT):
        return False
    table.drop(other)
    return True
