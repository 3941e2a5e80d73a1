"""How much of a new value options of levels IPPROTO_IP and IPPROTO_IPV6 read: setsockopt(2) finds out before it does.

Context: system calls; nothing sleeps.
Source: ip(7), ipv6(7), RFC 3678, RFC 3542. The order of checks is Linux's.
"""

from typing import Final

from kernel.lang import EINVAL, ENOPROTOOPT, EPROTO, Errno
from kernel.net.sockets import inet_names as ip
from kernel.net.sockets.inet_options import LARGEST_OPTIONS, is_ip_number

_INT: Final = 4
_SOURCE_REQUEST4: Final = 12  # struct ip_mreq_source
_INTERFACE_REQUEST4: Final = 12  # struct ip_mreqn, in place of which there may be a struct ip_mreq or an address
_GROUP_REQUEST4: Final = 8  # struct ip_mreq
_FILTER4: Final = 16  # struct ip_msfilter without its sources
_GROUP_REQUEST6: Final = 20  # struct ipv6_mreq
_PACKET_INFORMATION6: Final = 20  # struct in6_pktinfo
_EXTENSION_HEADER: Final = 8  # the least one

# The least structure that an option of either level takes. After that of a filter come as many sources as it names.
_STRUCTURES: Final[dict[int, int]] = {
    ip.MCAST_JOIN_GROUP: 136,  # struct group_req
    ip.MCAST_LEAVE_GROUP: 136,
    ip.MCAST_BLOCK_SOURCE: 264,  # struct group_source_req
    ip.MCAST_UNBLOCK_SOURCE: 264,
    ip.MCAST_JOIN_SOURCE_GROUP: 264,
    ip.MCAST_LEAVE_SOURCE_GROUP: 264,
    ip.MCAST_MSFILTER: 144,  # struct group_filter
}
_STRUCTURES4: Final[dict[int, int]] = {
    ip.IP_MULTICAST_IF: _INT,
    ip.IP_ADD_MEMBERSHIP: _GROUP_REQUEST4,
    ip.IP_DROP_MEMBERSHIP: _GROUP_REQUEST4,
    ip.IP_UNBLOCK_SOURCE: _SOURCE_REQUEST4,
    ip.IP_BLOCK_SOURCE: _SOURCE_REQUEST4,
    ip.IP_ADD_SOURCE_MEMBERSHIP: _SOURCE_REQUEST4,
    ip.IP_DROP_SOURCE_MEMBERSHIP: _SOURCE_REQUEST4,
    ip.IP_MSFILTER: _FILTER4,
}
_STRUCTURES6: Final[dict[int, int]] = {
    ip.IPV6_ADD_MEMBERSHIP: _GROUP_REQUEST6,
    ip.IPV6_DROP_MEMBERSHIP: _GROUP_REQUEST6,
    ip.IPV6_LEAVE_ANYCAST: _GROUP_REQUEST6,
    ip.IPV6_PKTINFO: _PACKET_INFORMATION6,
}
# What is sent in front of all datagrams of a socket (RFC 3542, section 4)
STICKY_HEADERS: Final = (ip.IPV6_HOPOPTS, ip.IPV6_RTHDRDSTOPTS, ip.IPV6_RTHDR, ip.IPV6_DSTOPTS)


def least_of_ip_value(name: int, length: int, *, is_stream: bool) -> int:
    """How many bytes of a value of `length` bytes an option of level IPPROTO_IP reads. ENOPROTOOPT for an option that
    does not exist, EINVAL for a length that it cannot have; EPROTO, EINVAL for one that streams do not have.
    """
    if is_ip_number(name):
        return _INT if length >= _INT else min(length, 1)
    if name == ip.IP_IPSEC_POLICY or name == ip.IP_XFRM_POLICY:
        return length
    if name == ip.IP_OPTIONS:
        if length > LARGEST_OPTIONS:
            raise Errno(EINVAL)
        return length
    least = _STRUCTURES4.get(name, _STRUCTURES.get(name, 0))
    if least == 0:
        raise Errno(ENOPROTOOPT)
    is_membership = name == ip.IP_ADD_MEMBERSHIP or name == ip.IP_DROP_MEMBERSHIP
    if is_stream and (is_membership or name == ip.IP_MULTICAST_IF):
        raise Errno(EPROTO if is_membership else EINVAL)
    if length < least or (least == _SOURCE_REQUEST4 and length != least):
        raise Errno(EINVAL)
    if name == ip.IP_MSFILTER or name == ip.MCAST_MSFILTER:
        return length
    if is_membership or name == ip.IP_MULTICAST_IF:
        if length >= _INTERFACE_REQUEST4:
            return _INTERFACE_REQUEST4
        return _GROUP_REQUEST4 if length >= _GROUP_REQUEST4 else least
    return least


def least_of_ipv6_value(name: int, length: int, *, is_stream: bool) -> int:
    """The same of level IPPROTO_IPV6, where an int is read for any option, if the value is not shorter. Raises nothing:
    what is wrong with name and length comes after that.
    """
    first = _INT if length >= _INT else 0
    if name in STICKY_HEADERS:
        return length if length >= _EXTENSION_HEADER else first
    least = _STRUCTURES6.get(name, _STRUCTURES.get(name, 0))
    is_membership = name == ip.IPV6_ADD_MEMBERSHIP or name == ip.IPV6_DROP_MEMBERSHIP
    if length < least or (is_stream and is_membership):
        return first
    return length if name == ip.MCAST_MSFILTER else max(first, least)
