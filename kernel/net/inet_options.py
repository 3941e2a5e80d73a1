"""Options of levels IPPROTO_IP and IPPROTO_IPV6, the same for all Internet sockets (ip(7), ipv6(7)).

`InternetOptions` holds the values; an `InetSocket` has one. What must act at once, as joining a group, is in
`group_options.py`.

Context: system calls; nothing sleeps.
"""

from typing import Final

from kernel.lang import EINVAL, ENOPROTOOPT, EPERM, Errno, final, span_of
from kernel.net import inet_names as ip
from kernel.net.sysctl import IP4_SETTINGS, IP6_SETTINGS

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
}

_LARGEST_OPTIONS: Final = 40


def int_bytes(value: int) -> bytes:
    """An int as a program sees it."""
    storage = bytearray(4)
    span_of(storage).store_u32(0, value & 0xFFFF_FFFF)
    return bytes(storage)


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
    """An int, or a byte where the program gave less; nothing is 0 (level IPPROTO_IP only)."""
    if len(value) >= 4:
        return int_of(value)
    return value[0] if len(value) > 0 else 0


@final
class InternetOptions:
    """What a socket's options of both levels say."""

    def __init__(self) -> None:
        self.switches: int = (
            ip.ON_MULTICAST_LOOP4 | ip.ON_MULTICAST_LOOP6 | ip.ON_MULTICAST_ALL4 | ip.ON_MULTICAST_ALL6
        )
        if IP6_SETTINGS.bindv6only.value != 0:
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

    def is_on(self, switch: int) -> bool:
        """Whether an option ON_* of inet_names is on."""
        return self.switches & switch != 0

    def turn(self, switch: int, on: bool) -> None:
        self.switches = self.switches | switch if on else self.switches & ~switch

    def ttl_for(self, is_ip4: bool, is_multicast: bool) -> int:
        """TTL or hop limit of what is sent."""
        if is_ip4:
            if is_multicast:
                return self.multicast_ttl
            return self.ttl if self.ttl >= 0 else IP4_SETTINGS.ip_default_ttl.value
        if is_multicast:
            return self.multicast_hops if self.multicast_hops >= 0 else 1
        return self.hop_limit if self.hop_limit >= 0 else IP6_SETTINGS.hop_limit.value

    def must_not_fragment(self, is_ip4: bool) -> bool:
        """Whether datagrams that are too large are refused, or sent whole with "don't fragment"."""
        mode = self.mtu_discover if is_ip4 else self.mtu_discover6
        return mode == ip.PMTU_DO or mode == ip.PMTU_PROBE

    def wants_discovery(self, is_ip4: bool) -> bool:
        """Whether what fits is sent with "don't fragment", to learn the path's MTU."""
        mode = self.mtu_discover if is_ip4 else self.mtu_discover6
        return mode == ip.PMTU_WANT or mode == ip.PMTU_DO or mode == ip.PMTU_PROBE


def get_ip_option(options: InternetOptions, name: int, limit: int) -> bytes:
    """An option of level IPPROTO_IP that is a value. ENOPROTOOPT."""
    switch = _SWITCHES4.get(name, 0)
    if switch != 0:
        return short_int_bytes(1 if options.is_on(switch) else 0, limit)
    match name:
        case ip.IP_TOS:
            value = options.tos
        case ip.IP_TTL:
            value = options.ttl if options.ttl >= 0 else IP4_SETTINGS.ip_default_ttl.value
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
            return int_bytes(_swapped(options.unicast_device))
        case ip.IP_OPTIONS:
            return options.header_options
        case _:
            raise Errno(ENOPROTOOPT)
    return short_int_bytes(value, limit)


def _swapped(value: int) -> int:
    """An int in the other order of bytes."""
    return (value & 0xFF) << 24 | (value & 0xFF00) << 8 | (value >> 8) & 0xFF00 | (value >> 24) & 0xFF


def set_ip_option(options: InternetOptions, name: int, value: bytes, is_privileged: bool) -> None:
    """Set an option of level IPPROTO_IP that is a value. EINVAL, EPERM, ENOPROTOOPT."""
    if name == ip.IP_OPTIONS:
        _set_header_options(options, value)
        return
    number = short_int_of(value)
    switch = _SWITCHES4.get(name, 0)
    if switch != 0:
        if name == ip.IP_TRANSPARENT and number != 0 and not is_privileged:
            raise Errno(EPERM)
        if (name == ip.IP_MULTICAST_LOOP or name == ip.IP_MULTICAST_ALL) and len(value) < 1:
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
            options.unicast_device = _swapped(number & 0xFFFF_FFFF)
        case _:
            raise Errno(ENOPROTOOPT)


def _set_header_options(options: InternetOptions, value: bytes) -> None:
    """IP_OPTIONS: only what needs no address from the program is taken: NOPs, record route, time stamps."""
    if len(value) > _LARGEST_OPTIONS:
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
    options.header_options = value + bytes((4 - len(value) % 4) % 4)


def get_ipv6_option(options: InternetOptions, name: int) -> bytes:
    """An option of level IPPROTO_IPV6 that is a value. ENOPROTOOPT."""
    switch = _SWITCHES6.get(name, 0)
    if switch != 0:
        return int_bytes(1 if options.is_on(switch) else 0)
    match name:
        case ip.IPV6_UNICAST_HOPS:
            return int_bytes(options.hop_limit if options.hop_limit >= 0 else IP6_SETTINGS.hop_limit.value)
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
        case _:
            raise Errno(ENOPROTOOPT)


def set_ipv6_option(options: InternetOptions, name: int, value: bytes, is_privileged: bool) -> None:
    """Set an option of level IPPROTO_IPV6 that is a value. EINVAL, EPERM, ENOPROTOOPT."""
    switch = _SWITCHES6.get(name, 0)
    if switch != 0:
        number = int_of(value)
        if name == ip.IPV6_TRANSPARENT and number != 0 and not is_privileged:
            raise Errno(EPERM)
        if (name == ip.IPV6_MULTICAST_LOOP or name == ip.IPV6_MULTICAST_ALL) and not 0 <= number <= 1:
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
            options.unicast_device6 = _swapped(int_of(value) & 0xFFFF_FFFF)
        case _:
            raise Errno(ENOPROTOOPT)


def _number_in(value: bytes, least: int, most: int) -> int:
    number = int_of(value)
    if not least <= number <= most:
        raise Errno(EINVAL)
    return number
