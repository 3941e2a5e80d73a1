"""Attributes of messages about interfaces, RTM_NEWLINK and its kin, which several modules read (rtnetlink(7))."""

from typing import Final

from kernel.lang import EADDRNOTAVAIL, EEXIST, EINVAL, ERANGE, Errno
from kernel.net.link.device import check_pattern, device_by_name
from kernel.net.link.network import Network
from kernel.net.netlink.messages import Request

RTM_NEWLINK: Final = 16
RTM_DELLINK: Final = 17
RTM_GETLINK: Final = 18
RTM_SETLINK: Final = 19

IFLA_ADDRESS: Final = 1
IFLA_IFNAME: Final = 3
IFLA_MTU: Final = 4
IFLA_LINK: Final = 5
IFLA_MASTER: Final = 10
IFLA_PROTINFO: Final = 12
IFLA_TXQLEN: Final = 13
IFLA_LINKINFO: Final = 18
IFLA_NET_NS_PID: Final = 19
IFLA_NET_NS_FD: Final = 28
IFLA_LINK_NETNSID: Final = 37
IFLA_TARGET_NETNSID: Final = 46
IFLA_NEW_IFINDEX: Final = 49
MOST_INDEX: Final = 0x7FFF_FFFF
INFO_KIND: Final = 1
INFO_DATA: Final = 2
INFO_SLAVE_KIND: Final = 4
INFO_SLAVE_DATA: Final = 5

LINK_HEADER: Final = 16  # struct ifinfomsg
NAME_LIMIT: Final = 15
LEAST_MTU: Final = 68
MOST_MTU: Final = 65_535


def text_of(value: bytes) -> bytes:
    """A string attribute up to its NUL."""
    end = value.find(b"\0")
    return value if end < 0 else value[:end]


def check_name(network: Network, name: bytes) -> None:
    """Check that an interface may have this name or pattern (see `free_name`). Raises EINVAL, ERANGE for a name that
    is too long, EEXIST.
    """
    if len(name) > NAME_LIMIT:
        raise Errno(ERANGE)
    if len(name) == 0 or name == b"." or name == b"..":
        raise Errno(EINVAL)
    for byte in name:
        if byte == ord("/") or byte == ord(":") or byte == ord(" ") or ord("\t") <= byte <= ord("\r"):
            raise Errno(EINVAL)
    if b"%" in name:
        check_pattern(name)
    if device_by_name(network, name) is not None:
        raise Errno(EEXIST)


def check_link_address(address: bytes, size: int) -> None:
    """Check that an interface whose addresses have `size` bytes may have this one. Raises EINVAL, EADDRNOTAVAIL."""
    if len(address) != size:
        raise Errno(EINVAL)
    if address[0] & 1 != 0 or address == bytes(size):
        raise Errno(EADDRNOTAVAIL)


def wanted_name(request: Request) -> bytes:
    """The name in a request; empty without one."""
    return text_of(request.attribute(IFLA_IFNAME))
