"""Addresses of interfaces, and the kinds of addresses.

An address is `bytes`, 4 or 16 long. Adding one enters its routes, deleting one removes them (`interface_routes.py`).

Context: thread context; only deleting IPv4 addresses, or all of an interface's, has safe points.
Source: RFC 1122 section 3.2.1.3, RFC 4291, RFC 6724 (scopes), rtnetlink(7).
"""

from typing import TYPE_CHECKING, Final

from kernel.lang import EACCES, EADDRNOTAVAIL, EEXIST, EINVAL, ENOBUFS, Errno, final, inline, span_of
from kernel.lib.linked import Linked
from kernel.lib.pace import pace, spend
from kernel.net.internet.interface_settings import DISABLE6
from kernel.net.link.device import NetworkDevice, check_stays
from kernel.net.link.network import FIRST_NETWORK, Network, PartMaker, register_part
from kernel.net.link.part import Part

if TYPE_CHECKING:
    from kernel.net.internet.membership import Membership

ANY4: Final[bytes] = bytes(4)
ANY6: Final[bytes] = bytes(16)
LOOPBACK4: Final[bytes] = b"\x7f\x00\x00\x01"
LOOPBACK6: Final[bytes] = bytes(15) + b"\x01"
LIMITED_BROADCAST: Final[bytes] = b"\xff\xff\xff\xff"
ALL_HOSTS4: Final[bytes] = b"\xe0\x00\x00\x01"
ALL_NODES6: Final[bytes] = b"\xff\x02" + bytes(13) + b"\x01"
ALL_ROUTERS6: Final[bytes] = b"\xff\x02" + bytes(13) + b"\x02"
MAPPED_PREFIX: Final[bytes] = bytes(10) + b"\xff\xff"
_SOLICITED_NODE: Final[bytes] = b"\xff\x02" + bytes(9) + b"\x01\xff"

# Instructions for each address that may belong to a device, that may be an heir, and that is deleted
_ENTRY_COST: Final = 15
_HEIR_COST: Final = 120
_END_COST: Final = 5000
_PART: Final = 16  # that many are deleted without a safe point
SCOPE_UNIVERSE: Final = 0
SCOPE_SITE: Final = 200
SCOPE_LINK: Final = 253
SCOPE_HOST: Final = 254
SCOPE_NOWHERE: Final = 255

# Flags of an interface's address (IFA_F_*).
ADDRESS_SECONDARY: Final = 0x01
ADDRESS_NODAD: Final = 0x02
ADDRESS_OPTIMISTIC: Final = 0x04
ADDRESS_DADFAILED: Final = 0x08
ADDRESS_HOMEADDRESS: Final = 0x10
ADDRESS_DEPRECATED: Final = 0x20
ADDRESS_TENTATIVE: Final = 0x40
ADDRESS_PERMANENT: Final = 0x80
ADDRESS_MANAGETEMPADDR: Final = 0x100
ADDRESS_NOPREFIXROUTE: Final = 0x200
ADDRESS_MCAUTOJOIN: Final = 0x400

FOREVER_NS: Final = (1 << 63) - 1
_LIMIT: Final = 4096  # addresses of all interfaces of the first network
_LIMIT_OF_OTHERS: Final = 256


def is_multicast(address: bytes) -> bool:
    """224.0.0.0/4 or ff00::/8."""
    if len(address) == 4:
        return address[0] & 0xF0 == 0xE0
    return address[0] == 0xFF


def is_unspecified(address: bytes) -> bool:
    """0.0.0.0 or ::."""
    return address == ANY4 or address == ANY6


def is_loopback(address: bytes) -> bool:
    """127.0.0.0/8 or ::1."""
    if len(address) == 4:
        return address[0] == 127
    return address == LOOPBACK6


def is_link_local(address: bytes) -> bool:
    """169.254.0.0/16, fe80::/10, or a multicast group that stays on its link."""
    if len(address) == 4:
        return (address[0] == 169 and address[1] == 254) or (address[0] == 224 and address[1] == 0 and address[2] == 0)
    if address[0] == 0xFF:
        return address[1] & 0xF == 2 or address[1] & 0xF == 1
    return address[0] == 0xFE and address[1] & 0xC0 == 0x80


def is_mapped(address: bytes) -> bool:
    """Whether this is ::ffff:a.b.c.d."""
    return len(address) == 16 and address.startswith(MAPPED_PREFIX)


def mapped(address: bytes) -> bytes:
    """An IPv4 address as IPv6 sockets see it; an IPv6 address as it is."""
    return MAPPED_PREFIX + address if len(address) == 4 else address


def unmapped(address: bytes) -> bytes:
    """The IPv4 address inside a mapped one; any other as it is."""
    return address[12:16] if is_mapped(address) else address


def scope_of(address: bytes) -> int:
    """SCOPE_*: how far an address is valid."""
    if is_loopback(address):
        return SCOPE_HOST
    return SCOPE_LINK if is_link_local(address) else SCOPE_UNIVERSE


def solicited_node(address: bytes) -> bytes:
    """The group that hears questions about an IPv6 address (RFC 4291, section 2.7.1)."""
    return _SOLICITED_NODE + address[13:16]


def multicast_link_address(address: bytes) -> bytes:
    """The Ethernet address of a group (RFC 1112 section 6.4, RFC 2464 section 7)."""
    if len(address) == 4:
        return b"\x01\x00\x5e" + bytes([address[1] & 0x7F]) + address[2:4]
    return b"\x33\x33" + address[12:16]


def masked(address: bytes, prefix_length: int) -> bytes:
    """The address with all bits after the prefix cleared."""
    result = bytearray(address)
    for i in range(len(result)):
        keep = max(0, min(8, prefix_length - 8 * i))
        result[i] = result[i] & (0xFF00 >> keep) & 0xFF
    return bytes(result)


def is_in(address: bytes, other: bytes, prefix_length: int) -> bool:
    """Whether two IPv4 addresses begin with the same prefix."""
    difference = span_of(address).load_be32(0) ^ span_of(other).load_be32(0)
    return difference >> (32 - prefix_length) == 0


def netmask(prefix_length: int) -> bytes:
    """The IPv4 netmask with that many ones, 0 to 32."""
    return masked(LIMITED_BROADCAST, prefix_length)


def prefix_of_netmask(mask: bytes) -> int:
    """How many ones an IPv4 netmask begins with; -1 if it has ones after a zero."""
    value = span_of(mask).load_be32(0)
    inverted = value ^ 0xFFFF_FFFF
    if inverted & (inverted + 1) != 0:
        return -1
    length = 32
    while inverted != 0:
        inverted >>= 1
        length -= 1
    return length


def broadcast_of(address: bytes, prefix_length: int) -> bytes:
    """The IPv4 address of the prefix, followed by ones."""
    result = bytearray(address)
    for i in range(4):
        keep = max(0, min(8, prefix_length - 8 * i))
        result[i] = result[i] | (0xFF >> keep)
    return bytes(result)


@final
class InterfaceAddress(Linked["InterfaceAddress"]):
    """An address of an interface. It may be in the list of those to announce (`arp.py`)."""

    def __init__(self, device: NetworkDevice, address: bytes, prefix_length: int) -> None:
        super().__init__()
        self.device: NetworkDevice = device
        self.address: bytes = address
        self.prefix_length: int = prefix_length
        self.peer: bytes = address  # the other end of a point-to-point link, or the address itself
        self.broadcast: bytes = b""  # IPv4: empty for none
        self.label: bytes = device.name  # IPv4: eth0, eth0:1
        self.scope: int = scope_of(address)
        self.flags: int = ADDRESS_PERMANENT  # ADDRESS_*
        self.valid_until_ns: int = FOREVER_NS
        self.preferred_until_ns: int = FOREVER_NS
        self.created_ns: int = 0
        self.updated_ns: int = 0
        self.probes_left: int = 0  # IPv6: duplicate address detection …
        self.proof_key: bytes = b""  # … is going on, under this key
        self.nonce: bytes = b""  # of the last probe
        self.route_metric: int = 0
        self.is_announced_soon: bool = False  # it is in that list
        self.is_listed: bool = False  # its interface has it
        self.membership: Membership | None = None  # IPv6: in its solicited-node group

    @inline
    def this(self) -> "InterfaceAddress":
        return self

    def is_usable(self) -> bool:
        """Whether it may be a source: duplicate address detection has succeeded."""
        return self.flags & (ADDRESS_TENTATIVE | ADDRESS_DADFAILED) == 0


class AddressWatcher:
    """Is notified of changes of addresses. Base class: every method does nothing."""

    def address_coming(self, entry: InterfaceAddress) -> None:
        """It is about to be added: before `address_added` of anyone. May raise the same."""

    def address_added(self, entry: InterfaceAddress) -> None:
        """It was added. May raise MemoryError or Errno: then it is taken back, and all watchers learn that, too."""

    def address_deleted(self, entry: InterfaceAddress) -> None:
        """It was deleted."""

    def address_left(self, entry: InterfaceAddress) -> None:
        """It was deleted with all of its interface's, whose routes go as well."""
        self.address_deleted(entry)

    def address_changed(self, entry: InterfaceAddress) -> None:
        """Its flags or lifetimes have changed."""


@final
class AddressList(Part):
    """All addresses of a network's interfaces, in the order that `_place_for` gives them."""

    def __init__(self) -> None:
        super().__init__()
        self.entries: list[InterfaceAddress] = []
        self.owned: dict[bytes, InterfaceAddress] = {}  # one entry per address
        self.recent: InterfaceAddress | None = None  # of these, the one looked up last


@final
class _Maker(PartMaker):
    def make(self, network: Network) -> None:
        network.addresses = AddressList()


register_part(_Maker())
_WATCHERS: Final[list[AddressWatcher]] = []


def addresses_of(network: Network) -> AddressList:
    """The addresses of a network."""
    part = network.addresses
    assert isinstance(part, AddressList)
    return part


def watch_addresses(watcher: AddressWatcher) -> None:
    """Notify `watcher` of all changes from now on."""
    _WATCHERS.append(watcher)


def watch_addresses_first(watcher: AddressWatcher) -> None:
    """The same, and before all others: what they do in response is reported after the change itself."""
    _WATCHERS.insert(0, watcher)


def add_address(entry: InterfaceAddress) -> None:
    """Give an interface an address. EEXIST, EINVAL for an impossible prefix or address, ENOBUFS for too many, or
    too many routes or groups, ENODEV for one that is leaving, EACCES for one without IPv6; MemoryError. On failure it
    does not have the address.
    """
    check_stays(entry.device)
    address = entry.address
    if not 0 <= entry.prefix_length <= 8 * len(address) or is_multicast(address) or is_unspecified(address):
        raise Errno(EINVAL)
    if len(address) == 16 and DISABLE6.of(entry.device) != 0:
        raise Errno(EACCES)
    if find_address(entry.device, address, entry.prefix_length) is not None:
        raise Errno(EEXIST)
    if len(address) == 16 and find_on(entry.device, address) is not None:
        raise Errno(EEXIST)
    addresses = addresses_of(entry.device.network)
    if len(addresses.entries) >= (_LIMIT if entry.device.network is FIRST_NETWORK else _LIMIT_OF_OTHERS):
        raise Errno(ENOBUFS)
    spend(len(addresses.entries) * _HEIR_COST)
    addresses.entries.insert(_place_for(addresses.entries, entry), entry)
    entry.is_listed = True
    notified = 0
    try:
        if address not in addresses.owned:
            addresses.owned[address] = entry
        for watcher in _WATCHERS:
            watcher.address_coming(entry)
        while notified < len(_WATCHERS):
            notified += 1
            _WATCHERS[notified - 1].address_added(entry)
    except (Errno, MemoryError):
        _take_out(entry)
        for i in range(notified):
            try:
                _WATCHERS[i].address_deleted(entry)
            except MemoryError:
                continue  # the others are notified all the same
        raise


def _place_for(entries: list[InterfaceAddress], entry: InterfaceAddress) -> int:
    """Where an address is entered among those of its interface, as on Linux. Of IPv6, those of a wider scope come
    first, and then new ones; of IPv4, primary ones, of these those of a narrower scope, and then old ones. Finds out
    whether an IPv4 address is secondary.
    """
    if len(entry.address) == 16:
        for at in range(len(entries)):
            other = entries[at]
            if other.device is entry.device and len(other.address) == 16 and other.scope >= entry.scope:
                return at
        return len(entries)
    first = -1
    place = -1
    for at in range(len(entries)):
        other = entries[at]
        if other.device is not entry.device or len(other.address) != 4:
            continue
        if first < 0:
            first = at
        if other.flags & ADDRESS_SECONDARY != 0:
            continue
        if other.prefix_length == entry.prefix_length and is_in(other.address, entry.address, entry.prefix_length):
            entry.flags |= ADDRESS_SECONDARY
            return len(entries)
        if entry.scope <= other.scope:
            place = at + 1
    if place >= 0:
        return place
    return first if first >= 0 else len(entries)


def delete_address(entry: InterfaceAddress) -> None:
    """Delete an address. Secondary IPv4 addresses of the same prefix go with their primary, as on Linux, with safe
    points between: those that it had before, because one that is added meanwhile becomes the primary.
    """
    takes_others = len(entry.address) == 4 and entry.flags & ADDRESS_SECONDARY == 0
    others = list_addresses(entry.device, 4) if takes_others else []
    _remove(entry)
    if takes_others:
        for other in others:
            if other.prefix_length == entry.prefix_length and is_in(other.address, entry.address, entry.prefix_length):
                pace(_END_COST)
                if other.is_listed:  # others may have deleted it
                    _remove(other)


def delete_addresses_of(device: NetworkDevice, size: int) -> None:
    """Delete all addresses of `size` bytes, or with 0 all, of an interface that is down, whose routes the caller
    removes then. With safe points between parts. Raises MemoryError.
    """
    while True:
        going = _next_part(device, size)
        if len(going) == 0:
            return
        _take_out_all(addresses_of(device.network), going)
        for entry in going:
            for watcher in _WATCHERS:
                watcher.address_left(entry)
        pace(len(going) * _END_COST)


def _next_part(device: NetworkDevice, size: int) -> list[InterfaceAddress]:
    """Some of these addresses, in their order."""
    part: list[InterfaceAddress] = []
    for entry in addresses_of(device.network).entries:
        if entry.device is device and (size == 0 or len(entry.address) == size):
            part.append(entry)
            if len(part) == _PART:
                break
    return part


def _take_out_all(addresses: AddressList, going: list[InterfaceAddress]) -> None:
    """Take entries, in their order, out of the tables. Raises MemoryError, with nothing done."""
    orphans: dict[bytes, bool] = {}  # addresses that other entries may have, too
    for entry in going:
        if addresses.owned.get(entry.address) is entry:
            orphans[entry.address] = True
    spend(len(addresses.entries) * _HEIR_COST)
    kept = 0
    gone = 0
    for entry in addresses.entries:
        if gone < len(going) and entry is going[gone]:
            entry.is_listed = False
            gone += 1
            continue
        addresses.entries[kept] = entry
        kept += 1
        if entry.address in orphans:
            addresses.owned[entry.address] = entry  # in its place
            orphans.pop(entry.address)
    while len(addresses.entries) > kept:
        addresses.entries.pop()
    for address in orphans.keys():
        addresses.owned.pop(address)
    addresses.recent = None


def _remove(entry: InterfaceAddress) -> None:
    if not entry.is_listed:
        raise Errno(EADDRNOTAVAIL)
    _take_out(entry)
    for watcher in _WATCHERS:
        watcher.address_deleted(entry)


def _take_out(entry: InterfaceAddress) -> None:
    """Take an entry out of the tables. Needs no memory."""
    addresses = addresses_of(entry.device.network)
    spend(len(addresses.entries) * _ENTRY_COST)
    addresses.entries.remove(entry)
    entry.is_listed = False
    addresses.recent = None
    if addresses.owned.get(entry.address) is entry:
        for other in addresses.entries:
            if other.address == entry.address:
                addresses.owned[entry.address] = other  # in its place
                return
        del addresses.owned[entry.address]


def address_changed(entry: InterfaceAddress) -> None:
    """Notify all watchers that the entry's flags or lifetimes have changed."""
    for watcher in _WATCHERS:
        watcher.address_changed(entry)


def list_addresses(device: NetworkDevice, size: int) -> list[InterfaceAddress]:
    """The addresses of a device; of `size` bytes, 4 or 16, or with 0 all."""
    found: list[InterfaceAddress] = []
    spend(len(addresses_of(device.network).entries) * _ENTRY_COST)
    for entry in addresses_of(device.network).entries:
        if entry.device is device and (size == 0 or len(entry.address) == size):
            found.append(entry)
    return found


def list_all_addresses(network: Network, size: int) -> list[InterfaceAddress]:
    """The addresses of all devices of a network."""
    return [entry for entry in addresses_of(network).entries if size == 0 or len(entry.address) == size]


def find_address(device: NetworkDevice, address: bytes, prefix_length: int) -> InterfaceAddress | None:
    """The entry with exactly this prefix."""
    for entry in addresses_of(device.network).entries:
        if entry.device is device and entry.prefix_length == prefix_length and entry.address == address:
            return entry
    return None


def find_on(device: NetworkDevice, address: bytes) -> InterfaceAddress | None:
    """The address on a device, whatever its prefix."""
    for entry in addresses_of(device.network).entries:
        if entry.device is device and entry.address == address:
            return entry
    return None


def owner_of(network: Network, address: bytes) -> InterfaceAddress | None:
    """An entry with this address on any interface of a network."""
    addresses = addresses_of(network)
    recent = addresses.recent
    if recent is not None and recent.address == address:
        return recent
    found = addresses.owned.get(address)
    if found is not None:
        addresses.recent = found
    return found


def is_own(network: Network, address: bytes) -> bool:
    """Whether packets to an address stay in the network."""
    return is_loopback(address) or address in addresses_of(network).owned


def first_address(device: NetworkDevice, size: int) -> InterfaceAddress | None:
    """The device's first usable address of `size` bytes."""
    for entry in addresses_of(device.network).entries:
        if entry.device is device and len(entry.address) == size and entry.is_usable():
            return entry
    return None
