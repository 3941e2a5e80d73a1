"""Options of levels IPPROTO_IP and IPPROTO_IPV6, the same for all Internet sockets (ip(7), ipv6(7)).

`InternetOptions` holds the values; an `InetSocket` has one. Options that act at once, such as joining a group, are in
`group_options.py`.

Context: system calls; nothing sleeps.
"""

from typing import Final

from kernel.lang import EADDRNOTAVAIL, EINVAL, ENOPROTOOPT, EPERM, Errno, final, span_of
from kernel.net.internet.sysctl import IP4_SETTINGS, IP6_SETTINGS
from kernel.net.link.device import device_by_index
from kernel.net.link.network import Network
from kernel.net.link.packet import Packet
from kernel.net.sockets import inet_names as ip

_SWITCHES4: Final[dict[int, int]] = {
    ip.IP_PKTINFO: ip.ON_PKTINFO4,
    ip.IP_RECVTTL: ip.ON_RECVTTL,
    ip.IP_RECVTOS: ip.ON_RECVTOS,
    ip.IP_RECVERR: ip.ON_RECVERR4,
    ip.IP_FREEBIND: ip.ON_FREEBIND,
    ip.IP_TRANSPARENT: ip.ON_TRANSPARENT,
    ip.IP_RECVORIGDSTADDR: ip.ON_ORIGDST4,
    ip.IP_BIND_ADDRESS_NO_PORT: ip.ON_NO_PORT,
    ip.IP_MULTICAST_LOOP: ip.ON_MULTICAST_LOOP4,
    ip.IP_MULTICAST_ALL: ip.ON_MULTICAST_ALL4,
    ip.IP_RECVOPTS: ip.ON_RECVOPTS,
    ip.IP_RETOPTS: ip.ON_RETOPTS,
    ip.IP_HDRINCL: ip.ON_HDRINCL,
    ip.IP_PASSSEC: ip.ON_PASSSEC,
    ip.IP_NODEFRAG: ip.ON_NODEFRAG,
    ip.IP_RECVFRAGSIZE: ip.ON_RECVFRAGSIZE4,
}

_SWITCHES6: Final[dict[int, int]] = {
    ip.IPV6_V6ONLY: ip.ON_V6ONLY,
    ip.IPV6_RECVPKTINFO: ip.ON_PKTINFO6,
    ip.IPV6_RECVHOPLIMIT: ip.ON_RECVHOPLIMIT,
    ip.IPV6_2292PKTINFO: ip.ON_2292PKTINFO,
    ip.IPV6_2292HOPLIMIT: ip.ON_2292HOPLIMIT,
    ip.IPV6_RECVTCLASS: ip.ON_RECVTCLASS,
    ip.IPV6_RECVERR: ip.ON_RECVERR6,
    ip.IPV6_MULTICAST_LOOP: ip.ON_MULTICAST_LOOP6,
    ip.IPV6_MULTICAST_ALL: ip.ON_MULTICAST_ALL6,
    ip.IPV6_DONTFRAG: ip.ON_DONTFRAG,
    ip.IPV6_FREEBIND: ip.ON_FREEBIND,
    ip.IPV6_TRANSPARENT: ip.ON_TRANSPARENT,
    ip.IPV6_RECVORIGDSTADDR: ip.ON_ORIGDST6,
    ip.IPV6_HDRINCL: ip.ON_HDRINCL6,
    ip.IPV6_FLOWINFO: ip.ON_FLOWINFO,
    ip.IPV6_RECVFRAGSIZE: ip.ON_RECVFRAGSIZE6,
    ip.IPV6_RECVHOPOPTS: ip.ON_RECVHOPOPTS,
    ip.IPV6_RECVRTHDR: ip.ON_RECVRTHDR,
    ip.IPV6_RECVDSTOPTS: ip.ON_RECVDSTOPTS,
    ip.IPV6_2292HOPOPTS: ip.ON_2292HOPOPTS,
    ip.IPV6_2292RTHDR: ip.ON_2292RTHDR,
    ip.IPV6_2292DSTOPTS: ip.ON_2292DSTOPTS,
}

LARGEST_OPTIONS: Final = 40  # bytes of IP_OPTIONS

# Further options IPPROTO_IP whose values are numbers.
_NUMBERS4: Final = (
    ip.IP_TOS,
    ip.IP_TTL,
    ip.IP_MINTTL,
    ip.IP_MTU_DISCOVER,
    ip.IP_MULTICAST_TTL,
    ip.IP_UNICAST_IF,
    ip.IP_LOCAL_PORT_RANGE,
    ip.IP_ROUTER_ALERT,
)
# Options IPPROTO_IP that are meaningless without a value.
_NEEDS_VALUE: Final = (
    ip.IP_MULTICAST_LOOP,
    ip.IP_MULTICAST_ALL,
    ip.IP_FREEBIND,
    ip.IP_TRANSPARENT,
)
# Options IPPROTO_IPV6 for which an empty value is zero.
_ZERO_WITHOUT_VALUE: Final = (ip.IPV6_DONTFRAG, ip.IPV6_RECVFRAGSIZE)

# IPV6_ADDR_PREFERENCES (RFC 5014).
_PREFER_TEMPORARY: Final = 0x1
_PREFER_PUBLIC: Final = 0x2
_PREFER_CARE_OF: Final = 0x4
_PREFER_CGA: Final = 0x8
_PREFER_DEFAULT: Final = 0x100
_PREFER_HOME: Final = 0x400
_PREFER_NO_CGA: Final = 0x800


def int_bytes(value: int) -> bytes:
    """An int in a program's representation."""
    storage = bytearray(4)
    span_of(storage).store_u32(0, value & 0xFFFF_FFFF)
    return bytes(storage)


def signed(word: int) -> int:
    """The int with the bits of an unsigned 32-bit word."""
    return word - (1 << 32) if word >= 1 << 31 else word


def short_int_bytes(value: int, limit: int) -> bytes:
    """An int, as a single byte for a caller that has no room for more (level IPPROTO_IP only)."""
    if 0 < limit < 4 and 0 <= value <= 255:
        return bytes([value])
    return int_bytes(value)


def int_of(value: bytes) -> int:
    """The int at the start of a value; EINVAL if it is shorter."""
    if len(value) < 4:
        raise Errno(EINVAL)
    word = span_of(value).load_u32(0)
    return word - (1 << 32) if word >= 1 << 31 else word


def short_int_of(value: bytes) -> int:
    """An int, or a byte if the program passed less; no bytes are 0 (level IPPROTO_IP only)."""
    if len(value) >= 4:
        return int_of(value)
    return value[0] if len(value) > 0 else 0


@final
class InternetOptions:
    """A socket's options of both levels."""

    def __init__(self, network: Network) -> None:
        self.network: Network = network
        self.switches: int = (
            ip.ON_MULTICAST_LOOP4 | ip.ON_MULTICAST_LOOP6 | ip.ON_MULTICAST_ALL4 | ip.ON_MULTICAST_ALL6
        )
        if IP6_SETTINGS.bindv6only.of(network) != 0:
            self.switches |= ip.ON_V6ONLY
        self.ttl: int = -1  # -1: the default
        self.tos: int = 0
        self.min_ttl: int = 0
        self.mtu_discover: int = ip.PMTU_WANT
        self.multicast_ttl: int = 1
        self.multicast_device: int = 0
        self.multicast_source: bytes = b""
        self.unicast_device: int = 0
        self.header_options: bytes = b""
        self.hop_limit: int = -1
        self.traffic_class: int = 0
        self.mtu_discover6: int = ip.PMTU_WANT
        self.multicast_hops: int = -1
        self.multicast_device6: int = 0
        self.min_hops: int = 0
        self.mtu6: int = 0
        self.unicast_device6: int = 0
        self.packet_source6: bytes = b""  # IPV6_PKTINFO: for all datagrams
        self.packet_device6: int = 0
        self.source_preferences: int = 0  # IPV6_ADDR_PREFERENCES: we have no temporary or mobile addresses
        self.first_port: int = 0  # IP_LOCAL_PORT_RANGE: narrows the system's; 0: does not
        self.last_port: int = 0

    def is_on(self, switch: int) -> bool:
        """Whether an option ON_* of inet_names is on."""
        return self.switches & switch != 0

    def turn(self, switch: int, on: bool) -> None:
        self.switches = self.switches | switch if on else self.switches & ~switch

    def ttl_for(self, is_ip4: bool, is_multicast: bool) -> int:
        """TTL or hop limit for sending."""
        if is_ip4:
            if is_multicast:
                return self.multicast_ttl
            return self.ttl if self.ttl >= 0 else IP4_SETTINGS.ip_default_ttl.of(self.network)
        if is_multicast:
            return self.multicast_hops if self.multicast_hops >= 0 else 1
        return self.hop_limit  # -1: the interface's

    def is_near_enough(self, packet: Packet) -> bool:
        """Whether IP_MINTTL or IPV6_MINHOPCOUNT lets a packet in (RFC 5082)."""
        return packet.hop_limit >= (self.min_ttl if len(packet.source) == 4 else self.min_hops)

    def must_not_fragment(self, is_ip4: bool) -> bool:
        """Whether datagrams are sent with "don't fragment" whatever their size."""
        mode = self.mtu_discover if is_ip4 else self.mtu_discover6
        return mode == ip.PMTU_DO or mode == ip.PMTU_PROBE

    def wants_discovery(self, is_ip4: bool) -> bool:
        """Whether datagrams that fit are sent with "don't fragment", to learn the path's MTU."""
        mode = self.mtu_discover if is_ip4 else self.mtu_discover6
        return mode == ip.PMTU_WANT or mode == ip.PMTU_DO or mode == ip.PMTU_PROBE

    def refuses_large(self, is_ip4: bool) -> bool:
        """Whether datagrams that are too large are refused instead of being sent in fragments."""
        mode = self.mtu_discover if is_ip4 else self.mtu_discover6
        return mode == ip.PMTU_DO or mode == ip.PMTU_PROBE or mode == ip.PMTU_INTERFACE

    def ignores_path_mtu(self, is_ip4: bool) -> bool:
        """Whether the interface's MTU counts instead of the path's."""
        return (self.mtu_discover if is_ip4 else self.mtu_discover6) >= ip.PMTU_PROBE


def is_ip_number(name: int) -> bool:
    """Whether an option of level IPPROTO_IP can be set to a number: an int, or a byte."""
    return name in _SWITCHES4 or name in _NUMBERS4


def get_ip_option(options: InternetOptions, name: int, limit: int) -> bytes:
    """The value of an option of level IPPROTO_IP. ENOPROTOOPT."""
    switch = _SWITCHES4.get(name, 0)
    if switch != 0:
        return short_int_bytes(1 if options.is_on(switch) else 0, limit)
    match name:
        case ip.IP_TOS:
            value = options.tos
        case ip.IP_TTL:
            value = options.ttl if options.ttl >= 0 else IP4_SETTINGS.ip_default_ttl.of(options.network)
        case ip.IP_MINTTL:
            value = options.min_ttl
        case ip.IP_MTU_DISCOVER:
            value = options.mtu_discover
        case ip.IP_MULTICAST_TTL:
            value = options.multicast_ttl
        case ip.IP_MULTICAST_IF:
            address = options.multicast_source
            return address if len(address) == 4 else bytes(4)
        case ip.IP_UNICAST_IF:
            value = _swapped(options.unicast_device)
        case ip.IP_OPTIONS:
            return options.header_options
        case ip.IP_LOCAL_PORT_RANGE:
            value = options.last_port << 16 | options.first_port
        case ip.IP_ROUTER_ALERT:
            value = 0
        case _:
            raise Errno(ENOPROTOOPT)
    return short_int_bytes(value, limit)


def _swapped(value: int) -> int:
    """An int in the other byte order."""
    return (value & 0xFF) << 24 | (value & 0xFF00) << 8 | (value >> 8) & 0xFF00 | (value >> 24) & 0xFF


def set_ip_option(options: InternetOptions, name: int, value: bytes, is_privileged: bool) -> None:
    """Set an option of level IPPROTO_IP that has a value. EINVAL, EPERM, ENOPROTOOPT."""
    if name == ip.IP_OPTIONS:
        _set_header_options(options, value)
        return
    number = short_int_of(value)
    switch = _SWITCHES4.get(name, 0)
    if switch != 0:
        if name == ip.IP_TRANSPARENT and number != 0 and not is_privileged:
            raise Errno(EPERM)
        if len(value) < 1 and name in _NEEDS_VALUE:
            raise Errno(EINVAL)
        if name == ip.IP_MULTICAST_ALL and not 0 <= number <= 1:
            raise Errno(EINVAL)
        options.turn(switch, number != 0)
        return
    match name:
        case ip.IP_TOS:
            options.tos = number & 0xFF
        case ip.IP_TTL:
            if len(value) < 1 or (number != -1 and not 1 <= number <= 255):
                raise Errno(EINVAL)
            options.ttl = number
        case ip.IP_MINTTL:
            if len(value) < 1 or not 0 <= number <= 255:
                raise Errno(EINVAL)
            options.min_ttl = number
        case ip.IP_MTU_DISCOVER:
            if not ip.PMTU_DONT <= number <= ip.PMTU_OMIT:
                raise Errno(EINVAL)
            options.mtu_discover = number
        case ip.IP_MULTICAST_TTL:
            if len(value) < 1 or not -1 <= number <= 255:
                raise Errno(EINVAL)
            options.multicast_ttl = 1 if number == -1 else number
        case ip.IP_UNICAST_IF:
            if len(value) != 4:
                raise Errno(EINVAL)
            options.unicast_device = _device_index(options.network, number)
        case ip.IP_LOCAL_PORT_RANGE:
            if len(value) != 4:
                raise Errno(EINVAL)
            first = number & 0xFFFF
            last = number >> 16 & 0xFFFF
            if first > last and last != 0:
                raise Errno(EINVAL)
            options.first_port = first
            options.last_port = last
        case ip.IP_ROUTER_ALERT:
            raise Errno(EINVAL)  # for raw sockets of routers
        case _:
            raise Errno(ENOPROTOOPT)


def _device_index(network: Network, number: int) -> int:
    """The index in IP_UNICAST_IF and IPV6_UNICAST_IF, in network byte order. EADDRNOTAVAIL for no device."""
    index = _swapped(number & 0xFFFF_FFFF)
    if index != 0 and device_by_index(network, index) is None:
        raise Errno(EADDRNOTAVAIL)
    return index


def _set_header_options(options: InternetOptions, value: bytes) -> None:
    """IP_OPTIONS: only options without addresses from the program are accepted: NOPs, record route, time stamps."""
    if len(value) > LARGEST_OPTIONS:
        raise Errno(EINVAL)
    at = 0
    while at < len(value) and value[at] != 0:
        if value[at] == 1:
            at += 1
            continue
        if at + 1 >= len(value) or value[at + 1] < 2 or value[at + 1] > len(value) - at:
            raise Errno(EINVAL)
        if value[at] != 7 and value[at] != 68 and value[at] != 148:
            raise Errno(EINVAL)
        at += value[at + 1]
    # All bytes after the end are zero, including those that fill the last word.
    options.header_options = value[:at] + bytes((len(value) + 3 & ~3) - at)


def get_ipv6_option(options: InternetOptions, name: int) -> bytes:
    """The value of an option of level IPPROTO_IPV6. ENOPROTOOPT."""
    switch = _SWITCHES6.get(name, 0)
    if switch != 0:
        return int_bytes(1 if options.is_on(switch) else 0)
    match name:
        case ip.IPV6_UNICAST_HOPS:
            own = options.hop_limit
            return int_bytes(own if own >= 0 else IP6_SETTINGS.hop_limit.of(options.network))
        case ip.IPV6_MULTICAST_HOPS:
            return int_bytes(options.multicast_hops if options.multicast_hops >= 0 else 1)
        case ip.IPV6_MULTICAST_IF:
            return int_bytes(options.multicast_device6)
        case ip.IPV6_UNICAST_IF:
            return int_bytes(_swapped(options.unicast_device6))
        case ip.IPV6_TCLASS:
            return int_bytes(options.traffic_class)
        case ip.IPV6_MTU_DISCOVER:
            return int_bytes(options.mtu_discover6)
        case ip.IPV6_MINHOPCOUNT:
            return int_bytes(options.min_hops)
        case ip.IPV6_ADDR_PREFERENCES:
            return int_bytes(_preferences(options.source_preferences))
        case _:
            raise Errno(ENOPROTOOPT)


def _preferences(chosen: int) -> int:
    """The chosen preferences, and the defaults for the others."""
    result = chosen & (_PREFER_TEMPORARY | _PREFER_PUBLIC)
    if result == 0:
        result = _PREFER_DEFAULT
    return result | (_PREFER_CARE_OF if chosen & _PREFER_CARE_OF != 0 else _PREFER_HOME)


def _set_preferences(options: InternetOptions, number: int) -> None:
    """Set the preferences. EINVAL for two that exclude each other."""
    chosen = options.source_preferences
    kind = number & (_PREFER_TEMPORARY | _PREFER_PUBLIC | _PREFER_DEFAULT)
    home = number & (_PREFER_HOME | _PREFER_CARE_OF)
    cga = number & (_PREFER_CGA | _PREFER_NO_CGA)
    if kind & (kind - 1) != 0 or home & (home - 1) != 0 or cga & (cga - 1) != 0:
        raise Errno(EINVAL)
    if kind != 0:
        chosen = chosen & ~(_PREFER_TEMPORARY | _PREFER_PUBLIC) | kind & ~_PREFER_DEFAULT
    if home != 0:
        chosen = chosen & ~_PREFER_CARE_OF | home & ~_PREFER_HOME
    options.source_preferences = chosen


def set_ipv6_option(options: InternetOptions, name: int, value: bytes, is_privileged: bool) -> None:
    """Set an option of level IPPROTO_IPV6 that has a value. EINVAL, EPERM, ENOPROTOOPT."""
    switch = _SWITCHES6.get(name, 0)
    if switch != 0:
        number = 0 if len(value) < 4 and name in _ZERO_WITHOUT_VALUE else int_of(value)
        if name == ip.IPV6_TRANSPARENT and number != 0 and not is_privileged:
            raise Errno(EPERM)
        if name == ip.IPV6_MULTICAST_LOOP and not 0 <= number <= 1:
            raise Errno(EINVAL)
        options.turn(switch, number != 0)
        return
    match name:
        case ip.IPV6_UNICAST_HOPS:
            options.hop_limit = _number_in(value, -1, 255)
        case ip.IPV6_MULTICAST_HOPS:
            options.multicast_hops = _number_in(value, -1, 255)
        case ip.IPV6_TCLASS:
            number = _number_in(value, -1, 255)
            options.traffic_class = 0 if number == -1 else number
        case ip.IPV6_MTU_DISCOVER:
            options.mtu_discover6 = _number_in(value, ip.PMTU_DONT, ip.PMTU_OMIT)
        case ip.IPV6_MTU:
            number = int_of(value)
            if number != 0 and number < 1280:
                raise Errno(EINVAL)
            options.mtu6 = number
        case ip.IPV6_MINHOPCOUNT:
            options.min_hops = _number_in(value, 0, 255)
        case ip.IPV6_UNICAST_IF:
            if len(value) != 4:
                raise Errno(EINVAL)
            options.unicast_device6 = _device_index(options.network, int_of(value))
        case ip.IPV6_ADDR_PREFERENCES:
            _set_preferences(options, int_of(value))
        case _:
            raise Errno(ENOPROTOOPT)


def _number_in(value: bytes, least: int, most: int) -> int:
    number = int_of(value)
    if not least <= number <= most:
        raise Errno(EINVAL)
    return number
